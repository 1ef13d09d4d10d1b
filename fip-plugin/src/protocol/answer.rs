//! What dockerd is answered. What would be empty is left out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use serde::Serialize;

use super::request::{Interface, Options};

/// The answer to methods that have nothing to tell: `{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Done {}

/// The answer to a method that failed; dockerd shows the text to its user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The reason and the way out, in one line.
    #[serde(rename = "Err")]
    pub error: String,
}

/// The answer to Activate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Activated {
    /// The kinds of plugin that this one is.
    pub implements: &'static [&'static str],
}

impl Activated {
    /// A network driver.
    pub const NETWORK_DRIVER: Self = Self { implements: &["NetworkDriver"] };
}

/// How far a network reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// One host.
    Local,
    /// A swarm.
    Global,
}

/// The answer to GetCapabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Capabilities {
    /// Where networks are known.
    pub scope: Scope,
    /// Where their containers reach each other.
    pub connectivity_scope: Scope,
    /// Whether to ask [GwAllocCheck](super::Method::GwAllocCheck) before CreateNetwork.
    pub gw_alloc_checker: bool,
}

/// The answer to GwAllocCheck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GatewaysToSkip {
    /// The IPv4 subnet needs no gateway address.
    #[serde(rename = "SkipIPv4")]
    pub ipv4: bool,
    /// The IPv6 subnet needs no gateway address.
    #[serde(rename = "SkipIPv6")]
    pub ipv6: bool,
}

/// The answer to AllocateNetwork.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AllocatedNetwork {
    /// Replaces the user's options in the CreateNetwork of every node.
    pub options: BTreeMap<String, String>,
}

/// The answer to CreateEndpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreatedEndpoint {
    /// What the driver chose, and only that: dockerd refuses another value for what it gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<Interface>,
}

/// The answer to EndpointOperInfo.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OperationalInfo {
    /// Details for `docker network inspect` of swarms. May be empty, must not be missing.
    pub value: Options,
}

/// The answer to Join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Joined {
    /// The link to move and its name inside.
    pub interface_name: InterfaceName,
    /// The IPv4 default gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Ipv4Addr>,
    /// The IPv6 default gateway.
    #[serde(rename = "GatewayIPv6", skip_serializing_if = "Option::is_none")]
    pub gateway_ipv6: Option<Ipv6Addr>,
    /// Further routes in the container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub static_routes: Vec<StaticRoute>,
    /// Without a gateway: do not connect the container to `docker_gwbridge` for one either.
    #[serde(skip_serializing_if = "is_false")]
    pub disable_gateway_service: bool,
}

/// How the container's link is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InterfaceName {
    /// In the host's namespace, before dockerd moves it.
    pub src_name: String,
    /// In the container, followed by a number.
    pub dst_prefix: String,
}

/// A route in the container's main table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "RawRoute")]
pub struct StaticRoute {
    /// Where it leads.
    pub destination: IpNetwork,
    /// The router; none if the destination is on the link.
    pub next_hop: Option<IpAddr>,
}

/// A [`StaticRoute`] as it is written.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RawRoute {
    destination: String,
    /// 0 by way of a router, 1 on the link (libnetwork `types.NEXTHOP`, `types.CONNECTED`).
    route_type: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_hop: Option<IpAddr>,
}

impl From<StaticRoute> for RawRoute {
    fn from(route: StaticRoute) -> Self {
        Self {
            destination: route.destination.to_string(),
            route_type: u8::from(route.next_hop.is_none()),
            next_hop: route.next_hop,
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}
