//! Who changes the ruleset, as `nft monitor` sees it.

use crate::lab::{Ns, wait_for};
use crate::live::Live;

/// A table of the test, made and taken away to see how far the monitor is.
const MARK: &str = "marker";

/// The changes of a namespace's ruleset.
pub(super) struct Monitor {
    ns: Ns,
    live: Live,
}

impl Monitor {
    /// From its return on, every change is seen.
    pub(super) fn start(ns: &Ns) -> Self {
        let live = Live::start(ns, "nft", "monitor");
        let monitor = Self { ns: Ns::of(ns.name(), &ns.path()), live };
        wait_for("nft monitor to listen", || {
            monitor.mark();
            (!monitor.live.lines().is_empty()).then_some(())
        });
        monitor
    }

    /// The transactions so far that others than `nft` made: a line each.
    pub(super) fn transactions(&self) -> Vec<String> {
        let marks = || self.live.lines().iter().filter(|line| line.contains(MARK)).count();
        let before = marks();
        self.mark();
        wait_for("nft monitor to catch up", || (marks() >= before + 2).then_some(()));
        let lines = self.live.lines();
        let others =
            |line: &&String| line.starts_with("# new generation") && !line.ends_with("(nft)");
        lines.iter().filter(others).cloned().collect()
    }

    fn mark(&self) {
        self.ns.nft_script(&format!("add table inet {MARK}\n"));
        self.ns.nft_script(&format!("delete table inet {MARK}\n"));
    }
}
