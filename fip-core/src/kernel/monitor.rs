//! What is told of changes.

use std::fmt;
use std::time::Instant;

use super::{Link, Sighting};
use crate::error::Result;

/// Something happened that may need a repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// Links, addresses, routes or forwarding changed.
    Links,
    /// The ruleset changed.
    Ruleset,
    /// A host was heard to claim an address.
    Heard(Sighting),
    /// Events were lost: look at everything.
    Lost,
    /// [`Waker::wake`] was called.
    Woken,
}

/// The stream of [`Signal`]s.
pub trait Monitor {
    /// The next signal, or none when `until` has come; no `until` waits for ever.
    fn next(&mut self, until: Option<Instant>) -> Result<Option<Signal>>;

    /// Listens to the neighbours of these links too, and of no others.
    fn listen_on(&mut self, uplinks: &[Link]) -> Result<()>;

    /// A handle that ends a wait from another thread.
    fn waker(&self) -> Waker;
}

/// Ends a [`Monitor`]'s wait from another thread or from a signal handler's thread.
#[derive(Clone)]
pub struct Waker(std::sync::Arc<dyn Fn() + Send + Sync>);

impl Waker {
    /// A waker that calls `wake`.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(std::sync::Arc::new(wake))
    }

    /// Ends the current wait, or the next one.
    pub fn wake(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}
