//! Announcements that are repeated.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::address::Links;
use crate::error::Result;
use crate::kernel::{Link, Wire};

/// From one announcement to the next. A Linux neighbour ignores an update within a second of the
/// last one (`net.ipv4.neigh.*.locktime`), so a burst could all be lost.
const SPACING: Duration = Duration::from_millis(1100);

/// An announcement that is later than this is not made. Who was stopped for so long, or whose host
/// was, does not know who has claimed the address meanwhile, and would take it back.
const LATE: Duration = Duration::from_millis(500);

/// A schedule of announcements: each address at once and then every 1.1 s, for some rounds.
///
/// Only bookkeeping: the owner calls [`run_due`](Self::run_due) when
/// [`next_due`](Self::next_due) has come.
#[derive(Debug, Clone, Default)]
pub struct Announcements {
    pending: Vec<Pending>,
}

#[derive(Debug, Clone)]
struct Pending {
    link: Link,
    addresses: Vec<IpAddr>,
    due: Instant,
    left: u32,
}

impl Announcements {
    /// Announces these addresses from now on, so many rounds, in place of what was left of their
    /// earlier rounds.
    pub fn add(&mut self, link: &Link, addresses: &[IpAddr], rounds: u32, now: Instant) {
        self.remove(addresses);
        if rounds > 0 && !addresses.is_empty() {
            self.pending.push(Pending {
                link: link.clone(),
                addresses: addresses.to_vec(),
                due: now,
                left: rounds,
            });
        }
    }

    /// Announces these addresses no more: call it before they are unbound.
    pub fn remove(&mut self, addresses: &[IpAddr]) {
        if self.pending.is_empty() {
            return;
        }
        let gone: HashSet<_> = addresses.iter().collect();
        for pending in &mut self.pending {
            pending.addresses.retain(|address| !gone.contains(address));
        }
        self.pending.retain(|pending| !pending.addresses.is_empty());
    }

    /// Announces nothing more but what the links still carry, and nothing on a link that is cut
    /// off: others may claim it there meanwhile.
    pub fn retain_carried(&mut self, links: &Links) {
        for pending in &mut self.pending {
            let link = pending.link.index;
            let running = links.with_index(link).is_some_and(|link| link.running);
            let carried = |address| links.carrying(address).any(|a| a.link == link);
            pending.addresses.retain(|&address| running && carried(address));
        }
        self.pending.retain(|pending| !pending.addresses.is_empty());
    }

    /// When to call [`run_due`](Self::run_due) next; none if nothing is left to announce.
    pub fn next_due(&self) -> Option<Instant> {
        self.pending.iter().map(|pending| pending.due).min()
    }

    /// Makes the announcements that are due, but for those that are late.
    ///
    /// # Errors
    /// The kernel's, as [`crate::Error::Kernel`]: the first one, after all were tried. An
    /// announcement that failed is not repeated before its next round.
    pub fn run_due<W: Wire>(&mut self, wire: &mut W, now: Instant) -> Result<()> {
        let mut outcome = Ok(());
        self.pending.retain(|pending| now <= pending.due + LATE);
        for pending in self.pending.iter_mut().filter(|pending| pending.due <= now) {
            outcome = outcome.and(wire.announce(&pending.link, &pending.addresses));
            pending.left -= 1;
            pending.due = now + SPACING;
        }
        self.pending.retain(|pending| pending.left > 0);
        outcome
    }
}
