//! What others destroy.

use fip_plugin::agent::actuator::{Actuator, Signal};

use super::scene::{Agent, PORT, Scene, asks, running};
use crate::lab::{Family, container, lan, tcp_whoami, wait_for};

#[test]
fn what_others_destroy_is_done_again() {
    let scene = Scene::new();
    let mut agent = Agent::on(&scene.a);
    let fixed = Family::BOTH.map(|family| container(family, 18, 2));
    agent.pursue(&[running("web", &asks(200), &fixed)]);
    let bound = scene.bound();
    agent.signals();
    let destroyed: [&dyn Fn(); 3] = [
        &|| _ = scene.a.nft("flush ruleset"),
        &|| scene.a.take_away("192.168.99.200", "eth0"),
        &|| _ = scene.a.nft("flush map inet fip dnat6"),
    ];
    for destroy in destroyed {
        destroy();
        agent.wait_for("a repair", |signal| matches!(signal, Signal::Repaired(_)));
        wait_for("the bindings", || (scene.bound() == bound).then_some(()));
        for family in Family::BOTH {
            assert_eq!(tcp_whoami(&scene.client, (lan(family, 200), PORT)).unwrap().name, "w2");
        }
    }
}

#[test]
fn rules_that_were_lost_while_no_agent_ran_come_back_at_once() {
    let scene = Scene::new();
    let mut agent = Agent::on(&scene.a);
    let wishes = [running("web", "192.168.99.200", &[container(Family::V4, 18, 2)])];
    agent.pursue(&wishes);
    drop(agent);
    scene.a.nft("flush ruleset");
    let mut agent = Agent::on(&scene.a);
    assert!(agent.held().unwrap().is_empty());
    agent.pursue(&wishes);
    assert_eq!(tcp_whoami(&scene.client, (lan(Family::V4, 200), PORT)).unwrap().name, "w2");
}
