//! Questions and answers over HTTP, whatever they are about.

use std::io;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::http::StatusCode;
use ureq::{Agent, BodyReader};

use super::DockerError;
use super::address::Address;
use super::transport::{NamesOf, ToDocker};

/// Bytes of an answer, at most: a network of ten thousand containers fits.
const LARGEST: u64 = 16 << 20;
/// Characters of a foreign text in a message, at most.
const SHOWN: usize = 300;

/// Asks one Docker daemon, with a connection for each question.
#[derive(Debug, Clone)]
pub(super) struct Client {
    agent: Agent,
    address: Address,
    timeout: Duration,
}

/// A whole answer.
pub(super) struct Answer {
    pub(super) status: u16,
    body: Vec<u8>,
}

impl Client {
    pub(super) fn new(address: Address, timeout: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Docker sends nobody elsewhere, and nobody else may.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Else the environment's HTTP_PROXY would be asked.
            .proxy(None)
            .user_agent(concat!("fip/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .max_idle_connections(0)
            .build();
        let connector = ToDocker(address.clone());
        let agent = Agent::with_parts(config, connector, NamesOf(address.clone()));
        Self { agent, address, timeout }
    }

    /// The whole answer to `GET path`, whatever its status; in time, and of a size that fits.
    pub(super) fn get(&self, path: &str) -> Result<Answer, DockerError> {
        let request = self.agent.get(self.uri(path)).header("Connection", "close");
        let request = request.config().timeout_global(Some(self.timeout)).build();
        let mut response = request.call().map_err(|error| self.error(path, error))?;
        let body = response.body_mut().with_config().limit(LARGEST).read_to_vec();
        let body = body.map_err(|error| self.error(path, error))?;
        Ok(Answer { status: response.status().as_u16(), body })
    }

    /// An answer that does not end. Its head must come in time, its body may take for ever.
    pub(super) fn stream(&self, path: &str) -> Result<BodyReader<'static>, DockerError> {
        let limit = Some(self.timeout);
        let request = self.agent.get(self.uri(path)).config();
        let request = request.timeout_resolve(limit).timeout_connect(limit);
        let request = request.timeout_send_request(limit).timeout_recv_response(limit).build();
        let response = request.call().map_err(|error| self.error(path, error))?;
        match response.status() {
            StatusCode::OK => Ok(response.into_body().into_reader()),
            // Its text is not read: nothing limits the time of that here.
            status => Err(self.nonsense(path, format!("HTTP status {status}"))),
        }
    }

    /// The value in an answer that says yes.
    pub(super) fn value<T: DeserializeOwned>(
        &self,
        path: &str,
        answer: &Answer,
    ) -> Result<T, DockerError> {
        if answer.status == 200 {
            return serde_json::from_slice(&answer.body)
                .map_err(|error| self.nonsense(path, error));
        }
        let Some(message) = answer.refusal() else {
            let text = shown(&String::from_utf8_lossy(&answer.body));
            return Err(self.nonsense(path, format!("HTTP status {} {text:?}", answer.status)));
        };
        Err(DockerError::Refused {
            host: self.address.to_string(),
            question: question(path),
            status: answer.status,
            message: shown(&message),
        })
    }

    /// The answer is nothing that Docker says.
    pub(super) fn nonsense(&self, path: &str, what: impl ToString) -> DockerError {
        DockerError::Nonsense {
            host: self.address.to_string(),
            question: question(path),
            what: shown(&what.to_string()),
        }
    }

    fn error(&self, path: &str, error: ureq::Error) -> DockerError {
        let source = match error {
            ureq::Error::Io(error) => error,
            ureq::Error::Timeout(_) => {
                let text = format!("no answer within {:?}", self.timeout);
                io::Error::new(io::ErrorKind::TimedOut, text)
            }
            ureq::Error::HostNotFound => io::Error::from(io::ErrorKind::NotFound),
            ureq::Error::BodyExceedsLimit(size) => {
                return self.nonsense(path, format!("more than {size} bytes"));
            }
            error => return self.nonsense(path, error),
        };
        DockerError::Unreachable { host: self.address.to_string(), source }
    }

    fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address.authority())
    }
}

impl Answer {
    /// Docker's reason for an answer that is not yes; `None` if there is none, so if it is not
    /// Docker that answers.
    pub(super) fn refusal(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Refusal {
            message: String,
        }
        serde_json::from_slice::<Refusal>(&self.body).ok().map(|refusal| refusal.message)
    }
}

/// The question without its particulars, for messages.
fn question(path: &str) -> String {
    format!("GET {}", path.split('?').next().unwrap_or(path))
}

/// One line that fits into a message and cannot play tricks on a terminal.
fn shown(text: &str) -> String {
    let text = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<_> = text.filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(SHOWN).collect()
}
