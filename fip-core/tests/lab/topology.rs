//! The LAN, its hosts, and the workloads on them.
//!
//! | who | where |
//! |---|---|
//! | the LAN | 192.168.99.0/24, 2001:db8:99::/64, a bridge in a namespace of its own |
//! | client | 192.168.99.1, 2001:db8:99::1 |
//! | hosts A and B | 192.168.99.11 and .12, 2001:db8:99::11 and ::12 |
//! | router | 192.168.99.254, 2001:db8:99::254; everybody's default route |
//! | far | 203.0.113.1, 2001:db8:203::1, behind the router |
//! | bridge `br0`, `br1` of A | 172.18.0.1/16, 172.19.0.1/16, 2001:db8:18::1/64, ... |
//! | bridge `br0`, `br1` of B | 172.20.0.1/16, 172.21.0.1/16, ... |
//!
//! Nobody has a route to the workloads' addresses, except their own host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;

use super::ns::Ns;

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) const BOTH: [Self; 2] = [Self::V4, Self::V6];
}

/// The address of this number on the LAN. In IPv6 the digits are the same: `2001:db8:99::11`.
pub(crate) fn lan(family: Family, number: u8) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(192, 168, 99, number).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0x99, 0, 0, 0, 0, same_digits(number)).into(),
    }
}

/// The address of this number in the subnet 172.`subnet`.0.0/16 or 2001:db8:`subnet`::/64.
pub(crate) fn container(family: Family, subnet: u8, number: u8) -> IpAddr {
    let net = same_digits(subnet);
    match family {
        Family::V4 => Ipv4Addr::new(172, subnet, 0, number).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, same_digits(number)).into(),
    }
}

/// The number whose hexadecimal digits are these decimal ones.
fn same_digits(number: u8) -> u16 {
    u16::from_str_radix(&number.to_string(), 16).unwrap()
}

/// A switch that joins namespaces.
pub(crate) struct Lan {
    /// Where the switch is; it sees every frame.
    pub(crate) switch: Ns,
}

impl Lan {
    pub(crate) fn new() -> Self {
        let switch = Ns::new("switch");
        // A plain switch: it neither filters nor waits for multicast listeners to show.
        switch.bridge_nf_call(false);
        switch.sysctl("net/ipv6/conf/default/disable_ipv6", "1");
        switch.ip("link add lan type bridge mcast_snooping 0");
        switch.ip("link set lan up");
        Self { switch }
    }

    /// A machine on the LAN: `eth0` with the addresses of that number, the router as default route.
    pub(crate) fn machine(&self, name: &str, number: u8) -> Ns {
        let ns = Ns::new(name);
        self.plug(&ns, name, number);
        ns.ip("route add default via 192.168.99.254");
        ns.ip("route add ::/0 via 2001:db8:99::254");
        ns
    }

    /// The client.
    pub(crate) fn client(&self) -> Ns {
        self.machine("client", 1)
    }

    /// Host A, without bridges.
    pub(crate) fn host_a(&self) -> Host {
        self.host("A", 11)
    }

    /// Host B, without bridges.
    pub(crate) fn host_b(&self) -> Host {
        self.host("B", 12)
    }

    /// A host with the addresses of that number, without bridges.
    pub(crate) fn host(&self, name: &str, number: u8) -> Host {
        Host::new(self.machine(name, number))
    }

    /// The router, and the far machine behind it. The router translates nothing.
    pub(crate) fn router(&self) -> (Ns, Ns) {
        let (router, far) = (Ns::new("router"), Ns::new("far"));
        self.plug(&router, "router", 254);
        forward(&router);
        router.ip(&format!("link add far type veth peer name eth0 netns {}", far.pid()));
        router.ip_batch(
            "addr add 203.0.113.254/24 dev far\n\
             addr add 2001:db8:203::254/64 dev far nodad\n\
             link set far up\n",
        );
        far.ip_batch(
            "addr add 203.0.113.1/24 dev eth0\n\
             addr add 2001:db8:203::1/64 dev eth0 nodad\n\
             link set eth0 up\n\
             route add default via 203.0.113.254\n\
             route add ::/0 via 2001:db8:203::254\n",
        );
        router.wait_ready("far");
        far.wait_ready("eth0");
        (router, far)
    }

