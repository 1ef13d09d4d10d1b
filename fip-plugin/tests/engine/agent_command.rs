//! What the command does beside its work: a look without a deed, one round, the status, the end.

use crate::agent_scene::{AgentScene, Attach, picture};
use crate::docker::{Agent, Options, eventually};
use crate::scene::v4;

#[test]
fn a_plan_is_printed_and_nothing_is_done() {
    for attach in Attach::BOTH {
        let scene = AgentScene::new(attach);
        let AgentScene { agent, engine, host, .. } = &scene;
        let plan = || Agent::run(engine, &format!("{} --dry-run", attach.args())).exits(0);
        scene.web("stays", v4(200));
        scene.web("goes", v4(201));
        scene.has(&[(v4(200), "stays"), (v4(201), "goes")]);
        // Docker lists who is connected only after the driver has done its part.
        for name in ["stays", "goes"] {
            agent.wait_for_state(name, "bound");
        }
        assert_eq!(plan().stdout, "", "everything is as it shall be");

        agent.stop();
        engine.docker_ok("rm --force goes");
        scene.web("comes", v4(202));
        scene.asks("bad", "here");
        let before = picture(host, engine);
        let lines = plan().stdout.clone();
        let has = |sign: &str, parts: &[&str]| {
            let is_it =
                |line: &str| line.starts_with(sign) && parts.iter().all(|part| line.contains(part));
            assert!(lines.lines().any(is_it), "no {sign} {parts:?} in:\n{lines}");
        };
        has("+", &["192.168.99.202"]);
        has("!", &["bad", "\"here\""]);
        if attach == Attach::Direct {
            has("-", &["192.168.99.201"]);
        }
        assert!(!lines.contains("192.168.99.200"), "{lines}");
        assert_eq!(picture(host, engine), before);
    }
}

#[test]
fn a_plan_of_a_bare_host_has_the_network() {
    let scene = AgentScene::new(Attach::Network);
    let AgentScene { agent, engine, host, .. } = &scene;
    // Docker would go on making it after the agent's end.
    eventually("the network fip is there", || {
        let networks = engine.docker_ok("network ls --format {{.Name}}");
        networks.lines().any(|name| name == "fip").then_some(()).ok_or(networks)
    });
    agent.stop();
    let drained = Agent::run(engine, "drain").exits(0).stdout.clone();
    assert!(drained.starts_with("- network fip"), "{drained}");
    scene.web("c1", v4(200));
    let before = picture(host, engine);
    let lines = Agent::run(engine, "--dry-run").exits(0).stdout.clone();
    for planned in ["+ network fip (driver fip)", "+ c1: 192.168.99.200 (network fip)"] {
        assert!(lines.lines().any(|line| line == planned), "no {planned} in:\n{lines}");
    }
    assert_eq!(picture(host, engine), before);
}

#[test]
fn one_round_is_complete_when_it_ends() {
    for attach in Attach::BOTH {
        let scene = AgentScene::new(attach);
        let AgentScene { agent, engine, .. } = &scene;
        agent.stop();
        scene.web("c1", v4(200));
        let once = |code| Agent::run(engine, &format!("{} --once", attach.args())).exits(code);
        once(0);
        scene.has(&[(v4(200), "c1")]);
        once(0);
        engine.docker_ok("rm --force c1");
        scene.web("c2", v4(201));
        scene.asks("bad", "here");
        // Not everybody has what he asks for.
        once(1).complains_of(&["bad", "\"here\""]);
        scene.has(&[(v4(201), "c2")]);
        engine.docker_ok("rm --force c2 bad");
        once(0);
        scene.has(&[]);

        engine.stop();
        once(1).complains_of(&["docker.sock"]);
    }
}

