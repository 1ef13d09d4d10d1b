//! Bridges with gateway addresses, the veth pairs that join workloads to them, and the sysctls
//! that let their traffic pass.
//!
//! Everything here can be called again: what is already so is left alone, and what an earlier
//! call left half done is completed. Each call tells what it changed, in the manner of ip(8); an
//! empty list means that all was as it should be.

mod forwarding;
mod name;
mod pair;
mod port;
mod work;

use ipnetwork::{IpNetwork, Ipv4Network};

pub use self::forwarding::ensure_forwarding;
pub(crate) use self::forwarding::forwards;
pub use self::pair::PairSpec;
pub use self::port::PortSpec;
use self::work::{LinkWork, delete_link, errno};
use crate::binding::LinkName;
use crate::error::{Error, Result};
use crate::kernel::{Address, Kernel, Link, NewLink, Route};
use crate::nat::Family;

/// The MTU of a bridge on a host without a default route, in bytes (Ethernet's, RFC 894).
const DEFAULT_MTU: u32 = 1500;

/// A bridge as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeSpec {
    /// Its name.
    pub name: LinkName,
    /// Its gateway addresses, with the prefix length of the workloads' subnets. Addresses that
    /// the bridge has besides are left alone.
    pub addresses: Vec<IpNetwork>,
    /// Its MTU, in bytes. If none, that of the link of the default route: a larger one would be
    /// cut down there, a smaller one would waste what the LAN can carry.
    pub mtu: Option<u32>,
}

/// Makes bridges and joins workloads to them.
#[derive(Debug)]
pub struct BridgeManager<'k, K> {
    kernel: &'k mut K,
}

impl<'k, K: Kernel> BridgeManager<'k, K> {
    /// A manager that works on this kernel.
    pub fn new(kernel: &'k mut K) -> Self {
        Self { kernel }
    }

    /// Sees to it that the bridge exists, with its MTU and addresses, up, and that the host
    /// forwards packets of the addresses' families ([`ensure_forwarding`]).
    ///
    /// A new bridge does not listen to router advertisements: any workload could send them.
    ///
    /// # Errors
    /// [`Error::Parse`] for an address that no gateway can have; [`Error::Unsupported`] if a link
    /// of that name is not a bridge, or if an address is in a subnet of another link; what the
    /// kernel refuses.
    pub fn ensure(&mut self, spec: &BridgeSpec) -> Result<Vec<String>> {
        spec.addresses.iter().try_for_each(check_host_address)?;
        let links = self.kernel.links()?;
        let addresses = self.kernel.addresses()?;
        check_overlap(spec, &links, &addresses)?;
        let routes = self.kernel.routes()?;
        if spec.addresses.iter().any(IpNetwork::is_ipv6) {
            forwarding::check_ipv6(self.kernel, None)?;
        }
        let mtu = spec.mtu.unwrap_or_else(|| uplink_mtu(&links, &routes));
        let mut changes = Vec::new();
        let bridge = match find_bridge(&links, &spec.name)? {
            Some(bridge) => bridge.clone(),
            None => self.create(&spec.name, mtu, &mut changes)?,
        };
        let mut link = LinkWork::new(self.kernel, &bridge, &mut changes);
        link.mtu(mtu)?;
        if !bridge.up {
            link.sysctl("accept_ra", "0")?;
        }
        link.enable_ipv6(&spec.addresses)?;
        link.up()?;
        link.addresses(&spec.addresses, &addresses)?;
        for family in Family::ALL {
            if spec.addresses.iter().any(|address| Family::of(address.ip()) == family) {
                let uplink = uplink(&routes, family).and_then(|index| by_index(&links, index));
                let uplink = uplink.map(|link| &link.name);
                changes.extend(ensure_forwarding(self.kernel, family, uplink)?);
            }
        }
        Ok(changes)
    }

    fn create(&mut self, name: &LinkName, mtu: u32, changes: &mut Vec<String>) -> Result<Link> {
        match self.kernel.create_link(&NewLink::Bridge { name: name.clone(), mtu }) {
            // Somebody else was quicker: then it is there.
            Err(error) if errno(&error) == Some(libc::EEXIST) => {}
            result => {
                result.map(|()| changes.push(format!("link add {name} mtu {mtu} type bridge")))?
            }
        }
        let links = self.kernel.links()?;
        let found = find_bridge(&links, name)?;
        found.cloned().ok_or_else(|| Error::not_found("bridge", name))
    }

