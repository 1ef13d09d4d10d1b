//! What this crate asks of a kernel, as traits, so that the rest can be tested without one.
//!
//! [`host::Host`] is the real thing; [`fake::FakeKernel`] (feature `fake`) is in memory. One
//! contract suite runs on both. The types here are plain values; no netlink crate shows through.

#[cfg(feature = "fake")]
pub mod fake;
pub mod host;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Instant;

use ipnetwork::IpNetwork;

use crate::binding::{LinkName, Protocol};
use crate::conntrack::Strays;
use crate::diff::Changes;
use crate::error::{Error, Result};
use crate::nat::{About, Snapshot};
use crate::netns::NetNs;

/// A kernel's network stack, in one network namespace.
pub trait Kernel: Rtnl + Nft + Conntrack + Wire + Sized {
    /// The stream of changes that others make.
    type Monitor: Monitor;

    /// Opens the same kernel in another network namespace.
    fn in_netns(&self, netns: &NetNs) -> Result<Self>;

    /// What tells that network namespace from every other, whatever name it is given by.
    fn identify(&self, netns: &NetNs) -> Result<[u64; 2]> {
        netns.identity()
    }

    /// Listens to changes of links, addresses and the ruleset from now on.
    fn monitor(&self) -> Result<Self::Monitor>;
}

/// A link-layer (Ethernet) address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = Error;

    /// Six pairs of hexadecimal digits with colons between, as `02:00:5e:10:00:01`.
    fn from_str(text: &str) -> Result<Self> {
        let pair = |pair: &str| {
            let digits = pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
            u8::from_str_radix(pair, 16).ok().filter(|_| digits)
        };
        let bytes: Option<Vec<u8>> = text.split(':').map(pair).collect();
        let mac = bytes.and_then(|bytes| bytes.try_into().ok());
        mac.map(Self).ok_or_else(|| Error::parse(text, "an Ethernet address, as 02:00:5e:10:00:01"))
    }
}

/// A network link (card, bridge, one end of a veth pair, ...).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The interface index.
    pub index: u32,
    /// The name.
    pub name: LinkName,
    /// The Ethernet address; none on links that have no such.
    pub mac: Option<Mac>,
    /// The largest packet, in bytes.
    pub mtu: u32,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Operational: up, with carrier (`IFF_RUNNING`).
    pub running: bool,
    /// A loopback link (`IFF_LOOPBACK`).
    pub loopback: bool,
    /// The kind of a virtual link, as `bridge` or `veth`.
    pub kind: Option<String>,
    /// The index of the bridge (or bond, VRF) it is a port of.
    pub master: Option<u32>,
}

impl Link {
    /// The Ethernet address by which neighbours reach it; none on a link without neighbours
    /// (loopback, tunnels).
    pub fn ethernet(&self) -> Option<Mac> {
        self.mac.filter(|_| !self.loopback)
    }
}

/// How a link holds an address: what makes the kernel take packets to it for the host, and answer
/// neighbours that ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hold {
    /// As one of its addresses, as ip-address(8) shows them. The kernel walks all IPv4 addresses of
    /// the link to add or remove one (`__inet_insert_ifa` in `net/ipv4/devinet.c`).
    Address,
    /// By a route of type `local` to this address alone in the table `local`, as `ip route show
    /// table local` shows them: found and changed in O(log N). IPv4 only: of IPv6, neighbours get
    /// an answer for addresses only.
    Route,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "address",
            Self::Route => "route",
        })
    }
}

impl FromStr for Hold {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "address" => Ok(Self::Address),
            "route" => Ok(Self::Route),
            _ => Err(Error::parse(text, "how an address is held: address or route")),
        }
    }
}

/// An address on a link.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// The index of the link that carries it.
    pub link: u32,
    /// The address with its prefix length.
    pub network: IpNetwork,
    /// It bears this project's tag: a floating address that we added.
    pub ours: bool,
    /// How the link holds it.
    pub hold: Hold,
}

/// A change of a link's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressChange {
    /// Add an address. A floating one (`ours`) is tagged, makes no prefix route, and is never the
    /// host's source address: IPv4 by scope `host`, or by a route that prefers no source; IPv6 by
    /// preferred lifetime 0. The kernel does no duplicate address detection for it. One that is
    /// held by a route is IPv4, and ours.
    Add(Address),
    /// Remove it.
    Remove(Address),
}