#[test]
fn the_status_is_told_to_people_and_to_programs() {
    let scene = AgentScene::new(Attach::Direct);
    let AgentScene { agent, engine, .. } = &scene;
    scene.web("c1", v4(200));
    agent.wait_for_state("c1", "bound");
    let told = Agent::run(engine, "status").exits(0);
    let row = told.stdout.lines().find(|line| line.contains("c1")).unwrap_or_default();
    assert!(row.contains("192.168.99.200") && row.contains("bound"), "{}", told.stdout);
    let json = Agent::run(engine, "status --json").exits(0).json();
    assert_eq!(json["workloads"][0]["floating"][0], "192.168.99.200");
    assert_eq!(json["healthy"], true);
    let (code, metrics) = agent.get("/metrics");
    assert_eq!(code, 200);
    assert!(
        metrics.lines().any(|line| line.contains("bound") && line.ends_with(" 1")),
        "{metrics}"
    );
    assert_eq!(agent.get("/nothing").0, 404);

    // A container that is refused does not make the agent ill.
    scene.asks("bad", "here");
    agent.wait_for_state("bad", "refused");
    Agent::run(engine, "status").exits(0);

    agent.stop();
    let silent = Agent::run(engine, "status").exits(1);
    silent.complains_of(&["/run/fip/agent.sock", "no agent answers", "systemctl start"]);
    Agent::run(engine, "status --listen nowhere").exits(2);
    agent.up();
    agent.kill();
    Agent::run(engine, "status").exits(1).complains_of(&["no agent answers"]);
}

#[test]
fn the_status_can_be_had_at_a_port_too() {
    let args = "--listen 127.0.0.1:9797 --listen /run/fip/agent.sock";
    let scene = AgentScene::with(Attach::Direct, &Options::default(), args);
    scene.web("c1", v4(200));
    scene.agent.wait_for_state("c1", "bound");
    for place in ["127.0.0.1:9797", "/run/fip/agent.sock"] {
        let told = Agent::run(&scene.engine, &format!("status --listen {place}")).exits(0);
        assert!(told.stdout.contains("c1"), "{}", told.stdout);
    }
    let other = Agent::run(&scene.engine, "status --listen 127.0.0.1:9798").exits(1);
    other.complains_of(&["127.0.0.1:9798", "no agent answers"]);
}

#[test]
fn there_is_one_agent_on_a_host() {
    let scene = AgentScene::new(Attach::Direct);
    let second = Agent::run(&scene.engine, "--attach direct").exits(1);
    second.complains_of(&["/run/fip/agent.sock", "in use"]);
    scene.web("c1", v4(200));
    scene.has(&[(v4(200), "c1")]);
}

#[test]
fn the_label_may_have_other_names() {
    let args = "--label org.example.a --label org.example.b";
    let scene = AgentScene::with(Attach::Direct, &Options::default(), args);
    scene.web("old", v4(200));
    for (name, label, number) in [("one", "a", 201), ("two", "b", 202)] {
        scene.engine.web(name, &format!("--label org.example.{label}={}", v4(number)), name);
    }
    scene.engine.web("near", "--label org.example.ab=192.168.99.203", "near");
    scene.has(&[(v4(201), "one"), (v4(202), "two")]);
    assert_eq!(scene.agent.status().workloads.len(), 2);
}

#[test]
fn a_stop_and_a_death_leave_everything() {
    for attach in Attach::BOTH {
        let scene = AgentScene::new(attach);
        let AgentScene { agent, host, engine, .. } = &scene;
        scene.web("c1", v4(200));
        scene.has(&[(v4(200), "c1")]);
        let before = picture(host, engine);
        agent.stop();
        assert_eq!(picture(host, engine), before);
        agent.up();
        agent.wait_for_state("c1", "bound");
        assert_eq!(picture(host, engine), before);
        agent.kill();
        assert_eq!(picture(host, engine), before);
        agent.up();
        agent.wait_for_state("c1", "bound");
        eventually("nothing has changed", || {
            (picture(host, engine) == before).then_some(()).ok_or("something has".to_owned())
        });
        assert!(agent.log().contains("floating addresses stay"));
    }
}
