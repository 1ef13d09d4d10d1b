//! What a process takes while it lives: proc_pid_status(5).

use std::fmt;
use std::fs;

/// Memory, wake-ups and processor time of a process, at one moment or between two.
pub(super) struct Resident {
    /// Resident memory, in kilobytes.
    memory: u64,
    /// How often one of its threads has slept.
    sleeps: u64,
    /// Processor time, in ticks of 10 ms.
    ticks: u64,
}

impl Resident {
    /// That of this process, now.
    pub(super) fn of(pid: u32) -> Self {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let sleeps = tasks.map(|task| {
            let status = fs::read_to_string(task.unwrap().path().join("status"));
            field(&status.unwrap_or_default(), "voluntary_ctxt_switches:")
        });
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, stat) = stat.rsplit_once(") ").unwrap();
        // From the state on, which is the third: utime is the 14th, stime the 15th (proc_pid_stat(5)).
        let ticks = stat.split(' ').skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum();
        Self { memory: field(&status, "VmRSS:"), sleeps: sleeps.sum(), ticks }
    }

    /// What happened since then.
    pub(super) fn since(&self, before: &Self) -> Self {
        let Self { memory, sleeps, ticks } = *self;
        Self { memory, sleeps: sleeps - before.sleeps, ticks: ticks - before.ticks }
    }
}

impl fmt::Display for Resident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, sleeps, ticks } = self;
        write!(f, "{memory} kB resident, {sleeps} wake-ups, {} ms of processor", ticks * 10)
    }
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}
