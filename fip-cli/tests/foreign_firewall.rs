//! Hosts with other people's firewalls: Docker's, of each generation, and a hand-written one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../fip-core/tests/lab/mod.rs"]
mod lab;
#[path = "foreign_firewall/nftables.rs"]
mod nftables;
#[path = "foreign_firewall/other.rs"]
mod other_tables;
#[path = "foreign_firewall/scene.rs"]
mod scene;

use lab::{
    EchoWitness, Family, Ns, Proto, add_route_to, install_docker_20, install_docker_28,
    install_docker_nftables, lan, ping, tcp_whoami, whoami,
};
use scene::{MARK, Scene};

/// A binding works through Docker's rules, for every kind of caller, and leaves them as they were.
fn passes_docker(install: fn(&Ns)) {
    let scene = Scene::new(install);
    let before = scene.a.ruleset();
    for family in Family::BOTH {
        let user_rules = scene.user_rules(family);
        for workload in [&scene.own, &scene.docker] {
            let bound = scene.bind(family, 200, workload);
            assert_eq!(bound.stderr, "", "there is nothing to warn of");
            for caller in [&scene.client, &scene.far, &*scene.a, &*scene.neighbour] {
                scene.reaches(caller, family, 200, workload);
            }
            scene.reaches(workload, family, 200, workload);
            scene.position_of_our_rule(family);
            assert!(scene.user_rules(other(family)).iter().all(|rule| !rule.contains(MARK)));
            assert_eq!(scene.listed()["state"], "active");
            scene.bind(family, 201, &scene.published);
            scene.position_of_our_rule(family);
            scene.unbind(family, 200);
            scene.position_of_our_rule(family);
            scene.unbind(family, 201);
            assert_eq!(scene.user_rules(family), user_rules);
        }
    }
    assert_eq!(scene.a.ruleset(), before);
}

#[test]
fn bindings_pass_docker_up_to_27() {
    passes_docker(install_docker_20);
}

#[test]
fn bindings_pass_docker_28() {
    passes_docker(install_docker_28);
}

/// What the workload begins itself passes too, with the floating source address; what another
/// container begins does not pass because of us.
fn only_bound_workloads_pass(install: fn(&Ns)) {
    let scene = Scene::new(install);
    add_route_to(&scene.client, 18, 11);
    for family in Family::BOTH {
        scene.bind(family, 200, &scene.own);
        let to = lan(family, 1);
        let reply = tcp_whoami(&scene.own, (to, 80)).unwrap();
        assert_eq!(reply.peer, lan(family, 200));
        let witness = EchoWitness::start(&scene.client);
        assert!(ping(&scene.own, to));
        assert_eq!(witness.sources(), [lan(family, 200)]);
        let unbound = tcp_whoami(&scene.neighbour, (to, 80));
        assert!(unbound.is_err(), "FORWARD drops what is not bound: {unbound:?}");
        let direct = tcp_whoami(&scene.client, (scene.own.address(family), 80));
        assert!(direct.is_err(), "FORWARD drops what goes to the fixed address: {direct:?}");
    }
}

#[test]
fn only_bound_workloads_pass_docker_up_to_27() {
    only_bound_workloads_pass(install_docker_20);
}

#[test]
fn only_bound_workloads_pass_docker_28() {
    only_bound_workloads_pass(install_docker_28);
}

/// The iptables tools still understand their tables.
#[test]
fn iptables_can_print_its_tables() {
    for install in [install_docker_20, install_docker_28] {
        let scene = Scene::new(install);
        for (family, save) in
            [(Family::V4, "iptables-nft-save"), (Family::V6, "ip6tables-nft-save")]
        {
            scene.bind(family, 200, &scene.own);
            let saved = scene.a.try_tool(save, &[], "");
            assert_eq!(saved.code, Some(0), "{}", saved.stderr);
            // It says so, on either stream, where it finds what it cannot understand.
            let complaint = format!("{}{}", saved.stdout, saved.stderr);
            assert!(!complaint.contains("incompatible"), "{complaint}");
            assert_eq!(saved.stdout.matches(MARK).count(), 1, "{}", saved.stdout);
            // What it printed can be loaded again.
            let restore = save.replace("-save", "-restore");
            scene.a.tool(&restore, &[], &saved.stdout);
            scene.reaches(&scene.client, family, 200, &scene.own);
            let chain = scene.iptables(family, "-S DOCKER-USER");
            assert_eq!(chain.matches(MARK).count(), 1, "{chain}");
            // And the rule that iptables wrote in place of ours is still known as ours.
            scene.bind(family, 200, &scene.own);
            scene.position_of_our_rule(family);
            scene.unbind(family, 200);
            let chain = scene.iptables(family, "-S DOCKER-USER");
            assert_eq!(chain.matches(MARK).count(), 0, "{chain}");
        }
    }
}

