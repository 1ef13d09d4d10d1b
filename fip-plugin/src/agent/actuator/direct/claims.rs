//! Asking the LAN who has the addresses that are wanted.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use fip_core::address::Links;
use fip_core::claim::{Claim, Claiming, RivalPolicy};
use fip_core::error::{Error, Result};
use fip_core::kernel::{Kernel, Link};

use super::Open;
use super::ledger::{Asking, Trouble};

/// What was found out of an address: that it is free, or why it cannot be had.
pub(super) type Answer = (IpAddr, Result<(), Trouble>);

/// The claims that are under way, on a handle of their own: one on each link, to which addresses
/// come and go.
pub(super) struct Claims<K> {
    open: Open<K>,
    rules: Claim,
    kernel: Option<(K, Links)>,
    links: BTreeMap<u32, On>,
}

/// The claim on a link.
struct On {
    link: Link,
    claiming: Claiming,
    addresses: Vec<IpAddr>,
}

impl<K: Kernel> Claims<K> {
    pub(super) fn new(open: Open<K>, rules: Claim) -> Self {
        Self { open, rules, kernel: None, links: BTreeMap::new() }
    }

    /// Whether there is nobody to wait for.
    pub(super) fn are_over(&self) -> bool {
        self.links.is_empty()
    }

    /// Goes on with those only that are still wanted.
    pub(super) fn retain(&mut self, wanted: impl Fn(IpAddr) -> bool) {
        for On { claiming, addresses, .. } in self.links.values_mut() {
            addresses.retain(|&address| {
                let keep = wanted(address);
                if !keep {
                    claiming.leave(address);
                }
                keep
            });
        }
    }

    /// Claims these too, and waits for news of all of them until then.
    pub(super) fn advance(&mut self, more: &[Asking], until: Instant) -> Vec<Answer> {
        let mut answers = Vec::new();
        let outcome = self.begin(more, &mut answers).and_then(|()| self.step(until, &mut answers));
        if let Err(error) = outcome {
            // What failed once is not used again.
            self.kernel = None;
            let asked = std::mem::take(&mut self.links).into_values().flat_map(|on| on.addresses);
            let begun = more.iter().map(|asking| asking.binding.floating());
            let mut all: Vec<IpAddr> = asked.chain(begun).collect();
            all.retain(|address| answers.iter().all(|(known, _)| known != address));
            answers.extend(all.into_iter().map(|address| (address, Err(Trouble::from(&error)))));
        }
        answers
    }

    fn begin(&mut self, more: &[Asking], answers: &mut Vec<Answer>) -> Result<()> {
        if more.is_empty() {
            return Ok(());
        }
        let (kernel, links) = match &mut self.kernel {
            Some(known) => known,
            none => none.insert(open(&self.open)?),
        };
        links.refresh(kernel)?;
        let macs: Vec<_> = links.macs().collect();
        let mut groups: BTreeMap<(u32, bool), (&Link, Vec<IpAddr>)> = BTreeMap::new();
        for Asking { binding, again } in more {
            let address = binding.floating();
            let uplink =
                links.check(address).and_then(|()| links.uplink(address, binding.uplink()));
            match uplink {
                Err(error) => answers.push((address, Err(Trouble::from(&error)))),
                // A host does not ask itself.
                Ok(_) if links.carrying(address).next().is_some() => {
                    answers.push((address, Ok(())))
                }
                Ok(link) => {
                    let group = groups.entry((link.index, *again));
                    group.or_insert_with(|| (link, Vec::new())).1.push(address);
                }
            }
        }
        for ((index, again), (link, addresses)) in groups {
            let rules = if again { only_look(self.rules) } else { self.rules };
            let on = self.links.entry(index).or_insert_with(|| On {
                link: link.clone(),
                claiming: Claiming::new(link, &macs, &[], &rules),
                addresses: Vec::new(),
            });
            on.claiming.add(&addresses, &rules);
            on.addresses.extend(addresses);
        }
        Ok(())
    }

    fn step(&mut self, until: Instant, answers: &mut Vec<Answer>) -> Result<()> {
        let Some((kernel, _)) = &mut self.kernel else { return Ok(()) };
        let before = answers.len();
        for On { link, claiming, addresses } in self.links.values_mut() {
            let free = claiming.step_until(kernel, until)?;
            answers.extend(free.into_iter().map(|address| (address, Ok(()))));
            answers.extend(claiming.take_rivals().into_iter().map(|(address, mac)| {
                let error = Error::Rival { address, link: link.name.clone(), mac };
                (address, Err(Trouble::from(&error)))
            }));
            let known = &answers[before..];
            addresses.retain(|address| known.iter().all(|(known, _)| known != address));
        }
        self.links.retain(|_, on| !on.claiming.is_over());
        Ok(())
    }
}

/// Whoever was there until the deadline, or was yielded to, is only looked at from then on.
fn only_look(rules: Claim) -> Claim {
    Claim { policy: RivalPolicy::Wait, deadline: Duration::ZERO, ..rules }
}

/// A handle, and the links by it.
fn open<K: Kernel>(open: &Open<K>) -> Result<(K, Links)> {
    let mut kernel = open()?;
    kernel.news()?;
    let links = Links::read(&mut kernel)?;
    Ok((kernel, links))
}
