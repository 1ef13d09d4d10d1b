//! Addresses, routes and policy rules in memory.

use std::io;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::kernel::{Address, AddressChange, Hold, Link, MAIN_TABLE, PolicyRule, Route};
use crate::nat::Family;

use super::links::Network;
use super::world::errno;

/// The metrics that IPv6 gives a route: to a subnet, and one that named none
/// (`IP6_RT_PRIO_ADDRCONF`, `IP6_RT_PRIO_USER` in `linux/ipv6_route.h`).
const METRIC_SUBNET6: u32 = 256;
const METRIC_DEFAULT6: u32 = 1024;

impl Network {
    pub(super) fn change_address(&mut self, change: &AddressChange) -> io::Result<()> {
        match change {
            AddressChange::Add(address) => self.add_address(address),
            AddressChange::Remove(address) => self.remove_address(address),
        }
    }

    fn add_address(&mut self, address: &Address) -> io::Result<()> {
        let link = &self.find(address.link)?.link;
        if address.network.is_ipv6() && self.sysctls.ipv6_disabled(&link.name) {
            return Err(errno(libc::EACCES));
        }
        // IPv4 takes one address with several prefix lengths.
        let same = |other: &Address| match address.hold {
            Hold::Route => other == address,
            Hold::Address => {
                (other.link, other.hold) == (address.link, address.hold)
                    && other.network.ip() == address.network.ip()
                    && (address.network.is_ipv6() || other.network == address.network)
            }
        };
        if self.addresses.iter().any(same) {
            return Err(errno(libc::EEXIST));
        }
        self.addresses.push(address.clone());
        Ok(())
    }

    fn remove_address(&mut self, address: &Address) -> io::Result<()> {
        let same = |other: &Address| match address.hold {
            Hold::Route => other == address,
            Hold::Address => {
                (other.link, other.hold) == (address.link, address.hold)
                    && other.network == address.network
            }
        };
        let at = self.addresses.iter().position(same);
        if address.hold == Hold::Route {
            self.addresses.remove(at.ok_or_else(|| errno(libc::ESRCH))?);
            return Ok(());
        }
        self.find(address.link)?;
        let removed = self.addresses.remove(at.ok_or_else(|| errno(libc::EADDRNOTAVAIL))?);
        let mut of_link = self.addresses.iter().filter(|other| other.link == removed.link);
        if removed.network.is_ipv4()
            && !of_link.any(|other| other.hold == Hold::Address && other.network.is_ipv4())
        {
            self.flush(removed.link);
        }
        Ok(())
    }

    /// What a link loses that has no IPv4 address any more: every IPv4 route.
    fn flush(&mut self, link: u32) {
        self.addresses.retain(|address| address.link != link || address.hold == Hold::Address);
        let stays = |route: &Route| route.link != Some(link) || route.destination.is_ipv6();
        self.routes.retain(|(_, route)| stays(route));
    }

    /// Whether neighbours that ask for the address are answered on this link.
    pub(super) fn answers(&self, link: &Link, address: IpAddr) -> bool {
        let has = |hold| {
            let is = |found: &&Address| found.network.ip() == address && found.hold == hold;
            self.addresses
                .iter()
                .filter(is)
                .any(|found| address.is_ipv4() || found.link == link.index)
        };
        let here = |found: &Address| {
            found.network.ip() == address && found.hold == Hold::Address && found.link == link.index
        };
        match self.sysctls.arp_ignore(&link.name) {
            _ if address.is_ipv6() => has(Hold::Address),
            0 => has(Hold::Address) || has(Hold::Route),
            _ => self.addresses.iter().any(here),
        }
    }

    /// Takes away the IPv6 addresses of links on which IPv6 is disabled; whether there were any.
    pub(super) fn drop_disabled(&mut self) -> bool {
        let Self { links, addresses, sysctls, .. } = self;
        let before = addresses.len();
        addresses.retain(|address| {
            let link = links.iter().find(|link| link.link.index == address.link);
            address.network.is_ipv4()
                || link.is_none_or(|link| !sysctls.ipv6_disabled(&link.link.name))
        });
        addresses.len() < before
    }

