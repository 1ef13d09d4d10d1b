//! What the plugin adds to Docker's commands: a network of the built-in bridge driver beside one of
//! `fip`, on a real engine, with floating addresses of somebody else bound on the host.

mod scene;
mod show;

use std::time::{Duration, Instant};

use crate::harness::{Bench, Case, Figures, Group, in_turn};

pub(crate) use show::{plots, tables};

use scene::{Scene, Side};

/// What is left to be done when a command returns must not count against the next one.
const REST: Duration = Duration::from_millis(50);

/// The case that the others are compared with.
const BUILT_IN: &str = "bridge, built in";

/// A container with a floating address, as it comes.
const ASKS: &str = "fip.address";

/// How a container gets into a network, and out of it again.
struct Operation {
    begin: (&'static str, fn(&Side<'_>)),
    end: (&'static str, fn(&Side<'_>)),
    /// How often, in a full and in a quick run.
    rounds: (usize, usize),
}

const OPERATIONS: [Operation; 3] = [
    Operation {
        begin: ("API connect ms", |side| side.api_connect()),
        end: ("API disconnect ms", |side| side.api_disconnect()),
        rounds: (25, 2),
    },
    Operation {
        begin: ("network connect ms", |side| side.connect()),
        end: ("network disconnect ms", |side| side.disconnect()),
        rounds: (7, 1),
    },
    Operation {
        begin: ("run -d ms", |side| side.run()),
        end: ("rm -f ms", |side| side.remove()),
        rounds: (7, 1),
    },
];

pub(crate) fn run(bench: &Bench) -> Group {
    let mut group = Group::new("plugin");
    if group.peer("dockerd").is_none() {
        return group;
    }
    group.uses("fip-plugin", &bench.programs.plugin);
    group.set("Docker", "--userland-proxy=false, iptables on, one idle container");
    group.set(BUILT_IN, "docker network create --subnet 172.18.0.0/16");
    group.set("fip", "docker network create --driver fip --subnet 172.19.0.0/16");
    group.set(ASKS, "the same, the container with a floating address; probe of 100 ms");
    group.set("fip.address, --probe 0", "the same, fip-plugin started with --probe 0");
    group.set("present", "floating addresses of another owner, bound on the same host");
    let rounds = OPERATIONS.map(|operation| bench.of(operation.rounds.0, operation.rounds.1));
    group.set("rounds", format!("API {}, CLI {}, run {}", rounds[0], rounds[1], rounds[2]));
    let scene = Scene::new();
    let sides = scene.sides();
    scene.check(&sides);
    for &present in bench.of(&[0, 1_000, 10_000][..], &[0, 1_000]) {
        scene.occupy(present);
        for (operation, rounds) in OPERATIONS.iter().zip(rounds) {
            let cases = sides.iter().map(|side| {
                Case::new(side.name, Some(present.into()), || measure(operation, side))
            });
            group.rows.extend(in_turn(rounds, bench.of(1, 0), cases.collect()));
        }
    }
    group
}

fn measure(operation: &Operation, side: &Side<'_>) -> Figures {
    let steps = [operation.begin, operation.end].map(|(metric, step)| {
        std::thread::sleep(REST);
        let began = Instant::now();
        step(side);
        (metric, began.elapsed().as_secs_f64() * 1e3)
    });
    steps.into()
}
