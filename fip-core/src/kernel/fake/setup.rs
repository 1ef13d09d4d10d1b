//! Setting the scene, and doing what others would do.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use ipnetwork::IpNetwork;

use crate::binding::LinkName;
use crate::error::{Error, Result};
use crate::kernel::{
    Address, AddressChange, Hold, Link, LinkChange, MAIN_TABLE, Mac, Route, Sighting,
};
use crate::netns::NetNs;

use super::FakeKernel;
use super::world::{Namespace, Shared, errno};

/// The MTU of a card.
const MTU: u32 = 1500;
/// The MTU of a loopback link.
const MTU_LOOPBACK: u32 = 65536;

/// A value that is well formed, as tests say.
fn known<T: FromStr>(text: &str) -> T {
    match text.parse() {
        Ok(value) => value,
        Err(_) => unreachable!("{text}"),
    }
}

/// An address that is not ours.
fn plain(link: u32, network: IpNetwork) -> Address {
    Address { link, network, ours: false, hold: Hold::Address }
}

impl Namespace {
    /// What every namespace has: `lo`, here already up.
    fn with_loopback() -> Self {
        let mut this = Self::default();
        let index = this.network.add(&known("lo"), None, MTU_LOOPBACK);
        for link in this.network.links.iter_mut().map(|link| &mut link.link) {
            (link.loopback, link.up, link.mac) = (true, true, Some(Mac([0; 6])));
        }
        for network in ["127.0.0.1/8", "::1/128"] {
            this.network.addresses.push(plain(index, known(network)));
        }
        this
    }

    fn link(&self, name: &LinkName) -> Result<Link> {
        let found = self.network.links().into_iter().find(|link| link.name == *name);
        found.ok_or_else(|| Error::not_found("link named", name))
    }
}

impl FakeKernel {
    /// A host like many:
    ///
    /// | link | addresses |
    /// |---|---|
    /// | `lo` | `127.0.0.1/8`, `::1/128` |
    /// | `eth0` | `192.0.2.10/24`, `2001:db8::10/64`; default routes by `.1` and `::1` |
    /// | `br0` | `172.18.0.1/16`, `2001:db8:18::1/64`; with the port `port0` |
    pub fn new() -> Self {
        let this = Self::bare();
        this.interfere(|namespace| {
            let network = &mut namespace.network;
            let card = network.add(&known("eth0"), None, MTU);
            let bridge = network.add(&known("br0"), Some("bridge"), MTU);
            let port = network.add(&known("port0"), None, MTU);
            for link in network.links.iter_mut().map(|link| &mut link.link) {
                link.up = true;
                link.master = (link.index == port).then_some(bridge);
            }
            for (link, text) in [
                (card, "192.0.2.10/24"),
                (card, "2001:db8::10/64"),
                (bridge, "172.18.0.1/16"),
                (bridge, "2001:db8:18::1/64"),
            ] {
                network.addresses.push(plain(link, known(text)));
            }
            for (text, gateway, metric) in
                [("0.0.0.0/0", "192.0.2.1", 0), ("::/0", "2001:db8::1", 1024)]
            {
                let gateway = Some(known(gateway));
                let (destination, link) = (known(text), Some(card));
                network.routes.push((MAIN_TABLE, Route { destination, gateway, link, metric }));
            }
        });
        this
    }

    /// A host with nothing but `lo`.
    pub fn bare() -> Self {
        let world = Arc::new(Shared::default());
        world.lock().namespaces.push(Namespace::with_loopback());
        Self::open(&world, 0)
    }

    /// A handle on the namespace of this name, which has nothing but `lo` if it is new.
    #[must_use]
    pub fn namespace(&self, netns: &NetNs) -> Self {
        let place = self.world.change(|world| {
            let next = world.namespaces.len();
            let place = *world.names.entry(netns.clone()).or_insert(next);
            if place == next {
                world.namespaces.push(Namespace::with_loopback());
            }
            place
        });
        self.at(place)
    }

