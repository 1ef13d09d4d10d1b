//! The containers of a daemon, and how they are attached to its networks.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::Deserialize;

use super::answer::{or_null, value};
use super::{Docker, DockerError, query};

/// Which containers are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All of them.
    All,
    /// Those that carry this label, with whatever value.
    Label(String),
    /// Those that are connected to this network: its id or its name.
    Network(String),
}

/// What Docker tells of a container in a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name, without a slash.
    pub name: String,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// Whether its processes are there; also if they are paused.
    pub running: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// It is in the network namespace of the host, or in another container's.
    pub shares: bool,
    /// The networks that it is connected to, or will be when it runs, by their names.
    pub networks: BTreeMap<String, Attachment>,
}

/// What connects a container to a network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attachment {
    /// The network's id; may be empty as long as the container has never run.
    pub network_id: String,
    /// Another one after each start and each connect; empty if the container does not run.
    pub endpoint_id: String,
    /// The IPv4 address in that network.
    pub v4: Option<Ipv4Addr>,
    /// The IPv6 address in that network.
    pub v6: Option<Ipv6Addr>,
    /// For how many of the two the network has a gateway.
    pub gateways: u8,
    /// What the user gave to prefer its gateway to those of others (Docker 28).
    pub priority: i64,
}

impl Container {
    /// Its addresses, those in the network of its default gateway first; none if it shares those of
    /// the host or of another container.
    ///
    /// Docker takes the gateway with the highest priority, of these one in a network with gateways
    /// for more families, of these the one whose network's name comes first.
    pub fn fixed(&self) -> Vec<IpAddr> {
        if self.shares {
            return Vec::new();
        }
        let mut attachments: Vec<_> = self.networks.values().collect();
        attachments.sort_by_key(|a| Reverse((a.gateways > 0, a.priority, a.gateways)));
        let both = |a: &Attachment| [a.v4.map(IpAddr::V4), a.v6.map(IpAddr::V6)];
        attachments.into_iter().flat_map(both).flatten().collect()
    }

    /// Whether there is more than one place where its default gateway may be.
    fn has_choice(&self) -> bool {
        self.networks.values().filter(|attachment| attachment.gateways > 0).count() > 1
    }
}

impl Docker {
    /// The containers; also those that do not run.
    ///
    /// # Errors
    /// As for [`Docker::labels`]. A list of which anything is not understood is an error.
    pub fn containers(&self, filter: &Filter) -> Result<Vec<Container>, DockerError> {
        let filters = match filter {
            Filter::All => String::new(),
            Filter::Label(name) => format!("&filters={}", query::filters(&[("label", name)])),
            Filter::Network(name) => format!("&filters={}", query::filters(&[("network", name)])),
        };
        let answer = self.get(&format!("/containers/json?all=1{filters}"))?;
        let listed: Vec<Listed> = value(&answer)?;
        let containers = listed.into_iter().map(Listed::understood).collect::<Result<Vec<_>, _>>();
        let mut containers = containers.map_err(|what| answer.nonsense(what))?;
        if containers.iter().any(Container::has_choice) {
            let internal = self.internal_networks()?;
            let attachments = containers.iter_mut().flat_map(|c| c.networks.values_mut());
            // Docker tells the address of a gateway that it keeps to itself.
            attachments.filter(|a| internal.contains(&a.network_id)).for_each(|a| a.gateways = 0);
        }
        Ok(containers)
    }

    /// The ids of the networks that lead nowhere else.
    fn internal_networks(&self) -> Result<BTreeSet<String>, DockerError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Network {
            id: String,
            internal: bool,
        }
        let networks: Vec<Network> = value(&self.get("/networks")?)?;
        let internal = networks.into_iter().filter(|network| network.internal);
        Ok(internal.map(|network| network.id).collect())
    }
}

/// An element of `GET /containers/json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(deserialize_with = "or_null")]
    names: Vec<String>,
    created: u64,
    state: String,
    #[serde(deserialize_with = "or_null")]
    labels: BTreeMap<String, String>,
    host_config: HostConfig,
    #[serde(deserialize_with = "or_null")]
    network_settings: Settings,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    #[serde(default)]
    network_mode: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Settings {
    #[serde(deserialize_with = "or_null")]
    networks: BTreeMap<String, Endpoint>,
}

/// One of them, here and in `GET /containers/ID/json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    #[serde(rename = "IPAddress")]
    v4: String,
    #[serde(rename = "GlobalIPv6Address")]
    v6: String,
    gateway: String,
    #[serde(rename = "IPv6Gateway")]
    gateway6: String,
    #[serde(default)]
    gw_priority: i64,
}

impl Listed {
    fn understood(self) -> Result<Container, String> {
        if self.id.is_empty() {
            return Err("a container without id".to_owned());
        }
        // A link to it adds /OTHER/ALIAS. While it is being removed it may have no name.
        let own = |name: &&str| !name.is_empty() && !name.contains('/');
        let mut names = self.names.iter().filter_map(|name| name.strip_prefix('/'));
        let name = names.find(own).unwrap_or(&self.id).to_owned();
        let mode = self.host_config.network_mode;
        let networks = self.network_settings.networks.into_iter();
        let networks = networks.map(|(name, endpoint)| Ok((name, endpoint.understood()?)));
        Ok(Container {
            name,
            created: self.created,
            running: matches!(self.state.as_str(), "running" | "paused"),
            labels: self.labels,
            shares: mode == "host" || mode.starts_with("container:"),
            networks: networks.collect::<Result<_, String>>()?,
            id: self.id,
        })
    }
}

impl Endpoint {
    fn understood(self) -> Result<Attachment, String> {
        let gateways = [&self.gateway, &self.gateway6];
        Ok(Attachment {
            v4: address(&self.v4)?,
            v6: address(&self.v6)?,
            gateways: gateways.map(|gateway| u8::from(!gateway.is_empty())).iter().sum(),
            priority: self.gw_priority,
            network_id: self.network_id,
            endpoint_id: self.endpoint_id,
        })
    }
}

fn address<T: FromStr>(text: &str) -> Result<Option<T>, String> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| format!("{text:?} is not an address")),
    }
}
