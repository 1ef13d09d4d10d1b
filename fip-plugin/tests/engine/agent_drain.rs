//! `fip-agent drain`: the host is as it was before the agent was ever started.

use crate::agent_scene::{AgentScene, Attach, networks};
use crate::docker::{Agent, Options};
use crate::scene::v4;

#[test]
fn the_host_is_as_it_was_before_the_agent_was_ever_started() {
    for attach in Attach::BOTH {
        // Docker's first container turns on what stays on.
        let scene = AgentScene::prepared(attach, &Options::default(), "", |engine, _| {
            engine.web("first", "", "first");
            engine.docker_ok("rm --force first");
        });
        let AgentScene { agent, engine, .. } = &scene;
        scene.web("c1", v4(200));
        scene.web("c2", v4(201));
        scene.web("sleeps", v4(202));
        scene.asks("bad", "here");
        let all = [(v4(200), "c1"), (v4(201), "c2")];
        scene.has(&[all[0], all[1], (v4(202), "sleeps")]);
        engine.docker_ok("stop sleeps");
        scene.has(&all);

        let refused = Agent::run(engine, "drain").exits(1);
        refused.complains_of(&["/run/fip/agent.sock", "in use", "stop it"]);
        scene.has(&all);

        agent.stop();
        let drained = Agent::run(engine, "drain").exits(0);
        for address in ["192.168.99.200", "192.168.99.201"] {
            assert!(drained.stdout.contains(address), "{}", drained.stdout);
        }
        scene.has(&[]);
        // What runs, runs on, on the networks of its own.
        assert_eq!(engine.docker_ok("ps --quiet").lines().count(), 3);
        for name in ["c1", "c2", "sleeps"] {
            assert_eq!(networks(engine, name), ["bridge"], "{name}");
        }
        engine.docker_ok("rm --force c1 c2 sleeps bad");
        scene.is_as_before();
        let again = Agent::run(engine, "drain").exits(0);
        assert_eq!(again.stdout, "", "there is nothing left");

        // And it can be had all over again.
        agent.up();
        scene.web("c1", v4(200));
        scene.has(&[(v4(200), "c1")]);
    }
}

#[test]
fn a_drain_after_a_kill_is_as_good() {
    for attach in Attach::BOTH {
        let scene = AgentScene::prepared(attach, &Options::default(), "", |engine, _| {
            engine.web("first", "", "first");
            engine.docker_ok("rm --force first");
        });
        let AgentScene { agent, engine, .. } = &scene;
        scene.web("c1", v4(200));
        scene.has(&[(v4(200), "c1")]);
        agent.kill();
        engine.docker_ok("rm --force c1");
        Agent::run(engine, "drain").exits(0);
        scene.is_as_before();
    }
}

#[test]
fn what_cannot_be_drained_is_told() {
    let scene = AgentScene::new(Attach::Direct);
    let AgentScene { agent, engine, .. } = &scene;
    scene.web("c1", v4(200));
    scene.has(&[(v4(200), "c1")]);
    agent.stop();
    engine.stop();
    // Docker cannot be asked what it has of ours; the rest is done.
    Agent::run(engine, "drain").exits(1).complains_of(&["docker.sock"]);
    assert_eq!(scene.host.nft("list ruleset").matches("owner=agent").count(), 0);
    Agent::run(engine, "drain --direct-only").exits(0);
}
