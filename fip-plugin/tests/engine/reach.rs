//! Who reaches the floating addresses of a host with many containers, and as whom containers leave.

use std::net::IpAddr;

use crate::docker::{fetch, wait_for_page};
use crate::lab::{Family, Ns, Whoami, container, ping, udp_whoami};
use crate::scene::{LABEL, Scene, v4, v6, visit, wait_for_source_rule};

/// Whom a container has to see.
#[derive(Debug, Clone, Copy)]
enum Peer {
    /// The caller himself.
    Exactly(IpAddr),
    /// The gateway, where the caller is of the same network, which would be answered directly.
    Gateway,
}

impl Peer {
    fn is(self, seen: IpAddr) -> bool {
        match self {
            Self::Exactly(address) => seen == address,
            Self::Gateway => {
                [container(Family::V4, 18, 1), container(Family::V6, 18, 1)].contains(&seen)
            }
        }
    }
}

type Caller<'a> = (&'a str, &'a Ns, Peer);

/// Asks each of the floating addresses from everywhere, and tells what was not as it has to be.
fn ask_all(callers: &[Caller<'_>], pages: &[(&str, IpAddr)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (who, caller, peer) in callers {
        for (page, floating) in pages {
            match visit(caller, *floating, page) {
                Ok(seen) if peer.is(seen) => {}
                seen => wrong.push(format!("{who} asks {floating}: {seen:?}, not {peer:?}")),
            }
        }
    }
    wrong
}

