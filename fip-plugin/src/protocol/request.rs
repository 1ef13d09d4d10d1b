//! What dockerd asks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fip_core::error::{Error, Result};
use fip_core::kernel::Mac;
use ipnetwork::IpNetwork;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

use super::id::Id;
use super::text::{self, Family};

/// The options of a request, as they came. Their keys are Docker's (`com.docker.network.…`) and,
/// in CreateEndpoint, each `--driver-opt` of the user's.
pub type Options = Map<String, Value>;

/// A network, in DeleteNetwork and FreeNetwork.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NetworkRef {
    /// The network.
    #[serde(rename = "NetworkID")]
    pub network: Id,
}

/// An endpoint, in EndpointOperInfo, DeleteEndpoint, Leave and RevokeExternalConnectivity.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct EndpointRef {
    /// Its network.
    #[serde(rename = "NetworkID")]
    pub network: Id,
    /// The endpoint.
    #[serde(rename = "EndpointID")]
    pub endpoint: Id,
}

/// GwAllocCheck.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GwAllocCheck {
    /// Those of the network that is about to be created.
    #[serde(default, deserialize_with = "text::nullable")]
    pub options: Options,
}

/// CreateNetwork.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CreateNetwork {
    /// The network.
    #[serde(rename = "NetworkID")]
    pub network: Id,
    /// `com.docker.network.enable_ipv4` (not from older engines), `….enable_ipv6`, `….internal`,
    /// and the user's own under `….generic`.
    #[serde(rename = "Options", default, deserialize_with = "text::nullable")]
    pub options: Options,
    /// IPv4 pools. None if the network has no IPv4.
    #[serde(rename = "IPv4Data", default, deserialize_with = "pools_v4")]
    pub ipv4: Vec<Pool>,
    /// IPv6 pools. None if the network has no IPv6.
    #[serde(rename = "IPv6Data", default, deserialize_with = "pools_v6")]
    pub ipv6: Vec<Pool>,
}

/// AllocateNetwork, from a swarm manager.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AllocateNetwork {
    /// The network.
    #[serde(rename = "NetworkID")]
    pub network: Id,
    /// The user's own, without Docker's. What is answered replaces them.
    #[serde(rename = "Options", default, deserialize_with = "text::nullable")]
    pub options: BTreeMap<String, String>,
    /// IPv4 pools.
    #[serde(rename = "IPv4Data", default, deserialize_with = "pools_v4")]
    pub ipv4: Vec<Pool>,
    /// IPv6 pools.
    #[serde(rename = "IPv6Data", default, deserialize_with = "pools_v6")]
    pub ipv6: Vec<Pool>,
}

/// CreateEndpoint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CreateEndpoint {
    /// Its network.
    #[serde(rename = "NetworkID")]
    pub network: Id,
    /// The endpoint.
    #[serde(rename = "EndpointID")]
    pub endpoint: Id,
    /// The addresses that IPAM gave it.
    #[serde(rename = "Interface", default, deserialize_with = "text::nullable")]
    pub interface: Interface,
    /// Docker's (`com.docker.network.endpoint.exposedports`, `com.docker.network.portmap`, …) and
    /// the user's, side by side. The user's come in no other call.
    #[serde(rename = "Options", default, deserialize_with = "text::nullable")]
    pub options: Options,
}

/// Join.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Join {
    /// Its network.
    #[serde(rename = "NetworkID")]
    pub network: Id,
    /// The endpoint.
    #[serde(rename = "EndpointID")]
    pub endpoint: Id,
    /// The container's network namespace: a file that need not exist yet, as
    /// `/var/run/docker/netns/6a8481cf87a2`.
    #[serde(rename = "SandboxKey", default, deserialize_with = "text::nullable")]
    pub sandbox: PathBuf,
    /// Docker's; nothing of the user's.
    #[serde(rename = "Options", default, deserialize_with = "text::nullable")]
    pub options: Options,
}

/// ProgramExternalConnectivity.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ProgramExternalConnectivity {
    /// Its network.
    #[serde(rename = "NetworkID")]
    pub network: Id,
    /// The endpoint.
    #[serde(rename = "EndpointID")]
    pub endpoint: Id,
    /// Those of Join; none after a crash of dockerd.
    #[serde(rename = "Options", default, deserialize_with = "text::nullable")]
    pub options: Options,
}

