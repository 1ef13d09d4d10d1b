//! Whatever happens to a labelled container, and whether the agent sees it or is told of it later:
//! its floating address is where it should be.

use std::net::IpAddr;

use crate::agent_scene::{AgentScene, Attach};
use crate::docker::{Engine, IMAGE};
use crate::lab::ping;
use crate::scene::{LABEL, v4};

/// What becomes of the agent with each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    /// It works, and is stopped or killed, by turns, and started again after each step.
    Works,
    /// It is stopped or killed, by turns, before each step, and started again after it.
    Sleeps,
}

#[test]
fn a_life_on_the_network_with_an_agent_that_starts_anew_after_each_step() {
    life(Attach::Network, Meanwhile::Works);
}

#[test]
fn a_life_on_the_network_with_an_agent_that_sees_no_step() {
    life(Attach::Network, Meanwhile::Sleeps);
}

#[test]
fn a_direct_life_with_an_agent_that_starts_anew_after_each_step() {
    life(Attach::Direct, Meanwhile::Works);
}

#[test]
fn a_direct_life_with_an_agent_that_sees_no_step() {
    life(Attach::Direct, Meanwhile::Sleeps);
}

/// What the host has after a step: floating addresses with the containers' names and their pages.
type Wanted = &'static [(u8, &'static str, &'static str)];

const NONE: Wanted = &[];
const FIRST: Wanted = &[(200, "c1", "c1")];

/// Commands of `docker`, in their order; LABEL is the label's name.
const STEPS: [(&str, &[&str], Wanted); 12] = [
    ("started with a label", &["run -d -l LABEL=192.168.99.200 --name c1 IMAGE c1"], FIRST),
    (
        "made anew with another label",
        &["rm -f c1", "run -d -l LABEL=192.168.99.201 --name c1 IMAGE c1"],
        &[(201, "c1", "c1")],
    ),
    ("made anew without a label", &["rm -f c1", "run -d --name c1 IMAGE c1"], NONE),
    (
        "made anew with a label again",
        &["rm -f c1", "run -d -l LABEL=192.168.99.200 --name c1 IMAGE c1"],
        FIRST,
    ),
    ("stopped", &["stop c1"], NONE),
    ("started", &["start c1"], FIRST),
    ("killed", &["kill c1"], NONE),
    ("started after it was killed", &["start c1"], FIRST),
    ("restarted", &["restart c1"], FIRST),
    (
        "beside another",
        &["run -d -l LABEL=192.168.99.201 --name c2 IMAGE c2"],
        &[(200, "c1", "c1"), (201, "c2", "c2")],
    ),
    ("alone again", &["rm -f c2"], FIRST),
    ("renamed", &["rename c1 c3"], &[(200, "c3", "c1")]),
];

fn life(attach: Attach, meanwhile: Meanwhile) {
    let play = Play { scene: AgentScene::new(attach), meanwhile };
    for (number, (what, commands, wanted)) in STEPS.into_iter().enumerate() {
        play.step(number, what, wanted, |engine| {
            for command in commands {
                let command = command.replace("LABEL", LABEL);
                engine.docker_ok(&command.replace("IMAGE", &format!("{IMAGE} /serve")));
            }
        });
    }
    let scene = &play.scene;
    let told = scene.agent.wait_for_state("c3", "bound");
    assert_eq!(told.asks, "192.168.99.200");

    scene.engine.docker_ok("pause c3");
    assert!(ping(&scene.client, v4(200)), "the kernel of a paused container answers");
    scene.agent.restart();
    scene.agent.wait_for_state("c3", "bound");
    scene.engine.docker_ok("unpause c3");
    scene.is(&[(v4(200), "c3", "c1")]);

    let before = bridge_address(scene);
    play.step(20, "at another address of its bridge", &[(200, "c3", "c1")], |engine| {
        engine.docker_ok("network disconnect bridge c3");
        engine.docker_ok(&format!("run -d --name inherits {IMAGE}"));
        engine.docker_ok("network connect bridge c3");
    });
    assert_ne!(bridge_address(scene), before);
    play.step(21, "taken off its bridge", off_the_bridge(attach), |engine| {
        engine.docker_ok("network disconnect bridge c3");
    });
    play.step(22, "on its bridge again", &[(200, "c3", "c1")], |engine| {
        engine.docker_ok("network connect bridge c3");
    });
    if attach == Attach::Network {
        play.step(23, "taken off the network fip", &[(200, "c3", "c1")], |engine| {
            engine.docker_ok("network disconnect fip c3");
        });
    }
    play.step(24, "removed", NONE, |engine| _ = engine.docker_ok("rm -f c3 inherits"));
    assert_eq!(scene.agent.status().workloads, []);
}

/// On the network `fip`, the bridge does not matter.
fn off_the_bridge(attach: Attach) -> Wanted {
    match attach {
        Attach::Network => &[(200, "c3", "c1")],
        Attach::Direct => NONE,
    }
}

fn bridge_address(scene: &AgentScene) -> IpAddr {
    let told = scene.engine.inspect("container c3");
    let address = told["NetworkSettings"]["Networks"]["bridge"]["IPAddress"].as_str().unwrap();
    address.parse().unwrap()
}

struct Play {
    scene: AgentScene,
    meanwhile: Meanwhile,
}

impl Play {
    #[track_caller]
    fn step(&self, number: usize, what: &str, wanted: Wanted, deed: impl FnOnce(&Engine)) {
        eprintln!("-- {what}");
        let Self { scene, meanwhile } = self;
        let end = || if number.is_multiple_of(2) { scene.agent.stop() } else { scene.agent.kill() };
        let wanted = wanted.iter().map(|&(number, name, page)| (v4(number), name, page));
        let wanted: Vec<_> = wanted.collect();
        match meanwhile {
            Meanwhile::Works => {
                deed(&scene.engine);
                scene.is(&wanted);
                end();
                scene.is(&wanted);
            }
            Meanwhile::Sleeps => {
                end();
                deed(&scene.engine);
            }
        }
        scene.agent.up();
        scene.is(&wanted);
        for (_, name, _) in wanted {
            scene.agent.wait_for_state(name, "bound");
        }
    }
}
