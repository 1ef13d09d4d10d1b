//! The floating addresses on the links: which link, whether at all, put there and taken away.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::binding::LinkName;
use crate::error::{Error, Result};
use crate::kernel::{Address, AddressChange, Link, Mac, News, Route, Rtnl};
use crate::nat::Family;

/// The links of a host with their addresses, and its routes, at one time.
#[derive(Debug, Clone, Default)]
pub struct Links {
    links: Vec<Link>,
    routes: Vec<Route>,
    by_address: HashMap<IpAddr, Vec<Address>>,
    /// The addresses that span a subnet, which no floating address does.
    subnets: Vec<Address>,
}

impl Links {
    /// Asks the kernel.
    pub fn read(kernel: &mut impl Rtnl) -> Result<Self> {
        let mut this = Self { links: kernel.links()?, routes: kernel.routes()?, ..Self::default() };
        kernel.addresses()?.into_iter().for_each(|address| this.insert(address));
        Ok(this)
    }

    /// Brings it up to date with what others changed since it was read, or since this was last
    /// called, and tells whether that was anything. Needs [`Rtnl::news`] to have been called before
    /// the reading.
    ///
    /// # Errors
    /// If the kernel cannot be read.
    pub fn refresh(&mut self, kernel: &mut impl Rtnl) -> Result<bool> {
        match kernel.news()? {
            News::Nothing => return Ok(false),
            News::Everything => *self = Self::read(kernel)?,
            News::Some { addresses, others } => {
                addresses.iter().for_each(|change| self.note(change));
                if others {
                    // They are few. The addresses may be thousands, and are told one by one.
                    self.links = kernel.links()?;
                    self.routes = kernel.routes()?;
                }
            }
        }
        Ok(true)
    }

    fn insert(&mut self, address: Address) {
        if u32::from(address.network.prefix()) < u32::from(Family::of(address.network.ip()).bits())
        {
            self.subnets.push(address.clone());
        }
        self.by_address.entry(address.network.ip()).or_default().push(address);
    }

    /// Notes a change that was made.
    fn note(&mut self, change: &AddressChange) {
        let changed = change.address();
        let other =
            |found: &Address| found.link != changed.link || found.network != changed.network;
        self.subnets.retain(other);
        if let Entry::Occupied(mut list) = self.by_address.entry(changed.network.ip()) {
            list.get_mut().retain(other);
            if list.get().is_empty() {
                list.remove();
            }
        }
        if let AddressChange::Add(address) = change {
            self.insert(address.clone());
        }
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

    /// The links that carry this address as one of ours.
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
            let why = format!("it is this host's own address on {}", name(own.link));
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
pub fn floating_address(link: u32, floating: IpAddr) -> Address {
    Address { link, network: IpNetwork::from(floating), ours: true }
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

    /// What has to be changed so that exactly these links carry these addresses, of all the
    /// addresses in `scope` (those that are in `wanted` too).
    pub fn plan(
        &self,
        scope: &HashSet<IpAddr>,
        wanted: &HashMap<IpAddr, u32>,
    ) -> Vec<AddressChange> {
        let mut changes = Vec::new();
        for floating in scope {
            let wanted = wanted.get(floating);
            for address in self.links.carrying(*floating) {
                if Some(&address.link) != wanted {
                    changes.push(AddressChange::Remove(address.clone()));
                }
            }
            if let Some(&link) = wanted
                && !self.links.carrying(*floating).any(|address| address.link == link)
            {
                changes.push(AddressChange::Add(floating_address(link, *floating)));
            }
        }
        changes.sort_by_key(|change| match change {
            AddressChange::Remove(address) => (false, address.network.ip()),
            AddressChange::Add(address) => (true, address.network.ip()),
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

    /// As `ip` would be told: `add address 192.0.2.1/32 dev eth0`.
    pub fn describe(&self, change: &AddressChange) -> String {
        let (verb, address) = match change {
            AddressChange::Add(address) => ("add", address),
            AddressChange::Remove(address) => ("delete", address),
        };
        let name = self.links.with_index(address.link).map(|link| link.name.to_string());
        let name = name.unwrap_or_else(|| format!("link {}", address.link));
        format!("{verb} address {} dev {name}", address.network)
    }
}

fn already(change: &AddressChange, error: io::Error) -> io::Result<()> {
    match (change, error.raw_os_error()) {
        (AddressChange::Add(_), Some(libc::EEXIST))
        | (AddressChange::Remove(_), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests;
