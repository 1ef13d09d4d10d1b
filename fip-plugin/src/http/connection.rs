//! One connection: bytes in and out, until a deadline.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, Shutdown, recv, send, shutdown};
use socket2::SockRef;

use super::stop::Stop;
use super::wait::{is_ready, readable, wait, writable};

/// How long a client that has connected before we stop may take for its first byte.
const LAST_CALL: Duration = Duration::from_millis(100);

/// A connected stream socket, unix or TCP. Every read and write fails from the deadline on.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    stop: Stop,
    deadline: Instant,
    /// Something has arrived.
    begun: bool,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd, stop: Stop, deadline: Instant) -> Self {
        Self { socket, stop, deadline, begun: false }
    }

    /// Whether the client is on this host, and came by TCP.
    pub(super) fn is_loopback(&self) -> bool {
        let here = SockRef::from(&self.socket).local_addr().ok().and_then(|here| here.as_socket());
        here.is_some_and(|here| here.ip().to_canonical().is_loopback())
    }

    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Closes after a refusal. What the client still sends in that time is read and forgotten: closing
    /// a socket with unread bytes resets the connection, and the client might never see why.
    pub(super) fn linger(mut self, time: Duration) {
        self.deadline = Instant::now() + time;
        let closed = shutdown(self.socket.as_raw_fd(), Shutdown::Write).map_err(io::Error::from);
        let read = closed.and_then(|()| {
            let mut nowhere = [0; 4096];
            while self.read(&mut nowhere)? > 0 {}
            Ok(())
        });
        if let Err(error) = read {
            log::debug!("a refused client did not hang up: {error}");
        }
    }

    /// Waits for input. A client that has not said anything yet is not waited for when the server
    /// stops; a request that has begun has its time.
    fn await_input(&self) -> io::Result<()> {
        let mut files = [readable(self.socket.as_fd()), readable(self.stop.as_fd())];
        if self.begun {
            return wait(&mut files[..1], Some(self.deadline));
        }
        wait(&mut files, Some(self.deadline))?;
        if is_ready(&files[0]) {
            return Ok(());
        }
        wait(&mut files[..1], Some(self.deadline.min(Instant::now() + LAST_CALL)))
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.await_input()?;
            match recv(self.socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                result => {
                    self.begun = true;
                    return Ok(result?);
                }
            }
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        loop {
            wait(&mut [writable(self.socket.as_fd())], Some(self.deadline))?;
            match send(self.socket.as_raw_fd(), bytes, flags) {
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                result => return Ok(result?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
