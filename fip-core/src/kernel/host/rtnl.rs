//! Links, addresses, routes and policy rules of the real kernel: rtnetlink(7).

mod address;
mod in_force;
mod link;
mod listener;
mod local;
mod message;
mod neighbour;
mod route;
mod rule;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;

pub(super) use self::listener::Listener;
use self::local::Answer;
use super::socket::Socket;
use super::sysctl;
use crate::binding::LinkName;
use crate::error::{Error, Result};
use crate::kernel::{
    Address, AddressChange, Hold, Link, LinkChange, NewLink, News, PolicyRule, Route,
};
use crate::netns::{NetNs, run_in};

/// The protocol that marks an address (`IFA_PROTO`, Linux 5.18), a local route (`rtm_protocol`) or
/// a policy rule (`FRA_PROTOCOL`, Linux 4.17) as ours. The kernel itself uses 1 to 3 for addresses
/// and 2 for the others; this one is not assigned to anybody (`linux/rtnetlink.h`,
/// `/etc/iproute2/rt_protos`).
const FIP_PROTOCOL: u8 = 0xf1;

/// How many requests go into one datagram. The answers, one datagram each, must fit the receive
/// buffer.
const REQUESTS: usize = 64;

/// What [`crate::kernel::Rtnl`] asks, of the real kernel, in one network namespace.
pub(super) struct RtnlSocket {
    socket: Socket,
    listener: Option<Listener>,
    /// The namespace, unless it is the one of the thread that opened this.
    netns: Option<OwnedFd>,
    /// The link that addresses were last added to, with its name, which is part of their label.
    labelled: Option<(u32, LinkName)>,
}

/// Opens the sockets, in another namespace if one is given.
pub(super) fn open(netns: Option<&NetNs>) -> Result<RtnlSocket> {
    let netns = netns.map(NetNs::open).transpose()?;
    let socket = within(netns.as_ref(), || Socket::open(NETLINK_ROUTE))
        .map_err(|error| Error::kernel("open an rtnetlink socket", error))?;
    // Without it (before Linux 4.20) the kernel sends more than was asked for, and we drop it.
    let _ = socket.check_strictly();
    Ok(RtnlSocket { socket, listener: None, netns, labelled: None })
}

/// A socket that hears of every change in this namespace from now on.
pub(super) fn monitor_socket(netns: Option<&NetNs>) -> Result<Listener> {
    let netns = netns.map(NetNs::open).transpose()?;
    within(netns.as_ref(), || Listener::open(None))
        .map_err(|error| Error::kernel("listen to rtnetlink", error))
}

impl RtnlSocket {
    pub(super) fn links(&mut self) -> Result<Vec<Link>> {
        self.socket
            .dump(&link::dump(), |message| link::decode(&message))
            .map_err(|error| Error::kernel("list links", error))
    }

    pub(super) fn addresses(&mut self) -> Result<Vec<Address>> {
        let mut list = self.of_links()?;
        list.extend(self.held_by_routes(None)?);
        Ok(list)
    }

    pub(super) fn addresses_about(&mut self, floating: &[IpAddr]) -> Result<Vec<Address>> {
        let mut list = self.of_links()?;
        for &ip in floating.iter().filter(|ip| ip.is_ipv4()) {
            match self.route_to(ip)? {
                Answer::Elsewhere => {}
                Answer::Route(address) => list.push(address),
                // Where a link has the address, one of ours may come after the kernel's own route.
                Answer::Address => {
                    let ours = self.held_by_routes(Some(FIP_PROTOCOL))?;
                    list.extend(ours.into_iter().filter(|address| address.network.ip() == ip));
                }
            }
        }
        Ok(list)
    }

    /// The addresses that links have as such.
    fn of_links(&mut self) -> Result<Vec<Address>> {
        self.socket
            .dump(&address::dump(), |message| address::decode(&message))
            .map_err(|error| Error::kernel("list addresses", error))
    }

