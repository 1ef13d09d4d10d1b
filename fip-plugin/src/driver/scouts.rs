//! Handles on the kernel for calls that go on side by side.

use std::sync::{Arc, Mutex, PoisonError};

use fip_core::error::Result;

/// Makes another handle.
pub(super) type Open<K> = Arc<dyn Fn() -> Result<K> + Send + Sync>;

/// How many idle handles are kept: closing one that listened to neighbours takes the kernel long.
const IDLE_MAX: usize = 4;

/// Handles, of which each call uses one.
pub(super) struct Scouts<K> {
    open: Open<K>,
    idle: Mutex<Vec<K>>,
}

impl<K> Scouts<K> {
    pub(super) fn new(open: Open<K>) -> Self {
        Self { open, idle: Mutex::default() }
    }

    /// Does something with a handle that nobody else uses meanwhile.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut K) -> Result<T>) -> Result<T> {
        let idle = self.idle().pop();
        let mut kernel = idle.map_or_else(|| (self.open)(), Ok)?;
        let result = work(&mut kernel);
        let mut idle = self.idle();
        if idle.len() < IDLE_MAX {
            idle.push(kernel);
        }
        result
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<K>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