    /// Deletes the bridge. One that does not exist is fine. The host goes on forwarding: by now
    /// others may rely on it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the link is not a bridge, or if it has ports, unless `force`:
    /// then the pairs that [`BridgeManager::attach`] made are deleted, and other ports released.
    pub fn delete(&mut self, name: &LinkName, force: bool) -> Result<Vec<String>> {
        let links = self.kernel.links()?;
        let Some(bridge) = find_bridge(&links, name)? else {
            return Ok(Vec::new());
        };
        let ports: Vec<&Link> = links.iter().filter(|l| l.master == Some(bridge.index)).collect();
        if !ports.is_empty() && !force {
            let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
            return Err(Error::Unsupported {
                what: format!("bridge {name} still has ports: {}", names.join(", ")),
                hint: "detach the workloads first, or delete it with force".to_owned(),
            });
        }
        let ours = ports.into_iter().filter(|port| name::is_ours(port));
        let mut changes = Vec::new();
        for link in ours.chain([bridge]) {
            delete_link(self.kernel, link, &mut changes)?;
        }
        Ok(changes)
    }
}

/// The bridge of this name.
fn find_bridge<'a>(links: &'a [Link], name: &LinkName) -> Result<Option<&'a Link>> {
    let found = links.iter().find(|link| link.name == *name);
    match found.map(|link| link.kind.as_deref()) {
        None | Some(Some("bridge")) => Ok(found),
        Some(kind) => Err(Error::Unsupported {
            what: format!("link {name} is not a bridge but a {}", kind.unwrap_or("network card")),
            hint: "choose another name for the bridge".to_owned(),
        }),
    }
}

fn by_index(links: &[Link], index: u32) -> Option<&Link> {
    links.iter().find(|link| link.index == index)
}

/// The link of the default route of this family that has the lowest metric.
fn uplink(routes: &[Route], family: Family) -> Option<u32> {
    let defaults = routes.iter().filter(|route| {
        route.destination.prefix() == 0 && Family::of(route.destination.ip()) == family
    });
    defaults.filter(|route| route.link.is_some()).min_by_key(|route| route.metric)?.link
}

fn uplink_mtu(links: &[Link], routes: &[Route]) -> u32 {
    let uplink = Family::ALL.into_iter().find_map(|family| uplink(routes, family));
    uplink.and_then(|index| by_index(links, index)).map_or(DEFAULT_MTU, |link| link.mtu)
}

/// Whether a host can have the address, with that prefix length.
fn check_host_address(network: &IpNetwork) -> Result<()> {
    let ip = network.ip();
    let edge =
        |v4: &Ipv4Network| v4.prefix() < 31 && [v4.network(), v4.broadcast()].contains(&v4.ip());
    let invalid = match network {
        _ if ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() => true,
        IpNetwork::V4(v4) => v4.prefix() == 0 || edge(v4),
        IpNetwork::V6(v6) => v6.prefix() == 0,
    };
    if !invalid {
        return Ok(());
    }
    Err(Error::parse(
        &network.to_string(),
        "the address of a host with its subnet's prefix length, as 172.18.0.1/16",
    ))
}

/// Two links with the same subnet: the host would send replies out of the wrong one.
fn check_overlap(spec: &BridgeSpec, links: &[Link], addresses: &[Address]) -> Result<()> {
    let other = |address: &&Address| {
        let link = by_index(links, address.link);
        link.is_none_or(|link| link.name != spec.name) && is_subnet(address)
    };
    for address in addresses.iter().filter(other) {
        let taken = spec.addresses.iter().find(|wanted| overlap(wanted, &address.network));
        if let Some(wanted) = taken {
            let link = by_index(links, address.link).map_or("another link", |l| l.name.as_str());
            return Err(Error::Unsupported {
                what: format!("the subnet of {wanted} overlaps {} on {link}", address.network),
                hint: "choose a subnet that this host has on no other link".to_owned(),
            });
        }
    }
    Ok(())
}

/// Whether the address stands for a subnet: not if it is a single one, nor link-local, for that
/// subnet is on every link.
fn is_subnet(address: &Address) -> bool {
    match address.network {
        IpNetwork::V4(network) => network.prefix() < 32,
        IpNetwork::V6(network) => network.prefix() < 128 && !network.ip().is_unicast_link_local(),
    }
}

fn overlap(a: &IpNetwork, b: &IpNetwork) -> bool {
    a.contains(b.network()) || b.contains(a.network())
}
