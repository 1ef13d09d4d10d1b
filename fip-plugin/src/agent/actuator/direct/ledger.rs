//! What is wanted and what is held, address by address, and what follows from that. Pure: what is
//! done about it, and how it went, is told.

mod address;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use fip_core::Binding;
use fip_core::error::Error;
use fip_core::kernel::Mac;

use super::wanted::{Want, Wanted};
use crate::agent::model::{Presence, State, Wish};
use address::{Address, Stage, Step, Yielded};

/// All floating addresses that are wanted or held.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    addresses: BTreeMap<IpAddr, Address>,
    refused: BTreeMap<String, String>,
    /// Somebody has said what is wanted. Until then, what is held stays.
    told: bool,
}

/// Why an address cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) why: String,
    /// As long as nothing changes.
    pub(super) lasting: bool,
}

impl From<&Error> for Trouble {
    fn from(error: &Error) -> Self {
        let lasting = matches!(error, Error::Refused { .. } | Error::Parse { .. });
        Self { why: super::explain(error), lasting }
    }
}

/// An address to be claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asking {
    pub(super) binding: Binding,
    /// It was in vain before.
    pub(super) again: bool,
}

/// What an address shall lead to from now on; to nothing if there is no binding.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) address: IpAddr,
    pub(super) wanted: Vec<Want>,
    /// What it led to before.
    pub(super) before: Vec<Binding>,
    /// Since when that is wanted.
    pub(super) asked: Instant,
}

impl Order {
    pub(super) fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.wanted.iter().map(|want| &want.binding)
    }
}

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Something leads elsewhere, or to nothing, from now on ([`Ledger::exchanges`]).
    pub(super) exchange: bool,
    pub(super) claim: Vec<Asking>,
    /// When there will be more.
    pub(super) next: Option<Instant>,
}

impl Due {
    pub(super) fn is_empty(&self) -> bool {
        !self.exchange && self.claim.is_empty()
    }
}

impl Ledger {
    /// One that knows what is held already.
    pub(super) fn new(held: Vec<Binding>, now: Instant) -> Self {
        let mut this = Self::default();
        for binding in held {
            let address = this.addresses.entry(binding.floating());
            let address = address.or_insert_with(|| Address::new(now));
            address.watched = true;
            address.held.reserve_exact(1);
            address.held.push(binding);
        }
        this
    }

    /// What leads to workloads of this address.
    pub(super) fn held(&self, address: IpAddr) -> Vec<Binding> {
        self.addresses.get(&address).map(|address| address.held.clone()).unwrap_or_default()
    }

    /// Who wants this address, and for what.
    pub(super) fn wanted(&self, address: IpAddr) -> Vec<Want> {
        self.addresses.get(&address).map(|address| address.wanted.clone()).unwrap_or_default()
    }

    /// Whether a workload gets nothing, for that reason.
    pub(super) fn refuses(&self, id: &str, why: &str) -> bool {
        self.refused.get(id).is_some_and(|known| known == why)
    }

    /// Wants this from now on, and nothing else.
    pub(super) fn want(&mut self, mut wanted: Wanted, now: Instant) {
        let mut addresses = std::mem::take(&mut wanted.addresses);
        for (floating, address) in &mut self.addresses {
            let unknown = wanted.unknown.contains(floating);
            address.want(addresses.remove(floating).unwrap_or_default(), unknown, now);
        }
        let new = |(floating, wanted)| (floating, Address { wanted, ..Address::new(now) });
        // All in one go leaves no node half full, as one after the other does.
        self.addresses.append(&mut addresses.into_iter().map(new).collect());
        self.refused = wanted.refused;
        self.told = true;
        self.forget_idle();
    }

    fn forget_idle(&mut self) {
        self.addresses.retain(|_, address| !address.is_idle());
    }

    fn forget_if_idle(&mut self, floating: IpAddr) {
        if self.addresses.get(&floating).is_some_and(Address::is_idle) {
            self.addresses.remove(&floating);
        }
    }

    /// What is to be done now. What is to be claimed counts as being claimed from now on.
    pub(super) fn due(&mut self, now: Instant) -> Due {
        let mut due = Due::default();
        for address in self.addresses.values_mut().filter(|_| self.told) {
            match address.step(now) {
                Step::Nothing => {}
                Step::Wait(time) => due.next = Some(due.next.map_or(time, |next| next.min(time))),
                Step::Exchange => due.exchange = true,
                Step::Claim => {
                    address.stage = Stage::Claiming;
                    let again = address.failures > 0;
                    let binding = address.wanted.first().map(|want| want.binding.clone());
                    due.claim.extend(binding.map(|binding| Asking { binding, again }));
                }
            }
        }
        due
    }