/// A user's DROP that was there first keeps its force.
fn an_earlier_drop_holds(install: fn(&Ns)) {
    let scene = Scene::new(install);
    for family in Family::BOTH {
        let drop = format!("DOCKER-USER -s {} -j DROP", lan(family, 1));
        scene.iptables(family, &format!("-I {drop}"));
        scene.bind(family, 200, &scene.own);
        assert_eq!(scene.position_of_our_rule(family), 1, "{:?}", scene.user_rules(family));
        scene.reaches(&scene.far, family, 200, &scene.own);
        let dropped = scene.ask(&scene.client, family, 200);
        assert!(dropped.is_err(), "the user drops the client: {dropped:?}");
        scene.iptables(family, &format!("-D {drop}"));
        scene.reaches(&scene.client, family, 200, &scene.own);
    }
}

#[test]
fn an_earlier_drop_holds_with_docker_up_to_27() {
    an_earlier_drop_holds(install_docker_20);
}

#[test]
fn an_earlier_drop_holds_with_docker_28() {
    an_earlier_drop_holds(install_docker_28);
}

/// One that comes later has force from the next command on, wherever the user put it: at the end
/// of the chain (Docker 28), or before Docker's final RETURN.
#[test]
fn a_later_drop_holds_after_the_next_command() {
    for (install, place) in
        [(install_docker_20 as fn(&Ns), "-I DOCKER-USER 2"), (install_docker_28, "-A DOCKER-USER")]
    {
        let scene = Scene::new(install);
        for family in Family::BOTH {
            scene.bind(family, 200, &scene.own);
            scene.iptables(family, &format!("{place} -s {} -j DROP", lan(family, 1)));
            scene.bind(family, 200, &scene.own);
            assert_eq!(scene.position_of_our_rule(family), 1, "{:?}", scene.user_rules(family));
            scene.reaches(&scene.far, family, 200, &scene.own);
            let dropped = scene.ask(&scene.client, family, 200);
            assert!(dropped.is_err(), "the user drops the client: {dropped:?}");
        }
    }
}

/// A rule that the user deleted comes back with the next command.
#[test]
fn a_deleted_rule_comes_back() {
    let scene = Scene::new(install_docker_28);
    for family in Family::BOTH {
        scene.bind(family, 200, &scene.own);
        scene.iptables(family, "-F DOCKER-USER");
        let dropped = scene.ask(&scene.client, family, 200);
        assert!(dropped.is_err(), "nothing lets it pass: {dropped:?}");
        assert_eq!(scene.listed()["state"], "degraded");
        scene.bind(family, 200, &scene.own);
        scene.position_of_our_rule(family);
        scene.reaches(&scene.client, family, 200, &scene.own);
        scene.unbind(family, 200);
    }
}

/// Docker masquerades what leaves docker0. A floating address's workload sees the container.
#[test]
fn dockers_masquerade_does_not_hide_a_container() {
    for install in [install_docker_20 as fn(&Ns), install_docker_28, install_docker_nftables] {
        let scene = Scene::new(install);
        for family in Family::BOTH {
            scene.bind(family, 200, &scene.own);
            let container = scene.docker.address(family);
            for proto in [Proto::Tcp, Proto::Udp] {
                let reply = whoami(proto, &scene.docker, (lan(family, 200), 80)).unwrap();
                assert_eq!((reply.name.as_str(), reply.peer), ("own", container));
            }
            let witness = EchoWitness::start(&scene.own);
            assert!(ping(&scene.docker, lan(family, 200)));
            assert_eq!(witness.sources(), [container]);
        }
    }
}

/// Docker's masquerade comes after the floating source address of a bound container.
#[test]
fn a_bound_docker_container_leaves_with_its_floating_address() {
    for install in [install_docker_20 as fn(&Ns), install_docker_28] {
        let scene = Scene::new(install);
        for family in Family::BOTH {
            scene.bind(family, 200, &scene.docker);
            let to = (lan(family, 1), 80);
            assert_eq!(tcp_whoami(&scene.docker, to).unwrap().peer, lan(family, 200));
            let unbound = tcp_whoami(&scene.published, to).unwrap();
            assert_eq!(unbound.peer, lan(family, 11), "Docker masquerades the others, as before");
        }
    }
}

/// Docker translates port 80 of every local address. A floating address is local, and exempt.
#[test]
fn a_published_port_does_not_swallow_that_of_a_floating_address() {
    for install in [install_docker_20 as fn(&Ns), install_docker_28] {
        let scene = Scene::new(install);
        for family in Family::BOTH {
            scene.bind(family, 200, &scene.own);
            for caller in [&scene.client, &scene.far, &*scene.a] {
                assert_eq!(scene.ask(caller, family, 200).unwrap().name, "own");
                let published = scene.ask(caller, family, 11).unwrap();
                assert_eq!(published.name, "published", "the host's own address");
            }
            scene.unbind(family, 200);
        }
    }
}

fn other(family: Family) -> Family {
    match family {
        Family::V4 => Family::V6,
        Family::V6 => Family::V4,
    }
}