impl AddressChange {
    /// The address that comes or goes.
    pub fn address(&self) -> &Address {
        match self {
            Self::Add(address) | Self::Remove(address) => address,
        }
    }
}

/// The table of routes that a host looks up if no policy rule says otherwise (`RT_TABLE_MAIN` in
/// `linux/rtnetlink.h`).
pub const MAIN_TABLE: u32 = 254;

/// A unicast route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where it leads; `0.0.0.0/0` or `::/0` for a default route.
    pub destination: IpNetwork,
    /// The next hop, unless on link.
    pub gateway: Option<IpAddr>,
    /// The index of the outgoing link.
    pub link: Option<u32>,
    /// The metric: lower is preferred.
    pub metric: u32,
}

/// A policy rule that selects packets by their source address and by nothing else: `from SOURCE
/// lookup TABLE` (ip-rule(8)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRule {
    /// Whose packets.
    pub source: IpNetwork,
    /// The table in which their routes are looked up. Where it has none, the next rule counts.
    pub table: u32,
    /// The place among the rules: lower is earlier. The main table is looked up at 32766.
    pub priority: u32,
    /// It bears this project's tag (`FRA_PROTOCOL`, Linux 4.17): a rule that we added.
    pub ours: bool,
}

impl fmt::Display for PolicyRule {
    /// As ip-rule(8) would be told: `from 172.18.0.2/32 lookup 100 priority 30000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} lookup {} priority {}", self.source, self.table, self.priority)
    }
}

/// A link to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewLink {
    /// A bridge, down.
    Bridge {
        /// Its name.
        name: LinkName,
        /// Its MTU, in bytes.
        mtu: u32,
    },
    /// A pair of virtual Ethernet links, down. The peer may be born in another namespace.
    Veth {
        /// The name of the near end.
        name: LinkName,
        /// The name of the far end.
        peer: LinkName,
        /// The Ethernet address of the far end; random if none.
        peer_mac: Option<Mac>,
        /// The namespace of the far end; this one if none.
        peer_netns: Option<NetNs>,
        /// The MTU of both, in bytes.
        mtu: u32,
    },
}

/// A change of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkChange {
    /// Administratively up or down.
    Up(bool),
    /// The MTU, in bytes.
    Mtu(u32),
    /// A port of the bridge with this index, or of none.
    Master(Option<u32>),
    /// The Ethernet address.
    Mac(Mac),
    /// May a frame leave by the bridge port that it came in by (`IFLA_BRPORT_MODE`)?
    Hairpin(bool),
}

/// What others may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Nothing.
    Nothing,
    /// Some of it; or forwarding, if nothing of this.
    Some {
        /// The addresses that came and went, in their order. One that comes may have been there.
        addresses: Vec<AddressChange>,
        /// The links that were deleted, or moved away: what they held by routes went with them, and
        /// the kernel tells nobody of that.
        gone: Vec<u32>,
        /// Links may have changed. The IPv4 routes of one that went down are gone untold.
        links: bool,
        /// Routes may have changed.
        routes: bool,
    },
    /// Anything: all has to be looked at again.
    Everything,
}

/// Links, addresses, routes, policy rules (rtnetlink(7)) and the sysctls beside them.
pub trait Rtnl {
    /// Every link.
    fn links(&mut self) -> Result<Vec<Link>>;

    /// Every address of every link, and those that are held by routes: ours, and those that somebody
    /// else (not the kernel) made the host's own.
    fn addresses(&mut self) -> Result<Vec<Address>>;

    /// The addresses of links, and of those that are held by routes these: what binding them takes
    /// to know. However many others are held so, they are not read.
    fn addresses_about(&mut self, floating: &[IpAddr]) -> Result<Vec<Address>>;

    /// The unicast routes of the main table, both families.
    fn routes(&mut self) -> Result<Vec<Route>> {
        self.routes_in(MAIN_TABLE)
    }

    /// The unicast routes of a table, both families. A table that does not exist has none.
    fn routes_in(&mut self, table: u32) -> Result<Vec<Route>>;

    /// The policy rules that select by a source address and by nothing else, both families.
    fn policy_rules(&mut self) -> Result<Vec<PolicyRule>>;

