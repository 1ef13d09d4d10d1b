//! The ways to a workload that are compared, each with a LAN of its own.

use std::net::{IpAddr, Ipv4Addr};

use fip_core::kernel::Hold;

use super::super::peers::{Pair, docker_rules, pairs};
use super::super::tracked;
use super::super::world::{EXTRA, Site, World};
use super::{DOCKER, FIP, HOST, IPTABLES, NFT, ROUTED};
use crate::docker::{Engine, IMAGE, Options};
use crate::harness::Group;
use crate::lab::{Family, Host, Lan, Ns, lan};
use crate::load::serve::{ACCEPT, ECHO, SINK, Servers};

/// The number of the host on its LAN.
const NUMBER: u8 = 11;

/// A way from a client to a workload.
pub(super) struct Path {
    pub(super) name: &'static str,
    /// How many floating addresses the host has, where that is what varies.
    pub(super) present: Option<u64>,
    /// Whom the client asks.
    pub(super) address: Ipv4Addr,
    _servers: Servers,
    place: Place,
}

enum Place {
    Laboratory {
        world: World,
        site: Site,
    },
    /// The engine ends before its host does.
    Docker {
        client: Ns,
        _engine: Engine,
        host: Host,
        _lan: Lan,
    },
}

impl Path {
    pub(super) fn client(&self) -> &Ns {
        match &self.place {
            Place::Laboratory { world, .. } => &world.client,
            Place::Docker { client, .. } => client,
        }
    }

    fn host(&self) -> &Ns {
        match &self.place {
            Place::Laboratory { site, .. } => &site.host,
            Place::Docker { host, .. } => host,
        }
    }

    /// Panics unless the workload answers, where it is one.
    pub(super) fn must_reach(&self) {
        if let Place::Laboratory { world, site } = &self.place
            && self.name != HOST
        {
            world.must_reach(self.name, site, self.address);
        }
    }

    /// The host forgets its tracked connections.
    pub(super) fn forget(&self) {
        tracked::forget_all(self.host());
    }
}

/// All that can be had on this machine.
pub(super) fn all(group: &mut Group, counts: &[u64]) -> Vec<Path> {
    let mut paths = vec![routed(), host_itself()];
    group.set(NFT, "a map for each direction, an address for each");
    for &count in counts {
        paths.push(laboratory(FIP, count, |site, pairs| site.have_fip(Hold::Route, pairs)));
    }
    if group.peer("nft").is_some() {
        for &count in [counts.first(), counts.last()].into_iter().flatten() {
            paths.push(laboratory(NFT, count, |site, pairs| site.have_nft(pairs, Hold::Address)));
        }
    }
    if group.peer("iptables").is_some() {
        group.set(IPTABLES, "DNAT for what arrives and for the host, SNAT; an address for each");
        for &count in counts {
            paths.push(laboratory(IPTABLES, count, Site::have_iptables));
        }
    }
    if group.peer("docker").is_some() && group.peer("dockerd").is_some() {
        group.set(DOCKER, "--userland-proxy=false; the others' rules as dockerd writes them");
        // Each has an engine, of which there may be two at once.
        paths.extend([counts.first(), counts.last()].into_iter().flatten().map(|&n| docker(n)));
    }
    paths
}

fn laboratory(name: &'static str, count: u64, have: impl Fn(&Site, &[Pair])) -> Path {
    let world = World::new();
    let site = world.site(name.split(',').next().unwrap_or(name));
    let mut pairs = pairs(count);
    // The last one leads to the workload.
    let last = pairs.last_mut().expect("one at least");
    last.fixed = EXTRA.fixed;
    let address = last.floating;
    have(&site, &pairs);
    let servers = Servers::start(&site.workload);
    let place = Place::Laboratory { world, site };
    Path { name, present: Some(count), address, _servers: servers, place }
}

/// The client knows the way to the workload's own address.
fn routed() -> Path {
    let world = World::new();
    let site = world.site("routed");
    let address = EXTRA.fixed;
    world.client.ip(&format!("route add {address}/32 via {}", lan(Family::V4, NUMBER)));
    let servers = Servers::start(&site.workload);
    let place = Place::Laboratory { world, site };
    Path { name: ROUTED, present: None, address, _servers: servers, place }
}

/// The servers run on the host.
fn host_itself() -> Path {
    let world = World::new();
    let site = world.site("host");
    let servers = Servers::start(&site.host);
    let place = Place::Laboratory { world, site };
    Path { name: HOST, present: None, address: v4(NUMBER), _servers: servers, place }
}

fn docker(count: u64) -> Path {
    let network = Lan::new();
    let client = network.client();
    let host = network.host("docker", NUMBER);
    let engine = Engine::start(&host, &Options::default());
    let others = pairs(count - 1);
    if !others.is_empty() {
        host.tool("iptables-nft-restore", &["--noflush"], &docker_rules(&others));
    }
    let address = v4(NUMBER);
    let published = [format!("{ACCEPT}"), format!("{ECHO}"), format!("{SINK}")];
    let [accept, echo, sink] = published.map(|port| format!("-p {address}:{port}:{port}"));
    engine.docker_ok(&format!("run --detach --name web {accept} {echo}/udp {sink} {IMAGE}"));
    let servers = Servers::start(&engine.inside("web"));
    let place = Place::Docker { client, _engine: engine, host, _lan: network };
    Path { name: DOCKER, present: Some(count), address, _servers: servers, place }
}

/// The IPv4 address of this number on the LAN.
fn v4(number: u8) -> Ipv4Addr {
    match lan(Family::V4, number) {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => unreachable!("asked for IPv4"),
    }
}
