//! The real kernel, by blocking netlink and packet sockets.

mod attributes;
mod conntrack;
mod filter;
mod frame;
mod message;
mod monitor;
mod nft;
mod packet;
mod rtnl;
mod socket;
mod sysctl;
mod wire;

use std::io;
use std::net::IpAddr;
use std::time::Instant;

use crate::conntrack::Strays;
use crate::diff::Changes;
use crate::error::{Error, Result};
use crate::nat::{About, Snapshot};
use crate::netns::NetNs;

use super::{
    Address, AddressChange, Commit, Conntrack, Counter, Flows, Kernel, Link, LinkChange, NewLink,
    News, Nft, PolicyRule, Route, Rtnl, Sighting, Wire,
};
use conntrack::ConntrackSocket;
pub use monitor::HostMonitor;
use nft::NftSocket;
use rtnl::RtnlSocket;
use wire::{PacketSocket, WireSockets};

/// Which tables of the legacy iptables are in use; no file where the kernel has none. `/proc/net`
/// would be the namespace of the process's first thread.
const LEGACY_TABLES: [&str; 2] =
    ["/proc/thread-self/net/ip_tables_names", "/proc/thread-self/net/ip6_tables_names"];

/// The kernel's network stack, in one network namespace.
pub struct Host {
    netns: Option<NetNs>,
    rtnl: RtnlSocket,
    nft: NftSocket,
    conntrack: Option<ConntrackSocket>,
    wire: WireSockets,
}

impl Host {
    /// The network namespace of the calling thread.
    ///
    /// # Errors
    /// If netlink sockets cannot be had.
    pub fn open() -> Result<Self> {
        Self::within(None)
    }

    /// Another network namespace.
    ///
    /// # Errors
    /// If there is no such, or it may not be entered.
    pub fn open_in(netns: &NetNs) -> Result<Self> {
        Self::within(Some(netns))
    }

    fn within(netns: Option<&NetNs>) -> Result<Self> {
        let place = netns.cloned();
        Ok(Self {
            rtnl: rtnl::open(netns)?,
            nft: NftSocket::open(netns)?,
            conntrack: None,
            wire: WireSockets::new(move |link, neighbours| {
                inside(place.as_ref(), || PacketSocket::open(link, neighbours))
            }),
            netns: netns.cloned(),
        })
    }

    /// Opened when it is needed first.
    fn conntrack(&mut self) -> Result<&mut ConntrackSocket> {
        match &mut self.conntrack {
            Some(socket) => Ok(socket),
            none => Ok(none.insert(inside(self.netns.as_ref(), ConntrackSocket::open)?)),
        }
    }
}

/// Runs the closure in the namespace, if it is another one.
fn inside<T: Send>(netns: Option<&NetNs>, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    match netns {
        Some(netns) => netns.run(work),
        None => work(),
    }
}

impl Kernel for Host {
    type Monitor = HostMonitor;

    fn in_netns(&self, netns: &NetNs) -> Result<Self> {
        Self::open_in(netns)
    }

    fn monitor(&self) -> Result<HostMonitor> {
        HostMonitor::open(self.netns.as_ref())
    }
}

impl Rtnl for Host {
    fn links(&mut self) -> Result<Vec<Link>> {
        self.rtnl.links()
    }

    fn addresses(&mut self) -> Result<Vec<Address>> {
        self.rtnl.addresses()
    }

    fn addresses_about(&mut self, floating: &[IpAddr]) -> Result<Vec<Address>> {
        self.rtnl.addresses_about(floating)
    }

    fn routes_in(&mut self, table: u32) -> Result<Vec<Route>> {
        self.rtnl.routes(table)
    }

    fn policy_rules(&mut self) -> Result<Vec<PolicyRule>> {
        self.rtnl.policy_rules()
    }

    fn news(&mut self) -> Result<News> {
        self.rtnl.news()
    }

    fn change_addresses(&mut self, changes: &[AddressChange]) -> Result<Vec<io::Result<()>>> {
        self.rtnl.change_addresses(changes)
    }

    fn seek(&mut self, link: u32, addresses: &[IpAddr]) -> Result<()> {
        self.rtnl.seek(link, addresses)
    }

    fn create_link(&mut self, link: &NewLink) -> Result<()> {
        self.rtnl.create_link(link)
    }

    fn delete_link(&mut self, index: u32) -> Result<()> {
        self.rtnl.delete_link(index)
    }

    fn change_link(&mut self, index: u32, change: &LinkChange) -> Result<()> {
        self.rtnl.change_link(index, change)
    }

    fn replace_route_in(&mut self, table: u32, route: &Route) -> Result<()> {
        self.rtnl.replace_route(table, route)
    }

    fn delete_route_in(&mut self, table: u32, route: &Route) -> Result<()> {
        self.rtnl.delete_route(table, route)
    }

    fn add_policy_rule(&mut self, rule: &PolicyRule) -> Result<()> {
        self.rtnl.add_policy_rule(rule)
    }

    fn delete_policy_rule(&mut self, rule: &PolicyRule) -> Result<()> {
        self.rtnl.delete_policy_rule(rule)
    }

    fn sysctl(&mut self, path: &str) -> Result<Option<String>> {
        self.rtnl.sysctl(path)
    }

    fn set_sysctl(&mut self, path: &str, value: &str) -> Result<()> {
        self.rtnl.set_sysctl(path, value)
    }
}

impl Nft for Host {
    fn snapshot(&mut self) -> Result<Snapshot> {
        self.nft.snapshot()
    }

    fn snapshot_counted(&mut self) -> Result<(Snapshot, Vec<Counter>)> {
        self.nft.snapshot_counted()
    }

    fn snapshot_about(&mut self, about: &About) -> Result<Snapshot> {
        self.nft.snapshot_about(about)
    }

    fn generation(&mut self) -> Result<u32> {
        self.nft.generation()
    }

    fn counters(&mut self) -> Result<Vec<Counter>> {
        self.nft.counters()
    }

    fn commit(&mut self, changes: &Changes, generation: u32) -> Result<Commit> {
        self.nft.commit(changes, generation)
    }

    fn legacy_tables(&mut self) -> Result<Vec<String>> {
        inside(self.netns.as_ref(), || {
            let mut tables = Vec::new();
            for path in LEGACY_TABLES {
                match std::fs::read_to_string(path) {
                    Ok(names) => tables.extend(names.lines().map(str::to_owned)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                    Err(error) => return Err(Error::kernel(format!("read {path}"), error)),
                }
            }
            tables.sort();
            tables.dedup();
            Ok(tables)
        })
    }
}

impl Conntrack for Host {
    fn forget(&mut self, flows: &[Flows]) -> Result<()> {
        if flows.is_empty() {
            return Ok(());
        }
        self.conntrack()?.forget(flows)
    }

    fn forget_strays(&mut self, strays: &Strays) -> Result<()> {
        self.conntrack()?.forget_strays(strays)
    }
}

impl Wire for Host {
    fn probe(&mut self, link: &Link, addresses: &[IpAddr]) -> Result<()> {
        self.wire.probe(link, addresses)
    }

    fn heard(&mut self, link: &Link, until: Instant) -> Result<Option<Sighting>> {
        self.wire.heard(link, until)
    }

    fn stop_listening(&mut self, link: &Link) -> Result<()> {
        self.wire.stop_listening(link)
    }

    fn announce(&mut self, link: &Link, addresses: &[IpAddr]) -> Result<()> {
        self.wire.announce(link, addresses)
    }
}