    /// What may have changed of links, addresses, routes and forwarding since this was last called,
    /// other than by this handle (whose own changes of links and sysctls may count).
    /// [`News::Everything`] at the first call and whenever it cannot be known.
    fn news(&mut self) -> Result<News>;

    /// Whether there is any news.
    fn changed(&mut self) -> Result<bool> {
        Ok(self.news()? != News::Nothing)
    }

    /// Makes the changes in order; one that fails does not stop the others. The inner results
    /// are the kernel's, in the same order.
    fn change_addresses(&mut self, changes: &[AddressChange]) -> Result<Vec<io::Result<()>>>;

    /// Has the kernel look for whoever has the addresses now: ordinary ARP requests or neighbour
    /// solicitations, from the host's own address. Whoever waits for one hears in it that this host
    /// has it no more ([`Deed::Seeks`]); and what is still sent to this host goes on to its successor
    /// as soon as there is one.
    fn seek(&mut self, link: u32, addresses: &[IpAddr]) -> Result<()>;

    /// Creates a link, or a pair.
    fn create_link(&mut self, link: &NewLink) -> Result<()>;

    /// Deletes the link (and the peer of a pair).
    fn delete_link(&mut self, index: u32) -> Result<()>;

    /// Changes a link.
    fn change_link(&mut self, index: u32, change: &LinkChange) -> Result<()>;

    /// Adds a route to the main table, or replaces the one to the same destination with the same
    /// metric.
    fn replace_route(&mut self, route: &Route) -> Result<()> {
        self.replace_route_in(MAIN_TABLE, route)
    }

    /// The same in another table.
    fn replace_route_in(&mut self, table: u32, route: &Route) -> Result<()>;

    /// Deletes a route; `ESRCH` if the table has no such.
    fn delete_route_in(&mut self, table: u32, route: &Route) -> Result<()>;

    /// Adds a policy rule; `EEXIST` if there is one that is equal, tag included.
    fn add_policy_rule(&mut self, rule: &PolicyRule) -> Result<()>;

    /// Deletes a policy rule, `ours` only if it bears the tag; `ENOENT` if there is no such.
    fn delete_policy_rule(&mut self, rule: &PolicyRule) -> Result<()>;

    /// The value of a sysctl, by its path below `/proc/sys` (`net/ipv4/ip_forward`); none if the
    /// kernel has no such.
    fn sysctl(&mut self, path: &str) -> Result<Option<String>>;

    /// Sets a sysctl.
    fn set_sysctl(&mut self, path: &str, value: &str) -> Result<()>;
}

/// The packet filter (nf_tables).
pub trait Nft {
    /// Our table, and of the others what matters to us, all of one generation.
    fn snapshot(&mut self) -> Result<Snapshot>;

    /// The same, and the counters, of one time.
    fn snapshot_counted(&mut self) -> Result<(Snapshot, Vec<Counter>)> {
        Ok((self.snapshot()?, self.counters()?))
    }

    /// Our table and the others', with no more of the elements than this change has to know of
    /// ([`crate::nat::elements_about`]).
    fn snapshot_about(&mut self, about: &About) -> Result<Snapshot> {
        let _ = about;
        self.snapshot()
    }

    /// The present generation of the ruleset: it counts every transaction of anybody.
    fn generation(&mut self) -> Result<u32>;

    /// The packets and bytes that each floating address (or port of it) has received.
    fn counters(&mut self) -> Result<Vec<Counter>>;

    /// Makes all the changes in one transaction, or none of them: [`Commit::Stale`] if the ruleset
    /// is no longer of this generation.
    fn commit(&mut self, changes: &Changes, generation: u32) -> Result<Commit>;

    /// Tables of the legacy iptables that this host has in use, as `filter`
    /// (`/proc/net/ip_tables_names`).
    fn legacy_tables(&mut self) -> Result<Vec<String>>;
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// All changes are in force. The generation is the next one.
    Done,
    /// Someone else changed the ruleset first; nothing was done.
    Stale,
}

/// What a map element has counted: packets that arrived for a floating address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// The element.
    pub key: crate::nat::Key,
    /// Packets received.
    pub packets: u64,
    /// Bytes received, with IP headers.
    pub bytes: u64,
}

