//! The floating addresses on the links: which link, whether at all, put there and taken away.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::binding::LinkName;
use crate::error::{Error, Result};
use crate::kernel::{Address, AddressChange, Hold, Link, Mac, News, Route, Rtnl};
use crate::nat::Family;

use held::Held;

/// The links of a host with their addresses, and its routes, at one time.
#[derive(Debug, Clone, Default)]
pub struct Links {
    links: Vec<Link>,
    routes: Vec<Route>,
    by_address: HashMap<IpAddr, Vec<Address>>,
    /// The addresses that span a subnet, which no floating address does.
    subnets: Vec<Address>,
    held: Held,
}

impl Links {
    /// Asks the kernel.
    pub fn read(kernel: &mut impl Rtnl) -> Result<Self> {
        let mut this = Self { links: kernel.links()?, routes: kernel.routes()?, ..Self::default() };
        this.take_addresses(kernel.addresses()?);
        Ok(this)
    }

    /// Asks the kernel what it takes to know to bind these, or to unbind them.
    ///
    /// # Errors
    /// If the kernel cannot be read.
    pub fn read_about(kernel: &mut impl Rtnl, floating: &[IpAddr]) -> Result<Self> {
        let mut this = Self { links: kernel.links()?, routes: kernel.routes()?, ..Self::default() };
        this.take_addresses(kernel.addresses_about(floating)?);
        Ok(this)
    }

    fn take_addresses(&mut self, addresses: Vec<Address>) {
        self.by_address.clear();
        self.subnets.clear();
        self.held.forget_addresses();
        addresses.into_iter().for_each(|address| self.insert(address));
    }

    /// Brings it up to date with what others changed since it was read, or since this was last
    /// called, and tells whether that was anything. Needs [`Rtnl::news`] to have been called before
    /// the reading.
    ///
    /// # Errors
    /// If the kernel cannot be read.
    pub fn refresh(&mut self, kernel: &mut impl Rtnl) -> Result<bool> {
        let news = kernel.news()?;
        let told = news != News::Nothing;
        match news {
            News::Nothing => {}
            News::Everything => {
                *self = Self::read(kernel)?;
                return Ok(true);
            }
            News::Some { addresses, gone, links, mut routes } => {
                addresses.iter().for_each(|change| self.note(change));
                gone.into_iter().for_each(|link| self.held.gone(link));
                if links {
                    // They are few. The addresses may be thousands, and are told one by one.
                    let before = std::mem::replace(&mut self.links, kernel.links()?);
                    self.held.links_changed(&before, &self.links);
                    routes |= self.routes.iter().any(|route| !self.keeps(route, &before));
                }
                if routes {
                    self.routes = kernel.routes()?;
                }
            }
        }
        if !self.held.is_in_doubt() {
            return Ok(told);
        }
        self.take_addresses(kernel.addresses()?);
        Ok(true)
    }

    /// Whether the link of this route is as it was before: one that goes down loses its IPv4
    /// routes, and the kernel tells nobody.
    fn keeps(&self, route: &Route, before: &[Link]) -> bool {
        let Some(index) = route.link else { return true };
        let state = |link: &Link| (link.up, link.running, link.master);
        let before = before.iter().find(|link| link.index == index).map(state);
        before == self.with_index(index).map(state)
    }

    fn insert(&mut self, address: Address) {
        self.held.count(&address);
        if u32::from(address.network.prefix()) < u32::from(Family::of(address.network.ip()).bits())
        {
            self.subnets.push(address.clone());
        }
        let list = self.by_address.entry(address.network.ip());
        // Nearly always there is one, and a list that grows has room for four.
        list.or_insert_with(|| Vec::with_capacity(1)).push(address);
    }

