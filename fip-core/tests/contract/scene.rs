//! A host on a LAN, real or in memory, and the others who meddle with it.
//!
//! The host has `eth0` with 192.0.2.10/24 and 2001:db8::10/64, default routes by `.1` and `::1`,
//! and the bridge `br0` with 172.18.0.1/16, 2001:db8:18::1/64 and the running port `port0`.

use std::net::IpAddr;

use fip_core::kernel::fake::FakeKernel;
use fip_core::kernel::host::Host;
use fip_core::kernel::{Deed, Hold, Kernel, Link, Mac, Rtnl, Sighting, Wire};
use fip_core::nat::{Family, Key};
use fip_core::netns::NetNs;
use fip_core::{FloatingIps, LinkName, Options};
use ipnetwork::IpNetwork;

use crate::lab::Ns;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Away,
    Back,
}

/// The bytes that a datagram of the rival's carries.
const DATAGRAM: usize = 10;

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

    /// The rival sends so many datagrams of [`DATAGRAM`] bytes to the floating address of an element.
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

/// In memory.
pub(crate) struct FakeScene(FakeKernel);

impl FakeScene {
    pub(crate) fn new() -> Self {
        Self(FakeKernel::new())
    }
}

const RIVAL: Mac = Mac([2, 0, 0, 0, 0, 0x99]);

impl Scene for FakeScene {
    type Kernel = FakeKernel;

    fn open(&self) -> FakeKernel {
        self.0.clone()
    }

    fn other_namespace(&self) -> NetNs {
        let netns = "other".parse().unwrap();
        let _ = self.0.namespace(&netns);
        netns
    }

    fn add_address(&self, link: &str, network: &str) {
        self.0.add_address(&name(link), network.parse().unwrap()).unwrap();
    }

    fn remove_address(&self, link: &str, network: &str) {
        let (link, network) = (name(link), network.parse::<IpNetwork>().unwrap());
        let all = self.0.addresses_of(&link).unwrap();
        if all.iter().any(|held| held.network == network && held.hold == Hold::Route) {
            self.0.remove_local_route(&link, network.ip()).unwrap();
        } else {
            self.0.remove_address(&link, network).unwrap();
        }
    }

    fn add_local_route(&self, link: &str, address: &str) {
        self.0.add_local_route(&name(link), address.parse().unwrap()).unwrap();
    }

    fn remove_local_route(&self, link: &str, address: &str) {
        self.0.remove_local_route(&name(link), address.parse().unwrap()).unwrap();
    }

    fn answers(&self, address: &str) -> bool {
        self.0.answers(&name("eth0"), address.parse().unwrap()).unwrap()
    }

    fn set_up(&self, link: &str, up: bool) {
        self.0.set_up(&name(link), up).unwrap();
    }

    fn move_link(&self, link: &str, way: Way) -> Result<(), String> {
        let there = self.0.in_netns(&self.other_namespace()).unwrap();
        let (from, to) = if way == Way::Away { (&self.0, &there) } else { (&there, &self.0) };
        from.move_link(&name(link), to).map_err(|error| error.to_string())
    }

    fn rename_link(&self, link: &str, new: &str) -> Result<(), String> {
        self.0.rename_link(&name(link), &name(new)).map_err(|error| error.to_string())
    }

    fn plug(&self, plugged: bool) {
        self.0.set_running(&name("eth0"), plugged).unwrap();
    }

    fn rival(&self, address: &str) -> Mac {
        self.0.rival(address.parse().unwrap(), RIVAL);
        RIVAL
    }

    fn silence(&self, address: &str) {
        self.0.silence(address.parse().unwrap());
    }

    fn claim(&self, address: &str) -> Mac {
        let link = self.0.link(&name("eth0")).unwrap().index;
        let address = address.parse().unwrap();
        self.0.hear(Sighting { link, address, mac: RIVAL, deed: Deed::Holds });
        RIVAL
    }

    fn probe(&self, address: &str) -> Mac {
        let link = self.0.link(&name("eth0")).unwrap().index;
        let address = address.parse().unwrap();
        self.0.hear(Sighting { link, address, mac: RIVAL, deed: Deed::Probes });
        RIVAL
    }

