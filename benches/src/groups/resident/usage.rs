//! What processes take while they live: proc_pid_smaps(5), proc_pid_status(5), and the scheduler's
//! own account (`Documentation/scheduler/sched-stats.rst`), which counts nanoseconds.

use std::fs;
use std::path::Path;
use std::time::Duration;

const KIB_OF_MIB: f64 = 1024.0;

/// Memory, wake-ups and processor time, at one moment.
#[derive(Debug, Default)]
pub(super) struct Usage {
    /// Resident memory, in KiB; and with shared pages divided among those who share them.
    rss: u64,
    pss: u64,
    /// Processor time, in nanoseconds.
    cpu: u64,
    /// How often a thread has waited for something.
    sleeps: u64,
}

impl Usage {
    /// Of these processes together.
    pub(super) fn of(proc: &Path, pids: &[u32]) -> Self {
        let mut sum = Self::default();
        for pid in pids {
            sum.add(&proc.join(pid.to_string()));
        }
        sum
    }

    fn add(&mut self, process: &Path) {
        let rollup = text(&process.join("smaps_rollup"));
        self.rss += field(&rollup, "Rss:");
        self.pss += field(&rollup, "Pss:");
        for task in fs::read_dir(process.join("task")).into_iter().flatten().flatten() {
            let running = text(&task.path().join("schedstat"));
            self.cpu += running.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
            self.sleeps += field(&text(&task.path().join("status")), "voluntary_ctxt_switches:");
        }
    }

    /// Memory now in MiB (resident, proportional), and what happened since then: milliseconds of the
    /// processor and wake-ups, per second.
    pub(super) fn since(&self, before: &Self, time: Duration) -> [f64; 4] {
        // A thread that ended meanwhile takes its account with it.
        let cpu = self.cpu.saturating_sub(before.cpu) as f64 / 1e6;
        let sleeps = self.sleeps.saturating_sub(before.sleeps) as f64;
        let seconds = time.as_secs_f64();
        let [rss, pss] = [self.rss, self.pss].map(|kib| kib as f64 / KIB_OF_MIB);
        [rss, pss, cpu / seconds, sleeps / seconds]
    }

    /// Resident memory, in MiB.
    pub(super) fn rss(&self) -> f64 {
        self.rss as f64 / KIB_OF_MIB
    }
}

/// A process with its children, and theirs, as far as they have one of these names.
pub(super) fn family(proc: &Path, first: u32, names: &[&str]) -> Vec<u32> {
    let (mut all, mut next) = (vec![first], 0);
    while let Some(pid) = all.get(next).copied() {
        next += 1;
        let tasks = fs::read_dir(proc.join(pid.to_string()).join("task"));
        for task in tasks.into_iter().flatten().flatten() {
            let children = text(&task.path().join("children"));
            all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    of_names(proc, all, names)
}

/// All processes that have one of these names.
pub(super) fn named(proc: &Path, names: &[&str]) -> Vec<u32> {
    let entries = fs::read_dir(proc).unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    of_names(proc, pids.collect(), names)
}

fn of_names(proc: &Path, mut pids: Vec<u32>, names: &[&str]) -> Vec<u32> {
    let name = |pid: &u32| text(&proc.join(pid.to_string()).join("comm"));
    pids.retain(|pid| names.contains(&name(pid).trim_end()));
    assert!(!pids.is_empty(), "no process of {names:?} runs");
    pids
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}
