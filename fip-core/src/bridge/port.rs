//! Joining a workload to a bridge.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};

use super::work::{LinkWork, delete_link};
use super::{BridgeManager, by_index, check_host_address, find_bridge, name};
use crate::binding::LinkName;
use crate::error::{Error, Result};
use crate::kernel::{Address, Kernel, Link, LinkChange, Mac, NewLink, Route};
use crate::nat::Family;
use crate::netns::NetNs;

/// The destinations of default routes. The prefix length is valid: this is checked at compile time.
const EVERYWHERE4: Ipv4Network = match Ipv4Network::new_checked(Ipv4Addr::UNSPECIFIED, 0) {
    Some(network) => network,
    None => panic!("0.0.0.0/0"),
};
const EVERYWHERE6: Ipv6Network = match Ipv6Network::new_checked(Ipv6Addr::UNSPECIFIED, 0) {
    Some(network) => network,
    None => panic!("::/0"),
};

/// A workload's place at a bridge, as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSpec {
    /// The bridge.
    pub bridge: LinkName,
    /// The workload's network namespace.
    pub netns: NetNs,
    /// The workload's addresses, with the prefix length of the subnet.
    pub addresses: Vec<IpNetwork>,
    /// The name of the workload's link in its namespace, as `eth0`.
    pub peer: LinkName,
    /// The Ethernet address of the workload's link; random if none.
    pub mac: Option<Mac>,
    /// Whether the workload's default routes, one for each family of its addresses, lead through
    /// the bridge's gateway addresses.
    pub default_route: bool,
}

impl<K: Kernel> BridgeManager<'_, K> {
    /// Joins the workload to the bridge: a veth pair, the near end a port of the bridge that may
    /// send a frame back where it came from (hairpin), the far end in the workload's namespace
    /// with its addresses, both and the namespace's loopback link up, with the bridge's MTU.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the bridge or the namespace; [`Error::Parse`] for an address that
    /// no host can have; [`Error::Unsupported`] if the namespace has a link of that name already,
    /// or if the bridge has no gateway address for a default route; what the kernel refuses.
    pub fn attach(&mut self, spec: &PortSpec) -> Result<Vec<String>> {
        spec.addresses.iter().try_for_each(check_host_address)?;
        let links = self.kernel.links()?;
        let bridge = find_bridge(&links, &spec.bridge)?
            .ok_or_else(|| Error::not_found("bridge", &spec.bridge))?;
        let gateways = gateways(spec, bridge, &self.kernel.addresses()?)?;
        let beginning = name::beginning(self.kernel.identify(&spec.netns)?, &spec.peer);
        let mut inside = self.kernel.in_netns(&spec.netns)?;
        let mut changes = Vec::new();
        let peer = inside.links()?.into_iter().find(|link| link.name == spec.peer);
        let near = near_by_beginning(&links, &beginning);
        self.pair(spec, bridge, &beginning, near, peer.as_ref(), &mut changes)?;

        let links = self.kernel.links()?;
        let near = near_by_beginning(&links, &beginning)
            .ok_or_else(|| Error::not_found("link", &beginning))?;
        let workload = format!("{} of {}", spec.peer, spec.netns);
        self.join(bridge, near, &links, &workload, &mut changes)?;
        furnish(&mut inside, spec, bridge.mtu, &gateways, &mut changes)?;
        Ok(changes)
    }

    /// Creates the pair, unless both ends are there.
    fn pair(
        &mut self,
        spec: &PortSpec,
        bridge: &Link,
        beginning: &str,
        near: Option<&Link>,
        peer: Option<&Link>,
        changes: &mut Vec<String>,
    ) -> Result<()> {
        match (near, peer) {
            (Some(_), Some(_)) => return Ok(()),
            (None, Some(_)) => {
                return Err(Error::Unsupported {
                    what: format!(
                        "network namespace {} has a link {} already",
                        spec.netns, spec.peer
                    ),
                    hint: "choose another name for the workload's link".to_owned(),
                });
            }
            // Its peer was renamed, or moved out: nobody will find it again.
            (Some(stale), None) => delete_link(self.kernel, stale, changes)?,
            (None, None) => {}
        }
        let name: LinkName =
            format!("{beginning}{}", name::ending(&spec.netns, &spec.peer)).parse()?;
        self.kernel.create_link(&NewLink::Veth {
            name: name.clone(),
            peer: spec.peer.clone(),
            peer_mac: spec.mac,
            peer_netns: Some(spec.netns.clone()),
            mtu: bridge.mtu,
        })?;
        let PortSpec { peer, netns, .. } = spec;
        changes.push(format!("link add {name} type veth peer {peer} netns {netns}"));
        Ok(())
    }

    /// Makes the near end a port of the bridge, and sets it up. Errors are about the `workload`.
    pub(super) fn join(
        &mut self,
        bridge: &Link,
        near: &Link,
        links: &[Link],
        workload: &impl Display,
        changes: &mut Vec<String>,
    ) -> Result<()> {
        let mut work = LinkWork::new(self.kernel, near, changes);
        work.mtu(bridge.mtu)?;
        match near.master {
            None => {
                let master = LinkChange::Master(Some(bridge.index));
                work.set(&master, &format!("master {}", bridge.name))?;
                work.set(&LinkChange::Hairpin(true), "type bridge_slave hairpin on")?;
            }
            // An earlier call may have ended before this step; it cannot be seen whether.
            Some(master) if master == bridge.index => {
                work.kernel.change_link(near.index, &LinkChange::Hairpin(true))?;
            }
            Some(other) => {
                let other = by_index(links, other).map_or("another link", |l| l.name.as_str());
                return Err(Error::Unsupported {
                    what: format!("{workload} is a port of {other} already"),
                    hint: "detach it there first, or choose another name for the workload's link"
                        .to_owned(),
                });
            }
        }
        work.up()
    }

    /// Undoes [`BridgeManager::attach`]. A workload that is not joined is fine, and so are a
    /// bridge and a namespace that are gone.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn detach(
        &mut self,
        bridge: &LinkName,
        netns: &NetNs,
        peer: &LinkName,
    ) -> Result<Vec<String>> {
        let links = self.kernel.links()?;
        let bridge = links.iter().find(|link| link.name == *bridge).map(|link| link.index);
        let near = match self.kernel.identify(netns) {
            // One without a master was left by an attach that ended early.
            Ok(identity) => near_by_beginning(&links, &name::beginning(identity, peer))
                .filter(|near| near.master.is_none() || near.master == bridge),
            Err(error) if error.is_not_found() => {
                let ending = name::ending(netns, peer);
                links.iter().find(|link| {
                    let port = link.master.is_some() && link.master == bridge;
                    port && name::is_ours(link) && link.name.as_str().ends_with(&ending)
                })
            }
            Err(error) => return Err(error),
        };
        let mut changes = Vec::new();
        near.map_or(Ok(()), |near| delete_link(self.kernel, near, &mut changes))?;
        Ok(changes)
    }
}

