//! What is right again, or still, after dockerd, the plugin or the events failed.

use crate::agent_proxy::{Events, Proxy, THROUGH_PROXY};
use crate::agent_scene::{AgentScene, Attach};
use crate::docker::{Agent, Engine, Options, Plugin, eventually, fetch, wait_for_page};
use crate::dying::dies_of;
use crate::scene::{LABEL, v4, visit};

const LIVE: Options = Options { live_restore: true, bip: "172.17.0.1/16", more: "" };

#[test]
fn dockerd_stops_with_its_containers_and_starts_with_them() {
    for attach in Attach::BOTH {
        let scene = AgentScene::new(attach);
        let AgentScene { agent, engine, .. } = &scene;
        let label = format!("--label {LABEL}=192.168.99.200 --restart always");
        engine.web("always", &label, "always");
        scene.web("once", v4(201));
        scene.has(&[(v4(200), "always"), (v4(201), "once")]);

        for end in [Engine::stop, Engine::kill] {
            end(engine);
            eventually("the agent is not well", || {
                let (code, text) = agent.get("/healthz");
                (code == 503).then_some(()).ok_or(text)
            });
            Agent::run(engine, "status").exits(1);
            engine.up();
            scene.has(&[(v4(200), "always")]);
            agent.wait_for_state("always", "bound");
            agent.wait_for_state("once", "stopped");
            Agent::run(engine, "status").exits(0);
            engine.docker_ok("start once");
            scene.has(&[(v4(200), "always"), (v4(201), "once")]);
        }
    }
}

#[test]
fn containers_that_live_on_keep_their_addresses_while_dockerd_is_down() {
    for attach in Attach::BOTH {
        let scene = AgentScene::with(attach, &LIVE, "");
        let AgentScene { agent, engine, client, host, .. } = &scene;
        scene.web("c1", v4(200));
        scene.has(&[(v4(200), "c1")]);
        let table = || host.nft("-s list table inet fip");
        let before = table();
        for end in [Engine::stop, Engine::kill] {
            let since = agent.log().len();
            end(engine);
            agent.wait_for_line(since, &["the source fails", "docker.sock"]);
            assert_eq!(visit(client, v4(200), "c1"), Ok(v4(1)));
            // One that knows nothing yet does not know better.
            agent.kill();
            agent.up();
            eventually("it asks dockerd", || {
                let failures = agent.status().counters.source_failures;
                (failures > 1).then_some(()).ok_or(failures.to_string())
            });
            let told = Agent::run(engine, "status").exits(1);
            assert!(told.stdout.contains("never answered"), "{}", told.stdout);
            assert_eq!(visit(client, v4(200), "c1"), Ok(v4(1)));
            assert_eq!(table(), before);
            engine.up();
            agent.wait_for_state("c1", "bound");
            scene.has(&[(v4(200), "c1")]);
            assert_eq!(table(), before);
        }
        engine.kill();
        engine.up();
        engine.docker_ok("rm --force c1");
        scene.has(&[]);
    }
}

