//! Waiting for changes of the world in memory.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::error::Result;
use crate::kernel::{Link, Monitor, Signal, Waker};

use super::world::{Namespace, Shared};

/// The stream of changes of one namespace of a [`super::FakeKernel`], whoever makes them.
///
/// It waits in real time, woken by what happens.
pub struct FakeMonitor {
    world: Arc<Shared>,
    place: usize,
    links_changed: u64,
    ruleset_changed: u64,
    /// How much has been heard on the links on which it listens.
    listening: HashMap<u32, usize>,
    woken: Arc<AtomicBool>,
}

impl fmt::Debug for FakeMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeMonitor").field("place", &self.place).finish_non_exhaustive()
    }
}

impl FakeMonitor {
    pub(super) fn new(world: Arc<Shared>, place: usize) -> Self {
        let (links_changed, ruleset_changed) = {
            let namespace = &world.lock().namespaces[place];
            (namespace.links_changed, namespace.ruleset_changed)
        };
        let listening = HashMap::new();
        let woken = Arc::new(AtomicBool::new(false));
        Self { world, place, links_changed, ruleset_changed, listening, woken }
    }
}

/// What has already happened.
fn pending(this: &mut FakeMonitor, now: &Namespace) -> Option<Signal> {
    if this.woken.swap(false, Ordering::AcqRel) {
        return Some(Signal::Woken);
    }
    if std::mem::replace(&mut this.ruleset_changed, now.ruleset_changed) != now.ruleset_changed {
        return Some(Signal::Ruleset);
    }
    if std::mem::replace(&mut this.links_changed, now.links_changed) != now.links_changed {
        return Some(Signal::Links);
    }
    for (link, heard) in &mut this.listening {
        let news = now.sightings.get(*heard..).unwrap_or_default();
        let at = news.iter().position(|sighting| sighting.link == *link);
        *heard += at.map_or(news.len(), |at| at + 1);
        if let Some(at) = at {
            return Some(Signal::Heard(news[at].clone()));
        }
    }
    None
}

impl Monitor for FakeMonitor {
    fn next(&mut self, until: Option<Instant>) -> Result<Option<Signal>> {
        let shared = Arc::clone(&self.world);
        let mut world = shared.lock();
        loop {
            if let Some(signal) = pending(self, &world.namespaces[self.place]) {
                return Ok(Some(signal));
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            world = shared.wait(world, left);
        }
    }

    fn listen_on(&mut self, uplinks: &[Link]) -> Result<()> {
        let now = self.world.lock().namespaces[self.place].sightings.len();
        let listening = uplinks
            .iter()
            .map(|link| (link.index, self.listening.get(&link.index).copied().unwrap_or(now)));
        self.listening = listening.collect();
        Ok(())
    }

    fn waker(&self) -> Waker {
        let (world, woken) = (Arc::clone(&self.world), Arc::clone(&self.woken));
        Waker::new(move || world.change(|_| woken.store(true, Ordering::Release)))
    }
}
