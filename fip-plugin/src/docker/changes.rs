//! What happens to containers and networks, as it happens.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::answer::or_null;
use super::{Docker, DockerError, query};
use crate::ask::Stream;

/// Bytes of one event, at most. It carries all labels of its container.
const LONGEST: usize = 1 << 20;

/// What is asked for. Docker has many more events, of which some come every few seconds.
const FILTERS: &[(&str, &str)] = &[
    ("type", "container"),
    ("type", "network"),
    ("event", "create"),
    ("event", "start"),
    ("event", "die"),
    ("event", "rename"),
    ("event", "destroy"),
    ("event", "connect"),
    ("event", "disconnect"),
];

/// Something that happened; to a container by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// There is a new container. It does not run yet.
    Created(String),
    /// It runs.
    Started(String),
    /// Its processes have ended. For some milliseconds a list may still say that it runs: Docker tells
    /// this before it writes it down.
    Died(String),
    /// It has another name. For some milliseconds a list may show the one before.
    Renamed {
        /// The container's id.
        container: String,
        /// Its name now, without a slash.
        name: String,
    },
    /// There is no such container any more.
    Removed(String),
    /// It was connected to a network. For some milliseconds a list may say that it is not.
    Connected {
        /// The container's id.
        container: String,
        /// The network's id.
        network: String,
    },
    /// It was disconnected from a network. For some milliseconds a list may say that it is not.
    Disconnected {
        /// The container's id.
        container: String,
        /// The network's id.
        network: String,
    },
    /// A network was made or removed.
    Network,
}

impl Docker {
    /// What happens from now on.
    ///
    /// # Errors
    /// As for [`Docker::labels`].
    pub fn changes(&self) -> Result<Changes, DockerError> {
        // Docker answers first, and listens for events then: without this, what happens in between
        // would not be told.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
        let path = format!("/events?since={since}&filters={}", query::filters(FILTERS));
        Ok(Changes { stream: self.client.stream(&path, self.timeout)? })
    }
}

/// The events of a daemon, while the connection lasts.
#[derive(Debug)]
pub struct Changes {
    stream: Stream,
}

impl Changes {
    /// Sleeps until something happens.
    ///
    /// # Errors
    /// If the connection has ended, or if what comes is not Docker's. Something may then have
    /// happened that was not told.
    pub fn wait(&mut self) -> Result<Change, DockerError> {
        loop {
            let line = self.stream.line(LONGEST)?;
            let event = serde_json::from_slice::<Event>(&line);
            let event = event.map_err(|error| self.stream.nonsense(error))?;
            if let Some(change) = event.change() {
                return Ok(change);
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    r#type: String,
    action: String,
    actor: Actor,
}

#[derive(Deserialize)]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Attributes", deserialize_with = "or_null")]
    attributes: Attributes,
}

/// Of a container they are its labels too.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Attributes {
    container: String,
    /// Docker sets it after the labels: no label can take its place.
    name: String,
}

impl Event {
    /// None for what was not asked for.
    fn change(self) -> Option<Change> {
        let id = self.actor.id;
        let Attributes { container, name } = self.actor.attributes;
        match (self.r#type.as_str(), self.action.as_str()) {
            ("container", "create") => Some(Change::Created(id)),
            ("container", "start") => Some(Change::Started(id)),
            ("container", "die") => Some(Change::Died(id)),
            ("container", "rename") => Some(Change::Renamed { container: id, name }),
            ("container", "destroy") => Some(Change::Removed(id)),
            ("network", "connect") => Some(Change::Connected { container, network: id }),
            ("network", "disconnect") => Some(Change::Disconnected { container, network: id }),
            ("network", "create" | "destroy") => Some(Change::Network),
            _ => None,
        }
    }
}
