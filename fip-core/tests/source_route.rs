//! A workload on two networks answers by the door that was knocked at: real traffic, with every
//! reverse path filter on the host and in the workload.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lab;

use std::net::{IpAddr, UdpSocket};

use fip_core::kernel::Rtnl;
use fip_core::kernel::host::Host as Kernel;
use fip_core::source_route::{self, SourceRoute};
use fip_core::{Binding, FloatingIps, Options};
use lab::{ANSWER, Family, Host, Lan, Ns, Whoami, Workload, container, lan, ping, tcp_whoami};

/// The floating address is number 200 of the LAN.
const FLOATING: u8 = 200;
/// The subnet of the fixed address, on `br0`.
const INSIDE: u8 = 18;
/// The subnet of the workload's default route, on `br1`.
const OTHER: u8 = 19;

/// Host A with a workload that has `eth0`, with the default route, on `br1`, and `eth1`, which the
/// floating address leads to, on `br0`.
struct Scene {
    _lan: Lan,
    client: Ns,
    a: Host,
    target: Workload,
    /// A neighbour of the workload on each bridge.
    inside: Workload,
    other: Workload,
    _server: Whoami,
}

impl Scene {
    /// `nf_call`: bridged packets are translated too, as Docker sets it.
    fn new(nf_call: bool) -> Self {
        let lan = Lan::new();
        let (client, a) = (lan.client(), lan.host_a());
        a.bridge("br0", INSIDE);
        a.bridge("br1", OTHER);
        a.bridge_nf_call(nf_call);
        let target = a.workload("target", "br1", OTHER, 2);
        a.ip_batch(&format!(
            "link add second type veth peer name eth1 netns {}\n\
             link set second master br0 up\n\
             link set second type bridge_slave hairpin on\n",
            target.pid()
        ));
        target.ip_batch(&format!(
            "addr add {}/16 dev eth1\naddr add {}/64 dev eth1 nodad\nlink set eth1 up\n",
            container(Family::V4, INSIDE, 2),
            container(Family::V6, INSIDE, 2)
        ));
        a.wait_ready("second");
        target.wait_ready("eth1");
        let counter = |family: Family, word| {
            let fixed = container(family, INSIDE, 2);
            format!("oifname eth0 {word} saddr {fixed} counter;")
        };
        target.nft_script(&format!(
            "table inet doors {{ chain out {{ type filter hook output priority 0; {} {} }}; }}",
            counter(Family::V4, "ip"),
            counter(Family::V6, "ip6")
        ));
        a.run(|| {
            let mut fips = FloatingIps::open(Options::default()).unwrap();
            for family in Family::BOTH {
                let (floating, fixed) = (floating(family), container(family, INSIDE, 2));
                fips.bind(&Binding::new(floating, fixed).unwrap()).unwrap();
            }
        });
        Self {
            inside: a.workload("inside", "br0", INSIDE, 3),
            other: a.workload("other", "br1", OTHER, 3),
            _server: Whoami::start(&target, &[80]),
            _lan: lan,
            client,
            a,
            target,
        }
    }

    fn set_filters(&self, host: u8, inside: u8) {
        let set = |ns: &Ns, links: &[&str], value: u8| {
            for link in links {
                ns.sysctl(&format!("net/ipv4/conf/{link}/rp_filter"), &value.to_string());
            }
        };
        set(&self.a, &["all", "eth0", "br0", "br1"], host);
        set(&self.target, &["all", "eth0", "eth1"], inside);
    }

    fn ensure(&self, family: Family) -> Vec<String> {
        let prefix = if family == Family::V4 { 16 } else { 64 };
        self.target.run(|| {
            let kernel = &mut Kernel::open().unwrap();
            let links = kernel.links().unwrap();
            let route = SourceRoute {
                fixed: format!("{}/{prefix}", container(family, INSIDE, 2)).parse().unwrap(),
                gateway: container(family, INSIDE, 1),
                link: links.iter().find(|link| link.name.as_str() == "eth1").unwrap().index,
            };
            source_route::ensure(kernel, &route).unwrap()
        })
    }

    fn remove(&self, family: Family) -> Vec<String> {
        let fixed = container(family, INSIDE, 2);
        self.target.run(|| source_route::remove(&mut Kernel::open().unwrap(), fixed).unwrap())
    }

    /// Whom the workload saw, if this one got an answer from it.
    fn ask(&self, from: &Ns, family: Family) -> Option<IpAddr> {
        let reply = tcp_whoami(from, (floating(family), 80)).ok()?;
        assert_eq!(reply.name, "target");
        Some(reply.peer)
    }