/// DiscoverNew and DiscoverDelete.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Discovery {
    /// What it is about: 1 is a node.
    pub discovery_type: i64,
    /// For a node `{"Address": …, "BindAddress": …, "Self": …}`.
    #[serde(default)]
    pub discovery_data: Value,
}

/// A subnet of a network, as IPAM gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawPool", into = "RawPool")]
pub struct Pool {
    /// The address space: `LocalDefault`, `GlobalDefault`, or empty from a swarm manager.
    pub address_space: String,
    /// The subnet.
    pub pool: IpNetwork,
    /// The gateway, with the prefix length of the subnet.
    pub gateway: Option<IpNetwork>,
    /// Addresses that the user reserved (`--aux-address`), by name.
    pub aux_addresses: BTreeMap<String, IpNetwork>,
}

/// The addresses of an endpoint. In an answer, those that the driver chose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawInterface", into = "RawInterface")]
pub struct Interface {
    /// The IPv4 address, with the prefix length of the subnet.
    pub address: Option<IpNetwork>,
    /// The IPv6 address, with the prefix length of the subnet.
    pub address_ipv6: Option<IpNetwork>,
    /// The Ethernet address.
    pub mac: Option<Mac>,
}

/// A [`Pool`] as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawPool {
    #[serde(default, deserialize_with = "text::nullable")]
    address_space: String,
    pool: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
    #[serde(
        default,
        deserialize_with = "text::nullable",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    aux_addresses: BTreeMap<String, String>,
}

impl TryFrom<RawPool> for Pool {
    type Error = Error;

    fn try_from(raw: RawPool) -> Result<Self> {
        let aux = |(name, text): (String, String)| {
            text::network("AuxAddresses", &text).map(|address| (name, address))
        };
        Ok(Self {
            address_space: raw.address_space,
            pool: text::network("Pool", &raw.pool)?,
            gateway: text::optional("Gateway", raw.gateway, text::network)?,
            aux_addresses: raw.aux_addresses.into_iter().map(aux).collect::<Result<_>>()?,
        })
    }
}

impl From<Pool> for RawPool {
    fn from(pool: Pool) -> Self {
        let aux = pool.aux_addresses.into_iter();
        Self {
            address_space: pool.address_space,
            pool: pool.pool.to_string(),
            gateway: pool.gateway.map(|gateway| gateway.to_string()),
            aux_addresses: aux.map(|(name, address)| (name, address.to_string())).collect(),
        }
    }
}

/// An [`Interface`] as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawInterface {
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(rename = "AddressIPv6", skip_serializing_if = "Option::is_none")]
    address_ipv6: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac_address: Option<String>,
}

impl TryFrom<RawInterface> for Interface {
    type Error = Error;

    fn try_from(raw: RawInterface) -> Result<Self> {
        let address = |field, text, family: Family| {
            let network = text::optional(field, text, text::network)?;
            network.map(|network| family.admit(field, network)).transpose()
        };
        Ok(Self {
            address: address("Address", raw.address, Family::V4)?,
            address_ipv6: address("AddressIPv6", raw.address_ipv6, Family::V6)?,
            mac: text::optional("MacAddress", raw.mac_address, text::mac)?,
        })
    }
}

impl From<Interface> for RawInterface {
    fn from(interface: Interface) -> Self {
        Self {
            address: interface.address.map(|address| address.to_string()),
            address_ipv6: interface.address_ipv6.map(|address| address.to_string()),
            mac_address: interface.mac.map(|mac| mac.to_string()),
        }
    }
}

fn pools_v4<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Pool>, D::Error> {
    pools("IPv4Data", Family::V4, from)
}

fn pools_v6<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Pool>, D::Error> {
    pools("IPv6Data", Family::V6, from)
}

fn pools<'de, D>(field: &str, family: Family, from: D) -> Result<Vec<Pool>, D::Error>
where
    D: Deserializer<'de>,
{
    let pools: Vec<Pool> = text::nullable(from)?;
    for pool in &pools {
        let networks = [pool.pool].into_iter().chain(pool.gateway);
        for network in networks.chain(pool.aux_addresses.values().copied()) {
            family.admit(field, network).map_err(de::Error::custom)?;
        }
    }
    Ok(pools)
}
