//! From what a source says to what shall be.
//!
//! Labels come from whoever may start a container. So one that is wrong concerns only the workload
//! that carries it, and nobody gets an address by asking for one that another workload has.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use fip_core::Protocol;
use fip_core::binding::check_floating;
use fip_core::error::{Error, Result};

use super::actuator::{Held, Holder};
use super::model::{Presence, Wish, Workload};
use crate::allow::AllowList;
use crate::options::{Floating, parse_floating};

/// A workload that does not get what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The workload.
    pub workload: Arc<Workload>,
    /// The reason, and the way out where there is one.
    pub why: String,
}

/// What comes of a listing.
#[derive(Debug, Default)]
pub struct Sifted {
    /// What shall be.
    pub wishes: Vec<Wish>,
    /// What shall not.
    pub refusals: Vec<Refusal>,
}

/// A floating address, or a port of it: what only one workload of a host can have.
type Share = (IpAddr, Option<(Protocol, u16)>);

/// Remembers who has what, from one listing to the next.
#[derive(Debug, Default)]
pub struct Sifter {
    holders: BTreeMap<Share, Arc<Workload>>,
    /// What workloads had before the first listing.
    found: BTreeMap<IpAddr, Vec<Holder>>,
}

impl Sifter {
    /// One that knows who had what before: they keep it.
    pub fn new(held: Vec<Held>) -> Self {
        let mut found: BTreeMap<IpAddr, Vec<Holder>> = BTreeMap::new();
        for Held { floating, by } in held {
            found.entry(floating).or_default().push(by);
        }
        Self { holders: BTreeMap::new(), found }
    }

    /// Takes apart what shall be and what shall not; only addresses of `allow` if there is one.
    ///
    /// Of two workloads that ask for the same, the one that has it keeps it, else the older gets
    /// it. A wish is granted as a whole or not at all.
    pub fn sift(&mut self, workloads: &[Arc<Workload>], allow: Option<&AllowList>) -> Sifted {
        let mut sifted = Sifted::default();
        let mut wishes = Vec::new();
        for workload in workloads {
            match understood(&workload.asks, allow) {
                Ok(floating) => wishes.push(Wish { workload: Arc::clone(workload), floating }),
                Err(error) => sifted.refusals.push(refusal(workload, &error)),
            }
        }
        wishes.sort_by_cached_key(|wish| {
            (!self.has_all(wish), wish.workload.age, wish.workload.id.clone())
        });
        let mut granted: BTreeMap<Share, Arc<Workload>> = BTreeMap::new();
        for wish in wishes {
            // What does not run stands in nobody's way.
            if wish.workload.presence != Presence::Stopped {
                if let Some(error) = taken(&granted, &wish) {
                    sifted.refusals.push(refusal(&wish.workload, &error));
                    continue;
                }
                granted.extend(shares(&wish).map(|share| (share, Arc::clone(&wish.workload))));
            }
            sifted.wishes.push(wish);
        }
        self.holders = granted;
        self.found.clear();
        sifted
    }

    /// Whether the workload has all that it asks for already.
    fn has_all(&self, wish: &Wish) -> bool {
        shares(wish).all(|share| {
            let found = || self.found.get(&share.0).is_some_and(|by| is_among(&wish.workload, by));
            self.holders.get(&share).map_or_else(found, |by| by.id == wish.workload.id)
        })
    }
}

fn understood(asks: &str, allow: Option<&AllowList>) -> Result<Vec<Floating>> {
    let floating = parse_floating(asks)?;
    for address in floating.iter().map(|floating| floating.address) {
        check_floating(address)?;
        if let Some(ranges) = allow.filter(|ranges| !ranges.contains(address)) {
            let why = format!("only {ranges} may be claimed on this host (--allow permits more)");
            return Err(Error::refused(address, why));
        }
    }
    Ok(floating)
}

fn refusal(workload: &Arc<Workload>, error: &Error) -> Refusal {
    Refusal { workload: Arc::clone(workload), why: error.to_string() }
}

fn shares(wish: &Wish) -> impl Iterator<Item = Share> {
    wish.floating.iter().flat_map(|floating| {
        let ports = floating.ports.iter().map(|port| Some((port.protocol, port.port)));
        let whole = floating.ports.is_empty().then_some(None);
        whole.into_iter().chain(ports).map(|port| (floating.address, port))
    })
}

/// Why a wish cannot be granted beside the others.
fn taken(granted: &BTreeMap<Share, Arc<Workload>>, wish: &Wish) -> Option<Error> {
    let (address, by) = shares(wish).find_map(|share| {
        granted.get(&share).filter(|by| by.id != wish.workload.id).map(|by| (share.0, by))
    })?;
    let why = format!("{} of this host has it; stop that one, or choose another address", by.name);
    Some(Error::refused(address, why))
}

fn is_among(workload: &Workload, holders: &[Holder]) -> bool {
    holders.iter().any(|holder| match holder {
        Holder::Container(id) => workload.container.as_ref() == Some(id),
        Holder::Fixed(fixed) => {
            matches!(&workload.presence, Presence::Running(all) if all.contains(fixed))
        }
    })
}

#[cfg(test)]
mod tests;
