//! What is asked of the Docker daemon.
//!
//! Paths carry no API version: the daemon then answers as its newest. A version that is written down
//! here would be refused by daemons that have outlived it. All that is read has been the same from
//! Docker 20.10 (API 1.41) to 29 (API 1.5x).
//!
//! Only questions that dockerd answers while it waits for its network driver are asked:
//! `/containers/ID/json` is not one of them.

mod address;
mod client;
mod error;
mod query;
mod transport;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use ureq::BodyReader;

use address::Address;
use client::Client;
pub use error::DockerError;

/// How long an answer may take, if nothing else is said: Docker takes milliseconds.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

/// One Docker daemon. Keeps no connection open between questions.
#[derive(Debug, Clone)]
pub struct Docker {
    client: Client,
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
        Ok(Self { client: Client::new(Address::parse(host)?, timeout) })
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
        let Some(network) = self.network(network)? else { return Ok(None) };
        let attached = network.containers.into_values().find(|a| a.endpoint == endpoint);
        attached.map_or(Ok(None), |attached| self.labels_of(&attached.name))
    }

    /// The endpoints that Docker has in the network; `None` if it has no such network.
    ///
    /// # Errors
    /// As for [`Docker::labels`]. An answer from which an endpoint may be missing is an error, so
    /// that whatever is not in the set can be taken for gone.
    pub fn endpoints(&self, network: &str) -> Result<Option<BTreeSet<String>>, DockerError> {
        let found = self.network(network)?;
        Ok(found.map(|n| n.containers.into_values().map(|a| a.endpoint).collect()))
    }

    /// A connection that ends when the daemon does: its events, of which hardly any is asked for.
    ///
    /// The daemon answers at once when it is ready for questions, so success means that it is.
    ///
    /// # Errors
    /// As for [`Docker::labels`].
    pub fn follow(&self) -> Result<Events, DockerError> {
        // The one thing that happens to a daemon itself is that its configuration is read anew.
        let filters = query::filters(&[("type", "daemon"), ("event", "reload")]);
        let body = self.client.stream(&format!("/events?filters={filters}"))?;
        Ok(Events { body })
    }

    fn network(&self, id: &str) -> Result<Option<Network>, DockerError> {
        let path = format!("/networks/{}", query::encoded(id));
        let answer = self.client.get(&path)?;
        // Anything can answer 404; Docker names what it did not find.
        if answer.status == 404 && answer.refusal().is_some_and(|text| text.contains(id)) {
            return Ok(None);
        }
        let network: Network = self.client.value(&path, &answer)?;
        if network.containers.values().any(|a| a.endpoint.is_empty() || a.name.is_empty()) {
            return Err(self.client.nonsense(&path, "an endpoint without id or name"));
        }
        // Docker also takes names, and beginnings of ids, for ids.
        Ok((network.id == id).then_some(network))
    }

    fn labels_of(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, DockerError> {
        let filters = query::filters(&[("name", &query::exactly(name))]);
        let path = format!("/containers/json?all=1&filters={filters}");
        let answer = self.client.get(&path)?;
        let containers: Vec<Container> = self.client.value(&path, &answer)?;
        let name = format!("/{name}");
        Ok(containers.into_iter().find(|c| c.names.contains(&name)).map(|c| c.labels))
    }
}

/// The events of a daemon, while it lives.
pub struct Events {
    body: BodyReader<'static>,
}

impl Events {
    /// Sleeps until the connection has ended, because the daemon has, whatever the way.
    pub fn wait_for_end(mut self) {
        let mut buffer = [0; 4096];
        while self.body.read(&mut buffer).is_ok_and(|read| read > 0) {}
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
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
struct Container {
    /// Each with a slash before it.
    #[serde(rename = "Names", deserialize_with = "or_null")]
    names: Vec<String>,
    #[serde(rename = "Labels", deserialize_with = "or_null")]
    labels: BTreeMap<String, String>,
}

/// Go writes an empty map or list that was never made as `null`.
fn or_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
