//! A socket that nobody waits for longer than he wants to.

use std::io::{self, Read, Write};
use std::sync::Arc;

use socket2::Socket;

use super::deadline::Deadline;

/// A connected socket, and until when it may be waited for. Its errors hold ureq's where the time was
/// up: ureq unpacks them.
#[derive(Debug)]
pub(super) struct Timed {
    pub(super) socket: Arc<Socket>,
    pub(super) deadline: Deadline,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.deadline.run(&self.socket, |mut socket| socket.read(buffer));
        read.map_err(ureq::Error::into_io)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.deadline.run(&self.socket, |mut socket| socket.write(buffer));
        written.map_err(ureq::Error::into_io)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
