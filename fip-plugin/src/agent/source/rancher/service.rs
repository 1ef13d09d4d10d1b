//! The questions, and what an answer must be to be believed.

use std::io::ErrorKind::TimedOut;
use std::time::Duration;

use super::Version;
use super::decode::{self, Host};
use super::error;
use crate::agent::source::SourceError;
use crate::ask::{Address, Answer, AskError, Client, Limits, encoded};

/// Bytes of an answer, at most: ten thousand containers fit.
const LARGEST: u64 = 16 << 20;
/// What the service adds to the time of a poll, at most: it looks every five seconds which polls
/// are over.
const TICK: Duration = Duration::from_secs(5);

/// How a poll ended.
pub(super) enum Polled {
    /// There is another version.
    New(String),
    /// There is none.
    Same,
    /// There was no answer, in all the time that one can take.
    Silent,
}

/// One metadata service, asked for one version of its answers.
#[derive(Debug, Clone)]
pub(super) struct Service {
    client: Client,
    version: Version,
    timeout: Duration,
}

impl Service {
    pub(super) fn new(url: &str, version: Version, timeout: Duration) -> Result<Self, SourceError> {
        let address = Address::http(url).map_err(|why| error::bad_url(url, why))?;
        Ok(Self { client: Client::new(address), version, timeout })
    }

    /// The version of all that the service has now.
    pub(super) fn version(&self) -> Result<String, SourceError> {
        self.value("version", decode::version)
    }

    /// Waits for another version than `old`, at most so many whole seconds.
    pub(super) fn poll(&self, old: &str, wait: Duration) -> Result<Polled, SourceError> {
        let question =
            format!("version?wait=true&value={}&maxWait={}", encoded(old), wait.as_secs());
        let answer = match self.get(&question, wait + TICK + self.timeout) {
            Err(AskError::Unreachable { source, .. }) if source.kind() == TimedOut => {
                return Ok(Polled::Silent);
            }
            answer => answer.map_err(|error| error::unanswered(&error))?,
        };
        let version = value(&answer, decode::version)?;
        Ok(if version == old { Polled::Same } else { Polled::New(version) })
    }

    /// The host that asks.
    pub(super) fn host(&self) -> Result<Host, SourceError> {
        self.value("self/host", decode::host)
    }

    /// What `decode` makes of the containers, those of other hosts too.
    pub(super) fn containers<T>(
        &self,
        decode: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<T, SourceError> {
        self.value("containers", decode)
    }

    /// Where it is.
    pub(super) fn address(&self) -> &Address {
        self.client.address()
    }

    fn value<T>(
        &self,
        question: &str,
        decode: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<T, SourceError> {
        let answer = self.get(question, self.timeout);
        value(&answer.map_err(|error| error::unanswered(&error))?, decode)
    }

    fn get(&self, question: &str, time: Duration) -> Result<Answer, AskError> {
        let path = format!("/{}/{question}", self.version);
        self.client.get(&path, &Limits { time, size: LARGEST })
    }
}

/// What an answer says, if it is one: its content type says nothing, it is always `text/plain`.
fn value<T>(
    answer: &Answer,
    decode: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<T, SourceError> {
    let value = if answer.status == 200 {
        decode(&answer.body)
    } else {
        let text = String::from_utf8_lossy(&answer.body);
        Err(format!("HTTP status {} {:?}", answer.status, text.trim()))
    };
    value.map_err(|what| error::unanswered(&answer.nonsense(what)))
}
