//! Handles on the kernel for calls that go on side by side.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fip_core::address::Links;
use fip_core::error::Result;
use fip_core::kernel::Rtnl;

/// Makes another handle.
pub(super) type Open<K> = Arc<dyn Fn() -> Result<K> + Send + Sync>;

/// How many idle handles are kept of each kind: closing one that listened to neighbours takes the
/// kernel long.
const IDLE_MAX: usize = 4;

/// Handles, of which each call uses one.
pub(super) struct Scouts<K> {
    open: Open<K>,
    hands: Pool<K>,
    eyes: Pool<(K, Links)>,
}

impl<K: Rtnl> Scouts<K> {
    pub(super) fn new(open: Open<K>) -> Self {
        Self { open, hands: Pool::default(), eyes: Pool::default() }
    }

    /// Does something with a handle that nobody else uses meanwhile.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut K) -> Result<T>) -> Result<T> {
        self.hands.lend(|| (self.open)(), work)
    }

    /// The same, with the links as they are now. `work` changes none: a handle does not hear of what
    /// it does itself.
    pub(super) fn look<T>(&self, work: impl FnOnce(&mut K, &Links) -> Result<T>) -> Result<T> {
        let open = || {
            let mut kernel = (self.open)()?;
            kernel.news()?;
            let links = Links::read(&mut kernel)?;
            Ok((kernel, links))
        };
        self.eyes.lend(open, |(kernel, links)| {
            links.refresh(kernel)?;
            work(kernel, links)
        })
    }
}

/// What is idle.
struct Pool<T>(Mutex<Vec<T>>);

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Pool<T> {
    /// Works with an idle one, or makes one.
    fn lend<R>(
        &self,
        make: impl FnOnce() -> Result<T>,
        work: impl FnOnce(&mut T) -> Result<R>,
    ) -> Result<R> {
        let idle = self.idle().pop();
        let mut lent = idle.map_or_else(make, Ok)?;
        let result = work(&mut lent)?;
        let mut idle = self.idle();
        if idle.len() < IDLE_MAX {
            idle.push(lent);
        }
        Ok(result)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