    /// Notes a change that was made.
    fn note(&mut self, change: &AddressChange) {
        let changed = change.address();
        let other = |found: &Address| {
            (found.link, found.network, found.hold) != (changed.link, changed.network, changed.hold)
                || (found.hold == Hold::Route && found.ours != changed.ours)
        };
        self.subnets.retain(other);
        if let Entry::Occupied(mut list) = self.by_address.entry(changed.network.ip()) {
            let same = list.get().iter().filter(|found| !other(found));
            same.for_each(|found| self.held.discount(found));
            list.get_mut().retain(other);
            if list.get().is_empty() {
                list.remove();
            }
        }
        match change {
            AddressChange::Add(address) => self.insert(address.clone()),
            AddressChange::Remove(address) => self.held.removed(address),
        }
    }

    /// Looks at whether neighbours get an answer for what the link holds by routes, unless that was
    /// looked at since the links last changed. Of a change of that alone the kernel tells nobody.
    ///
    /// # Errors
    /// If the kernel cannot be read.
    pub fn look_at(&mut self, kernel: &mut impl Rtnl, link: &Link) -> Result<()> {
        self.held.look_at(kernel, link)
    }

    /// The same for all links that hold floating addresses by routes.
    ///
    /// # Errors
    /// If the kernel cannot be read.
    pub fn look_at_holders(&mut self, kernel: &mut impl Rtnl) -> Result<()> {
        let holders = self.links.iter().filter(|link| self.held.by_routes(link.index));
        let holders: Vec<Link> = holders.cloned().collect();
        holders.iter().try_for_each(|link| self.held.look_at(kernel, link))
    }

    /// Why neighbours get no answer for what this link holds by routes, as it was last looked at;
    /// none if they do.
    pub fn mute(&self, link: &Link) -> Option<String> {
        let vrf = link.master.and_then(|master| self.with_index(master));
        if let Some(vrf) = vrf.filter(|master| master.kind.as_deref() == Some("vrf")) {
            // It has a table of its own for what is local.
            let (link, vrf) = (&link.name, &vrf.name);
            return Some(format!("{link} is in the VRF {vrf}, where local routes do not count"));
        }
        let ignore = self.held.arp_ignore(link.index)?;
        let name = &link.name;
        Some(format!(
            "{name} ignores ARP for addresses that are held by a route (arp_ignore={ignore})"
        ))
    }

    /// Whether all IPv4 addresses of this link are floating ones, of which there is one at least:
    /// with the last of them the kernel takes the link's routes away too.
    pub fn lives_by_floating(&self, link: &Link) -> bool {
        self.held.lives_by_floating(link.index)
    }

    /// Whether neighbours that ask for it are answered.
    pub fn is_answered(&self, address: &Address) -> bool {
        let link = || self.with_index(address.link);
        address.hold == Hold::Address || link().is_none_or(|link| self.mute(link).is_none())
    }

    /// The link of this name.
    pub fn named(&self, name: &LinkName) -> Option<&Link> {
        self.links.iter().find(|link| link.name == *name)
    }

