//! The wish that a server ends.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::poll::{PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::wait::readable;

/// Ends [`serve`](super::serve), and whatever else waits for it. Clones are the same wish.
///
/// As a file it becomes readable when the end is asked for, and stays so.
#[derive(Debug, Clone)]
pub struct Stop(Arc<EventFd>);

impl Stop {
    /// Nothing is asked for yet.
    ///
    /// # Errors
    /// The process has too many files open.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self(Arc::new(EventFd::from_flags(flags)?)))
    }

    /// Asks for the end. Returns at once.
    pub fn ask(&self) {
        // The only failure is a counter at its maximum, and then it has been asked for.
        let _ = self.0.write(1);
    }

    /// Whether the end has been asked for.
    pub fn is_asked(&self) -> bool {
        poll(&mut [readable(self.as_fd())], PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