    /// Gives the namespace a card `eth0` on the LAN, with the addresses of that number.
    fn plug(&self, ns: &Ns, port: &str, number: u8) {
        self.switch.ip_batch(&format!(
            "link add {port} type veth peer name eth0 netns {}\n\
             link set {port} master lan up\n",
            ns.pid()
        ));
        ns.ip_batch(&format!(
            "addr add {}/24 dev eth0\naddr add {}/64 dev eth0 nodad\nlink set eth0 up\n",
            lan(Family::V4, number),
            lan(Family::V6, number)
        ));
        self.switch.wait_ready(port);
        ns.wait_ready("eth0");
    }
}

/// A host of workloads, which forwards. It is also its namespace.
pub(crate) struct Host {
    ns: Ns,
}

impl Deref for Host {
    type Target = Ns;

    fn deref(&self) -> &Ns {
        &self.ns
    }
}

impl Host {
    fn new(ns: Ns) -> Self {
        forward(&ns);
        Self { ns }
    }

    /// Adds a bridge, gateway of the subnet of that number, both families.
    pub(crate) fn bridge(&self, name: &str, subnet: u8) {
        self.ip_batch(&format!(
            "link add {name} type bridge\n\
             addr add {}/16 dev {name}\n\
             addr add {}/64 dev {name} nodad\n\
             link set {name} up\n",
            container(Family::V4, subnet, 1),
            container(Family::V6, subnet, 1)
        ));
    }

    /// Adds a workload to a bridge: a namespace with `eth0`, the addresses of that number in the
    /// bridge's subnet, and the bridge as default route. Its port is in hairpin mode.
    pub(crate) fn workload(&self, name: &str, bridge: &str, subnet: u8, number: u8) -> Workload {
        let ns = Ns::new(name);
        let port = format!("w{subnet}n{number}");
        self.ip_batch(&format!(
            "link add {port} type veth peer name eth0 netns {}\n\
             link set {port} master {bridge} up\n\
             link set {port} type bridge_slave hairpin on\n",
            ns.pid()
        ));
        ns.ip_batch(&format!(
            "addr add {}/16 dev eth0\n\
             addr add {}/64 dev eth0 nodad\n\
             link set eth0 up\n\
             route add default via {}\n\
             route add ::/0 via {}\n",
            container(Family::V4, subnet, number),
            container(Family::V6, subnet, number),
            container(Family::V4, subnet, 1),
            container(Family::V6, subnet, 1)
        ));
        [&port, bridge].into_iter().for_each(|link| self.wait_ready(link));
        ns.wait_ready("eth0");
        Workload { ns, subnet, number }
    }

    /// Tells this host that the workloads of that subnet are on another machine of the LAN.
    pub(crate) fn route_to(&self, subnet: u8, machine: u8) {
        add_route_to(self, subnet, machine);
    }
}

/// A container, as the network sees one. It is also its namespace.
pub(crate) struct Workload {
    ns: Ns,
    subnet: u8,
    number: u8,
}

impl Deref for Workload {
    type Target = Ns;

    fn deref(&self) -> &Ns {
        &self.ns
    }
}

impl Workload {
    /// Its fixed address.
    pub(crate) fn address(&self, family: Family) -> IpAddr {
        container(family, self.subnet, self.number)
    }
}

/// Tells `ns` that the workloads of that subnet are behind that machine of the LAN.
pub(crate) fn add_route_to(ns: &Ns, subnet: u8, machine: u8) {
    for (family, option, length) in [(Family::V4, "-4", 16), (Family::V6, "-6", 64)] {
        let network = container(family, subnet, 0);
        ns.ip(&format!("{option} route add {network}/{length} via {}", lan(family, machine)));
    }
}

fn forward(ns: &Ns) {
    ns.sysctl("net/ipv4/ip_forward", "1");
    ns.sysctl("net/ipv6/conf/all/forwarding", "1");
}
