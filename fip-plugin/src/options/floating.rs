//! Floating addresses as users write them, in an option or in a label.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use fip_core::binding::parse_address;
use fip_core::error::Result;
use fip_core::{Error, PortForward};
use serde::{Deserialize, Serialize};

use super::value::check_length;
use super::{ADDRESSES_MAX, PORTS_MAX};
use crate::allow::items;

/// A floating address that a container shall have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floating {
    /// The address.
    pub address: IpAddr,
    /// The ports that were named with it; empty where none was.
    pub ports: BTreeSet<PortForward>,
}

/// As [`parse_floating`] reads it.
impl fmt::Display for Floating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address;
        if self.ports.is_empty() {
            return write!(f, "{address}");
        }
        for (index, port) in self.ports.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            match address {
                IpAddr::V4(_) => write!(f, "{separator}{address}:{port}")?,
                IpAddr::V6(_) => write!(f, "{separator}[{address}]:{port}")?,
            }
        }
        Ok(())
    }
}

/// Reads floating addresses, separated by commas or spaces, in the order in which they are written.
///
/// An address alone is translated as a whole: `192.168.99.200`, `2001:db8::5`. One with a port is
/// translated for this port: `192.168.99.200:tcp:80`, with another port inside
/// `192.168.99.200:tcp:80:8080`; an IPv6 address stands in brackets then, `[2001:db8::5]:udp:53`.
/// For several ports the address is repeated.
///
/// # Errors
/// [`Error::Parse`] for text that is not this, for an address or a port that is there twice, for no
/// address, and for more than [`ADDRESSES_MAX`] or [`PORTS_MAX`].
pub fn parse_floating(text: &str) -> Result<Vec<Floating>> {
    check_length(text)?;
    let mut all: Vec<Floating> = Vec::new();
    for item in items(text) {
        let (address, port) = parse_item(item)?;
        add(&mut all, address, port).map_err(|what| Error::parse(item, what))?;
    }
    if all.is_empty() {
        return Err(Error::parse(text, "an address, or several with commas or spaces between"));
    }
    check_count(text, all.len(), ADDRESSES_MAX, "addresses")?;
    let ports = all.iter().map(|floating| floating.ports.len()).sum();
    check_count(text, ports, PORTS_MAX, "ports")?;
    // It is kept as long as its workload is: most often one address, where a list grows by four.
    all.shrink_to_fit();
    Ok(all)
}

/// Reads the ports of an option, separated by commas or spaces: `tcp:80, udp:53:5353`.
pub(super) fn parse_ports(text: &str) -> Result<BTreeSet<PortForward>> {
    let mut ports = BTreeSet::new();
    for item in items(text) {
        add_port(&mut ports, item.parse()?).map_err(|what| Error::parse(item, what))?;
    }
    if ports.is_empty() {
        let expected = "a port (PROTOCOL:PORT[:FIXED_PORT], as tcp:80:8080), or several with \
                        commas or spaces between";
        return Err(Error::parse(text, expected));
    }
    check_count(text, ports.len(), PORTS_MAX, "ports")?;
    Ok(ports)
}

/// `ADDRESS`, `IPV4:PORT_FORWARD`, `[ADDRESS]` or `[IPV6]:PORT_FORWARD`.
fn parse_item(item: &str) -> Result<(IpAddr, Option<PortForward>)> {
    if let Some(rest) = item.strip_prefix('[') {
        let bad = || Error::parse(item, "an IPv6 address in brackets, as [2001:db8::5]:tcp:80");
        let (address, port) = rest.split_once(']').ok_or_else(bad)?;
        let address: Ipv6Addr = address.parse().map_err(|_| bad())?;
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return Err(bad()),
            Some(port) => Some(parse_port(item, port)?),
        };
        return Ok((address.into(), port));
    }
    match item.split_once(':') {
        Some((address, port)) if address.contains('.') => {
            Ok((parse_address(address)?, Some(parse_port(item, port)?)))
        }
        _ => Ok((parse_alone(item)?, None)),
    }
}

fn parse_alone(item: &str) -> Result<IpAddr> {
    if item.contains('%') {
        return Err(Error::parse(item, "a bare address: leave out the zone"));
    }
    parse_address(item).map_err(|error| {
        if item.contains('/') || !item.contains(':') {
            return error;
        }
        let brackets = "an address: with a port, an IPv6 address stands in brackets, as \
                        [2001:db8::5]:tcp:80";
        Error::parse(item, brackets)
    })
}

fn parse_port(item: &str, port: &str) -> Result<PortForward> {
    let expected = "an address with a port (ADDRESS:PROTOCOL:PORT[:FIXED_PORT], as \
                    192.168.99.200:tcp:80:8080)";
    port.parse().map_err(|_| Error::parse(item, expected))
}

/// Adds an address, or a port of an address; the error is what the new one is not.
fn add(
    all: &mut Vec<Floating>,
    address: IpAddr,
    port: Option<PortForward>,
) -> Result<(), &'static str> {
    let present = all.iter_mut().find(|floating| floating.address == address);
    match (present, port) {
        (None, port) => {
            all.push(Floating { address, ports: port.into_iter().collect() });
            Ok(())
        }
        (Some(Floating { ports, .. }), Some(port)) if !ports.is_empty() => add_port(ports, port),
        (Some(Floating { ports, .. }), port) if port.is_some() || !ports.is_empty() => {
            Err("a new address: it is there as a whole and with ports, choose one")
        }
        _ => Err("a new address: it is there twice"),
    }
}

fn add_port(ports: &mut BTreeSet<PortForward>, port: PortForward) -> Result<(), &'static str> {
    if ports.iter().any(|p| (p.protocol, p.port) == (port.protocol, port.port)) {
        return Err("a new port: it is there twice");
    }
    ports.insert(port);
    Ok(())
}

fn check_count(text: &str, count: usize, max: usize, of: &str) -> Result<()> {
    if count <= max {
        return Ok(());
    }
    Err(Error::parse(text, format!("a list of at most {max} {of}: it has {count}")))
}
