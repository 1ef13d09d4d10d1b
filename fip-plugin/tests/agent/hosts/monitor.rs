//! Who changes the ruleset, as `nft monitor` sees it.

use std::cell::Cell;

use crate::lab::{Ns, wait_for};
use crate::live::Live;

/// Tables of the test, made and taken away to see how far the monitor is.
const MARK: &str = "marker";

/// The changes of a namespace's ruleset.
pub(super) struct Monitor {
    ns: Ns,
    live: Live,
    /// How many marks there were.
    marks: Cell<usize>,
}

impl Monitor {
    /// From its return on, every change is seen.
    pub(super) fn start(ns: &Ns) -> Self {
        let live = Live::start(ns, "nft", "monitor");
        let ns = Ns::of(ns.name(), &ns.path());
        let monitor = Self { ns, live, marks: Cell::default() };
        wait_for("nft monitor to listen", || {
            monitor.mark();
            (!monitor.live.lines().is_empty()).then_some(())
        });
        monitor
    }

    /// The transactions so far that others than `nft` made: a line each.
    pub(super) fn transactions(&self) -> Vec<String> {
        let end = format!("delete table inet {}", self.mark());
        let seen = || self.live.lines().contains(&end).then_some(());
        wait_for("nft monitor to catch up", seen);
        let lines = self.live.lines();
        let others =
            |line: &&String| line.starts_with("# new generation") && !line.ends_with("(nft)");
        lines.iter().filter(others).cloned().collect()
    }

    /// Another one each time: one that was made before may still be on its way.
    fn mark(&self) -> String {
        let number = self.marks.get() + 1;
        self.marks.set(number);
        let mark = format!("{MARK}{number}");
        self.ns.nft_script(&format!("add table inet {mark}\n"));
        self.ns.nft_script(&format!("delete table inet {mark}\n"));
        mark
    }
}