    /// The addresses that are held by routes, of this protocol or of any.
    fn held_by_routes(&mut self, protocol: Option<u8>) -> Result<Vec<Address>> {
        match self.socket.dump(&local::dump(protocol), |message| local::decode(&message)) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(Vec::new()),
            held => held.map_err(|error| Error::kernel("list local routes", error)),
        }
    }

    /// By which route the kernel would deliver packets to the address.
    fn route_to(&mut self, ip: IpAddr) -> Result<Answer> {
        match self.socket.get(local::lookup(ip), |message| Some(local::answer(&message))) {
            Ok(answer) => Ok(answer.unwrap_or(Answer::Elsewhere)),
            Err(error) if local::leads_nowhere(&error) => Ok(Answer::Elsewhere),
            Err(error) => Err(Error::kernel(format!("look up the route to {ip}"), error)),
        }
    }

    pub(super) fn routes(&mut self, table: u32) -> Result<Vec<Route>> {
        let mut routes = Vec::new();
        for family in route::FAMILIES {
            let request = route::dump(family, table);
            match self.socket.dump(&request, |m| route::decode(&m, family, table)) {
                Ok(list) => routes.extend(list),
                // A table does not exist before its first route.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => return Err(Error::kernel("list routes", error)),
            }
        }
        Ok(routes)
    }

    pub(super) fn policy_rules(&mut self) -> Result<Vec<PolicyRule>> {
        let mut rules = Vec::new();
        for family in route::FAMILIES {
            match self.socket.dump(&rule::dump(family), |m| rule::decode(&m, family)) {
                Ok(list) => rules.extend(list),
                // A kernel without IPv6, or without policy rules.
                Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {}
                Err(error) => return Err(Error::kernel("list policy rules", error)),
            }
        }
        Ok(rules)
    }

    pub(super) fn news(&mut self) -> Result<News> {
        let news = match &mut self.listener {
            Some(listener) => listener.drain(),
            None => {
                let own = self.socket.port();
                within(self.netns.as_ref(), || Listener::open(Some(own))).map(|listener| {
                    self.listener = Some(listener);
                    News::Everything
                })
            }
        };
        let news = news.map_err(|error| Error::kernel("listen to rtnetlink", error))?;
        if matches!(news, News::Everything | News::Some { links: true, .. }) {
            self.labelled = None;
        }
        Ok(news)
    }

    pub(super) fn change_addresses(
        &mut self,
        changes: &[AddressChange],
    ) -> Result<Vec<io::Result<()>>> {
        let mut results = Vec::with_capacity(changes.len());
        for changes in changes.chunks(REQUESTS) {
            let mut requests = Vec::with_capacity(changes.len());
            for change in changes {
                requests.push(match change.address().hold {
                    Hold::Address => {
                        let name = self.link_name(change)?;
                        address::change(change, name.map(LinkName::as_str))
                    }
                    Hold::Route => local::change(change),
                });
            }
            let answers = self.socket.request(requests);
            let answers = answers.map_err(|error| Error::kernel("change addresses", error))?;
            if let Some(listener) = &mut self.listener {
                let made = changes.iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
                made.for_each(|(change, _)| listener.expect(change));
            }
            self.wait_until_in_force(changes, &answers)
                .map_err(|error| Error::kernel("look up a route", error))?;
            results.extend(answers);
        }
        Ok(results)
    }

    /// The name of the link, where the change needs it for a label.
    fn link_name(&mut self, change: &AddressChange) -> Result<Option<&LinkName>> {
        let AddressChange::Add(Address { link, ours: true, network, .. }) = change else {
            return Ok(None);
        };
        if network.is_ipv6() {
            return Ok(None);
        }
        if self.labelled.as_ref().is_none_or(|(index, _)| index != link) {
            let found = self.links()?.into_iter().find(|l| l.index == *link);
            self.labelled = found.map(|found| (*link, found.name));
        }
        Ok(self.labelled.as_ref().map(|(_, name)| name))
    }

    /// See [`crate::kernel::Wire::seek`].
    pub(super) fn seek(&mut self, link: u32, addresses: &[IpAddr]) -> Result<()> {
        let requests = addresses.iter().flat_map(|&address| neighbour::seek(link, address));
        let answers = self.socket.request(requests);
        let answers = answers.and_then(|answers| {
            // Of each two the first forgets, perhaps what was not known.
            answers.into_iter().skip(1).step_by(2).collect()
        });
        answers.map_err(|error| Error::kernel("look for neighbours", error))
    }

    pub(super) fn create_link(&mut self, link: &NewLink) -> Result<()> {
        match link {
            NewLink::Bridge { name, mtu } => self.create_bridge(name, *mtu),
            NewLink::Veth { name, peer, peer_mac, peer_netns, mtu } => {
                let netns = peer_netns.as_ref().map(NetNs::open).transpose()?;
                let netns = netns.as_ref().map(AsRawFd::as_raw_fd);
                let message = link::veth(name, peer, *peer_mac, netns, *mtu);
                self.send(message, NLM_F_CREATE | NLM_F_EXCL).map_err(|error| {
                    Error::kernel(format!("create the pair of links {name} and {peer}"), error)
                })
            }
        }
    }

    /// An MTU that is given at creation counts as the kernel's choice, and the kernel changes it
    /// when ports come and go; one that is set afterwards stays.
    fn create_bridge(&mut self, name: &LinkName, mtu: u32) -> Result<()> {
        self.send(link::bridge(name), NLM_F_CREATE | NLM_F_EXCL)
            .map_err(|error| Error::kernel(format!("create bridge {name}"), error))?;
        let found = self.links()?.into_iter().find(|link| link.name == *name);
        let found = found.ok_or_else(|| Error::not_found("link", name))?;
        self.change_link(found.index, &LinkChange::Mtu(mtu))
    }

    pub(super) fn delete_link(&mut self, index: u32) -> Result<()> {
        self.about_link(index, link::delete(index), |name| format!("delete link {name}"))
    }

    pub(super) fn change_link(&mut self, index: u32, change: &LinkChange) -> Result<()> {
        self.about_link(index, link::change(index, change), |name| match change {
            LinkChange::Up(true) => format!("set link {name} up"),
            LinkChange::Up(false) => format!("set link {name} down"),
            LinkChange::Mtu(mtu) => format!("set the MTU of link {name} to {mtu}"),
            LinkChange::Master(Some(master)) => format!("make link {name} a port of link {master}"),
            LinkChange::Master(None) => format!("release link {name} from its bridge"),
            LinkChange::Mac(mac) => format!("set the Ethernet address of link {name} to {mac}"),
            LinkChange::Hairpin(_) => format!("set the hairpin mode of link {name}"),
        })
    }

    /// Makes a request about a link. Only if it fails the link's name is looked up, to say which.
    fn about_link(
        &mut self,
        index: u32,
        message: RouteNetlinkMessage,
        operation: impl FnOnce(&str) -> String,
    ) -> Result<()> {
        let Err(error) = self.send(message, 0) else {
            return Ok(());
        };
        let link = self.links().ok().and_then(|l| l.into_iter().find(|l| l.index == index));
        let name = link.map_or_else(|| format!("number {index}"), |link| link.name.to_string());
        Err(Error::kernel(operation(&name), error))
    }

    pub(super) fn replace_route(&mut self, table: u32, route: &Route) -> Result<()> {
        self.send(route::new(route, table), NLM_F_CREATE | NLM_F_REPLACE).map_err(|error| {
            Error::kernel(format!("add the route to {}", route.destination), error)
        })
    }

    pub(super) fn delete_route(&mut self, table: u32, route: &Route) -> Result<()> {
        self.send(route::delete(route, table), 0).map_err(|error| {
            Error::kernel(format!("delete the route to {}", route.destination), error)
        })
    }

    pub(super) fn add_policy_rule(&mut self, rule: &PolicyRule) -> Result<()> {
        // Without NLM_F_EXCL the kernel takes the same rule again and again.
        self.send(rule::new(rule), NLM_F_CREATE | NLM_F_EXCL)
            .map_err(|error| Error::kernel(format!("add the rule {rule}"), error))
    }

    pub(super) fn delete_policy_rule(&mut self, rule: &PolicyRule) -> Result<()> {
        self.send(rule::delete(rule), 0)
            .map_err(|error| Error::kernel(format!("delete the rule {rule}"), error))
    }

    pub(super) fn sysctl(&mut self, path: &str) -> Result<Option<String>> {
        within(self.netns.as_ref(), || sysctl::read(path))
            .map_err(|error| Error::kernel(format!("read sysctl {path}"), error))
    }

    pub(super) fn set_sysctl(&mut self, path: &str, value: &str) -> Result<()> {
        within(self.netns.as_ref(), || sysctl::write(path, value))
            .map_err(|error| Error::kernel(format!("set sysctl {path} to {value}"), error))
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.socket.request([(message, flags)])?.into_iter().collect()
    }
}

/// Runs the closure in the namespace, if one is given.
fn within<T: Send>(
    netns: Option<&OwnedFd>,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    match netns {
        Some(netns) => run_in(netns.as_fd(), work)?,
        None => work(),
    }
}
