//! Operations on a socket that end in time.

use std::io;
use std::time::{Duration, Instant};

use socket2::Socket;
use ureq::unversioned::transport::NextTimeout;

/// A point in time after which nothing is waited for, and ureq's name for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    at: Option<Instant>,
    reason: ureq::Timeout,
}

impl Deadline {
    pub(super) fn of(timeout: &NextTimeout) -> Self {
        let after = (!timeout.after.is_not_happening()).then_some(*timeout.after);
        Self { at: after.and_then(|t| Instant::now().checked_add(t)), reason: timeout.reason }
    }

    /// The time that is left; `None` is for ever.
    pub(super) fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.at.map(|at| at.saturating_duration_since(Instant::now()));
        match left {
            Some(Duration::ZERO) => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(left),
        }
    }

    /// A connect, read or write that signals do not end, but the deadline does.
    pub(super) fn run<T>(
        &self,
        socket: &Socket,
        mut operation: impl FnMut(&Socket) -> io::Result<T>,
    ) -> Result<T, ureq::Error> {
        loop {
            let limited = self.left().and_then(|left| limit(socket, left));
            match limited.and_then(|()| operation(socket)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done.map_err(|error| self.error(error)),
            }
        }
    }

    /// The kernel says `EAGAIN` when the time of a socket is up.
    pub(super) fn error(&self, error: io::Error) -> ureq::Error {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                ureq::Error::Timeout(self.reason)
            }
            _ => ureq::Error::Io(error),
        }
    }
}

/// Limits the next operation; `None` is for ever.
fn limit(socket: &Socket, time: Option<Duration>) -> io::Result<()> {
    socket.set_read_timeout(time)?;
    socket.set_write_timeout(time)
}
