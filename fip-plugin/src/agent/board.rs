//! What the agent knows, for people and for monitoring.
//!
//! The loop writes, [`status`](super::status) reads. Nobody holds the board while he waits for
//! somebody else, so no client of the status can hold up the loop.

mod facts;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::actuator::{Failure, Signal};
use super::model::{Presence, State, Wish, Workload};
use super::source::SourceError;
use crate::options::Floating;
pub(super) use facts::{Facts, Happened, Histogram, Move, Source};

/// What has become of what a workload asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The workload.
    pub workload: Arc<Workload>,
    /// Its floating addresses; none if what it asks for cannot be read.
    pub floating: Vec<Floating>,
    /// What has become of it.
    pub state: State,
}

impl Entry {
    /// A wish, and what has become of it.
    pub fn wished(wish: Wish, state: State) -> Self {
        Self { workload: wish.workload, floating: wish.floating, state }
    }

    /// A workload whose wish is not granted.
    pub fn refused(workload: Arc<Workload>, why: String) -> Self {
        Self { workload, floating: Vec::new(), state: State::Refused(why) }
    }

    /// Its fixed addresses, where they are known.
    pub fn fixed(&self) -> &[IpAddr] {
        match &self.workload.presence {
            Presence::Running(fixed) => fixed,
            Presence::Stopped | Presence::Unknown => &[],
        }
    }
}

/// What the agent knows. Clones are the same board.
#[derive(Debug, Clone)]
pub struct Board(Arc<Mutex<Facts>>);

impl Board {
    /// A board of an agent that begins now. For people: what its source is, as
    /// `docker unix:///var/run/docker.sock`, and how it attaches, as `direct`.
    pub fn new(source: &str, attach: &str) -> Self {
        Self(Arc::new(Mutex::new(Facts::new(source, attach))))
    }

    /// The source has answered: it knows so many workloads that ask for addresses.
    pub fn listed(&self, workloads: usize) {
        self.facts().source.answered(workloads);
    }

    /// The source could not say what should be.
    pub fn source_failed(&self, error: &SourceError) {
        self.facts().source.failed(error);
    }

    /// The actuator cannot work, or not wholly, whatever the workload.
    pub fn actuator_failed(&self, failure: &Failure) {
        self.facts().failure = Some(failure.clone());
    }

    /// The actuator works.
    pub fn actuator_ok(&self) {
        self.facts().failure = None;
    }

    /// What has become of all that is asked for, in the order in which it is shown.
    pub fn set_states(&self, entries: impl Into<Arc<[Entry]>>) {
        self.facts().entries = entries.into();
    }

    /// What the actuator tells. `listed` for an address that came: how long it took from the moment
    /// when the source noticed the workload until the actuator was asked.
    pub fn signal(&self, signal: &Signal, listed: Option<Duration>) {
        self.facts().happen(signal, listed);
    }

    /// [`Actuator::pursue`](super::actuator::Actuator::pursue) has taken so long.
    pub fn reconciled(&self, took: Duration) {
        self.facts().reconciles.observe(took);
    }

    /// All of it, at one moment.
    pub(super) fn look(&self) -> Facts {
        self.facts().clone()
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        // No writer leaves the facts half written: they are good although one panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
