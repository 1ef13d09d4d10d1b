//! Asking one HTTP server: in time, in bounded memory, with a connection for each question.
//!
//! Nobody else is asked in its place: no proxy, and no redirect is followed.

mod address;
mod answer;
mod error;
mod switch;
mod text;
mod tls;
mod wire;

use std::time::Duration;

use serde::Serialize;
use ureq::http::header::{CONNECTION, CONTENT_TYPE};
use ureq::http::{Method, Request, Response, StatusCode};
use ureq::{Agent, AsSendBody, Body};

pub use address::Address;
use answer::Asked;
pub use answer::{Answer, Stream};
pub use error::AskError;
pub use switch::Switch;
pub use text::{encoded, shown};
pub use tls::{Credentials, CredentialsError};
use wire::{Dial, NamesOf};

/// How much a question may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From connecting to the last byte of the answer.
    pub time: Duration,
    /// Bytes in the body of the answer, at most.
    pub size: u64,
}

/// Asks one HTTP server. Keeps no connection open between questions.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    dial: Dial,
}

impl Client {
    /// Asks the server at this address for JSON (`Accept: application/json`), without TLS.
    pub fn new(address: Address) -> Self {
        Self::from(Dial { address, credentials: None, switch: Switch::default() })
    }

    /// The same, over TLS.
    #[must_use]
    pub fn with_credentials(&self, credentials: Credentials) -> Self {
        Self::from(Dial { credentials: Some(credentials), ..self.dial.clone() })
    }

    /// The same, with connections that end when the switch is turned off.
    #[must_use]
    pub fn with_switch(&self, switch: &Switch) -> Self {
        Self::from(Dial { switch: switch.clone(), ..self.dial.clone() })
    }

    /// Where the server is.
    pub fn address(&self) -> &Address {
        &self.dial.address
    }

    /// The whole answer to `GET path`, whatever its status.
    ///
    /// # Errors
    /// [`AskError`] if there is no answer within the limits.
    pub fn get(&self, path: &str, limits: &Limits) -> Result<Answer, AskError> {
        self.ask(Method::GET, path, (), limits)
    }

    /// The whole answer to `POST path` with this body as JSON, whatever its status.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub fn post(
        &self,
        path: &str,
        body: &impl Serialize,
        limits: &Limits,
    ) -> Result<Answer, AskError> {
        let asked = self.asked(&Method::POST, path);
        let body = serde_json::to_vec(body).map_err(|error| asked.unreachable(error.into()))?;
        self.ask(Method::POST, path, body, limits)
    }

    /// The whole answer to `DELETE path`, whatever its status.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub fn delete(&self, path: &str, limits: &Limits) -> Result<Answer, AskError> {
        self.ask(Method::DELETE, path, (), limits)
    }

    /// The answer to `GET path`, if it is a good one (200), which need not end: its head must come
    /// within that time, its body may take for ever.
    ///
    /// # Errors
    /// As for [`Client::get`], and for every other status.
    pub fn stream(&self, path: &str, time: Duration) -> Result<Stream, AskError> {
        let asked = self.asked(&Method::GET, path);
        let limit = Some(time);
        let response = self.request(Method::GET, path, ()).and_then(|request| {
            let request = self.agent.configure_request(request);
            let request = request.timeout_resolve(limit).timeout_connect(limit);
            let request = request.timeout_send_request(limit).timeout_recv_response(limit).build();
            self.agent.run(request)
        });
        let response = response.map_err(|error| asked.error(time, error))?;
        match response.status() {
            StatusCode::OK => Ok(Stream::new(asked, response.into_body().into_reader())),
            // Its text is not read: nothing limits the time of that here.
            status => Err(asked.nonsense(format!("HTTP status {status}"))),
        }
    }

    fn ask(
        &self,
        method: Method,
        path: &str,
        body: impl AsSendBody,
        limits: &Limits,
    ) -> Result<Answer, AskError> {
        let asked = self.asked(&method, path);
        let answered = self.request(method, path, body).and_then(|request| {
            let request = self.agent.configure_request(request);
            let mut response = self.agent.run(request.timeout_global(Some(limits.time)).build())?;
            let body = body_of(&mut response, limits.size)?;
            Ok((response.status().as_u16(), body))
        });
        match answered {
            Ok((status, body)) => Ok(Answer { status, body, asked }),
            Err(error) => Err(asked.error(limits.time, error)),
        }
    }

    fn request<B>(&self, method: Method, path: &str, body: B) -> Result<Request<B>, ureq::Error> {
        let uri = format!("http://{}{path}", self.dial.address.authority());
        let request = Request::builder().header(CONNECTION, "close");
        let request = match method {
            Method::POST => request.header(CONTENT_TYPE, "application/json"),
            _ => request,
        };
        Ok(request.method(method).uri(uri).body(body)?)
    }

    fn asked(&self, method: &Method, path: &str) -> Asked {
        // Without its particulars: it is for messages.
        let path = path.split('?').next().unwrap_or(path);
        Asked { host: self.dial.address.to_string(), question: format!("{method} {path}") }
    }
}

impl From<Dial> for Client {
    fn from(dial: Dial) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Else the environment's HTTP_PROXY would be asked.
            .proxy(None)
            .user_agent(concat!("fip/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .max_idle_connections(0)
            .build();
        let names = NamesOf(dial.address.clone());
        Self { agent: Agent::with_parts(config, dial.clone(), names), dial }
    }
}

fn body_of(response: &mut Response<Body>, size: u64) -> Result<Vec<u8>, ureq::Error> {
    response.body_mut().with_config().limit(size).read_to_vec()
}
