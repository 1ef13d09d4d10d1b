//! A host on a LAN, real or in memory, and the others who meddle with it.
//!
//! The host has `eth0` with 192.0.2.10/24 and 2001:db8::10/64, default routes by `.1` and `::1`,
//! and the bridge `br0` with 172.18.0.1/16, 2001:db8:18::1/64 and the running port `port0`.

use std::net::IpAddr;

use fip_core::kernel::{Hold, Kernel, Link, Mac, Rtnl};
use fip_core::nat::{Family, Key};
use fip_core::netns::NetNs;
use fip_core::{FloatingIps, LinkName, Options};

pub(crate) use super::fake_scene::FakeScene;
pub(crate) use super::host_scene::HostScene;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Away,
    Back,
}

/// The bytes that a datagram of the rival's carries.
pub(super) const DATAGRAM: usize = 10;

/// A packet of it, with its headers: of UDP, and of IPv4 or IPv6.
pub(crate) fn packet(family: Family) -> u64 {
    let header = match family {
        Family::V4 => 20,
        Family::V6 => 40,
    };
    header + 8 + DATAGRAM as u64
}

pub(crate) trait Scene {
    type Kernel: Kernel<Monitor: Send> + Send;

    /// A new handle on the host.
    fn open(&self) -> Self::Kernel;

    /// Another namespace, which has `lo` only.
    fn other_namespace(&self) -> NetNs;

    fn add_address(&self, link: &str, network: &str);
    /// Removes an address, or a floating one however it is held.
    fn remove_address(&self, link: &str, network: &str);
    /// Makes the address the host's own by a local route that is not ours.
    fn add_local_route(&self, link: &str, address: &str);
    fn remove_local_route(&self, link: &str, address: &str);
    /// Whether the host answers a neighbour that asks for the address (ARP).
    fn answers(&self, address: &str) -> bool;
    fn set_up(&self, link: &str, up: bool);
    /// Moves a link to the other namespace, or from there back.
    fn move_link(&self, link: &str, way: Way) -> Result<(), String>;
    fn rename_link(&self, link: &str, name: &str) -> Result<(), String>;
    /// Gives `eth0` carrier, or takes it away.
    fn plug(&self, plugged: bool);

    /// Another host of the LAN has the address from now on, and answers for it.
    fn rival(&self, address: &str) -> Mac;
    fn silence(&self, address: &str);
    /// The rival claims the address unasked. What else it said before does not count.
    fn claim(&self, address: &str) -> Mac;
    /// The rival asks once whether the address is free.
    fn probe(&self, address: &str) -> Mac;

    /// The rival sends so many datagrams of [`DATAGRAM`] bytes to the floating address of an
    /// element.
    fn receive(&self, key: &Key, packets: u64);

    fn touch_ruleset(&self);
    fn flush_ruleset(&self);
    fn delete_table(&self);
    /// Deletes a rule of ours.
    fn damage_table(&self);
    fn add_user_chain(&self, family: Family);
    fn add_user_rule(&self, family: Family);
    fn add_user_return(&self, family: Family);

    fn fips(&self) -> FloatingIps<Self::Kernel> {
        FloatingIps::new(self.open(), Options::default())
    }

    /// Floating addresses that are held so.
    fn fips_holding(&self, hold: Hold) -> FloatingIps<Self::Kernel> {
        FloatingIps::new(self.open(), Options { hold: Some(hold), ..Options::default() })
    }
}

pub(crate) fn name(text: &str) -> LinkName {
    text.parse().unwrap()
}

/// The link of this name.
pub(crate) fn link(kernel: &mut impl Rtnl, wanted: &str) -> Link {
    let links = kernel.links().unwrap();
    let found = links.iter().find(|link| link.name.as_str() == wanted);
    found.unwrap_or_else(|| panic!("no {wanted} in {links:#?}")).clone()
}

/// The floating address of a translation, and a port that it is translated at.
pub(super) fn destination(key: &Key) -> (IpAddr, u16) {
    match key {
        Key::Dnat(floating) => (*floating, 9),
        Key::Port(floating, _, port) => (*floating, *port),
        other => panic!("{other} translates nothing"),
    }
}
