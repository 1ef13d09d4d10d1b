//! The networks of a daemon, and what is connected to them.

use std::collections::BTreeMap;
use std::time::Duration;

use ipnetwork::IpNetwork;
use serde::Deserialize;
use serde_json::json;

use super::answer::{agreed, is_unknown, or_null, refusal, value};
use super::{Docker, DockerError};
use crate::ask::encoded;

/// How long making or removing a network may take: for a driver that is not there Docker waits 15
/// seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// What Docker tells of a network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkInfo {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Its labels.
    #[serde(deserialize_with = "or_null")]
    pub labels: BTreeMap<String, String>,
}

/// A network to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNetwork {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Its subnets; without one for IPv4 Docker chooses that.
    pub subnets: Vec<IpNetwork>,
    /// What the driver is told.
    pub options: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl Docker {
    /// The network of that name or id; `None` if there is none.
    ///
    /// # Errors
    /// As for [`Docker::labels`]; also if several have that name.
    pub fn network(&self, name_or_id: &str) -> Result<Option<NetworkInfo>, DockerError> {
        let answer = self.get(&format!("/networks/{}", encoded(name_or_id)))?;
        if is_unknown(&answer, name_or_id) {
            return Ok(None);
        }
        let network: NetworkInfo = value(&answer)?;
        // Docker also takes beginnings of ids for ids.
        let is_it = network.id == name_or_id || network.name == name_or_id;
        Ok(is_it.then_some(network))
    }

    /// Makes a network, and tells its id.
    ///
    /// # Errors
    /// As for [`Docker::labels`]; also if there is one of that name.
    pub fn create_network(&self, network: &NewNetwork) -> Result<String, DockerError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Created {
            id: String,
        }
        let subnets = network.subnets.iter().map(|subnet| json!({ "Subnet": subnet }));
        let body = json!({
            "Name": network.name,
            // Docker 25 does so in any case; those before would else make a second one of that name.
            "CheckDuplicate": true,
            "Driver": network.driver,
            "EnableIPv6": network.subnets.iter().any(IpNetwork::is_ipv6),
            "IPAM": { "Config": subnets.collect::<Vec<_>>() },
            "Options": network.options,
            "Labels": network.labels,
        });
        let answer = self.post("/networks/create", &body, PATIENCE)?;
        let Created { id } = value(&answer)?;
        if id.is_empty() {
            return Err(answer.nonsense("a network without id").into());
        }
        Ok(id)
    }

    /// Removes a network. That there is none is fine.
    ///
    /// # Errors
    /// As for [`Docker::labels`]; also if containers are connected to it.
    pub fn remove_network(&self, id: &str) -> Result<(), DockerError> {
        let limits = self.limits(PATIENCE);
        let answer = self.client.delete(&format!("/networks/{}", encoded(id)), &limits)?;
        if is_unknown(&answer, id) { Ok(()) } else { agreed(&answer) }
    }

    /// Connects a container to a network, with options for the driver. A container that does not run
    /// is connected when it starts. Waits until that is done: so long at most.
    ///
    /// # Errors
    /// As for [`Docker::labels`]; also if it is connected already, or if the driver refuses.
    pub fn connect(
        &self,
        network: &str,
        container: &str,
        options: &BTreeMap<String, String>,
        patience: Duration,
    ) -> Result<(), DockerError> {
        let path = format!("/networks/{}/connect", encoded(network));
        let body = json!({ "Container": container, "EndpointConfig": { "DriverOpts": options } });
        agreed(&self.post(&path, &body, patience)?)
    }

    /// Disconnects a container from a network. That it is not connected, or that there is no such
    /// container or network, is fine. Waits until that is done: so long at most.
    ///
    /// # Errors
    /// As for [`Docker::labels`].
    pub fn disconnect(
        &self,
        network: &str,
        container: &str,
        patience: Duration,
    ) -> Result<(), DockerError> {
        let path = format!("/networks/{}/disconnect", encoded(network));
        let body = json!({ "Container": container, "Force": false });
        let answer = self.post(&path, &body, patience)?;
        // Docker has no status of its own for this.
        let apart = refusal(&answer).is_some_and(|text| text.contains("is not connected to"));
        if apart || is_unknown(&answer, network) || is_unknown(&answer, container) {
            return Ok(());
        }
        agreed(&answer)
    }

    /// The options with which a container was connected to a network (its id or name); `None` if
    /// there is no such container, or if it is not connected to it.
    ///
    /// Docker does not answer this while the container is being connected or disconnected.
    ///
    /// # Errors
    /// As for [`Docker::labels`].
    pub fn endpoint_options(
        &self,
        container: &str,
        network: &str,
    ) -> Result<Option<BTreeMap<String, String>>, DockerError> {
        let answer = self.get(&format!("/containers/{}/json", encoded(container)))?;
        if is_unknown(&answer, container) {
            return Ok(None);
        }
        let Inspected { network_settings: Settings { networks } } = value(&answer)?;
        let mut connected = networks.into_iter();
        let found = connected.find(|(name, its)| name == network || its.network_id == network);
        Ok(found.map(|(_, its)| its.driver_opts))
    }
}

/// What `GET /containers/ID/json` tells.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    network_settings: Settings,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Settings {
    #[serde(deserialize_with = "or_null")]
    networks: BTreeMap<String, Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(deserialize_with = "or_null")]
    driver_opts: BTreeMap<String, String>,
}