    /// The link with this index.
    pub fn with_index(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// The Ethernet addresses of all links: by each of them neighbours may hear this host.
    pub fn macs(&self) -> impl Iterator<Item = Mac> {
        self.links.iter().filter(|link| !link.loopback).filter_map(|link| link.mac)
    }

    /// The links that carry this address as one of ours, however they hold it.
    pub fn carrying(&self, floating: IpAddr) -> impl Iterator<Item = &Address> {
        self.by_address.get(&floating).into_iter().flatten().filter(|address| address.ours)
    }

    /// The addresses that are the host's own.
    pub fn own(&self) -> impl Iterator<Item = IpAddr> {
        let theirs = self.by_address.iter().filter(|(_, list)| list.iter().any(|a| !a.ours));
        theirs.map(|(address, _)| *address)
    }

    /// Every floating address of ours.
    pub fn ours(&self) -> impl Iterator<Item = &Address> {
        self.by_address.values().flatten().filter(|address| address.ours)
    }

    /// Chooses the link that shall carry a floating address: the one that the user names; else
    /// the one whose subnet holds it (the longest prefix); else the one of the family's default
    /// route with the lowest metric.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a link that does not exist, [`Error::NoUplink`].
    pub fn uplink(&self, floating: IpAddr, named: Option<&LinkName>) -> Result<&Link> {
        if let Some(name) = named {
            return self.named(name).ok_or_else(|| Error::not_found("link named", name));
        }
        let on_link = self.subnet_with(floating).and_then(|address| self.with_index(address.link));
        let by_default = || {
            let defaults = self.routes.iter().filter(|route| {
                route.destination.prefix() == 0 && route.destination.is_ipv4() == floating.is_ipv4()
            });
            self.with_index(defaults.min_by_key(|route| route.metric)?.link?)
        };
        on_link.or_else(by_default).ok_or(Error::NoUplink(floating))
    }

    /// The subnets that hold an address, loopback's left out.
    fn subnets_with(&self, address: IpAddr) -> impl Iterator<Item = &Address> {
        self.subnets
            .iter()
            .filter(move |subnet| subnet.network.contains(address))
            .filter(|subnet| self.with_index(subnet.link).is_none_or(|link| !link.loopback))
    }

    /// The one of them with the longest prefix.
    fn subnet_with(&self, address: IpAddr) -> Option<&Address> {
        self.subnets_with(address).min_by_key(|subnet| Reverse(subnet.network.prefix()))
    }

    /// Refuses what this host knows to be somebody else's: its own addresses, its gateways, and
    /// the network and broadcast addresses of its subnets.
    ///
    /// # Errors
    /// [`Error::Refused`] with the reason.
    pub fn check(&self, floating: IpAddr) -> Result<()> {
        let name = |index| self.with_index(index).map_or("?", |link| link.name.as_str());
        let theirs = |address: &&Address| !address.ours;
        if let Some(own) = self.by_address.get(&floating).and_then(|list| list.iter().find(theirs))
        {
            let route = match own.hold {
                Hold::Address => "",
                Hold::Route => ", by a route of somebody else (ip route show table local)",
            };
            let why = format!("it is this host's own address on {}{route}", name(own.link));
            return Err(Error::refused(floating, why));
        }
        if let Some(route) = self.routes.iter().find(|route| route.gateway == Some(floating)) {
            let why = format!("it is the gateway of the route to {}", route.destination);
            return Err(Error::refused(floating, why));
        }
        for Address { link, network, .. } in self.subnets_with(floating) {
            // RFC 3021: a /31 has neither; IPv6 has the subnet-router anycast address.
            let point_to_point = network.prefix() + 1 == Family::of(floating).bits();
            if !point_to_point && network.network() == floating {
                let why =
                    format!("it is the network address of {} on {}", subnet(network), name(*link));
                return Err(Error::refused(floating, why));
            }
            if !point_to_point && floating.is_ipv4() && network.broadcast() == floating {
                let why = format!(
                    "it is the broadcast address of {} on {}",
                    subnet(network),
                    name(*link)
                );
                return Err(Error::refused(floating, why));
            }
        }
        Ok(())
    }

    /// The subnets of all links.
    pub fn subnets(&self) -> impl Iterator<Item = IpNetwork> {
        self.subnets.iter().map(|own| subnet(&own.network))
    }

    /// The subnets of the link.
    pub fn subnets_of(&self, link: u32) -> impl Iterator<Item = IpNetwork> {
        self.subnets.iter().filter(move |own| own.link == link).map(|own| subnet(&own.network))
    }

    /// The links by which a default route leads, of either family.
    pub fn outward(&self) -> impl Iterator<Item = &Link> {
        let defaults = self.routes.iter().filter(|route| route.destination.prefix() == 0);
        let indexes: BTreeSet<u32> = defaults.filter_map(|route| route.link).collect();
        indexes.into_iter().filter_map(|index| self.with_index(index))
    }

    /// The subnet of this host that holds a fixed address.
    pub fn network_of(&self, fixed: IpAddr) -> Option<IpNetwork> {
        self.subnet_with(fixed).map(|address| subnet(&address.network))
    }

    /// The link by which a fixed address is reached, unless only by a default route.
    pub fn toward(&self, fixed: IpAddr) -> Option<&Link> {
        let own = self.by_address.get(&fixed).and_then(|list| list.first()).map(|own| own.link);
        let on_link = || self.subnet_with(fixed).map(|address| address.link);
        let routed = || {
            let routes = self.routes.iter().filter(|route| {
                route.destination.prefix() > 0 && route.destination.contains(fixed)
            });
            routes.max_by_key(|route| route.destination.prefix())?.link
        };
        own.or_else(on_link).or_else(routed).and_then(|index| self.with_index(index))
    }
}

fn subnet(network: &IpNetwork) -> IpNetwork {
    IpNetwork::new(network.network(), network.prefix()).unwrap_or(*network)
}

/// A floating address for a link.
pub fn floating_address(link: u32, floating: IpAddr, hold: Hold) -> Address {
    Address { link, network: IpNetwork::from(floating), ours: true, hold }
}

/// Puts floating addresses on links and takes them away. Both are idempotent.
pub struct AddressBinder<'k, K> {
    kernel: &'k mut K,
    links: &'k mut Links,
}