    fn receive(&self, key: &Key, packets: u64) {
        let (floating, _) = destination(key);
        self.0.count(key, packets, packets * packet(Family::of(floating)));
    }

    fn touch_ruleset(&self) {
        self.0.touch_ruleset();
    }

    fn flush_ruleset(&self) {
        self.0.flush_ruleset();
    }

    fn delete_table(&self) {
        self.0.delete_table();
    }

    fn damage_table(&self) {
        self.0.damage_table();
    }

    fn add_user_chain(&self, family: Family) {
        self.0.add_user_chain(family);
    }

    fn add_user_rule(&self, family: Family) {
        self.0.add_user_rule(family);
    }

    fn add_user_return(&self, family: Family) {
        self.0.add_user_return(family);
    }
}

/// In namespaces, with `lan0` as the far end of `eth0`.
pub(crate) struct HostScene {
    host: Ns,
    lan: Ns,
    other: Ns,
}

impl HostScene {
    pub(crate) fn new() -> Self {
        let (host, lan, other) = (Ns::new("host"), Ns::new("lan"), Ns::new("other"));
        host.ip_batch(&format!(
            "link add eth0 type veth peer name lan0 netns {}\n\
             link set eth0 up\n\
             link add br0 type bridge\n\
             link add port0 type veth peer name inside0 netns {}\n\
             link set port0 master br0 up\n\
             link set br0 up\n",
            lan.pid(),
            lan.pid()
        ));
        lan.ip_batch("link set lan0 up\nlink set inside0 up\naddr add 192.0.2.1/24 dev lan0\n");
        host.ip_batch(
            "addr add 192.0.2.10/24 dev eth0\n\
             addr add 2001:db8::10/64 dev eth0 nodad\n\
             addr add 172.18.0.1/16 dev br0\n\
             addr add 2001:db8:18::1/64 dev br0 nodad\n\
             route add default via 192.0.2.1\n\
             route add ::/0 via 2001:db8::1\n",
        );
        let this = Self { host, lan, other };
        ["eth0", "br0"].into_iter().for_each(|link| this.wait_running(link, true));
        this
    }

    /// The host's namespace.
    pub(crate) fn namespace(&self) -> &Ns {
        &self.host
    }

    /// The kernel follows a carrier a moment later.
    fn wait_running(&self, on: &str, running: bool) {
        let mut kernel = self.open();
        crate::lab::wait_for("the carrier", || {
            (link(&mut kernel, on).running == running).then_some(())
        });
    }

    fn is_plugged(&self) -> bool {
        self.lan.ip("-o link show dev lan0 up").contains("lan0")
    }

    fn lan_mac(&self) -> Mac {
        let text = self.lan.mac("lan0");
        let bytes: Vec<u8> =
            text.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        Mac(bytes.try_into().unwrap())
    }

    fn iptables(&self, family: Family, args: &str) -> String {
        match family {
            Family::V4 => self.host.iptables(args),
            Family::V6 => self.host.ip6tables(args),
        }
    }
}

/// The floating address of a translation, and a port that it is translated at.
fn destination(key: &Key) -> (IpAddr, u16) {
    match key {
        Key::Dnat(floating) => (*floating, 9),
        Key::Port(floating, _, port) => (*floating, *port),
        other => panic!("{other} translates nothing"),
    }
}

fn single(address: &str) -> String {
    format!("{address}/{}", Family::of(address.parse().unwrap()).bits())
}

fn set_link(ns: &Ns, what: &[&str]) -> Result<(), String> {
    let done = ns.try_tool("ip", &[&["link", "set"], what].concat(), "");
    if done.code == Some(0) { Ok(()) } else { Err(done.stderr) }
}

fn netns_of(ns: &Ns) -> NetNs {
    ns.path().to_str().unwrap().parse().unwrap()
}

impl Scene for HostScene {
    type Kernel = Host;

    fn open(&self) -> Host {
        Host::open_in(&netns_of(&self.host)).unwrap()
    }

    fn other_namespace(&self) -> NetNs {
        netns_of(&self.other)
    }

