//! What has to be known of a link to hold addresses on it by routes.

use std::collections::HashMap;

use crate::error::Result;
use crate::kernel::{Address, Hold, Link, Rtnl};

/// What each link holds, of IPv4, and whether neighbours get an answer for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    links: HashMap<u32, Counts>,
    /// The kernel may have taken routes away. It tells nobody when it does so because a link has
    /// lost its last address, or is gone (`fib_flush` in `net/ipv4/fib_frontend.c`).
    in_doubt: bool,
    /// `arp_ignore` of the links that were looked at: what the kernel goes by.
    arp_ignore: HashMap<u32, u32>,
}

/// How many IPv4 addresses a link has.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    routes: usize,
    floating: usize,
    own: usize,
}

impl Held {
    pub(super) fn forget_addresses(&mut self) {
        self.links.clear();
        self.in_doubt = false;
    }

    pub(super) fn count(&mut self, address: &Address) {
        if let Some(count) = self.counter(address) {
            *count += 1;
        }
    }

    pub(super) fn discount(&mut self, address: &Address) {
        if let Some(count) = self.counter(address) {
            *count = count.saturating_sub(1);
        }
    }

    fn counter(&mut self, address: &Address) -> Option<&mut usize> {
        if address.network.is_ipv6() {
            return None;
        }
        let counts = self.links.entry(address.link).or_default();
        Some(match (address.hold, address.ours) {
            (Hold::Route, _) => &mut counts.routes,
            (Hold::Address, true) => &mut counts.floating,
            (Hold::Address, false) => &mut counts.own,
        })
    }

    /// An address was removed. Where it was not one of ours, others may be at it just now, and the
    /// link may have been without any for a moment.
    pub(super) fn removed(&mut self, address: &Address) {
        let Some(counts) = self.links.get(&address.link).filter(|_| address.network.is_ipv4())
        else {
            return;
        };
        let last = counts.floating + counts.own == 0;
        let flushes = address.hold == Hold::Address && (last || !address.ours);
        self.in_doubt |= flushes && counts.routes > 0;
    }

    /// A link is gone, or was for a moment.
    pub(super) fn gone(&mut self, link: u32) {
        self.in_doubt |= self.by_routes(link);
    }

    /// The links are read again: one that joins or leaves a VRF loses its routes.
    pub(super) fn links_changed(&mut self, before: &[Link], now: &[Link]) {
        self.arp_ignore.clear();
        let moved = before.iter().filter(|old| {
            let new = now.iter().find(|link| link.index == old.index);
            new.is_none_or(|new| new.master != old.master)
        });
        moved.for_each(|link| self.gone(link.index));
    }

    pub(super) fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Whether the link holds anything by routes.
    pub(super) fn by_routes(&self, link: u32) -> bool {
        self.links.get(&link).is_some_and(|counts| counts.routes > 0)
    }

    pub(super) fn lives_by_floating(&self, link: u32) -> bool {
        self.links.get(&link).is_some_and(|counts| counts.own == 0 && counts.floating > 0)
    }

    pub(super) fn look_at(&mut self, kernel: &mut impl Rtnl, link: &Link) -> Result<()> {
        if self.arp_ignore.contains_key(&link.index) {
            return Ok(());
        }
        let mut ignore = 0;
        for place in ["all", link.name.as_str()] {
            let value = kernel.sysctl(&format!("net/ipv4/conf/{place}/arp_ignore"))?;
            // The larger one counts (`IN_DEV_MAXCONF` in `linux/inetdevice.h`).
            ignore = ignore.max(value.and_then(|value| value.parse().ok()).unwrap_or(0));
        }
        self.arp_ignore.insert(link.index, ignore);
        Ok(())
    }

    /// What the link goes by, if it ignores any questions.
    pub(super) fn arp_ignore(&self, link: u32) -> Option<u32> {
        self.arp_ignore.get(&link).copied().filter(|ignore| *ignore > 0)
    }
}

#[cfg(test)]
mod tests;