impl<'k, K: Rtnl> AddressBinder<'k, K> {
    /// Works on this kernel; `links` is what is known of it, and is kept up to date.
    pub fn new(kernel: &'k mut K, links: &'k mut Links) -> Self {
        Self { kernel, links }
    }

    /// What has to be changed so that exactly these links hold these addresses so, of all the
    /// addresses in `scope` (those that are in `wanted` too): what goes first; what comes; and then
    /// what goes of those that only change how they are held, which are answered all the time.
    pub fn plan(
        &self,
        scope: &BTreeSet<IpAddr>,
        wanted: &HashMap<IpAddr, (u32, Hold)>,
    ) -> Vec<AddressChange> {
        let mut changes = Vec::new();
        for floating in scope {
            let wanted = wanted.get(floating).copied();
            for address in self.links.carrying(*floating) {
                if Some((address.link, address.hold)) != wanted {
                    changes.push(AddressChange::Remove(address.clone()));
                }
            }
            if let Some((link, hold)) = wanted
                && !self.links.carrying(*floating).any(|a| (a.link, a.hold) == (link, hold))
            {
                changes.push(AddressChange::Add(floating_address(link, *floating, hold)));
            }
        }
        let stays = |address: &Address| {
            wanted.get(&address.network.ip()).is_some_and(|(link, _)| *link == address.link)
        };
        changes.sort_by_key(|change| match change {
            AddressChange::Remove(address) => (if stays(address) { 2 } else { 0 }, address.network),
            AddressChange::Add(address) => (1, address.network),
        });
        changes
    }

    /// Makes the changes. What is already so is no error.
    ///
    /// # Errors
    /// The first change that failed; those after it are made all the same.
    pub fn change(&mut self, changes: &[AddressChange]) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut failed = None;
        for (change, result) in changes.iter().zip(self.kernel.change_addresses(changes)?) {
            match result.or_else(|error| already(change, error)) {
                Ok(()) => self.links.note(change),
                Err(error) => {
                    failed.get_or_insert(Error::kernel(self.describe(change), error));
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// As `ip` would be told: `add address 192.0.2.1/32 dev eth0`, `add local route ...`.
    pub fn describe(&self, change: &AddressChange) -> String {
        let (verb, address) = match change {
            AddressChange::Add(address) => ("add", address),
            AddressChange::Remove(address) => ("delete", address),
        };
        let name = self.links.with_index(address.link).map(|link| link.name.to_string());
        let name = name.unwrap_or_else(|| format!("link {}", address.link));
        let what = match address.hold {
            Hold::Address => "address",
            Hold::Route => "local route",
        };
        format!("{verb} {what} {} dev {name}", address.network)
    }
}

fn already(change: &AddressChange, error: io::Error) -> io::Result<()> {
    match (change, error.raw_os_error()) {
        (AddressChange::Add(_), Some(libc::EEXIST))
        | (AddressChange::Remove(_), Some(libc::EADDRNOTAVAIL | libc::ENODEV | libc::ESRCH)) => {
            Ok(())
        }
        _ => Err(error),
    }
}

mod held;

#[cfg(test)]
mod tests;
