//! rtnetlink, as the fake answers it.

use std::io;
use std::net::IpAddr;

use crate::error::{Error, Result};
use crate::kernel::{
    Address, AddressChange, Hold, Link, LinkChange, NewLink, News, PolicyRule, Route, Rtnl,
};

use super::FakeKernel;
use super::links::Network;

impl Rtnl for FakeKernel {
    fn links(&mut self) -> Result<Vec<Link>> {
        Ok(self.look(|namespace| namespace.network.links()))
    }

    fn addresses(&mut self) -> Result<Vec<Address>> {
        Ok(self.look(|namespace| namespace.network.addresses.clone()))
    }

    fn addresses_about(&mut self, floating: &[IpAddr]) -> Result<Vec<Address>> {
        let about =
            |found: &Address| found.hold == Hold::Address || floating.contains(&found.network.ip());
        Ok(self.addresses()?.into_iter().filter(about).collect())
    }

    fn routes_in(&mut self, table: u32) -> Result<Vec<Route>> {
        Ok(self.look(|namespace| namespace.network.routes(table)))
    }

    fn policy_rules(&mut self) -> Result<Vec<PolicyRule>> {
        Ok(self.look(|namespace| namespace.network.rules.clone()))
    }

    fn news(&mut self) -> Result<News> {
        let now = self.look(|namespace| namespace.links_changed);
        let same = self.seen.replace(now) == Some(now);
        Ok(if same { News::Nothing } else { News::Everything })
    }

    fn change_addresses(&mut self, changes: &[AddressChange]) -> Result<Vec<io::Result<()>>> {
        let each = |change| self.step_network(|network| network.change_address(change));
        Ok(changes.iter().map(each).collect())
    }

    /// What was looked for is noted.
    fn seek(&mut self, link: u32, addresses: &[IpAddr]) -> Result<()> {
        let place = self.place;
        let sought = addresses.iter().map(|&address| (link, address));
        self.world.change(|world| world.namespaces[place].sought.extend(sought));
        Ok(())
    }

    fn create_link(&mut self, link: &NewLink) -> Result<()> {
        if let NewLink::Veth { peer_netns: Some(netns), .. } = link
            && !self.world.lock().names.contains_key(netns)
        {
            return Err(Error::not_found("network namespace", netns));
        }
        let place = self.place;
        self.step(|world| world.create_link(place, link)).map_err(|error| {
            let name = match link {
                NewLink::Bridge { name, .. } => format!("bridge {name}"),
                NewLink::Veth { name, peer, .. } => format!("the pair of links {name} and {peer}"),
            };
            Error::kernel(format!("create {name}"), error)
        })
    }

    fn delete_link(&mut self, index: u32) -> Result<()> {
        let place = self.place;
        self.step(|world| world.delete_link(place, index))
            .map_err(|error| Error::kernel(format!("delete link number {index}"), error))
    }

    fn change_link(&mut self, index: u32, change: &LinkChange) -> Result<()> {
        let place = self.place;
        self.step(|world| world.change_link(place, index, change))
            .map_err(|error| Error::kernel(format!("change link number {index}"), error))
    }

    fn replace_route_in(&mut self, table: u32, route: &Route) -> Result<()> {
        self.step_network(|network| network.replace_route(table, route)).map_err(|error| {
            Error::kernel(format!("add the route to {}", route.destination), error)
        })
    }

    fn delete_route_in(&mut self, table: u32, route: &Route) -> Result<()> {
        self.step_network(|network| network.delete_route(table, route)).map_err(|error| {
            Error::kernel(format!("delete the route to {}", route.destination), error)
        })
    }

    fn add_policy_rule(&mut self, rule: &PolicyRule) -> Result<()> {
        let place = self.place;
        self.step(|world| world.namespaces[place].network.add_rule(rule))
            .map_err(|error| Error::kernel(format!("add the rule {rule}"), error))
    }

    fn delete_policy_rule(&mut self, rule: &PolicyRule) -> Result<()> {
        let place = self.place;
        self.step(|world| world.namespaces[place].network.delete_rule(rule))
            .map_err(|error| Error::kernel(format!("delete the rule {rule}"), error))
    }

    fn sysctl(&mut self, path: &str) -> Result<Option<String>> {
        Ok(self.look(|namespace| namespace.network.sysctls.get(path).cloned()))
    }

    fn set_sysctl(&mut self, path: &str, value: &str) -> Result<()> {
        let place = self.place;
        let result = self.step(|world| {
            let network = &mut world.namespaces[place].network;
            let forwarding = network.sysctls.set(path, value)?;
            if network.drop_disabled() || forwarding {
                world.links_changed(place);
            }
            Ok(())
        });
        result.map_err(|error| Error::kernel(format!("set sysctl {path} to {value}"), error))
    }
}

impl FakeKernel {
    /// Takes a step that changes addresses or routes here.
    fn step_network(
        &mut self,
        change: impl FnOnce(&mut Network) -> io::Result<()>,
    ) -> io::Result<()> {
        let place = self.place;
        self.step_links(|world| {
            change(&mut world.namespaces[place].network)?;
            world.links_changed(place);
            Ok(())
        })
    }
}
