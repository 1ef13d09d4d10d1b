//! Who else has, or wants, an address of this host.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::agent_scene::{AgentScene, Attach, networks};
use crate::docker::{Agent, Options, Plugin, eventually, wait_for_page};
use crate::lab::wait_for;
use crate::scene::{LABEL, v4};

#[test]
fn of_two_with_one_address_the_older_has_it_and_the_younger_gets_it_when_that_stops() {
    for attach in Attach::BOTH {
        let scene = AgentScene::new(attach);
        let AgentScene { agent, engine, .. } = &scene;
        scene.web("older", v4(200));
        scene.has(&[(v4(200), "older")]);
        scene.web("younger", v4(200));
        let why = agent.wait_for_state("younger", "refused").why.unwrap();
        assert!(why.contains("192.168.99.200") && why.contains("older"), "{why}");
        scene.has(&[(v4(200), "older")]);
        agent.kill();
        agent.up();
        agent.wait_for_state("younger", "refused");
        scene.has(&[(v4(200), "older")]);

        engine.docker_ok("stop older");
        scene.has(&[(v4(200), "younger")]);
        agent.wait_for_state("younger", "bound");
        // A connection that is left would have the driver refuse its start.
        eventually("older asks for nothing", || {
            let networks = networks(engine, "older");
            (networks == ["bridge"]).then_some(()).ok_or(networks.join(" "))
        });
        // Who has it keeps it.
        engine.docker_ok("start older");
        agent.wait_for_state("older", "refused");
        agent.restart();
        agent.wait_for_state("older", "refused");
        scene.has(&[(v4(200), "younger")]);
        engine.docker_ok("rm --force younger");
        scene.has(&[(v4(200), "older")]);
    }
}

#[test]
fn of_two_that_begin_at_once_the_older_has_the_address() {
    for attach in Attach::BOTH {
        let scene = AgentScene::new(attach);
        let AgentScene { agent, engine, .. } = &scene;
        agent.stop();
        // The last one to be started is the oldest.
        scene.web("oldest", v4(200));
        engine.docker_ok("stop oldest");
        wait_for_the_next_second();
        scene.web("older", v4(200));
        wait_for_the_next_second();
        scene.web("younger", v4(200));
        engine.docker_ok("start oldest");
        agent.up();
        scene.has(&[(v4(200), "oldest")]);
        agent.wait_for_state("older", "refused");
        agent.wait_for_state("younger", "refused");
        agent.stop();
        engine.docker_ok("rm --force oldest");
        agent.up();
        scene.has(&[(v4(200), "older")]);
        agent.wait_for_state("younger", "refused");
    }
}

/// Docker tells the age of a container in seconds.
fn wait_for_the_next_second() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let then = now();
    wait_for("the clock to go on", || (now() > then).then_some(()));
}

#[test]
fn who_is_connected_by_the_user_is_left_alone() {
    let scene = AgentScene::prepared(Attach::Network, &Options::default(), "", |engine, _| {
        engine.docker_ok("network create --driver fip fip");
    });
    let AgentScene { agent, engine, client, .. } = &scene;
    let option = |number| format!("name=fip,driver-opt=fip.address={}", v4(number));
    engine.web("his", &format!("--network {}", option(201)), "his");
    let label = format!("--label {LABEL}={}", v4(202));
    engine.web("other", &format!("{label} --network {}", option(203)), "other");
    engine.web("labelled", &format!("--label {LABEL}={} --network fip", v4(204)), "labelled");
    let endpoints = || {
        ["his", "other", "labelled"].map(|name| {
            let told = engine.inspect(&format!("container {name}"));
            told["NetworkSettings"]["Networks"]["fip"]["EndpointID"].clone()
        })
    };
    let before = endpoints();
    let all = [(v4(201), "his"), (v4(203), "other"), (v4(204), "labelled")];
    scene.has(&all);
    agent.wait_for_state("other", "bound");
    agent.wait_for_state("labelled", "bound");
    assert_eq!(agent.workload("his"), None);

    // The agent has worked meanwhile, and works.
    scene.web("ours", v4(200));
    wait_for_page(client, v4(200), "ours");
    agent.restart();
    agent.wait_for_state("ours", "bound");
    engine.docker_ok("rm --force ours");
    scene.has(&all);
    assert_eq!(endpoints(), before);

    agent.stop();
    Agent::run(engine, "drain").exits(0);
    assert_eq!(endpoints(), before);
    scene.has(&all);
}

#[test]
fn the_plugin_and_a_direct_agent_work_side_by_side() {
    let scene = AgentScene::new(Attach::Direct);
    let AgentScene { agent, engine, client, .. } = &scene;
    let _plugin = Plugin::start(engine, "");
    engine.docker_ok("network create --driver fip fip");
    let option = format!("--network name=fip,driver-opt=fip.address={}", v4(201));
    engine.web("his", &option, "his");
    scene.web("ours", v4(200));
    wait_for_page(client, v4(200), "ours");
    wait_for_page(client, v4(201), "his");

    // What the plugin has, a label does not get.
    scene.asks("thief", "192.168.99.201");
    agent.wait_for_why("thief", "192.168.99.201");
    wait_for_page(client, v4(201), "his");
    engine.docker_ok("rm --force his");
    agent.wait_for_state("thief", "bound");
    wait_for_page(client, v4(201), "thief");
    wait_for_page(client, v4(200), "ours");
}
