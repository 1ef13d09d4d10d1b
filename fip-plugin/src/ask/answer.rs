//! What comes back.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::time::Duration;

use ureq::BodyReader;

use super::{AskError, shown};

/// Who was asked what.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) host: String,
    /// As `GET /events`.
    pub(super) question: String,
}

impl Asked {
    pub(super) fn unreachable(&self, source: io::Error) -> AskError {
        AskError::Unreachable { host: self.host.clone(), source }
    }

    pub(super) fn nonsense(&self, what: impl ToString) -> AskError {
        let Self { host, question } = self.clone();
        AskError::Nonsense { host, question, what: shown(&what.to_string()) }
    }

    pub(super) fn error(&self, time: Duration, error: ureq::Error) -> AskError {
        match error {
            ureq::Error::Io(error) => self.unreachable(error),
            ureq::Error::Timeout(_) => {
                let text = format!("no answer within {time:?}");
                self.unreachable(io::Error::new(io::ErrorKind::TimedOut, text))
            }
            ureq::Error::HostNotFound => self.unreachable(io::ErrorKind::NotFound.into()),
            ureq::Error::BodyExceedsLimit(size) => self.nonsense(format!("more than {size} bytes")),
            error => self.nonsense(error),
        }
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// What was said.
    pub body: Vec<u8>,
    pub(super) asked: Asked,
}

impl Answer {
    /// Who said it.
    pub fn host(&self) -> &str {
        &self.asked.host
    }

    /// What was asked, as `GET /events`: without the particulars that follow a `?`.
    pub fn question(&self) -> &str {
        &self.asked.question
    }

    /// The answer is nothing that this server says, and why.
    pub fn nonsense(&self, what: impl ToString) -> AskError {
        self.asked.nonsense(what)
    }
}

/// An answer that need not end.
pub struct Stream {
    asked: Asked,
    body: BufReader<BodyReader<'static>>,
}

impl Stream {
    pub(super) fn new(asked: Asked, body: BodyReader<'static>) -> Self {
        Self { asked, body: BufReader::new(body) }
    }

    /// The next line, without its end; of so many bytes at most. Sleeps until there is one.
    ///
    /// # Errors
    /// [`AskError`] for a longer line and for the end of the answer, also for one within a line.
    pub fn line(&mut self, size: usize) -> Result<Vec<u8>, AskError> {
        let mut line = Vec::new();
        let limit = u64::try_from(size).unwrap_or(u64::MAX).saturating_add(1);
        let read = self.body.by_ref().take(limit).read_until(b'\n', &mut line);
        // `io::Error`s of the body hold errors of ureq.
        read.map_err(|error| self.asked.error(Duration::ZERO, error.into()))?;
        if line.pop_if(|last| *last == b'\n').is_some() {
            return Ok(line);
        }
        if line.len() > size {
            return Err(self.asked.nonsense(format!("a line of more than {size} bytes")));
        }
        let end = io::Error::new(io::ErrorKind::UnexpectedEof, "the connection has ended");
        Err(self.asked.unreachable(end))
    }

    /// Sleeps until the connection has ended, whatever the way.
    pub fn wait_for_end(mut self) {
        let mut buffer = [0; 4096];
        while self.body.read(&mut buffer).is_ok_and(|read| read > 0) {}
    }

    /// What was said is nothing that this server says, and why.
    pub fn nonsense(&self, what: impl ToString) -> AskError {
        self.asked.nonsense(what)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("asked", &self.asked).finish_non_exhaustive()
    }
}
