//! The state of the kernel in memory, and the news of its changes.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::binding::LinkName;
use crate::kernel::{Flows, Mac, Sighting};
use crate::netns::NetNs;

use super::links::Network;
use super::ruleset::Filter;

/// The world, for all handles on it.
#[derive(Debug, Default)]
pub(super) struct Shared {
    world: Mutex<World>,
    news: Condvar,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        // A test that panicked with the lock held has failed; others may go on.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the world, and tells those who wait for that.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut self.lock());
        self.news.notify_all();
        result
    }

    /// Waits for the next change.
    pub(super) fn wait<'a>(
        &self,
        world: MutexGuard<'a, World>,
        timeout: Option<Duration>,
    ) -> MutexGuard<'a, World> {
        match timeout {
            None => self.news.wait(world).unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                let waited = self.news.wait_timeout(world, timeout);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) namespaces: Vec<Namespace>,
    pub(super) names: HashMap<NetNs, usize>,
    /// How many more steps succeed; all if none.
    pub(super) steps_left: Option<usize>,
    /// Whether a step failed for that reason.
    pub(super) failed: bool,
}

impl World {
    /// A step is about to be taken: may it?
    pub(super) fn take_step(&mut self, privileged: bool) -> io::Result<()> {
        if !privileged {
            return Err(errno(libc::EPERM));
        }
        let Some(left) = &mut self.steps_left else { return Ok(()) };
        match left.checked_sub(1) {
            Some(fewer) => *left = fewer,
            None => {
                self.failed = true;
                return Err(errno(libc::EIO));
            }
        }
        Ok(())
    }
}

/// A network namespace.
#[derive(Debug, Default)]
pub(super) struct Namespace {
    pub(super) network: Network,
    pub(super) filter: Filter,
    pub(super) legacy_tables: Vec<String>,
    pub(super) rivals: HashMap<IpAddr, Mac>,
    /// All that was ever heard, in order.
    pub(super) sightings: Vec<Sighting>,
    pub(super) announced: Vec<(LinkName, IpAddr)>,
    pub(super) sought: Vec<(u32, IpAddr)>,
    pub(super) forgotten: Vec<Flows>,
    /// How often all connections were looked at.
    pub(super) sweeps: usize,
    /// How many changes of links, addresses and routes there were.
    pub(super) links_changed: u64,
    /// How many changes of the ruleset there were.
    pub(super) ruleset_changed: u64,
}

/// The kernel's answer.
pub(super) fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}
