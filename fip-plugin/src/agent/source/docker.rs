//! The containers of a Docker engine that carry a label.
//!
//! A full list is the truth. Docker's events only say when to look: they are lost while the
//! connection is, and Docker drops them for a client that is too slow.

pub(super) mod bell;
mod followed;
mod rumours;
pub(super) mod runs;

use std::time::{Duration, Instant};
use std::{mem, sync::Arc};

use super::{Listing, Source, SourceError};
use crate::agent::model::{Presence, Workload};
use crate::docker::{Container, Docker, Filter};
use bell::{Bell, News};
pub use followed::Followed;
use runs::Runs;

/// That all is gone is believed after this time only, unless Docker has told so.
const DOUBT: Duration = Duration::from_secs(3);

/// The containers of one engine that ask for floating addresses by a label; also those that do not
/// run.
#[derive(Debug)]
pub struct DockerSource {
    docker: Docker,
    labels: Vec<String>,
    resync: Duration,
    bell: Arc<Bell>,
    /// From the second look on: for one look there is nothing to follow.
    followed: Option<Followed>,
    /// What has happened since the last listing.
    news: News,
    runs: Runs,
    /// The ids in the last listing.
    listed: Vec<String>,
    /// Whether the last look was good.
    answered: bool,
}

impl DockerSource {
    /// The containers of this engine with one of these labels; the values of several are joined by
    /// commas, in the order of the labels. They are looked at again after `resync`, even if nothing
    /// is told.
    pub fn new(docker: Docker, labels: Vec<String>, resync: Duration) -> Self {
        Self {
            docker,
            labels,
            resync,
            bell: Arc::default(),
            followed: None,
            news: News::default(),
            runs: Runs::default(),
            listed: Vec::new(),
            answered: false,
        }
    }

    fn wait(&mut self) -> Result<(), SourceError> {
        if self.followed.is_none() {
            let bell = self.bell.clone();
            // Rings as soon as it follows: what happened before is not told.
            let followed = Followed::new(&self.docker, move |change| bell.ring(change))?;
            self.followed = Some(followed);
        }
        self.bell.wait(self.resync);
        Ok(())
    }

    fn look(&mut self) -> Result<Vec<Container>, SourceError> {
        let mut containers = self.list()?;
        let until = Instant::now() + DOUBT;
        while self.is_sudden(&containers) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                log::warn!("Docker has none of the {} containers any more", self.listed.len());
                break;
            }
            self.bell.wait(left);
            self.news.add(self.bell.take());
            containers = self.list()?;
        }
        Ok(containers)
    }

    /// Whether all is gone, and nobody has said so.
    fn is_sudden(&self, containers: &[Container]) -> bool {
        containers.is_empty() && self.listed.iter().any(|id| !self.news.removed.contains(id))
    }

    fn list(&self) -> Result<Vec<Container>, SourceError> {
        // Of several labels Docker's filter would want all.
        let filter = match self.labels.as_slice() {
            [label] => Filter::Label(label.clone()),
            _ => Filter::All,
        };
        let mut containers = match &self.followed {
            Some(followed) => followed.list(&filter)?,
            None => self.docker.containers(&filter)?,
        };
        containers.retain(|container| self.asks(container).is_some());
        containers.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(containers)
    }

    /// What a container asks for.
    fn asks(&self, container: &Container) -> Option<String> {
        let values = self.labels.iter().filter_map(|label| container.labels.get(label));
        let values: Vec<&str> = values.map(String::as_str).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    fn workload(&mut self, container: Container) -> Option<Workload> {
        let asks = self.asks(&container)?;
        let presence = match container.running {
            true => Presence::Running(container.fixed()),
            false => Presence::Stopped,
        };
        Some(Workload {
            run: self.runs.seen(&container, &self.news),
            container: Some(container.id.clone()),
            id: container.id,
            name: container.name,
            asks,
            age: container.created,
            presence,
        })
    }
}

impl Source for DockerSource {
    fn next(&mut self) -> Result<Listing, SourceError> {
        if mem::take(&mut self.answered) {
            self.wait()?;
        }
        self.news.add(self.bell.take());
        let noticed = self.news.noticed.unwrap_or_else(Instant::now);
        let containers = self.look()?;
        self.listed = containers.iter().map(|container| container.id.clone()).collect();
        let workloads = containers.into_iter().filter_map(|container| self.workload(container));
        let workloads = workloads.map(Arc::new).collect();
        self.runs.forget_all_but(&self.listed);
        self.news = News::default();
        self.answered = true;
        Ok(Listing { workloads, noticed })
    }
}
