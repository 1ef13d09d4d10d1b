//! Rancher's metadata service (Rancher 1.x) as the source.
//!
//! The service gives everything a new version whenever anything in the environment changes. So the
//! version is what is waited for, with a long poll, and a new one only says that it is time to look:
//! one that comes with nothing new costs three questions, and one that never comes is made up for
//! by looking whenever a poll ends without one.

mod decode;
mod error;
mod pace;
mod service;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Listing, Source, SourceError};
use crate::agent::model::{Presence, Workload};
use decode::Known;
use pace::Pace;
use service::{Polled, Service};

/// Where the service is for every container of Rancher, and for hosts whose resolver asks it.
pub const DEFAULT_URL: &str = "http://rancher-metadata";

/// How long an answer may take, if nothing else is said: the service takes milliseconds.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a poll waits for a new version, if nothing else is said.
pub const DEFAULT_POLL: Duration = Duration::from_secs(60);

/// The service knows whole seconds, and ends every poll after this time.
const POLL_MAX: u64 = 120;

/// What is to be asked, and for what.
#[derive(Debug, Clone)]
pub struct RancherConfig {
    /// `http://HOST` or `http://HOST:PORT`.
    pub url: String,
    /// Which form of the answers is asked for.
    pub version: Version,
    /// The labels that hold floating addresses; at least one.
    pub labels: Vec<String>,
    /// How long one poll waits for a new version: after that, and up to 5 s that the service adds,
    /// all is asked for anew. It is taken as whole seconds from 1 to 120.
    pub poll: Duration,
    /// How long the answer to any other question may take.
    pub timeout: Duration,
}

impl RancherConfig {
    /// These labels, and everything else as it mostly is.
    pub fn new(labels: Vec<String>) -> Self {
        Self {
            url: DEFAULT_URL.to_owned(),
            version: Version::default(),
            labels,
            poll: DEFAULT_POLL,
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

/// A version of the service's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// `2015-07-25`
    V20150725,
    /// `2015-12-19`
    V20151219,
    /// `2016-07-29`
    V20160729,
    /// `latest`: the newest that the service has.
    #[default]
    Latest,
}

impl Version {
    /// All of them, the oldest first.
    pub const ALL: [Self; 4] = [Self::V20150725, Self::V20151219, Self::V20160729, Self::Latest];

    /// As it stands in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V20150725 => "2015-07-25",
            Self::V20151219 => "2015-12-19",
            Self::V20160729 => "2016-07-29",
            Self::Latest => "latest",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Version {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let found = Self::ALL.into_iter().find(|version| version.as_str() == text);
        found.ok_or_else(|| error::bad_version(text))
    }
}

/// Workloads are the containers that the metadata service has on this host.
///
/// A container that neither runs nor is known to be stopped (it starts, stops, is being moved) is
/// [`Presence::Unknown`]: nothing is given to it, nothing taken from it.
#[derive(Debug, Clone)]
pub struct RancherSource {
    service: Service,
    labels: Vec<String>,
    poll: Duration,
    pace: Pace,
    /// The version that was there before the last listing was asked for; none after an error.
    seen: Option<String>,
    /// This host's uuid, once it was told.
    host: Option<String>,
    /// What the last listing had.
    known: Known,
}

impl RancherSource {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// If the URL is none, or there is no label to look for.
    pub fn new(config: RancherConfig) -> Result<Self, SourceError> {
        if config.labels.is_empty() {
            return Err(error::no_label());
        }
        Ok(Self {
            service: Service::new(&config.url, config.version, config.timeout)?,
            labels: config.labels,
            poll: Duration::from_secs(config.poll.as_secs().clamp(1, POLL_MAX)),
            pace: Pace::default(),
            seen: None,
            host: None,
            known: Known::new(),
        })
    }

    /// The version to look at: another one than `old`, or any once it is time to look anyway.
    fn wait(&mut self, old: &str) -> Result<String, SourceError> {
        let begun = Instant::now();
        loop {
            self.pace.wait();
            match self.service.poll(old, self.poll)? {
                Polled::New(version) => return Ok(version),
                // An old service ends no poll unless there is something new: whether it is alive,
                // only another question tells.
                Polled::Silent => return self.service.version(),
                Polled::Same if begun.elapsed() >= self.poll / 2 => return Ok(old.to_owned()),
                // Something between here and the service does not let it wait.
                Polled::Same => {}
            }
        }
    }

    /// Everything as it is now.
    fn look(&mut self, noticed: Instant) -> Result<Listing, SourceError> {
        let host = self.service.host()?;
        match &self.host {
            // Who is taken for another host would lose everything.
            Some(before) if *before != host.uuid => {
                return Err(error::another_host(self.service.address(), before, &host.uuid));
            }
            _ => {}
        }
        let workloads = self.service.containers(|body| {
            decode::workloads(&decode::containers(body)?, &host, &self.labels, &self.known)
        })?;
        self.remember(&workloads);
        self.host = Some(host.uuid);
        let workloads = workloads.into_iter().map(Arc::new).collect();
        Ok(Listing { workloads, noticed })
    }

    fn remember(&mut self, workloads: &[Workload]) {
        let mut before = std::mem::take(&mut self.known);
        for workload in workloads {
            let mut workload = workload.clone();
            if workload.presence == Presence::Unknown
                && let Some(before) = before.remove(&workload.id)
            {
                workload.presence = before.presence;
            }
            self.known.insert(workload.id.clone(), workload);
        }
    }
}

impl Source for RancherSource {
    fn next(&mut self) -> Result<Listing, SourceError> {
        // Gone until all has gone well: after an error nothing is waited for.
        let version = match self.seen.take() {
            Some(old) => self.wait(&old)?,
            // Before the containers: if they change in between, the next poll ends at once.
            None => self.service.version()?,
        };
        let listing = self.look(Instant::now())?;
        self.seen = Some(version);
        Ok(listing)
    }
}
