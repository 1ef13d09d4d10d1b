//! What is asked of the Docker daemon.
//!
//! Paths carry no API version: the daemon then answers as its newest. A version that is written down
//! here would be refused by daemons that have outlived it. All that is read has been the same from
//! Docker 20.10 (API 1.41) to 29 (API 1.5x).
//!
//! The driver asks only what dockerd answers while it waits for its network driver:
//! `/containers/ID/json` is not part of that.

mod address;
mod answer;
mod changes;
mod containers;
mod environment;
mod error;
mod networks;
mod query;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ask::{Answer, AskError, Client, Credentials, Limits, Stream, Switch, encoded};
use answer::{is_unknown, or_null, value};
pub use changes::{Change, Changes};
pub use containers::{Attachment, Container, Filter};
pub use error::DockerError;
pub use networks::{NetworkInfo, NewNetwork};

/// How long an answer may take, if nothing else is said: Docker takes milliseconds.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes of an answer, at most: a network of ten thousand containers fits.
const LARGEST: u64 = 16 << 20;

/// One Docker daemon. Keeps no connection open between questions.
#[derive(Debug, Clone)]
pub struct Docker {
    client: Client,
    timeout: Duration,
}

impl Docker {
    /// Where dockerd listens by default.
    pub const SOCKET: &str = "unix:///var/run/docker.sock";

    /// The daemon at `host`: `unix:///PATH` or `tcp://HOST:PORT`, without TLS. Asks nothing yet.
    ///
    /// Each question may take `timeout`, from connecting to the last byte of the answer.
    ///
    /// # Errors
    /// [`DockerError::Host`] if the text is neither.
    pub fn new(host: &str, timeout: Duration) -> Result<Self, DockerError> {
        Ok(Self { client: Client::new(address::parse(host)?), timeout })
    }

    /// The same daemon, asked over TLS; one at a socket file is asked as ever.
    #[must_use]
    pub fn with_credentials(&self, credentials: Credentials) -> Self {
        Self { client: self.client.with_credentials(credentials), timeout: self.timeout }
    }

    /// The same daemon, over connections that end when the switch is turned off.
    #[must_use]
    pub fn with_switch(&self, switch: &Switch) -> Self {
        Self { client: self.client.with_switch(switch), timeout: self.timeout }
    }

    /// The labels of the container whose endpoint this is; two questions.
    ///
    /// `None` if Docker knows no such network, endpoint or container (any more). An endpoint is
    /// known as soon as its `CreateEndpoint` has been answered.
    ///
    /// # Errors
    /// If Docker cannot be reached, refuses, or answers nonsense. While it starts, Docker calls its
    /// drivers but answers no question: then this is a timeout.
    pub fn labels(
        &self,
        network: &str,
        endpoint: &str,
    ) -> Result<Option<BTreeMap<String, String>>, DockerError> {
        let Some(network) = self.attached(network)? else { return Ok(None) };
        let attached = network.containers.into_values().find(|a| a.endpoint == endpoint);
        attached.map_or(Ok(None), |attached| self.labels_of(&attached.name))
    }

    /// The endpoints that Docker has in the network; `None` if it has no such network.
    ///
    /// # Errors
    /// As for [`Docker::labels`]. An answer from which an endpoint may be missing is an error, so
    /// that whatever is not in the set can be taken for gone.
    pub fn endpoints(&self, network: &str) -> Result<Option<BTreeSet<String>>, DockerError> {
        let found = self.attached(network)?;
        Ok(found.map(|n| n.containers.into_values().map(|a| a.endpoint).collect()))
    }

    /// A connection that ends when the daemon does: its events, of which hardly any is asked for.
    ///
    /// The daemon answers at once when it is ready for questions, so success means that it is.
    ///
    /// # Errors
    /// As for [`Docker::labels`].
    pub fn follow(&self) -> Result<Stream, DockerError> {
        // The one thing that happens to a daemon itself is that its configuration is read anew.
        let filters = query::filters(&[("type", "daemon"), ("event", "reload")]);
        Ok(self.client.stream(&format!("/events?filters={filters}"), self.timeout)?)
    }

    fn attached(&self, id: &str) -> Result<Option<Network>, DockerError> {
        let answer = self.get(&format!("/networks/{}", encoded(id)))?;
        if is_unknown(&answer, id) {
            return Ok(None);
        }
        let network: Network = value(&answer)?;
        if network.containers.values().any(|a| a.endpoint.is_empty() || a.name.is_empty()) {
            return Err(answer.nonsense("an endpoint without id or name").into());
        }
        // Docker also takes names, and beginnings of ids, for ids.
        Ok((network.id == id).then_some(network))
    }

    fn labels_of(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, DockerError> {
        let filters = query::filters(&[("name", &query::exactly(name))]);
        let answer = self.get(&format!("/containers/json?all=1&filters={filters}"))?;
        let containers: Vec<Labelled> = value(&answer)?;
        let name = format!("/{name}");
        Ok(containers.into_iter().find(|c| c.names.contains(&name)).map(|c| c.labels))
    }

    fn get(&self, path: &str) -> Result<Answer, AskError> {
        self.client.get(path, &self.limits(self.timeout))
    }

    fn post(&self, path: &str, body: &impl Serialize, time: Duration) -> Result<Answer, AskError> {
        self.client.post(path, body, &self.limits(time))
    }

    fn limits(&self, time: Duration) -> Limits {
        Limits { time, size: LARGEST }
    }
}

/// What `GET /networks/ID` tells.
#[derive(Deserialize)]
struct Network {
    #[serde(rename = "Id")]
    id: String,
    /// By container id; by `ep-` and the endpoint's id while the container joins.
    #[serde(rename = "Containers", deserialize_with = "or_null")]
    containers: BTreeMap<String, Attached>,
}

/// One endpoint of a network.
#[derive(Deserialize)]
struct Attached {
    /// The container's name, without a slash.
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "EndpointID")]
    endpoint: String,
}

/// What `GET /containers/json` tells of one.
#[derive(Deserialize)]
struct Labelled {
    /// Each with a slash before it.
    #[serde(rename = "Names", deserialize_with = "or_null")]
    names: Vec<String>,
    #[serde(rename = "Labels", deserialize_with = "or_null")]
    labels: BTreeMap<String, String>,
}
