//! What workloads may do that are not bound to anything, with real traffic, on hosts with Docker's
//! firewall and without any.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lab;

use std::net::IpAddr;

use fip_core::claim::Claim;
use fip_core::fip::BindOptions;
use fip_core::kernel::host::Host as Kernel;
use fip_core::{Binding, BridgeRules, FloatingIps, LinkName, Options};
use lab::{
    EchoWitness, Family, Host, Lan, Ns, Proto, Whoami, Workload, add_route_to, install_docker_20,
    install_docker_28, install_docker_nftables, lan, ping, udp_whoami, whoami,
};

fn name(text: &str) -> LinkName {
    text.parse().unwrap()
}

/// Host A with the bridges `br0`, `br1` and Docker's `docker0`. The client knows the way to the
/// workloads of `br0` and `br1`.
struct Scene {
    _lan: Lan,
    client: Ns,
    _router: Ns,
    far: Ns,
    a: Host,
    /// Two on `br0`.
    own: Workload,
    neighbour: Workload,
    /// Two on `br1`.
    other: Workload,
    others_neighbour: Workload,
    docker: Workload,
    _servers: Vec<Whoami>,
}

impl Scene {
    fn new(install: fn(&Ns)) -> Self {
        let lan = Lan::new();
        let client = lan.client();
        let (router, far) = lan.router();
        let a = lan.host_a();
        a.bridge("br0", 18);
        a.bridge("br1", 19);
        a.bridge("docker0", 17);
        a.bridge_nf_call(true);
        install(&a);
        let own = a.workload("own", "br0", 18, 2);
        let neighbour = a.workload("neighbour", "br0", 18, 3);
        let other = a.workload("other", "br1", 19, 2);
        let others_neighbour = a.workload("others-neighbour", "br1", 19, 3);
        let docker = a.workload("docker", "docker0", 17, 2);
        [18, 19].into_iter().for_each(|subnet| add_route_to(&client, subnet, 11));
        let all = [&client, &far, &*own, &*neighbour, &*other, &*others_neighbour, &*docker];
        let servers = all.map(|ns| Whoami::start(ns, &[80])).into();
        Self {
            _lan: lan,
            client,
            _router: router,
            far,
            a,
            own,
            neighbour,
            other,
            others_neighbour,
            docker,
            _servers: servers,
        }
    }

    fn fips(&self) -> FloatingIps<Kernel> {
        let netns = self.a.path().to_str().unwrap().parse().unwrap();
        FloatingIps::open_in(&netns, Options::default()).unwrap()
    }

    fn set(&self, rules: &BridgeRules) {
        self.fips().set_bridge_rules(rules).unwrap();
    }

    /// The workloads of that bridge may send by the LAN's link, with the host's address.
    fn open(&self, bridge: &str) {
        self.set(&BridgeRules { masquerade: true, ..outward(bridge) });
    }

    /// Nothing leaves that bridge.
    fn shut_off(&self, bridge: &str) {
        self.set(&BridgeRules { internal: true, ..outward(bridge) });
    }

    fn bind(&self, family: Family, number: u8, workload: &Workload) {
        let binding = Binding::new(lan(family, number), workload.address(family)).unwrap();
        let claim = Claim { window: std::time::Duration::from_millis(20), ..Claim::default() };
        let options = BindOptions { claim, announcements: 1, ..BindOptions::default() };
        self.fips().bind_with(&binding, &options).unwrap();
    }
}

fn outward(bridge: &str) -> BridgeRules {
    BridgeRules { outlets: [name("eth0")].into(), ..BridgeRules::new(name(bridge)) }
}

fn nothing(_: &Ns) {}

/// Whom each protocol's requests seem to come from, at the server.
fn reaches(caller: &Ns, server: &Ns, to: IpAddr, seen: IpAddr) {
    let what = format!("{} -> {to}", caller.name());
    for proto in [Proto::Tcp, Proto::Udp] {
        let reply = whoami(proto, caller, (to, 80));
        let reply = reply.unwrap_or_else(|error| panic!("{what} {proto:?}: {error}"));
        assert_eq!((reply.name.as_str(), reply.peer), (server.name(), seen), "{what} {proto:?}");
    }
    let witness = EchoWitness::start(server);
    assert!(ping(caller, to), "{what}: no answer to ping");
    let mut sources = witness.sources();
    // One that could not be sent before may have waited for the way to be free.
    sources.dedup();
    sources.retain(|source| source.is_ipv4() == to.is_ipv4());
    assert_eq!(sources, [seen], "{what}");
}

