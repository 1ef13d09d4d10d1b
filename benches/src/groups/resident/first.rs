//! A labelled container: from Docker's start event to the first answer that a client of the LAN gets
//! from it. Pings come every millisecond.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use fip_plugin::docker::{Change, DEFAULT_TIMEOUT, Docker};

use crate::docker::{Engine, IMAGE};
use crate::harness::{Bench, Case, Figures, Row, in_turn};

use super::daemons::{DIRECT, NETWORK, Site};
use super::ping::Pinger;

const FLOATING: &str = "192.168.99.200";

pub(super) fn answers(bench: &Bench, site: &Site) -> Vec<Row> {
    let starts = starts(&site.engine);
    let pinger = Pinger::start(&site.client, FLOATING.parse().unwrap());
    let case = |name, label| {
        let (site, starts, pinger) = (site, &starts, &pinger);
        Case::new(name, None, move || one(site, starts, pinger, label))
    };
    let cases = vec![
        case("fip-agent, docker, direct", DIRECT),
        case("fip-agent, docker, network", NETWORK),
    ];
    in_turn(bench.of(10, 2), bench.of(1, 0), cases)
}

fn one(site: &Site, starts: &Receiver<Instant>, pinger: &Pinger, label: &str) -> Figures {
    pinger.arm();
    let run = format!("run --detach --name web --label {label}={FLOATING} {IMAGE}");
    site.engine.docker_ok(&run);
    let started = starts.recv().expect("Docker tells of starts");
    let took = pinger.first_answer().saturating_duration_since(started);
    site.engine.docker_ok("rm --force web");
    pinger.wait_for_silence();
    vec![("start event to first answer ms", took.as_secs_f64() * 1e3)]
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