/// The workload's side: addresses and routes in its namespace.
fn furnish<K: Kernel>(
    inside: &mut K,
    spec: &PortSpec,
    mtu: u32,
    gateways: &[IpAddr],
    changes: &mut Vec<String>,
) -> Result<()> {
    let links = inside.links()?;
    let addresses = inside.addresses()?;
    let peer = links.iter().find(|link| link.name == spec.peer);
    let peer =
        peer.ok_or_else(|| Error::not_found("link", format!("{} in {}", spec.peer, spec.netns)))?;
    let place = format!("in {}: ", spec.netns);
    if let Some(loopback) = links.iter().find(|link| link.loopback) {
        LinkWork { kernel: inside, link: loopback, changes, place: place.clone() }.up()?;
    }
    let mut work = LinkWork { kernel: inside, link: peer, changes, place: place.clone() };
    if let Some(mac) = spec.mac.filter(|&mac| peer.mac != Some(mac)) {
        work.set(&LinkChange::Mac(mac), &format!("address {mac}"))?;
    }
    work.mtu(mtu)?;
    work.enable_ipv6(&spec.addresses)?;
    work.up()?;
    work.addresses(&spec.addresses, &addresses)?;
    let routes = inside.routes()?;
    for route in gateways.iter().map(|&gateway| default_route(gateway, peer)) {
        let same = |r: &Route| Route { metric: 0, ..r.clone() } == route;
        if !routes.iter().any(same) {
            inside.replace_route(&route)?;
            let gateway = route.gateway.map(|gateway| gateway.to_string()).unwrap_or_default();
            changes.push(format!("{place}route replace default via {gateway} dev {}", peer.name));
        }
    }
    Ok(())
}

fn default_route(gateway: IpAddr, link: &Link) -> Route {
    let destination = match gateway {
        IpAddr::V4(_) => IpNetwork::V4(EVERYWHERE4),
        IpAddr::V6(_) => IpNetwork::V6(EVERYWHERE6),
    };
    Route { destination, gateway: Some(gateway), link: Some(link.index), metric: 0 }
}

/// The bridge's addresses that the workload's default routes lead to.
fn gateways(spec: &PortSpec, bridge: &Link, addresses: &[Address]) -> Result<Vec<IpAddr>> {
    let at_bridge = || addresses.iter().filter(|a| a.link == bridge.index).map(|a| a.network);
    if let Some(own) = spec.addresses.iter().find(|a| at_bridge().any(|b| b.ip() == a.ip())) {
        let text = own.to_string();
        return Err(Error::parse(&text, format!("free: {} has that address itself", spec.bridge)));
    }
    if !spec.default_route {
        return Ok(Vec::new());
    }
    let gateway = |family| {
        let mut wanted = spec.addresses.iter().filter(|a| Family::of(a.ip()) == family).peekable();
        let first = *wanted.peek()?;
        let found = wanted.find_map(|a| at_bridge().find(|b| b.contains(a.ip())));
        Some(found.map(|network| network.ip()).ok_or_else(|| {
            Error::Unsupported {
                what: format!(
                    "bridge {} has no gateway address in the subnet of {first}",
                    spec.bridge
                ),
                hint: "give the bridge one (fip bridge ensure), or attach without a default route"
                    .to_owned(),
            }
        }))
    };
    Family::ALL.into_iter().filter_map(gateway).collect()
}

/// The near end whose name begins so.
fn near_by_beginning<'a>(links: &'a [Link], beginning: &str) -> Option<&'a Link> {
    links.iter().find(|link| name::is_ours(link) && link.name.as_str().starts_with(beginning))
}
