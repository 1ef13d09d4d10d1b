//! The containers of Docker, for maps that name some.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::names::Known;
use crate::agent::source::SourceError;
use crate::agent::source::docker::Followed;
use crate::agent::source::docker::bell::Bell;
use crate::agent::source::docker::runs::Runs;
use crate::docker::{Container, Docker, Filter};

/// A question that Docker did not answer is asked again after this time, if not before because the
/// connection has come back.
const RETRY: Duration = Duration::from_secs(5);

/// The containers, followed as long as this lives.
#[derive(Debug)]
pub(super) struct Containers {
    followed: Followed,
    bell: Arc<Bell>,
    /// Readable when the bell has been rung.
    rung: Arc<EventFd>,
    /// As Docker listed them last.
    last: Vec<Container>,
    runs: Runs,
    run_of: BTreeMap<String, u64>,
    /// Why Docker does not list them now.
    trouble: Option<SourceError>,
    asked: Instant,
}

impl Containers {
    /// # Errors
    /// If there can be no more threads or files.
    pub(super) fn new(docker: &Docker) -> Result<Self, SourceError> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let rung = EventFd::from_flags(flags).map_err(|errno| SourceError {
            what: format!("cannot wait for Docker: {errno}"),
            hint: None,
        })?;
        let (bell, rung) = (Arc::new(Bell::default()), Arc::new(rung));
        let (rings, tells) = (bell.clone(), rung.clone());
        let followed = Followed::new(docker, move |change| {
            rings.ring(change);
            // The only failure is a counter at its maximum: then it is readable.
            let _ = tells.write(1);
        })?;
        Ok(Self {
            followed,
            bell,
            rung,
            last: Vec::new(),
            runs: Runs::default(),
            run_of: BTreeMap::new(),
            trouble: None,
            asked: Instant::now(),
        })
    }

    /// Asks Docker what there is. If it does not answer, what was known before stays.
    pub(super) fn ask(&mut self) {
        // What is told from here on may be missing in the answer. There may be nothing to read.
        let _ = self.rung.read();
        self.asked = Instant::now();
        match self.followed.list(&Filter::All) {
            Ok(containers) => self.know(containers),
            Err(error) => {
                if self.trouble.as_ref() != Some(&error) {
                    log::warn!("the containers of the map keep what they have: {error}");
                }
                self.trouble = Some(error);
            }
        }
    }

    fn know(&mut self, containers: Vec<Container>) {
        if self.trouble.take().is_some() {
            log::info!("Docker answers again: the containers of the map are known");
        }
        let news = self.bell.take();
        let runs = containers.iter().map(|its| (its.id.clone(), self.runs.seen(its, &news)));
        self.run_of = runs.collect();
        let ids: Vec<_> = self.run_of.keys().cloned().collect();
        self.runs.forget_all_but(&ids);
        self.last = containers;
    }

    /// When to ask again, whatever is told until then.
    pub(super) fn again(&self) -> Option<Instant> {
        self.trouble.as_ref().map(|_| self.asked + RETRY)
    }

    /// What is known of them.
    pub(super) fn known(&self) -> Known<'_> {
        Known::new(&self.last, self.trouble.is_none(), &self.run_of)
    }
}

/// Readable when something may have changed.
impl AsFd for Containers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.rung.as_fd()
    }
}