    /// Whether it is still being claimed.
    pub(super) fn claims(&self, address: IpAddr) -> bool {
        self.addresses.get(&address).is_some_and(Address::claims)
    }

    /// Whether something is to be done, or being done, that has not failed yet.
    pub(super) fn is_busy(&self, now: Instant) -> bool {
        let busy = |address: &Address| {
            let step = address.step(now);
            let next = matches!(step, Step::Exchange | Step::Claim);
            address.trouble.is_none() && (next || address.claims())
        };
        self.told && self.addresses.values().any(busy)
    }

    /// What is held and shall lead elsewhere, or to nothing. It counts as given to the watch.
    pub(super) fn exchanges(&mut self, now: Instant) -> Vec<Order> {
        let due = self.addresses.iter_mut();
        let due = due.filter(|(_, address)| matches!(address.step(now), Step::Exchange));
        due.map(|(floating, address)| order(*floating, address)).collect()
    }

    /// The same of what was found free, as far as it is still wanted.
    pub(super) fn holds(&mut self, free: &[IpAddr]) -> Vec<Order> {
        let claimed = |floating: &IpAddr| {
            let address = self.addresses.get_mut(floating).filter(|address| address.claims());
            address.map(|address| order(*floating, address))
        };
        free.iter().filter_map(claimed).collect()
    }

    /// The order was carried out.
    pub(super) fn done(&mut self, order: &Order) {
        if let Some(address) = self.addresses.get_mut(&order.address) {
            address.held = order.bindings().cloned().collect();
            address.watched = !address.held.is_empty();
            address.stage = Stage::Open;
            (address.trouble, address.failures) = (None, 0);
        }
        self.forget_if_idle(order.address);
    }

    /// The order was refused: the address leads to nothing.
    pub(super) fn refuse(&mut self, order: &Order) {
        if let Some(address) = self.addresses.get_mut(&order.address) {
            address.held.clear();
            address.watched = false;
        }
    }

    /// The order failed half-way. The watch has it, and goes on trying.
    pub(super) fn doubt(&mut self, order: &Order) {
        if let Some(address) = self.addresses.get_mut(&order.address)
            && !order.wanted.is_empty()
        {
            address.held = order.bindings().cloned().collect();
        }
    }

    /// An address cannot be had now. Whether that is news.
    pub(super) fn fail(&mut self, floating: IpAddr, trouble: Trouble, now: Instant) -> bool {
        let Some(address) = self.addresses.get_mut(&floating) else { return false };
        let news = address.fail(trouble, now);
        self.forget_if_idle(floating);
        news
    }

    /// Another host has claimed the address, and it was withdrawn.
    pub(super) fn yielded(&mut self, floating: IpAddr, to: Mac, since: Instant) {
        if let Some(address) = self.addresses.get_mut(&floating) {
            address.held.clear();
            (address.trouble, address.failures) = (None, 0);
            let runs = address.runs();
            let runs = (!runs.is_empty()).then_some(runs);
            address.stage = Stage::Yielded(Yielded { to, runs, since });
        }
    }

    /// What has become of a wish.
    pub(super) fn state(&self, wish: &Wish) -> State {
        if let Some(why) = self.refused.get(&wish.workload.id) {
            return State::Refused(why.clone());
        }
        if wish.workload.presence == Presence::Stopped {
            return State::Stopped;
        }
        let addresses: Vec<Option<&Address>> =
            wish.floating.iter().map(|floating| self.addresses.get(&floating.address)).collect();
        let known = || addresses.iter().flatten();
        let troubles = || known().filter_map(|address| address.trouble.as_ref());
        if let Some(trouble) = troubles().find(|trouble| trouble.lasting) {
            return State::Refused(trouble.why.clone());
        }
        if let Some(to) = known().find_map(|address| address.yielded_to()) {
            return State::Yielded(to.to_string());
        }
        if let Some(trouble) = troubles().next() {
            return State::Waiting(trouble.why.clone());
        }
        let bound = |address: &Option<&Address>| address.is_some_and(|address| address.is_bound());
        match wish.workload.presence {
            _ if addresses.iter().all(bound) => State::Bound,
            Presence::Unknown => {
                State::Waiting("the source cannot tell whether it runs".to_owned())
            }
            _ => State::Pending,
        }
    }
}

/// What the address shall lead to from now on. It counts as given to the watch.
fn order(floating: IpAddr, address: &mut Address) -> Order {
    address.watched = true;
    Order {
        address: floating,
        wanted: address.wanted.clone(),
        before: address.held.clone(),
        asked: address.asked,
    }
}

#[cfg(test)]
mod tests;
