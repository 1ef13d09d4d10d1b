//! What the agent takes: the time from the start of a labelled container to its first answer, memory
//! and wake-ups at rest, and memory over ten thousand changes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../fip-core/tests/lab/mod.rs"]
mod lab;

#[path = "../fip-plugin/tests/docker/mod.rs"]
mod docker;

#[path = "agent/alone.rs"]
mod alone;
#[path = "agent/ping.rs"]
mod ping;
#[path = "agent/resident.rs"]
mod resident;
#[path = "docker/table.rs"]
mod table;

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use docker::{Agent, Engine, IMAGE, Options, Plugin};
use fip_plugin::docker::{Change, DEFAULT_TIMEOUT, Docker};
use lab::Lan;

use alone::Alone;
use ping::Pinger;
use resident::Resident;
use table::Table;

const FLOATING: &str = "192.168.99.200";
const LABEL: &str = "io.rancher.container.floating.ip=192.168.99.200";
const ROUNDS: usize = 20;

/// After this time the last announcement has been made.
const SETTLED: Duration = Duration::from_secs(2);

/// How long a process at rest is watched.
const REST: Duration = Duration::from_secs(10);

fn main() {
    first_answer();
    at_rest();
    many_changes();
}

/// A labelled container on the default bridge: from Docker's start event to the first answer that a
/// client of the LAN gets from it. Pings come every millisecond.
fn first_answer() {
    let lan = Lan::new();
    let (host, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&host, &Options::default());
    let _plugin = Plugin::start(&engine, "");
    let agent = Agent::start(&engine, "");
    let starts = starts(&engine);
    let pinger = Pinger::start(&client, FLOATING.parse().unwrap());
    let mut times = Vec::new();
    // The first round warms up.
    for round in 0..=ROUNDS {
        pinger.arm();
        engine.docker_ok(&format!("run --detach --name web --label {LABEL} {IMAGE}"));
        let started = starts.recv().unwrap();
        let took = pinger.first_answer().saturating_duration_since(started);
        if round > 0 {
            times.push(took);
        }
        agent.wait_for_state("web", "bound");
        engine.docker_ok("rm --force web");
        pinger.wait_for_silence();
    }
    let rows = [("start event to first ping answered", times)];
    Table::start().print("labelled container, 100 ms probe", 0, rows.into_iter());
    drop(agent);
}

/// When containers start, as the engine tells.
fn starts(engine: &Engine) -> Receiver<Instant> {
    let socket = engine.machine().path("/run/docker.sock");
    let docker = Docker::new(&format!("unix://{}", socket.display()), DEFAULT_TIMEOUT).unwrap();
    let mut changes = docker.changes().unwrap();
    let (sender, starts) = channel();
    thread::spawn(move || {
        while let Ok(change) = changes.wait() {
            if matches!(change, Change::Started(_)) && sender.send(Instant::now()).is_err() {
                return;
            }
        }
    });
    starts
}

/// An agent that has nothing to do.
fn at_rest() {
    println!("agent at rest, {} s", REST.as_secs());
    for count in [0, 1, 1_000] {
        let lan = Lan::new();
        let host = lan.host_a();
        let agent = Alone::start(&host, count);
        thread::sleep(SETTLED);
        let before = Resident::of(agent.pid());
        thread::sleep(REST);
        println!("├─ {count} bindings: {}", Resident::of(agent.pid()).since(&before));
    }
}

/// An address that comes and goes.
fn many_changes() {
    println!("agent over 10,000 changes of a file, each seen in the kernel");
    let lan = Lan::new();
    let host = lan.host_a();
    let mut agent = Alone::start(&host, 0);
    let mut done = 0;
    for goal in [100, 1_000, 5_000, 10_000] {
        let began = Instant::now();
        let count = goal - done;
        for _ in 0..count / 2 {
            agent.becomes(1);
            agent.becomes(0);
        }
        done = goal;
        let each = began.elapsed() / count;
        println!("├─ after {done}: {}, {each:?} each", Resident::of(agent.pid()));
    }
}