/// Flows of a floating address, as connection tracking knows them, translated or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flows {
    /// The floating address.
    pub floating: IpAddr,
    /// Which of its flows.
    pub which: Which,
}

/// A selection of the flows of a floating address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// To any port or protocol except these, and those that the workload started.
    Except(Vec<(Protocol, u16)>),
    /// To these ports.
    Only(Vec<(Protocol, u16)>),
    /// Those that the workload started: translated to have the floating address as source.
    Outbound,
}

/// Connection tracking.
pub trait Conntrack {
    /// Forgets the flows, both directions, every protocol.
    fn forget(&mut self, flows: &[Flows]) -> Result<()>;

    /// Forgets the connections that are not translated as they should be. All connections are
    /// looked at.
    fn forget_strays(&mut self, strays: &Strays) -> Result<()>;
}

/// Who was heard using an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The index of the link on which it was heard.
    pub link: u32,
    /// The address.
    pub address: IpAddr,
    /// The hardware address of the host that has it or wants it.
    pub mac: Mac,
    /// What that host did.
    pub deed: Deed,
}

/// What a host that was heard has to do with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It has the address: it answers for it, or announces it.
    Holds,
    /// It does not have the address (yet): it probes for it, as one does before claiming.
    Probes,
    /// It looks for the address as for any neighbour. So it does not have it, or no longer.
    Seeks,
}

/// The neighbours on a link: ARP (RFC 826, 5227) and IPv6 neighbour discovery (RFC 4861).
pub trait Wire {
    /// Asks once who has the addresses: ARP probes with sender 0.0.0.0, or neighbour
    /// solicitations from `::`.
    fn probe(&mut self, link: &Link, addresses: &[IpAddr]) -> Result<()>;

    /// The next host that is heard to have an address (an ARP packet with that sender address, a
    /// neighbour advertisement), to probe for one itself, or to look for one, before `until`. Frames
    /// that this link sent do not count; those of this host's other links do. Listening begins with the first
    /// call of `probe` on the link. None means that everything which came before `until` has been
    /// told.
    fn heard(&mut self, link: &Link, until: Instant) -> Result<Option<Sighting>>;

    /// Ends the listening on the link that `probe` began; what was not yet heard is forgotten.
    fn stop_listening(&mut self, link: &Link) -> Result<()>;

    /// Tells everybody that this link has the addresses now: gratuitous ARP as request and as
    /// reply, or unsolicited neighbour advertisements with the override flag.
    fn announce(&mut self, link: &Link, addresses: &[IpAddr]) -> Result<()>;
}

/// Something happened that may need a repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// Links, addresses, routes or forwarding changed.
    Links,
    /// The ruleset changed.
    Ruleset,
    /// A host was heard to claim an address.
    Heard(Sighting),
    /// Events were lost: look at everything.
    Lost,
    /// [`Waker::wake`] was called.
    Woken,
}

/// The stream of [`Signal`]s.
pub trait Monitor {
    /// The next signal, or none when `until` has come; no `until` waits for ever.
    fn next(&mut self, until: Option<Instant>) -> Result<Option<Signal>>;

    /// Listens to the neighbours of these links too, and of no others.
    fn listen_on(&mut self, uplinks: &[Link]) -> Result<()>;

    /// A handle that ends a wait from another thread.
    fn waker(&self) -> Waker;
}

/// Ends a [`Monitor`]'s wait from another thread or from a signal handler's thread.
#[derive(Clone)]
pub struct Waker(std::sync::Arc<dyn Fn() + Send + Sync>);

impl Waker {
    /// A waker that calls `wake`.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(std::sync::Arc::new(wake))
    }

    /// Ends the current wait, or the next one.
    pub fn wake(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethernet_addresses_print_as_they_are_read() {
        let mac: Mac = "02:00:5e:10:00:ff".parse().unwrap();
        assert_eq!(mac, Mac([2, 0, 0x5e, 0x10, 0, 0xff]));
        assert_eq!(mac.to_string(), "02:00:5e:10:00:ff");
        for bad in [
            "",
            ":",
            "02:00:5e:10:00",
            "02:00:5e:10:00:01:02",
            "2:0:5e:10:0:1",
            "+2:00:5e:10:00:01",
        ] {
            assert!(bad.parse::<Mac>().unwrap_err().is_usage(), "{bad}");
        }
    }
}
