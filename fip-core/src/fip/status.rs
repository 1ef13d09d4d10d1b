//! How the bindings are.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use crate::binding::{Binding, LinkName};
use crate::kernel::{Address, Counter, Hold, Link};
use crate::nat::{self, Family, Key, Mark, Pass, Skeleton};

use super::view::View;

/// A binding that is in the kernel, and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The binding; its uplink is the link that carries it.
    pub binding: Binding,
    /// How the link holds the floating address; none if it does not.
    pub hold: Option<Hold>,
    /// What keeps it from working; nothing if it is well.
    pub problems: Vec<String>,
    /// Packets that arrived for it.
    pub packets: u64,
    /// Bytes that arrived for it, with IP headers.
    pub bytes: u64,
}

/// The state of all bindings, on a host that forwards packets of these families.
pub(super) fn list(view: &View, counters: &[Counter], forwards: &BTreeSet<Family>) -> Vec<Status> {
    let counters: HashMap<&Key, &Counter> =
        counters.iter().map(|counter| (&counter.key, counter)).collect();
    let mark = view.mark().unwrap_or_default();
    let common = table_problems(view, mark);
    nat::bindings(view.elements())
        .into_iter()
        .map(|bound| {
            let counted = || bound.keys.iter().filter_map(|key| counters.get(key));
            let mut problems = common.clone();
            problems.extend(address_problem(view, &bound.binding));
            problems.extend(forwarding_problem(forwards, &bound.binding));
            problems.extend(pass_problem(view, &bound.binding));
            problems.extend(obstacles(view, &bound.binding, mark));
            Status {
                packets: counted().map(|counter| counter.packets).sum(),
                bytes: counted().map(|counter| counter.bytes).sum(),
                hold: holding(view, &bound.binding).map(|address| address.hold),
                binding: bound.binding,
                problems,
            }
        })
        .collect()
}

/// The floating addresses on links that no binding is about, in order.
pub(super) fn strays(view: &View) -> Vec<(IpAddr, LinkName)> {
    let is_bound = |key: &Key| match key {
        Key::Dnat(floating) | Key::Port(floating, ..) => Some(*floating),
        _ => None,
    };
    let bound: HashSet<IpAddr> = view.elements().keys().filter_map(is_bound).collect();
    let stray = view.links.ours().filter(|address| !bound.contains(&address.network.ip()));
    let named = stray.filter_map(|address| {
        let link = view.links.with_index(address.link)?;
        Some((address.network.ip(), link.name.clone()))
    });
    let mut strays: Vec<_> = named.collect();
    strays.sort();
    strays
}

fn forwarding_problem(forwards: &BTreeSet<Family>, binding: &Binding) -> Option<String> {
    let family = Family::of(binding.floating());
    let name = match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    };
    let does_not = || format!("this host does not forward {name} packets; bind or apply again");
    (!forwards.contains(&family)).then(does_not)
}

fn table_problems(view: &View, mark: Mark) -> Vec<String> {
    match &view.snapshot.ruleset.skeleton {
        Some(skeleton) if *skeleton != Skeleton::new(mark) => {
            vec!["the table inet fip was altered; bind or apply again to repair it".to_owned()]
        }
        _ => Vec::new(),
    }
}

fn address_problem(view: &View, binding: &Binding) -> Option<String> {
    let floating = binding.floating();
    let Some(name) = binding.uplink() else {
        return Some(format!("{floating} has no uplink; bind it again"));
    };
    let Some(link) = view.links.named(name) else {
        return Some(format!("there is no link named {name}; bind {floating} again"));
    };
    match holding(view, binding) {
        None => Some(format!("{floating} is not on {name}; bind it again")),
        Some(address) if view.links.is_answered(address) => None,
        Some(_) => view.links.mute(link).map(|why| format!("{why}; bind or apply again")),
    }
}

/// What the uplink of a binding has of its floating address: what is answered, if anything is.
fn holding<'v>(view: &'v View, binding: &Binding) -> Option<&'v Address> {
    let link = view.links.named(binding.uplink()?)?.index;
    let carrying = view.links.carrying(binding.floating()).filter(|address| address.link == link);
    carrying.max_by_key(|address| view.links.is_answered(address))
}

fn pass_problem(view: &View, binding: &Binding) -> Option<String> {
    let family = Family::of(binding.floating());
    match view.snapshot.ruleset.passes.get(&family)? {
        Pass::There { .. } => None,
        Pass::Absent { .. } | Pass::Misplaced { .. } => Some(format!(
            "the rule for floating addresses in {} filter DOCKER-USER is not as it should be; bind or apply again",
            family.nft()
        )),
    }
}

/// The foreign chains that drop forwarded packets of these families.
pub(super) fn dropping(view: &View, families: &[Family], mark: Mark) -> Vec<String> {
    let bit = mark.bits();
    let all = view.snapshot.foreign.dropping.iter();
    let seeing = all.filter(|(_, seen)| seen.iter().any(|family| families.contains(family)));
    seeing
        .map(|(chain, _)| {
            format!(
                "the chain {chain} drops forwarded packets; if its rules do not accept them, add: \
                 nft insert rule {chain} meta mark and {bit:#x} == {bit:#x} accept"
            )
        })
        .collect()
}

/// What works against a binding though it is bound: links that are down, a fixed address that is
/// nowhere, other people's firewalls.
pub(super) fn obstacles(view: &View, binding: &Binding, mark: Mark) -> Vec<String> {
    let mut found = Vec::new();
    let down =
        |link: &Link| (!link.running).then(|| format!("{} is down or has no carrier", link.name));
    let uplink = view.links.uplink(binding.floating(), binding.uplink());
    found.extend(uplink.ok().and_then(down));
    let fixed = binding.fixed();
    let toward = view.links.toward(fixed);
    match toward {
        Some(link) => found.extend(down(link)),
        None => found.push(format!("{fixed} is in no subnet of this host: it may be unreachable")),
    }
    let family = Family::of(fixed);
    found.extend(dropping(view, &[family], mark));
    let bit = mark.bits();
    let guarded =
        |link: &&Link| view.snapshot.foreign.guarded.contains(&(family, link.name.clone()));
    if let Some(link) = toward.filter(guarded) {
        found.push(format!(
            "Docker drops what is not published on {}; start dockerd with --bridge-accept-fwmark={bit:#x}/{bit:#x}",
            link.name
        ));
    }
    found
}