    fn add_address(&self, link: &str, network: &str) {
        let nodad = if network.contains(':') { "nodad" } else { "" };
        self.host.ip(&format!("addr add {network} dev {link} {nodad}"));
    }

    fn remove_address(&self, link: &str, network: &str) {
        match network.strip_suffix("/32") {
            Some(address) => self.host.take_away(address, link),
            None => _ = self.host.ip(&format!("addr del {network} dev {link}")),
        }
    }

    fn add_local_route(&self, link: &str, address: &str) {
        self.host.ip(&format!("route add local {address}/32 dev {link} table local"));
    }

    fn remove_local_route(&self, link: &str, address: &str) {
        self.host.ip(&format!("route del local {address}/32 dev {link} table local"));
    }

    fn answers(&self, address: &str) -> bool {
        let asked = self.lan.try_tool("arping", &["-c", "1", "-w", "1", "-I", "lan0", address], "");
        asked.code == Some(0)
    }

    fn set_up(&self, link: &str, up: bool) {
        self.host.ip(&format!("link set {link} {}", if up { "up" } else { "down" }));
        self.wait_running(link, up && (link != "eth0" || self.is_plugged()));
    }

    fn move_link(&self, link: &str, way: Way) -> Result<(), String> {
        let (host, other) = (&self.host, &self.other);
        let (from, to) = if way == Way::Away { (host, other) } else { (other, host) };
        set_link(from, &[link, "netns", &to.pid().to_string()])
    }

    fn rename_link(&self, link: &str, name: &str) -> Result<(), String> {
        set_link(&self.host, &[link, "name", name])
    }

    fn plug(&self, plugged: bool) {
        self.lan.ip(&format!("link set lan0 {}", if plugged { "up" } else { "down" }));
        let up = link(&mut self.open(), "eth0").up;
        self.wait_running("eth0", up && plugged);
    }

    fn rival(&self, address: &str) -> Mac {
        let nodad = if address.contains(':') { "nodad" } else { "" };
        self.lan.ip(&format!("addr add {} dev lan0 {nodad}", single(address)));
        self.lan_mac()
    }

    fn silence(&self, address: &str) {
        self.lan.ip(&format!("addr del {} dev lan0", single(address)));
    }

    fn claim(&self, address: &str) -> Mac {
        self.rival(address);
        self.lan.tool("arping", &["-A", "-c", "1", "-I", "lan0", "-s", address, address], "");
        self.silence(address);
        self.lan_mac()
    }

    fn probe(&self, address: &str) -> Mac {
        if address.contains(':') {
            let mut lan = Host::open_in(&netns_of(&self.lan)).unwrap();
            let card = link(&mut lan, "lan0");
            lan.probe(&card, &[address.parse().unwrap()]).unwrap();
        } else {
            // Its result is whether somebody answered.
            self.lan.try_tool("arping", &["-D", "-c", "1", "-I", "lan0", address], "");
        }
        self.lan_mac()
    }

    fn receive(&self, key: &Key, packets: u64) {
        let (floating, port) = destination(key);
        if floating.is_ipv6() {
            self.lan.ip("addr replace 2001:db8::1/64 dev lan0 nodad");
        }
        self.lan.run(|| {
            let socket = crate::lab::udp_socket((floating, port).into()).unwrap();
            (0..packets).for_each(|_| _ = socket.send(&[0; DATAGRAM]).unwrap());
        });
    }

    fn touch_ruleset(&self) {
        self.host.nft("add table inet somebodys");
    }

    fn flush_ruleset(&self) {
        self.host.nft("flush ruleset");
    }

    fn delete_table(&self) {
        self.host.nft("delete table inet fip");
    }

    fn damage_table(&self) {
        self.host.nft("flush chain inet fip sources");
    }

    fn add_user_chain(&self, family: Family) {
        self.iptables(family, "-N DOCKER-USER");
    }

    fn add_user_rule(&self, family: Family) {
        self.iptables(family, "-A DOCKER-USER -p tcp --dport 25 -j DROP");
    }

    fn add_user_return(&self, family: Family) {
        self.iptables(family, "-A DOCKER-USER -j RETURN");
    }
}