    /// The link of this name.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn link(&self, name: &LinkName) -> Result<Link> {
        self.look(|namespace| namespace.link(name))
    }

    /// Every address of this link.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn addresses_of(&self, link: &LinkName) -> Result<Vec<Address>> {
        self.look(|namespace| {
            let index = namespace.link(link)?.index;
            let on_link = |address: &&Address| address.link == index;
            Ok(namespace.network.addresses.iter().filter(on_link).cloned().collect())
        })
    }

    /// Plugs in a card, up and running, without addresses.
    ///
    /// # Errors
    /// [`Error::Kernel`] with `EEXIST` if there is a link of that name.
    pub fn add_link(&self, name: &LinkName) -> Result<Link> {
        self.interfere(|namespace| {
            if namespace.link(name).is_ok() {
                let error = errno(libc::EEXIST);
                return Err(Error::kernel(format!("add link {name}"), error));
            }
            let index = namespace.network.add(name, None, MTU);
            namespace.links_changed += 1;
            for link in namespace.network.links.iter_mut().filter(|l| l.link.index == index) {
                link.link.up = true;
            }
            namespace.link(name)
        })
    }

    /// Pulls out a card, or deletes any other link.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn remove_link(&self, name: &LinkName) -> Result<()> {
        let index = self.link(name)?.index;
        self.world.change(|world| {
            let deleted = world.delete_link(self.place, index).is_ok();
            if !deleted && world.namespaces[self.place].network.remove(index).is_ok() {
                world.links_changed(self.place);
            }
        });
        Ok(())
    }

    /// Moves a link into the namespace of another handle on this kernel, as `ip link set LINK netns
    /// NETNS` does: it arrives down, without addresses, and is the port of no bridge.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such link, or if the handle is on another kernel; what
    /// the kernel would say.
    pub fn move_link(&self, link: &LinkName, there: &Self) -> Result<()> {
        if !Arc::ptr_eq(&self.world, &there.world) {
            return Err(Error::not_found("such network namespace", "in this kernel"));
        }
        let index = self.link(link)?.index;
        let result = self.world.change(|world| world.move_link(self.place, index, there.place));
        result.map_err(|error| Error::kernel(format!("move link {link}"), error))
    }

    /// Gives a link another name.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such link; what the kernel would say.
    pub fn rename_link(&self, link: &LinkName, name: &LinkName) -> Result<()> {
        let index = self.link(link)?.index;
        let result = self.world.change(|world| world.rename_link(self.place, index, name));
        result.map_err(|error| Error::kernel(format!("rename link {link} to {name}"), error))
    }

    /// Sets a link up or down.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn set_up(&self, name: &LinkName, up: bool) -> Result<()> {
        let index = self.link(name)?.index;
        let change = LinkChange::Up(up);
        let result = self.world.change(|world| world.change_link(self.place, index, &change));
        result.map_err(|error| Error::kernel(format!("set link {name} up or down"), error))
    }

    /// Gives a link carrier, or takes it away: a cable plugged in or pulled out.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn set_running(&self, name: &LinkName, running: bool) -> Result<()> {
        let index = self.link(name)?.index;
        self.interfere(|namespace| {
            for link in namespace.network.links.iter_mut().filter(|l| l.link.index == index) {
                link.carrier = running;
            }
            namespace.links_changed += 1;
        });
        Ok(())
    }

    /// Adds an address that is not a floating one of ours.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such link; what the kernel would say.
    pub fn add_address(&self, link: &LinkName, network: IpNetwork) -> Result<()> {
        let address = plain(self.link(link)?.index, network);
        self.address_change(AddressChange::Add(address))
    }

    /// Removes an address, ours or not.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such link; what the kernel would say.
    pub fn remove_address(&self, link: &LinkName, network: IpNetwork) -> Result<()> {
        let address = plain(self.link(link)?.index, network);
        self.address_change(AddressChange::Remove(address))
    }

    /// Makes this host take an address for its own by a local route, which is not ours.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such link; what the kernel would say.
    pub fn add_local_route(&self, link: &LinkName, address: IpAddr) -> Result<()> {
        let address = plain(self.link(link)?.index, address.into());
        self.address_change(AddressChange::Add(Address { hold: Hold::Route, ..address }))
    }

    /// Removes a local route to an address, ours or not.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such link; what the kernel would say.
    pub fn remove_local_route(&self, link: &LinkName, address: IpAddr) -> Result<()> {
        let all = self.addresses_of(link)?;
        let wanted = |found: &Address| found.network.ip() == address && found.hold == Hold::Route;
        let found = all.into_iter().find(wanted);
        let none = plain(self.link(link)?.index, address.into());
        let none = Address { hold: Hold::Route, ..none };
        self.address_change(AddressChange::Remove(found.unwrap_or(none)))
    }

    /// Whether a neighbour that asks for the address on this link gets an answer.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such link.
    pub fn answers(&self, link: &LinkName, address: IpAddr) -> Result<bool> {
        let link = self.link(link)?;
        Ok(link.running && self.look(|namespace| namespace.network.answers(&link, address)))
    }

    fn address_change(&self, change: AddressChange) -> Result<()> {
        let result = self.interfere(|namespace| {
            namespace.links_changed += 1;
            namespace.network.change_address(&change)
        });
        result.map_err(|error| Error::kernel("change an address", error))
    }

    /// Adds a route to the main table.
    ///
    /// # Errors
    /// What the kernel would say.
    pub fn add_route(&self, route: &Route) -> Result<()> {
        let result = self.interfere(|namespace| {
            namespace.links_changed += 1;
            namespace.network.replace_route(MAIN_TABLE, route)
        });
        result.map_err(|error| Error::kernel("add a route", error))
    }

    /// Has another host answer for the address, on every link.
    pub fn rival(&self, address: IpAddr, mac: Mac) {
        self.interfere(|namespace| namespace.rivals.insert(address, mac));
    }

    /// Ends that.
    pub fn silence(&self, address: IpAddr) {
        self.interfere(|namespace| namespace.rivals.remove(&address));
    }

    /// Has a neighbour be heard by those who listen.
    pub fn hear(&self, sighting: Sighting) {
        self.interfere(|namespace| namespace.sightings.push(sighting));
    }
}