    /// All routes of a table.
    pub(super) fn routes(&self, table: u32) -> Vec<Route> {
        let is_main = |address: &&Address| table == MAIN_TABLE && address.hold == Hold::Address;
        let subnets = self.addresses.iter().filter(is_main);
        let added = self.routes.iter().filter(|(of, _)| *of == table);
        subnets
            .filter_map(|address| self.subnet_route(address))
            .chain(added.map(|(_, route)| route.clone()))
            .collect()
    }

    /// The route that an address makes, as long as its link is up.
    fn subnet_route(&self, address: &Address) -> Option<Route> {
        let link = &self.find(address.link).ok()?.link;
        let network = address.network;
        let (v4, bits) = (network.is_ipv4(), Family::of(network.ip()).bits());
        // Those of IPv4 to oneself are in the local table.
        let main = !v4 || (!link.loopback && network.prefix() < bits);
        (link.up && main && !address.ours).then_some(Route {
            destination: IpNetwork::new(network.network(), network.prefix()).unwrap_or(network),
            gateway: None,
            link: Some(address.link),
            metric: if v4 { 0 } else { METRIC_SUBNET6 },
        })
    }

    pub(super) fn replace_route(&mut self, table: u32, route: &Route) -> io::Result<()> {
        let v6 = route.destination.is_ipv6();
        let unreachable = || errno(if v6 { libc::EHOSTUNREACH } else { libc::ENETUNREACH });
        let link = match (route.link, route.gateway) {
            (Some(link), _) => link,
            (None, Some(gateway)) => self.link_toward(gateway, None).ok_or_else(unreachable)?,
            (None, None) => return Err(errno(libc::ENODEV)),
        };
        match self.find(link) {
            Ok(found) if found.link.up => {}
            // IPv4 looks for the next hop first.
            _ if !v6 && route.gateway.is_some() => return Err(unreachable()),
            found => return Err(found.err().unwrap_or_else(|| errno(libc::ENETDOWN))),
        }
        let reached = |gateway| self.link_toward(gateway, Some(link)).is_some();
        if !route.gateway.is_none_or(reached) {
            return Err(unreachable());
        }
        let metric = if v6 && route.metric == 0 { METRIC_DEFAULT6 } else { route.metric };
        let destination = route.destination;
        self.routes
            .retain(|(of, old)| (*of, old.destination, old.metric) != (table, destination, metric));
        self.routes.push((table, Route { link: Some(link), metric, ..route.clone() }));
        Ok(())
    }

    /// Deletes a route that somebody added. What it leaves open, it does not select by.
    pub(super) fn delete_route(&mut self, table: u32, route: &Route) -> io::Result<()> {
        let same = |(of, found): &(u32, Route)| {
            *of == table
                && found.destination == route.destination
                && (route.metric == 0 || found.metric == route.metric)
                && (route.gateway.is_none() || found.gateway == route.gateway)
                && (route.link.is_none() || found.link == route.link)
        };
        let at = self.routes.iter().position(same).ok_or_else(|| errno(libc::ESRCH))?;
        self.routes.remove(at);
        Ok(())
    }

    pub(super) fn add_rule(&mut self, rule: &PolicyRule) -> io::Result<()> {
        if self.rules.contains(rule) {
            return Err(errno(libc::EEXIST));
        }
        self.rules.push(rule.clone());
        Ok(())
    }

    /// Deletes the first rule that is so; one that is ours only if that is asked for.
    pub(super) fn delete_rule(&mut self, rule: &PolicyRule) -> io::Result<()> {
        let same = |found: &PolicyRule| {
            let other = PolicyRule { ours: rule.ours, ..found.clone() } != *rule;
            !other && (found.ours || !rule.ours)
        };
        let at = self.rules.iter().position(same).ok_or_else(|| errno(libc::ENOENT))?;
        self.rules.remove(at);
        Ok(())
    }

    /// The link, if `link` allows it, on whose subnet the gateway is.
    fn link_toward(&self, gateway: IpAddr, link: Option<u32>) -> Option<u32> {
        let link_local = matches!(gateway, IpAddr::V6(a) if a.is_unicast_link_local());
        let on_link = self.addresses.iter().filter_map(|address| self.subnet_route(address));
        let mut found = on_link.filter(|route| route.destination.contains(gateway));
        let found = found.find(|route| link.is_none() || route.link == link);
        found.and_then(|route| route.link).or(link.filter(|_| link_local))
    }
}
