//! Waiting for a file, until a deadline.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// A file that can be read from is waited for.
pub(crate) fn readable(file: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(file, PollFlags::POLLIN)
}

/// A file that can be written to is waited for.
pub(crate) fn writable(file: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(file, PollFlags::POLLOUT)
}

/// Whether the last [`wait`] found the file ready. One that failed is ready: to tell so.
pub(crate) fn is_ready(file: &PollFd<'_>) -> bool {
    file.any() == Some(true)
}

/// Waits until one of the files is ready.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] from the deadline on, also if a file is ready: who always has
/// one more byte gets no more time than others.
pub(crate) fn wait(files: &mut [PollFd<'_>], deadline: Option<Instant>) -> io::Result<()> {
    loop {
        match poll(files, deadline.map_or(Ok(PollTimeout::NONE), remaining)?) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn remaining(deadline: Instant) -> io::Result<PollTimeout> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    // The kernel counts whole milliseconds. Rounded down, the last one would be spent spinning.
    Ok(PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX))
}
