//! From wishes to bindings.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use fip_core::error::{Error, Result};
use fip_core::{Binding, LinkName, Owner};

use crate::agent::model::{Presence, Wish, Workload};
use crate::options::{Endpoint, EndpointOptions, Floating};

/// A binding that a workload shall have.
#[derive(Debug, Clone)]
pub(super) struct Want {
    workload: Arc<Workload>,
    pub(super) binding: Binding,
}

impl Want {
    /// The workload's id and which run of it this is.
    pub(super) fn run(&self) -> (&str, u64) {
        (&self.workload.id, self.workload.run)
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.workload.name
    }
}

/// Of the same run, for the same; what else is known of the workload may differ.
impl PartialEq for Want {
    fn eq(&self, other: &Self) -> bool {
        let (run, name) = (self.run() == other.run(), self.name() == other.name());
        run && name && self.binding == other.binding
    }
}

/// What all workloads shall have.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) addresses: BTreeMap<IpAddr, Vec<Want>>,
    /// The addresses of workloads of which nothing is known at the moment.
    pub(super) unknown: BTreeSet<IpAddr>,
    /// The workloads that get nothing, by their ids, and why.
    pub(super) refused: BTreeMap<String, String>,
}

/// Whose bindings these are, and on which link they shall be if one is named.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) owner: Owner,
    pub(super) uplink: Option<LinkName>,
}

impl Wanted {
    /// What these wishes come to, where these bindings are held.
    pub(super) fn of(
        wishes: &[Wish],
        held: impl Fn(IpAddr) -> Vec<Binding>,
        terms: &Terms,
    ) -> Self {
        let mut this = Self::default();
        let mut egress = BTreeSet::new();
        for wish in wishes {
            let bindings = match &wish.workload.presence {
                Presence::Stopped => Vec::new(),
                Presence::Unknown => {
                    this.unknown.extend(wish.floating.iter().map(|floating| floating.address));
                    kept(&wish.floating, &held)
                }
                Presence::Running(fixed) => match bindings(&wish.floating, fixed, terms) {
                    Ok(bindings) => bindings,
                    Err(error) => {
                        this.refused.insert(wish.workload.id.clone(), super::explain(&error));
                        continue;
                    }
                },
            };
            for mut binding in bindings {
                // What a fixed address starts can leave with one floating address only.
                if binding.egress() && !egress.insert(binding.fixed()) {
                    binding = binding.with_egress(false);
                }
                let want = Want { workload: Arc::clone(&wish.workload), binding };
                let wants = this.addresses.entry(want.binding.floating());
                // Nearly always there is one, and a list that grows has room for four.
                wants.or_insert_with(|| Vec::with_capacity(1)).push(want);
            }
        }
        this
    }

    /// All of it.
    pub(super) fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.addresses.values().flatten().map(|want| &want.binding)
    }
}

fn bindings(floating: &[Floating], fixed: &[IpAddr], terms: &Terms) -> Result<Vec<Binding>> {
    let v4 = |ip: &IpAddr| if let IpAddr::V4(v4) = ip { Some(*v4) } else { None };
    let v6 = |ip: &IpAddr| if let IpAddr::V6(v6) = ip { Some(*v6) } else { None };
    let fixed4: Option<Ipv4Addr> = fixed.iter().find_map(v4);
    let fixed6: Option<Ipv6Addr> = fixed.iter().find_map(v6);
    for &Floating { address, .. } in floating {
        let (lacks, family) = match address {
            IpAddr::V4(_) => (fixed4.is_none(), "IPv4"),
            IpAddr::V6(_) => (fixed6.is_none(), "IPv6"),
        };
        if lacks {
            let why = format!(
                "its workload has no {family} address of its own; connect it to a network of this \
                 host that gives it one"
            );
            return Err(Error::refused(address, why));
        }
    }
    let options = EndpointOptions { floating: floating.to_vec(), ..EndpointOptions::default() };
    let Terms { owner, uplink } = terms;
    options.bindings(&Endpoint { fixed4, fixed6, owner, uplink: uplink.as_ref() })
}

/// What is there of what a workload asks for of which nothing is known at the moment.
fn kept(floating: &[Floating], held: &impl Fn(IpAddr) -> Vec<Binding>) -> Vec<Binding> {
    let of = |floating: &Floating| {
        let mut kept = held(floating.address);
        kept.retain(|binding| *binding.ports() == floating.ports);
        kept
    };
    floating.iter().flat_map(of).collect()
}

/// Whether these are what is wanted; a link that is not named may be any.
pub(super) fn alike(held: &[Binding], wanted: &[Want]) -> bool {
    let alike = |held: &Binding, wanted: &Binding| {
        let placed = wanted.uplink().is_none() || wanted.uplink() == held.uplink();
        let what = |binding: &Binding| (binding.fixed(), binding.egress(), binding.ports().clone());
        placed && what(held) == what(wanted)
    };
    held.len() == wanted.len()
        && wanted.iter().all(|want| held.iter().any(|held| alike(held, &want.binding)))
}

#[cfg(test)]
mod tests;
