//! Other hosts that have an address, take it, or ask for it.

use std::net::IpAddr;
use std::time::Duration;

use fip_core::claim::Claim;
use fip_plugin::agent::actuator::{Actuator, Signal};
use fip_plugin::agent::model::{State, Wish};

use super::scene::{Agent, PORT, Scene, again, running};
use crate::lab::{
    Capture, Claim as Said, Family, Ns, Whoami, container, lan, tcp_whoami, wait_for,
};

fn web() -> Wish {
    running("web", "192.168.99.200", &[container(Family::V4, 18, 2)])
}

fn floating() -> IpAddr {
    lan(Family::V4, 200)
}

fn announce(ns: &Ns, address: IpAddr) {
    ns.ip(&format!("address replace {address}/32 dev eth0"));
    ns.tool("arping", &["-A", "-c1", "-I", "eth0", &address.to_string()], "");
}

#[test]
fn a_rival_that_lets_go_is_followed() {
    let scene = Scene::new();
    let rival = scene.lan.machine("rival", 66);
    // Before the deadline, and after it.
    for deadline in [Duration::from_secs(60), Duration::ZERO] {
        rival.ip("address add 192.168.99.200/32 dev eth0");
        let mut agent = Agent::with(&scene.a, Claim { deadline, ..Claim::default() });
        let capture = Capture::start(&scene.lan.switch);
        if deadline.is_zero() {
            let states = agent.until(&[web()], |states| states[0] != State::Pending);
            let State::Waiting(why) = &states[0] else { panic!("{states:?}") };
            assert!(why.contains(&rival.mac("eth0")), "{why}");
        } else {
            agent.pursue_now(&[web()]);
            capture.wait_for_claim(floating(), &Said::Probes(scene.a.mac("eth0")));
        }
        assert!(scene.bound().is_empty());
        rival.ip("address del 192.168.99.200/32 dev eth0");
        agent.until(&[web()], |states| states[0] == State::Bound);
        wait_for("an answer", || {
            let reply = tcp_whoami(&scene.client, (floating(), PORT)).ok()?;
            (reply.name == "w2").then_some(())
        });
        agent.drain().unwrap();
    }
}

#[test]
fn the_newer_claim_wins_until_the_workload_starts_anew() {
    let scene = Scene::new();
    let rival = scene.lan.machine("rival", 66);
    let mut agent = Agent::on(&scene.a);
    assert_eq!(agent.pursue(&[web()]), [State::Bound]);
    announce(&rival, floating());
    agent.wait_for("the rival", |signal| matches!(signal, Signal::Rival { .. }));
    let yielded = State::Yielded(rival.mac("eth0"));
    assert_eq!(agent.pursue(&[web()]), std::slice::from_ref(&yielded));
    wait_for("the withdrawal", || scene.bound().is_empty().then_some(()));
    assert!(!scene.a.carried("eth0").contains("192.168.99.200"));
    // Also when it is free again, and after repairs.
    rival.ip("address del 192.168.99.200/32 dev eth0");
    scene.a.nft("add table inet somebodys");
    assert_eq!(agent.pursue(&[web()]), [yielded]);
    assert!(scene.bound().is_empty());
    assert_eq!(agent.pursue(&[again(web())]), [State::Bound]);
    assert_eq!(tcp_whoami(&scene.client, (floating(), PORT)).unwrap().name, "w2");
}

#[test]
fn a_rival_that_came_while_no_agent_ran_keeps_the_address() {
    let scene = Scene::new();
    let rival = scene.lan.machine("rival", 66);
    let mut agent = Agent::on(&scene.a);
    agent.pursue(&[web()]);
    drop(agent);
    rival.ip("address add 192.168.99.200/32 dev eth0");
    let mut agent = Agent::on(&scene.a);
    agent.wait_for("the rival", |signal| matches!(signal, Signal::Rival { .. }));
    assert_eq!(agent.pursue(&[web()]), [State::Yielded(rival.mac("eth0"))]);
    assert!(scene.bound().is_empty());
}

/// Two hosts with an agent each. The old one does not hear that its workload has moved; it is
/// challenged by the new one, and gives up.
#[test]
fn who_is_challenged_can_give_up() {
    let scene = Scene::new();
    let b = scene.lan.host_b();
    b.bridge("br0", 20);
    let inside = b.workload("moved", "br0", 20, 2);
    let _server = Whoami::start(&inside, &[PORT]);
    let mut old = Agent::on(&scene.a);
    assert_eq!(old.pursue(&[web()]), [State::Bound]);
    old.settle();
    let capture = Capture::start(&scene.lan.switch);

    let patient = Claim { deadline: Duration::from_secs(60), ..Claim::default() };
    let mut new = Agent::with(&b, patient);
    let moved = running("web", "192.168.99.200", &[container(Family::V4, 20, 2)]);
    new.pursue_now(std::slice::from_ref(&moved));
    let challenged = old.wait_for("the challenge", |s| matches!(s, Signal::Challenged { .. }));
    let Signal::Challenged { address, mac } = challenged else { panic!("{challenged:?}") };
    assert_eq!((address, mac.to_string()), (floating(), b.mac("eth0")));
    assert_eq!(old.pursue(&[web()]), [State::Bound], "a challenge alone changes nothing");
    old.give_up(address, mac);
    new.until(&[moved], |states| states[0] == State::Bound);
    assert_eq!(old.pursue(&[web()]), [State::Yielded(b.mac("eth0"))]);
    wait_for("an answer", || {
        let reply = tcp_whoami(&scene.client, (floating(), PORT)).ok()?;
        (reply.name == "moved").then_some(())
    });
    assert!(scene.neighbour(floating()).contains(&b.mac("eth0")));
    new.settle();
    capture.catch_up(&scene.client);
    // Once the new one has said that it has the address, the old one is silent.
    let claims = capture.claims(floating());
    let of = |mac: String| Said::Holds(mac);
    let first = claims.iter().position(|claim| *claim == of(b.mac("eth0"))).unwrap();
    assert!(!claims[first..].contains(&of(scene.a.mac("eth0"))), "{claims:?}");
}