    /// How many packets left the fixed addresses by the wrong door so far.
    fn by_the_wrong_door(&self) -> u64 {
        let listed = self.target.nft("list chain inet doors out");
        let counts = listed.split("packets ").skip(1);
        counts.map(|rest| rest.split(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }
}

fn floating(family: Family) -> IpAddr {
    lan(family, FLOATING)
}

#[test]
fn replies_leave_by_the_right_door_whatever_the_reverse_path_filter() {
    let scene = Scene::new(true);
    let client = lan(Family::V4, 1);
    for (host, inside) in (0..3).flat_map(|host| (0..3).map(move |inside| (host, inside))) {
        scene.set_filters(host, inside);
        let case = format!("rp_filter {host} on the host, {inside} in the workload");
        // A strict filter, wherever it is, sees the reply (or the request) at the wrong door.
        let works_without = host != 1 && inside != 1;
        let seen = scene.ask(&scene.client, Family::V4);
        assert_eq!(seen, works_without.then_some(client), "without a source route, {case}");

        assert_eq!(scene.ensure(Family::V4).len(), 3);
        let before = scene.by_the_wrong_door();
        assert_eq!(scene.ask(&scene.client, Family::V4), Some(client), "{case}");
        assert!(ping(&scene.client, floating(Family::V4)), "{case}");
        assert_eq!(scene.by_the_wrong_door(), before, "{case}");
        assert_eq!(scene.remove(Family::V4).len(), 3);
    }
}

#[test]
fn everybody_gets_the_answer_by_the_right_door() {
    let scene = Scene::new(false);
    for family in Family::BOTH {
        scene.set_filters(1, 1);
        let (client, other) = (lan(family, 1), container(family, OTHER, 3));
        let before = scene.by_the_wrong_door();
        let without = scene.ask(&scene.client, family).is_some();
        assert_eq!(without, family == Family::V6, "IPv6 has no such filter in routing");
        assert_eq!(scene.by_the_wrong_door() > before, without);
        let neighbour = scene.ask(&scene.other, family);
        assert_eq!(neighbour, None, "the answer comes from an address that was not asked");

        scene.ensure(family);
        let before = scene.by_the_wrong_door();
        assert_eq!(scene.ask(&scene.client, family), Some(client));
        assert_eq!(scene.ask(&scene.other, family), Some(other));
        for (name, ns) in [("host", &*scene.a), ("inside", &*scene.inside)] {
            assert!(scene.ask(ns, family).is_some(), "{name}, {family:?}");
            assert!(ping(ns, floating(family)), "{name}, {family:?}");
        }
        assert!(ping(&scene.client, floating(family)), "{family:?}");
        assert_eq!(scene.by_the_wrong_door(), before);
        // What has the other address as source goes where it went before.
        let default = scene.target.ip(&format!("route get {client}"));
        assert!(default.contains("dev eth0"), "{default}");
    }
}

/// A server that binds the fixed address, as one with several addresses has to over UDP: with none
/// bound, the kernel takes the source of an answer from the main table.
#[test]
fn datagrams_find_back_from_a_bound_address() {
    let scene = Scene::new(true);
    scene.set_filters(1, 1);
    for family in Family::BOTH {
        scene.ensure(family);
        let fixed = container(family, INSIDE, 2);
        let server = scene.target.run(|| UdpSocket::bind((fixed, 53)).unwrap());
        let any = if family == Family::V4 { "0.0.0.0:0" } else { "[::]:0" };
        let client = scene.client.run(|| UdpSocket::bind(any).unwrap());
        for socket in [&server, &client] {
            socket.set_read_timeout(Some(ANSWER)).unwrap();
        }
        client.send_to(b"?", (floating(family), 53)).unwrap();
        let (_, peer) = server.recv_from(&mut [0; 8]).unwrap();
        assert_eq!(peer.ip(), lan(family, 1));
        server.send_to(b"!", peer).unwrap();
        let (_, from) = client.recv_from(&mut [0; 8]).unwrap();
        assert_eq!(from.ip(), floating(family));
    }
}

/// Link-local addresses belong to the link, also for what is sent from the fixed address.
#[test]
fn link_local_neighbours_are_reached_directly() {
    let scene = Scene::new(false);
    scene.ensure(Family::V6);
    let fixed = container(Family::V6, INSIDE, 2);
    let route = scene.target.ip(&format!("-6 route get fe80::9 from {fixed} oif eth1"));
    assert!(route.contains("dev eth1") && !route.contains("via"), "{route}");
}
