//! rtnetlink, as the fake answers it.

use std::io;

use crate::error::{Error, Result};
use crate::kernel::{Address, AddressChange, Link, LinkChange, NewLink, Route, Rtnl};

use super::FakeKernel;

impl Rtnl for FakeKernel {
    fn links(&mut self) -> Result<Vec<Link>> {
        Ok(self.look(|namespace| namespace.network.links()))
    }

    fn addresses(&mut self) -> Result<Vec<Address>> {
        Ok(self.look(|namespace| namespace.network.addresses.clone()))
    }

    fn routes(&mut self) -> Result<Vec<Route>> {
        Ok(self.look(|namespace| namespace.network.routes()))
    }

    fn changed(&mut self) -> Result<bool> {
        let now = self.look(|namespace| namespace.links_changed);
        Ok(self.seen.replace(now) != Some(now))
    }

    fn change_addresses(&mut self, changes: &[AddressChange]) -> Result<Vec<io::Result<()>>> {
        let place = self.place;
        let each = |change| {
            self.step_links(|world| {
                world.namespaces[place].network.change_address(change)?;
                world.links_changed(place);
                Ok(())
            })
        };
        Ok(changes.iter().map(each).collect())
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

    fn replace_route(&mut self, route: &Route) -> Result<()> {
        let place = self.place;
        let result = self.step_links(|world| {
            world.namespaces[place].network.replace_route(route)?;
            world.links_changed(place);
            Ok(())
        });
        result.map_err(|error| {
            Error::kernel(format!("add the route to {}", route.destination), error)
        })
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
