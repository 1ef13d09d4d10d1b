//! What the daemons cost while nothing happens, beside those that people run for the same, and what
//! the agent takes from the start of a container to its first answer.

mod changes;
mod daemons;
mod first;
mod ping;
mod show;
mod usage;

use std::thread;
use std::time::Duration;

use crate::docker::Engine;
use crate::harness::{Bench, Group, Row};
use crate::lab::{Host, Lan};

pub(crate) use show::{plots, tables};

use daemons::{Site, Subject};
use usage::Usage;

/// A LAN with one host: daemons that have the same addresses do not meet.
struct Place {
    host: Host,
    _lan: Lan,
}

impl Place {
    fn new() -> Self {
        let lan = Lan::new();
        Self { host: lan.host("H", 20), _lan: lan }
    }
}

/// The metrics of a daemon at rest.
const METRICS: [&str; 4] = ["RSS MiB", "PSS MiB", "CPU ms per s", "wake-ups per s"];

pub(crate) fn run(bench: &Bench) -> Group {
    let mut group = Group::new("resident");
    group.uses("fip-agent", &bench.programs.agent);
    group.uses("fip-plugin", &bench.programs.plugin);
    let quiet = Duration::from_secs(bench.of(20, 2));
    // The kernel tells of a new bridge port once more when its forward delay, 15 s, is over.
    let settled = Duration::from_secs(bench.of(25, 1));
    group.set(
        "at rest",
        format!("for {} s, {} s after the last change", quiet.as_secs(), settled.as_secs()),
    );
    group.set("PSS", "each program from a file of its own, as if it were alone on its host");
    // So many bindings, of one label or one file.
    let many = bench.of(1_000, 100);
    let places: Vec<Place> = (0..5).map(|_| Place::new()).collect();
    let mut subjects = vec![
        Subject::file_agent(bench, &places[0].host, 0),
        Subject::file_agent(bench, &places[1].host, many),
    ];
    let [one, thousand] = [&places[2].host, &places[3].host];
    subjects.extend(daemons::keepalived(bench, &mut group, [(one, 1), (thousand, many)]));
    let docker = group.peer("dockerd").is_some();
    let lan = Lan::new();
    let site = docker.then(|| Site::start(bench, &mut group, &lan));
    if let Some(site) = &site {
        subjects.extend(site.subjects(Some(0)));
    }
    thread::sleep(settled);
    group.rows.extend(at_rest(&subjects, quiet));
    drop(subjects);
    if let Some(site) = &site {
        group.rows.extend(first::answers(bench, site));
        site.fill(many);
        thread::sleep(settled);
        group.rows.extend(at_rest(&site.subjects(Some(many)), quiet));
    }
    if !bench.quick {
        group.rows.extend(changes::many(bench, &places[4].host));
    }
    group
}

/// All of them at the same time: that they rest is what is looked at.
fn at_rest(subjects: &[Subject], quiet: Duration) -> Vec<Row> {
    let before: Vec<Usage> = subjects.iter().map(Subject::usage).collect();
    thread::sleep(quiet);
    let rows = subjects.iter().zip(&before).flat_map(|(subject, before)| {
        let values = subject.usage().since(before, quiet);
        METRICS.iter().zip(values).map(|(metric, value)| Row {
            case: subject.name.clone(),
            present: subject.present,
            metric: (*metric).to_owned(),
            values: vec![value],
        })
    });
    rows.collect()
}

/// Where an engine's daemons see their processes.
fn proc_of(engine: &Engine) -> std::path::PathBuf {
    engine.machine().path("/proc")
}