#[test]
fn five_containers_on_one_host_all_serve_port_80() {
    let scene = Scene::new();
    let label = |number| format!("--label {LABEL}=192.168.99.{number}");
    let option = |number| format!("fip.address=192.168.99.{number}");
    let c1 = scene.web("c1", &label(201));
    let c2 = scene.web_with("c2", &option(202));
    let c3 = scene.web("c3", &label(203));
    let c4 = scene.engine.web("c4", "", "c4");
    scene.engine.docker_ok(&format!("network connect --driver-opt {} fip c4", option(204)));
    let c5 = scene.engine.web("c5", &label(205), "c5");
    scene.engine.docker_ok("network connect fip c5");
    for (inside, name) in [(&c4, "c4"), (&c5, "c5")] {
        wait_for_source_rule(inside, scene.address_in("fip", name, Family::V4));
    }
    let pages: Vec<(&str, IpAddr)> =
        ["c1", "c2", "c3", "c4", "c5"].into_iter().zip((201..).map(v4)).collect();

    scene.engine.docker_ok("network create --driver bridge --subnet 172.19.0.0/16 other");
    let (d1, d2) = (scene.idle("d1", ""), scene.idle("d2", "--network other"));
    let neighbour = scene.idle("neighbour", "--network fip");
    let itself = |network: &str, name: &str| scene.address_in(network, name, Family::V4);
    let callers = [
        ("the client", &scene.client, Peer::Exactly(v4(1))),
        ("the host", &scene.host, Peer::Gateway),
        ("a container on docker0", &d1, Peer::Exactly(itself("bridge", "d1"))),
        ("a container on another bridge", &d2, Peer::Exactly(itself("other", "d2"))),
        ("a neighbour", &neighbour, Peer::Gateway),
        ("c1", &c1, Peer::Gateway),
        ("c2", &c2, Peer::Gateway),
        ("c3", &c3, Peer::Gateway),
    ];
    let mut wrong = ask_all(&callers, &pages);
    // Those with two networks come in by docker0, but to themselves.
    for (name, inside, other, own) in [("c4", &c4, 205, 204), ("c5", &c5, 204, 205)] {
        let by_docker0 = Peer::Exactly(itself("bridge", name));
        let others: Vec<_> = pages.iter().filter(|(_, to)| *to != v4(own)).copied().collect();
        assert!(others.iter().any(|(_, to)| *to == v4(other)));
        wrong.extend(ask_all(&[(name, inside, by_docker0)], &others));
        wrong.extend(ask_all(&[(name, inside, Peer::Gateway)], &[(name, v4(own))]));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The options of a network with both families.
const DUAL_STACK: &str = "--ipv6 --subnet 172.18.0.0/16 --subnet 2001:db8:18::/64";

#[test]
fn both_families_of_a_dual_stack_network_are_reached() {
    let scene = Scene::with_network(DUAL_STACK);
    // For the commas in it, the option stands in quotes.
    let option = r#""driver-opt=fip.address=192.168.99.201,2001:db8:99::201""#;
    let c1 = scene.engine.web("c1", &format!("--network name=fip,{option}"), "c1");
    let label = format!("--label {LABEL}=2001:db8:99::202,192.168.99.202");
    let c2 = scene.engine.web("c2", &label, "c2");
    scene.engine.docker_ok("network connect fip c2");
    let fixed = |name, family| scene.address_in("fip", name, family);
    for family in Family::BOTH {
        wait_for_source_rule(&c2, fixed("c2", family));
        // A network of two families has the default route before `bridge`, which has one.
        let option = if family == Family::V4 { "-4" } else { "-6" };
        let default = c2.ip(&format!("{option} route show default"));
        assert!(default.contains(&format!("via {} ", container(family, 18, 1))), "{default}");
    }

    let neighbour = scene.idle("neighbour", "--network fip");
    let pages = [("c1", v4(201)), ("c1", v6(201)), ("c2", v4(202)), ("c2", v6(202))];
    let (pages4, pages6): (Vec<_>, Vec<_>) = pages.into_iter().partition(|(_, to)| to.is_ipv4());
    let mut wrong = Vec::new();
    for (pages, own) in [(pages4, v4(1)), (pages6, v6(1))] {
        let callers = [
            ("the client", &scene.client, Peer::Exactly(own)),
            ("the host", &scene.host, Peer::Gateway),
            ("a neighbour", &neighbour, Peer::Gateway),
            ("c1", &c1, Peer::Gateway),
            ("c2", &c2, Peer::Gateway),
        ];
        wrong.extend(ask_all(&callers, &pages));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    // Docker's own network goes on beside it.
    let d1 = scene.idle("d1", "");
    let on_docker0 = scene.address_in("bridge", "c2", Family::V4);
    assert_eq!(visit(&d1, on_docker0, "c2"), Ok(scene.address_in("bridge", "d1", Family::V4)));
    // And each leaves with its own address, in both families.
    let _answers = Whoami::start(&scene.client, &[53]);
    for (inside, number) in [(&c1, 201), (&c2, 202)] {
        assert_eq!(leaves_as(inside, v4(1)), Ok(v4(number)));
        assert_eq!(leaves_as(inside, v6(1)), Ok(v6(number)));
    }
    scene.engine.docker_ok("rm --force c1 c2");
    let left = scene.host.carried("eth0");
    assert!(!left.contains("192.168.99.2") && !left.contains("2001:db8:99::2"), "{left}");
}

#[test]
fn an_ipv6_network_has_floating_addresses_of_its_family_only() {
    let scene = Scene::with_network(DUAL_STACK);
    scene.engine.docker_ok("network create --driver fip --subnet 172.19.0.0/16 v4only");
    let option = "--network name=v4only,driver-opt=fip.address=2001:db8:99::201";
    let refused = scene.engine.docker(&format!("run --detach --name c1 {option} lab"));
    assert_ne!(refused.code, Some(0));
    refused.complains_of(&["2001:db8:99::201", "no IPv6 address", "--ipv6"]);
    scene.engine.docker_ok("rm --force c1");

    scene.web_with("c1", "fip.address=2001:db8:99::201");
    assert_eq!(visit(&scene.client, v6(201), "c1"), Ok(v6(1)));
}

/// Whom a machine of the LAN sees that is asked by the container, as UDP at port 53.
fn leaves_as(inside: &Ns, machine: IpAddr) -> Result<IpAddr, String> {
    udp_whoami(inside, (machine, 53)).map(|reply| reply.peer)
}

#[test]
fn a_container_leaves_with_its_floating_address_unless_told_otherwise() {
    let scene = Scene::new();
    let _answers = Whoami::start(&scene.client, &[53]);
    let usual = scene.web_with("usual", "fip.address=192.168.99.201");
    let without = scene.web_with("without", "fip.address=192.168.99.202,fip.egress=false");
    let one_port = scene.web_with("one-port", "fip.address=192.168.99.203,fip.ports=tcp:80");
    assert_eq!(leaves_as(&usual, v4(1)), Ok(v4(201)));
    assert_eq!(leaves_as(&without, v4(1)), Ok(v4(11)));
    assert_eq!(leaves_as(&one_port, v4(1)), Ok(v4(11)));
    assert!([&usual, &without, &one_port].into_iter().all(|inside| ping(inside, v4(1))));
    assert_eq!(visit(&scene.client, v4(201), "usual"), Ok(v4(1)));
    assert_eq!(visit(&scene.client, v4(202), "without"), Ok(v4(1)));

    // One that is on Docker's network as well leaves by that, like any other of that network.
    let both = scene.engine.web("both", &format!("--label {LABEL}=192.168.99.204"), "both");
    scene.engine.docker_ok("network connect fip both");
    wait_for_page(&scene.client, v4(204), "both");
    assert_eq!(leaves_as(&both, v4(1)), Ok(v4(11)));
}

#[test]
fn ports_are_those_that_were_asked_for() {
    let scene = Scene::new();
    let by_option = scene.web_with("option", "fip.address=192.168.99.201,fip.ports=tcp:80");
    let _more = Whoami::start(&by_option, &[8080]);
    let by_label = scene.web("label", &format!("--label {LABEL}=192.168.99.202:tcp:8080:80"));
    let _more_too = Whoami::start(&by_label, &[53]);

    assert_eq!(fetch(&scene.client, v4(201)).map(|page| page.text), Ok("option".to_owned()));
    let asks = |port| {
        let tcp = crate::lab::tcp_whoami(&scene.client, (v4(201), port));
        (tcp.is_ok(), udp_whoami(&scene.client, (v4(201), port)).is_ok())
    };
    assert_eq!(asks(8080), (false, false), "a port that was not asked for");

    assert!(fetch(&scene.client, v4(202)).is_err(), "port 80 of the floating address");
    assert!(udp_whoami(&scene.client, (v4(202), 53)).is_err());
    let mapped = scene.client.tool("busybox", &["wget", "-qO-", "http://192.168.99.202:8080/"], "");
    assert_eq!(mapped, "label\n");

    // The whole address, but for its egress, has another port too.
    let whole = scene.web_with("whole", "fip.address=192.168.99.203");
    let _more_still = Whoami::start(&whole, &[8080]);
    let reply = udp_whoami(&scene.client, (v4(203), 8080)).unwrap();
    assert_eq!((reply.name.as_str(), reply.peer), ("whole", v4(1)));
}