/// No protocol gets an answer.
fn cannot_reach(caller: &Ns, to: IpAddr) {
    assert_eq!(answers(caller, to), [""; 0], "{} -> {to}", caller.name());
}

/// What answers there are. All protocols are tried at the same time.
fn answers(caller: &Ns, to: IpAddr) -> Vec<String> {
    std::thread::scope(|scope| {
        let ask = |proto: Proto| match proto {
            Proto::Icmp => ping(caller, to).then(|| "an answer to ping".to_owned()),
            proto => whoami(proto, caller, (to, 80)).ok().map(|reply| format!("{proto:?} {reply}")),
        };
        let threads = Proto::ALL.map(|proto| scope.spawn(move || ask(proto)));
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Through Docker's rules: out, to the neighbours, and nowhere else; nobody comes in.
fn unbound_workloads_pass_docker(install: fn(&Ns)) {
    let scene = Scene::new(install);
    let before = scene.a.ruleset();
    let (own, neighbour) = (&scene.own, &scene.neighbour);
    for family in Family::BOTH {
        cannot_reach(own, lan(family, 1));
        cannot_reach(own, neighbour.address(family));
    }
    // Docker lets its containers send to bridges that are not its own.
    let inward = || Family::BOTH.map(|family| answers(&scene.docker, own.address(family)));
    let inward_before = inward();
    scene.open("br0");
    assert_eq!(inward(), inward_before);
    for family in Family::BOTH {
        let (client, host) = (lan(family, 1), lan(family, 11));
        reaches(own, &scene.client, client, host);
        let far = if family == Family::V4 { "203.0.113.1" } else { "2001:db8:203::1" };
        reaches(own, &scene.far, far.parse().unwrap(), host);
        reaches(own, neighbour, neighbour.address(family), own.address(family));
        let refused = udp_whoami(own, (client, 9)).unwrap_err();
        assert!(refused.contains("refused"), "the ICMP error came back: {refused}");
        // Docker's isolation of its bridges, and of ours, is as it was.
        for (caller, to) in [
            (own, &scene.docker),
            (own, &scene.other),
            (&scene.other, own),
            (&scene.other, &scene.others_neighbour),
        ] {
            cannot_reach(caller, to.address(family));
        }
        cannot_reach(&scene.other, client);
        // The LAN's hosts cannot begin anything.
        cannot_reach(&scene.client, own.address(family));
        reaches(&scene.docker, &scene.client, client, host);
    }
    scene.fips().remove_bridge_rules(&name("br0")).unwrap();
    for family in Family::BOTH {
        cannot_reach(own, lan(family, 1));
        cannot_reach(own, neighbour.address(family));
    }
    assert_eq!(scene.a.ruleset(), before);
}

#[test]
fn unbound_workloads_pass_docker_up_to_27() {
    unbound_workloads_pass_docker(install_docker_20);
}

#[test]
fn unbound_workloads_pass_docker_28() {
    unbound_workloads_pass_docker(install_docker_28);
}

/// Docker's nf_tables backend drops nothing of bridges that are not its own.
#[test]
fn unbound_workloads_beside_dockers_nftables_backend() {
    let scene = Scene::new(install_docker_nftables);
    scene.open("br0");
    for family in Family::BOTH {
        reaches(&scene.own, &scene.client, lan(family, 1), lan(family, 11));
        let neighbour = &scene.neighbour;
        reaches(&scene.own, neighbour, neighbour.address(family), scene.own.address(family));
        cannot_reach(&scene.own, scene.docker.address(family));
    }
}

/// A floating address is not changed by what its neighbours may do.
fn bound_workloads_are_as_before(install: fn(&Ns)) {
    let scene = Scene::new(install);
    scene.open("br0");
    let (own, neighbour, client) = (&scene.own, &scene.neighbour, &scene.client);
    for family in Family::BOTH {
        let (to, floating) = (lan(family, 1), lan(family, 200));
        scene.bind(family, 200, own);
        reaches(own, client, to, floating);
        reaches(neighbour, client, to, lan(family, 11));
        reaches(own, neighbour, neighbour.address(family), own.address(family));
        reaches(client, own, floating, to);
        for caller in [&scene.docker, &scene.other] {
            reaches(caller, own, floating, caller.address(family));
        }
        // In one subnet the answer must come back this way.
        let gateway = lab::container(family, 18, 1);
        reaches(neighbour, own, floating, gateway);
        reaches(own, own, floating, gateway);
        // Without egress it sends as its neighbours do.
        let owner = fip_core::Owner::default();
        scene.fips().unbind(floating, &[], &owner).unwrap();
        reaches(own, client, to, lan(family, 11));
    }
}

#[test]
fn bound_workloads_are_as_before_with_docker() {
    bound_workloads_are_as_before(install_docker_20);
}

#[test]
fn bound_workloads_are_as_before_without_a_firewall() {
    bound_workloads_are_as_before(nothing);
}

/// Where the LAN knows the way back, they may send with their own address.
#[test]
fn without_masquerade_they_keep_their_address() {
    let scene = Scene::new(nothing);
    for family in Family::BOTH {
        // Nothing is translated that nobody asked for.
        reaches(&scene.own, &scene.client, lan(family, 1), scene.own.address(family));
    }
    let scene = Scene::new(install_docker_20);
    scene.set(&outward("br0"));
    for family in Family::BOTH {
        reaches(&scene.own, &scene.client, lan(family, 1), scene.own.address(family));
        cannot_reach(&scene.client, scene.own.address(family));
    }
}

/// Whatever the firewall says: nobody but the neighbours and the host itself.
fn an_internal_bridge_is_shut_off(install: fn(&Ns)) {
    let scene = Scene::new(install);
    scene.shut_off("br1");
    // Another bridge that may send there does not change that.
    let towards = [name("eth0"), name("br1")].into();
    scene.set(&BridgeRules { outlets: towards, masquerade: true, ..outward("br0") });
    let (inside, neighbour) = (&scene.other, &scene.others_neighbour);
    for family in Family::BOTH {
        reaches(inside, neighbour, neighbour.address(family), inside.address(family));
        reaches(&scene.a, inside, inside.address(family), lab::container(family, 19, 1));
        reaches(&scene.own, &scene.client, lan(family, 1), lan(family, 11));
        cannot_reach(inside, lan(family, 1));
        cannot_reach(inside, scene.own.address(family));
        cannot_reach(inside, scene.docker.address(family));
        for caller in [&scene.client, &*scene.own, &*scene.docker] {
            cannot_reach(caller, inside.address(family));
        }
        // Not by floating addresses either, theirs or others'; but within the bridge.
        scene.bind(family, 200, inside);
        scene.bind(family, 201, &scene.own);
        cannot_reach(inside, lan(family, 1));
        cannot_reach(inside, lan(family, 201));
        cannot_reach(&scene.client, lan(family, 200));
        cannot_reach(&scene.own, lan(family, 200));
        reaches(neighbour, inside, lan(family, 200), lab::container(family, 19, 1));
        reaches(&scene.client, &scene.own, lan(family, 201), lan(family, 1));
    }
}

#[test]
fn an_internal_bridge_is_shut_off_without_a_firewall() {
    an_internal_bridge_is_shut_off(nothing);
}

#[test]
fn an_internal_bridge_is_shut_off_with_docker() {
    an_internal_bridge_is_shut_off(install_docker_20);
}

/// The same where bridged packets do not pass the packet filter.
#[test]
fn bridges_without_netfilter_are_no_different() {
    let scene = Scene::new(install_docker_20);
    scene.a.bridge_nf_call(false);
    scene.open("br0");
    scene.shut_off("br1");
    for family in Family::BOTH {
        let (own, neighbour) = (&scene.own, &scene.neighbour);
        reaches(own, &scene.client, lan(family, 1), lan(family, 11));
        reaches(own, neighbour, neighbour.address(family), own.address(family));
        let (inside, beside) = (&scene.other, &scene.others_neighbour);
        reaches(inside, beside, beside.address(family), inside.address(family));
        cannot_reach(inside, lan(family, 1));
    }
}
