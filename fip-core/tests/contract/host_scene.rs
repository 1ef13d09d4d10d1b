//! The scene as it is on a real kernel.

use fip_core::kernel::host::Host;
use fip_core::kernel::{Mac, Wire};
use fip_core::nat::{Family, Key};
use fip_core::netns::NetNs;

use super::scene::{DATAGRAM, Scene, Way, destination, link};
use crate::lab::Ns;

/// In namespaces, with `lan0` as the far end of `eth0`.
pub(crate) struct HostScene {
    host: Ns,
    lan: Ns,
    other: Ns,
}

impl HostScene {
    pub(crate) fn new() -> Self {
        let (host, lan, other) = (Ns::new("host"), Ns::new("lan"), Ns::new("other"));
        // The forward delay of a bridge is told when it is over, 15 s later, also if nobody waits.
        host.ip_batch(&format!(
            "link add eth0 type veth peer name lan0 netns {}\n\
             link set eth0 up\n\
             link add br0 type bridge forward_delay 0\n\
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
        ["eth0", "br0", "port0"].into_iter().for_each(|link| this.host.wait_ready(link));
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
        self.lan.wait_in_force("lan0");
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
        // What waits for a neighbour that answers late may be dropped.
        let host = self.host.mac("eth0");
        self.lan.ip(&format!("neigh replace {floating} lladdr {host} dev lan0 nud permanent"));
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
