//! The options of an endpoint: a container on a network.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fip_core::error::Result;
use fip_core::{Binding, Error, LinkName, Owner, PortForward};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::floating::{Floating, parse_floating, parse_ports};
use super::value::{Subject, boolean, check_names, get};
use super::{PORTS_MAX, network};

const ADDRESS: &str = "fip.address";
/// What `fip.address` says of a container that shall have no floating address here, whatever its
/// label asks for.
pub const NO_ADDRESS: &str = "none";
const EGRESS: &str = "fip.egress";
const PORTS: &str = "fip.ports";

pub(super) const SUBJECT: Subject =
    Subject { name: "a container on a network", known: &[ADDRESS, EGRESS, PORTS] };

/// What `docker run --network name=NET,driver-opt=KEY=VALUE` or
/// `docker network connect --driver-opt KEY=VALUE` was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointOptions {
    /// `fip.address`: the floating addresses; empty where the option is not given, and where it is
    /// [`NO_ADDRESS`].
    pub floating: Vec<Floating>,
    /// Whether a label may say it where `fip.address` is not given.
    pub label: bool,
    /// `fip.egress`: what the container itself starts leaves with its floating address. On by
    /// default.
    pub egress: bool,
    /// `fip.ports`: the translated ports of those addresses that name none themselves, whether
    /// they come from `fip.address` or from a label; empty where the option is not given.
    pub ports: BTreeSet<PortForward>,
}

/// What the bindings of a container need to know of it.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint<'a> {
    /// Its IPv4 address on the network.
    pub fixed4: Option<Ipv4Addr>,
    /// Its IPv6 address on the network.
    pub fixed6: Option<Ipv6Addr>,
    /// Who holds the bindings.
    pub owner: &'a Owner,
    /// The link that shall carry the floating addresses, if one was named.
    pub uplink: Option<&'a LinkName>,
}

impl EndpointOptions {
    /// Reads the `Options` of `NetworkDriver.CreateEndpoint`.
    ///
    /// # Errors
    /// [`Error::Parse`] for a value that is not what its option takes, and for an option that
    /// begins with `fip.` and is unknown. Other unknown options are not ours and are ignored.
    pub fn parse(options: &Map<String, Value>) -> Result<Self> {
        check_names(options, &SUBJECT, &network::SUBJECT)?;
        let none = options.get(ADDRESS).is_some_and(|text| text == NO_ADDRESS);
        let floating = if none { None } else { get(options, ADDRESS, parse_floating)? };
        Ok(Self {
            floating: floating.unwrap_or_default(),
            label: !none,
            egress: get(options, EGRESS, boolean)?.unwrap_or(true),
            ports: get(options, PORTS, parse_ports)?.unwrap_or_default(),
        })
    }

    /// The bindings of the floating addresses, each to the fixed address of its family.
    ///
    /// Of each family the first whole address gets the egress: what a container starts can leave
    /// with one address only.
    ///
    /// # Errors
    /// [`Error::Refused`] for an address that cannot float, or of a family that the container has
    /// no address of; [`Error::Unsupported`] for more than [`PORTS_MAX`] ports.
    pub fn bindings(&self, endpoint: &Endpoint<'_>) -> Result<Vec<Binding>> {
        let mut bindings: Vec<Binding> = Vec::with_capacity(self.floating.len());
        for floating in &self.floating {
            let mut binding = self.binding(floating, endpoint)?;
            let same = |b: &Binding| b.egress() && b.fixed() == binding.fixed();
            if binding.is_whole_address() {
                let egress = self.egress && !bindings.iter().any(same);
                binding = binding.with_egress(egress);
            }
            bindings.push(binding);
        }
        check_ports(&bindings)?;
        Ok(bindings)
    }

    fn binding(&self, floating: &Floating, endpoint: &Endpoint<'_>) -> Result<Binding> {
        let address = floating.address;
        let fixed = fixed(address, endpoint)?;
        let ports = if floating.ports.is_empty() { &self.ports } else { &floating.ports };
        let binding = Binding::new(address, fixed)?
            .with_ports(ports.iter().copied())
            .owned_by(endpoint.owner.clone());
        Ok(match endpoint.uplink {
            Some(uplink) => binding.on(uplink.clone()),
            None => binding,
        })
    }
}

/// What an endpoint without any option has.
impl Default for EndpointOptions {
    fn default() -> Self {
        Self { floating: Vec::new(), label: true, egress: true, ports: BTreeSet::new() }
    }
}

/// The endpoint's fixed address of the floating address's family.
fn fixed(floating: IpAddr, endpoint: &Endpoint<'_>) -> Result<IpAddr> {
    let (fixed, why) = match floating {
        IpAddr::V4(_) => (
            endpoint.fixed4.map(IpAddr::from),
            "the container has no IPv4 address on this network; create the network with an IPv4 \
             subnet (--subnet 172.18.0.0/16)",
        ),
        IpAddr::V6(_) => (
            endpoint.fixed6.map(IpAddr::from),
            "the container has no IPv6 address on this network; create the network with --ipv6 and \
             an IPv6 subnet (--subnet 2001:db8:18::/64)",
        ),
    };
    fixed.ok_or_else(|| Error::refused(floating, why))
}

fn check_ports(bindings: &[Binding]) -> Result<()> {
    let count: usize = bindings.iter().map(|binding| binding.ports().len()).sum();
    if count <= PORTS_MAX {
        return Ok(());
    }
    Err(Error::Unsupported {
        what: format!("{count} translated ports are too many for one container"),
        hint: format!("name at most {PORTS_MAX}, or none to translate the whole address"),
    })
}