#[test]
fn what_happened_to_containers_while_dockerd_was_down_is_found() {
    let scene = AgentScene::with(Attach::Direct, &LIVE, "");
    let AgentScene { agent, engine, .. } = &scene;
    scene.web("dies", v4(200));
    scene.web("lives", v4(201));
    scene.has(&[(v4(200), "dies"), (v4(201), "lives")]);
    let pid = engine.inspect("container dies")["State"]["Pid"].to_string();
    engine.kill();
    engine.machine().bash(r#"kill -s KILL "$1""#, &[&pid]);
    engine.up();
    scene.has(&[(v4(201), "lives")]);
    agent.wait_for_state("dies", "stopped");
}

#[test]
fn without_the_plugin_containers_wait_and_others_keep_what_they_have() {
    let scene = AgentScene::new(Attach::Network);
    let AgentScene { agent, engine, client, plugin, .. } = &scene;
    let plugin = plugin.as_ref().unwrap();
    scene.web("c1", v4(200));
    scene.has(&[(v4(200), "c1")]);
    plugin.restart();
    scene.has(&[(v4(200), "c1")]);
    plugin.kill();
    scene.web("c2", v4(201));
    wait_for_page(client, v4(200), "c1");
    assert!(fetch(client, v4(201)).is_err());
    plugin.up();
    scene.has(&[(v4(200), "c1"), (v4(201), "c2")]);
    agent.wait_for_state("c2", "bound");
    engine.docker_ok("rm --force c1 c2");
    scene.has(&[]);
}

/// Docker has never met the plugin that is started now.
fn before_the_plugin(meanwhile: impl FnOnce(&Plugin)) -> AgentScene {
    AgentScene::prepared(Attach::Network, &Options::default(), "", |_, plugin| {
        let plugin = plugin.unwrap();
        plugin.stop();
        meanwhile(plugin);
    })
}

#[test]
fn a_plugin_that_comes_later_is_waited_for() {
    let scene = before_the_plugin(|_| ());
    let AgentScene { agent, engine, plugin, .. } = &scene;
    scene.web("c1", v4(200));
    let told = agent.wait_for_why("c1", "does the network driver fip run");
    assert_eq!(told.state, "waiting");
    plugin.as_ref().unwrap().up();
    scene.has(&[(v4(200), "c1")]);
    engine.docker_ok("rm --force c1");
    scene.has(&[]);
}

/// Docker asks a driver for its capabilities once. If it gets no answer for a quarter of a minute,
/// it has no such driver until its own end.
#[test]
fn of_a_plugin_that_died_when_docker_met_it_the_way_out_is_told() {
    let mut dying = None;
    let scene = before_the_plugin(|plugin| dying = Some(dies_of("GetCapabilities", plugin)));
    let AgentScene { agent, engine, plugin, .. } = &scene;
    scene.web("c1", v4(200));
    let told = agent.wait_for_why("c1", "restart dockerd");
    assert_eq!(told.state, "waiting");
    dying.unwrap().join().unwrap();
    plugin.as_ref().unwrap().up();
    engine.stop();
    engine.up();
    engine.docker_ok("start c1");
    scene.has(&[(v4(200), "c1")]);
}

/// An agent that asks Docker through a proxy, with these further arguments, and listens.
fn behind_a_proxy(attach: Attach, args: &str) -> (AgentScene, Proxy) {
    let mut proxy = None;
    let args = format!("{THROUGH_PROXY} {args}");
    let scene = AgentScene::prepared(attach, &Options::default(), &args, |engine, _| {
        proxy = Some(Proxy::start(engine));
    });
    let proxy = proxy.unwrap();
    wait_for_stream(&proxy, 1);
    (scene, proxy)
}

fn wait_for_stream(proxy: &Proxy, number: usize) {
    eventually(&format!("the agent listens to events, time {number}"), || {
        let streams = proxy.streams();
        (streams >= number).then_some(()).ok_or(streams.to_string())
    });
}

#[test]
fn events_that_are_lost_are_made_up_for_by_a_list() {
    for attach in Attach::BOTH {
        let (scene, proxy) = behind_a_proxy(attach, "--resync 2s");
        scene.web("c1", v4(200));
        scene.has(&[(v4(200), "c1")]);
        proxy.set(Events::Lose);
        scene.web("c2", v4(201));
        scene.has(&[(v4(200), "c1"), (v4(201), "c2")]);
        scene.engine.docker_ok("stop c1");
        scene.has(&[(v4(201), "c2")]);
        scene.engine.docker_ok("rm --force c1 c2");
        scene.has(&[]);
        assert_eq!((proxy.events(), proxy.streams()), (Events::Lose, 1));
    }
}

#[test]
fn a_stream_of_events_that_ends_in_the_middle_of_a_line_is_made_up_for_by_a_list() {
    for attach in Attach::BOTH {
        let (scene, proxy) = behind_a_proxy(attach, "");
        for number in 1..=3 {
            proxy.set(Events::Cut);
            scene.web("c1", v4(200));
            scene.has(&[(v4(200), "c1")]);
            assert_eq!(proxy.events(), Events::Pass, "one was cut");
            wait_for_stream(&proxy, 2 * number);
            proxy.set(Events::Cut);
            scene.engine.docker_ok("rm --force c1");
            scene.has(&[]);
            wait_for_stream(&proxy, 2 * number + 1);
        }
    }
}

#[test]
fn what_happens_while_nobody_answers_is_found_when_somebody_does() {
    for attach in Attach::BOTH {
        let (scene, proxy) = behind_a_proxy(attach, "");
        let AgentScene { agent, engine, .. } = &scene;
        scene.web("c1", v4(200));
        scene.web("c2", v4(201));
        engine.docker_ok("stop c2");
        scene.has(&[(v4(200), "c1")]);
        let since = agent.log().len();
        proxy.close();
        engine.docker_ok("rm --force c1");
        engine.docker_ok("start c2");
        agent.wait_for_line(since, &["the source fails", "proxy.sock"]);
        proxy.open();
        agent.wait_for_line(since, &["the source answers again"]);
        scene.has(&[(v4(201), "c2")]);
    }
}

#[test]
fn after_a_power_failure_everything_comes_back() {
    for attach in Attach::BOTH {
        let scene = AgentScene::new(attach);
        let AgentScene { agent, engine, plugin, .. } = &scene;
        let label = format!("--label {LABEL}=192.168.99.200 --restart always");
        engine.web("always", &label, "always");
        scene.web("once", v4(201));
        scene.has(&[(v4(200), "always"), (v4(201), "once")]);
        engine.power_cycle();
        agent.lost_power();
        // The agent is first: it waits for the others.
        agent.up();
        if let Some(plugin) = plugin {
            plugin.lost_power();
            plugin.up();
        }
        engine.up();
        scene.has(&[(v4(200), "always")]);
        engine.docker_ok("start once");
        scene.has(&[(v4(200), "always"), (v4(201), "once")]);
    }
}

#[test]
fn without_a_source_everything_is_held_until_the_time_for_that_is_over() {
    let (scene, proxy) = behind_a_proxy(Attach::Direct, "--hold-for 3s");
    let agent = &scene.agent;
    scene.web("c1", v4(200));
    scene.has(&[(v4(200), "c1")]);
    let since = agent.log().len();
    proxy.close();
    agent.wait_for_line(since, &["the source fails", "stays bound"]);
    agent.wait_for_line(since, &["--hold-for", "let go"]);
    scene.has(&[]);
    eventually("it is told that the address has left", || {
        let moves = agent.status().moves;
        let left = moves.last().is_some_and(|last| last.event == "left");
        left.then_some(()).ok_or_else(|| format!("{moves:?}"))
    });
    proxy.open();
    scene.has(&[(v4(200), "c1")]);
}
