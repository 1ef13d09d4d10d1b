//! An address that comes and goes again and again: the agent's memory stays as it is.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use fip_core::netns::NetNs;
use fip_core::{FloatingIps, Owner};

use crate::harness::{Bench, Row};
use crate::lab::Host;

use super::daemons::{file_agent, map};
use super::usage::Usage;

/// After so many changes it is looked at the memory.
const GOALS: [u32; 4] = [100, 1_000, 2_500, 5_000];

/// Each change is waited for, in the kernel.
pub(super) fn many(bench: &Bench, host: &Host) -> Vec<Row> {
    let file = bench.file("resident-changes", &map(0));
    let agent = file_agent(bench, host, "resident-changing", &file);
    let netns: NetNs = host.path().display().to_string().parse().unwrap();
    let mut fips = FloatingIps::open_in(&netns, fip_core::Options::default()).unwrap();
    let owner: Owner = "agent".parse().unwrap();
    let mut becomes = |count: u32| {
        write(&file, &map(count));
        let deadline = Instant::now() + Duration::from_secs(10);
        while fips.bindings(&owner).unwrap().len() != count as usize {
            assert!(Instant::now() < deadline, "the agent does not follow its file");
            thread::sleep(Duration::from_micros(100));
        }
    };
    becomes(1);
    becomes(0);
    let (mut rows, mut done) = (Vec::new(), 0);
    for goal in GOALS {
        let began = Instant::now();
        for _ in 0..(goal - done) / 2 {
            becomes(1);
            becomes(0);
        }
        let each = began.elapsed().as_secs_f64() * 1e3 / f64::from(goal - done);
        done = goal;
        let memory = Usage::of(Path::new("/proc"), &[agent.pid()]).rss();
        for (metric, value) in [("RSS after changes MiB", memory), ("each change ms", each)] {
            rows.push(Row {
                case: "fip-agent, file, direct".to_owned(),
                present: Some(goal.into()),
                metric: metric.to_owned(),
                values: vec![value],
            });
        }
    }
    rows
}

fn write(file: &Path, text: &str) {
    let beside = file.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, file).unwrap();
}
