//! Traffic that a workload starts, and floating addresses that several workloads share by port.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../fip-core/tests/lab/mod.rs"]
mod lab;

use std::net::IpAddr;

use lab::{
    EchoWitness, Family, Fip, Host, Lan, Ns, Proto, Whoami, Workload, add_route_to, lan, ping,
    tcp_whoami, udp_whoami, whoami,
};

/// Host A with three workloads on one bridge, and a LAN client that knows the way to their own
/// addresses, so that untranslated traffic arrives too.
struct Scene {
    _lan: Lan,
    client: Ns,
    a: Host,
    workloads: [Workload; 3],
    _servers: Vec<Whoami>,
}

impl Scene {
    fn new() -> Self {
        let lan = Lan::new();
        let client = lan.client();
        add_route_to(&client, 18, 11);
        let a = lan.host_a();
        a.bridge("br0", 18);
        let workloads = [
            a.workload("one", "br0", 18, 2),
            a.workload("two", "br0", 18, 3),
            a.workload("three", "br0", 18, 4),
        ];
        let servers = std::iter::once(&client)
            .chain(workloads.iter().map(|workload| &**workload))
            .map(|ns| Whoami::start(ns, &[80, 8080]))
            .collect();
        Self { _lan: lan, client, a, workloads, _servers: servers }
    }

    fn bind(&self, family: Family, floating: u8, workload: usize, options: &str) {
        let fixed = self.workloads[workload].address(family);
        Fip::new(env!("CARGO_BIN_EXE_fip"), &self.a).ok(&format!(
            "bind {} {fixed} --announce 1 --probe 20ms {options}",
            lan(family, floating)
        ));
    }

    /// The source addresses with which the workload's TCP, UDP and ping arrive at the client.
    fn sources(&self, family: Family, workload: usize) -> [IpAddr; 3] {
        let from = &self.workloads[workload];
        let to = lan(family, 1);
        let witness = EchoWitness::start(&self.client);
        assert!(ping(from, to), "{} gets no answer to ping", from.name());
        let echo = witness.sources();
        assert_eq!(echo.len(), 1, "{echo:?}");
        [
            whoami(Proto::Tcp, from, (to, 80)).unwrap().peer,
            whoami(Proto::Udp, from, (to, 80)).unwrap().peer,
            echo[0],
        ]
    }

    /// Who answers at this port of the floating address, as `name:port`.
    fn answers(&self, proto: Proto, to: (IpAddr, u16)) -> String {
        match whoami(proto, &self.client, to) {
            Ok(reply) => format!("{}:{}", reply.name, reply.port),
            Err(error) => error,
        }
    }
}

#[test]
fn workload_traffic_leaves_with_its_own_floating_address() {
    let scene = Scene::new();
    for family in Family::BOTH {
        scene.bind(family, 200, 0, "");
        scene.bind(family, 201, 1, "");
        assert_eq!(scene.sources(family, 0), [lan(family, 200); 3]);
        assert_eq!(scene.sources(family, 1), [lan(family, 201); 3], "the second binding");
        let own = scene.workloads[2].address(family);
        assert_eq!(scene.sources(family, 2), [own; 3], "a workload without a binding");
    }
}

#[test]
fn a_second_binding_comes_and_goes_without_touching_the_first() {
    let scene = Scene::new();
    let fip = Fip::new(env!("CARGO_BIN_EXE_fip"), &scene.a);
    for family in Family::BOTH {
        scene.bind(family, 200, 0, "");
        let mut flow = lab::TcpFlow::open(&scene.workloads[0], (lan(family, 1), 80));
        assert_eq!(flow.ask().unwrap().peer, lan(family, 200));
        scene.bind(family, 201, 1, "");
        assert_eq!(flow.ask().unwrap().peer, lan(family, 200), "after the second bind");
        fip.ok(&format!("unbind {}", lan(family, 201)));
        assert_eq!(flow.ask().unwrap().peer, lan(family, 200), "after the second unbind");
        assert_eq!(scene.sources(family, 0), [lan(family, 200); 3]);
        let own = scene.workloads[1].address(family);
        assert_eq!(scene.sources(family, 1), [own; 3], "unbound, it has its own address again");
    }
}

