//! Who asks and who answers do not share a processor.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// On which of the processors that this program may use a thread runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cpu {
    /// The first: who asks.
    First,
    /// The second, if there is one: who answers.
    Second,
}

impl Cpu {
    /// Keeps this thread there.
    pub(crate) fn pin(self) {
        let this = Pid::from_raw(0);
        let allowed = sched_getaffinity(this).expect("cannot ask for the processors");
        let mut usable = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false));
        let first = usable.next().expect("a processor");
        let cpu = match self {
            Self::First => first,
            Self::Second => usable.next().unwrap_or(first),
        };
        let mut only = CpuSet::new();
        only.set(cpu).expect("a processor's number");
        sched_setaffinity(this, &only).expect("cannot choose a processor");
    }
}