#[test]
fn no_egress_leaves_workload_traffic_alone() {
    let scene = Scene::new();
    for family in Family::BOTH {
        scene.bind(family, 200, 0, "--no-egress");
        let own = scene.workloads[0].address(family);
        assert_eq!(scene.sources(family, 0), [own; 3]);
        assert_eq!(scene.answers(Proto::Tcp, (lan(family, 200), 80)), "one:80");
    }
}

#[test]
fn an_answer_leaves_with_the_floating_address_even_without_egress() {
    let scene = Scene::new();
    for family in Family::BOTH {
        scene.bind(family, 200, 0, "--no-egress");
        // Connected sockets take an answer from no other address.
        let floating = lan(family, 200);
        udp_whoami(&scene.client, (floating, 80)).unwrap();
        tcp_whoami(&scene.client, (floating, 80)).unwrap();
        assert!(ping(&scene.client, floating));
    }
}

#[test]
fn workloads_share_an_address_by_port() {
    let scene = Scene::new();
    let host = Whoami::start(&scene.a, &[82]);
    for family in Family::BOTH {
        let floating = lan(family, 200);
        scene.bind(family, 200, 0, "-p tcp:80:8080 -p udp:80:8080");
        scene.bind(family, 200, 1, "-p tcp:81:80");
        assert_eq!(scene.answers(Proto::Tcp, (floating, 80)), "one:8080");
        assert_eq!(scene.answers(Proto::Udp, (floating, 80)), "one:8080");
        assert_eq!(scene.answers(Proto::Tcp, (floating, 81)), "two:80");
        // What no binding names is the host's own: other ports, other protocols, ping.
        assert_eq!(scene.answers(Proto::Tcp, (floating, 82)), "A:82");
        let udp = scene.answers(Proto::Udp, (floating, 81));
        assert!(udp.contains("refused"), "UDP port 81 is not bound: {udp}");
        let witnesses = scene.workloads.each_ref().map(|workload| EchoWitness::start(workload));
        assert!(ping(&scene.client, floating), "the host answers");
        for witness in witnesses {
            assert_eq!(witness.sources(), Vec::<IpAddr>::new(), "ping reached a workload");
        }
        // And a port alone gives a workload no source address.
        let own = scene.workloads[0].address(family);
        assert_eq!(scene.sources(family, 0), [own; 3]);
    }
    drop(host);
}

#[test]
fn a_port_wins_over_the_whole_address() {
    let scene = Scene::new();
    let fip = Fip::new(env!("CARGO_BIN_EXE_fip"), &scene.a);
    for family in Family::BOTH {
        let floating = lan(family, 200);
        let one = scene.workloads[0].address(family);
        scene.bind(family, 200, 2, "");
        scene.bind(family, 200, 0, "-p tcp:80:8080");
        assert_eq!(scene.answers(Proto::Tcp, (floating, 80)), "one:8080");
        assert_eq!(scene.answers(Proto::Udp, (floating, 80)), "three:80", "the other protocol");
        assert_eq!(scene.answers(Proto::Tcp, (floating, 8080)), "three:8080", "the other port");
        let witness = EchoWitness::start(&scene.workloads[2]);
        assert!(ping(&scene.client, floating));
        assert_eq!(witness.sources(), [lan(family, 1)]);
        assert_eq!(scene.sources(family, 2), [floating; 3], "the whole address is its source");
        assert_eq!(scene.sources(family, 0), [one; 3]);
        fip.ok(&format!("unbind {floating} -p tcp:80"));
        assert_eq!(scene.answers(Proto::Tcp, (floating, 80)), "three:80", "without the port");
        assert_eq!(scene.sources(family, 2), [floating; 3]);
    }
}
