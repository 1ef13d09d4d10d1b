//! What a caller wants, as the complete list of bindings of the floating addresses concerned.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::binding::{Binding, LinkName, Owner, Protocol};
use crate::error::{Error, Result};
use crate::nat::{self, Key};

use super::view::View;

/// What a caller wants.
#[derive(Debug, Clone)]
pub(super) enum Goal<'a> {
    /// This binding, besides the others that there are.
    Bind {
        binding: &'a Binding,
        /// A binding of the same owner in its way gives way.
        replace: bool,
    },
    /// Not these ports of a floating address; not any of it if there are none.
    Unbind { floating: IpAddr, ports: &'a [(Protocol, u16)], owner: &'a Owner },
    /// Exactly these bindings of an owner.
    Own {
        owner: &'a Owner,
        bindings: &'a [Binding],
        /// What cannot be had does not keep the others from being made so.
        partial: bool,
    },
}

/// The floating addresses concerned, each with all the bindings it shall have.
pub(super) type Wanted = BTreeMap<IpAddr, Vec<Binding>>;

impl Goal<'_> {
    /// Whether the rest is done if some of it cannot be had.
    pub(super) fn is_partial(&self) -> bool {
        matches!(self, Self::Own { partial: true, .. })
    }

    /// What it comes to on this host.
    pub(super) fn wanted(&self, view: &View, refusals: &mut Refusals) -> Result<Wanted> {
        match self {
            Self::Bind { binding, replace } => {
                let floating = binding.floating();
                check_alone(floating, std::slice::from_ref(binding))?;
                let existing = view.bindings_of(floating);
                let mut binding = (*binding).clone();
                if binding.uplink().is_none()
                    && let Some(uplink) = placed(view, &existing)
                {
                    binding = binding.on(uplink);
                }
                Ok([(floating, merge(existing, binding, *replace)?)].into())
            }
            Self::Unbind { floating, ports, owner } => {
                let existing = view.bindings_of(*floating);
                Ok([(*floating, without(existing, *floating, ports, owner)?)].into())
            }
            Self::Own { owner, bindings, .. } => own(view, owner, bindings, refusals),
        }
    }
}

/// What cannot be had of a goal: the end of it, or if the goal is content with the rest, a list.
#[derive(Debug)]
pub(super) struct Refusals {
    partial: bool,
    pub(super) list: Vec<(IpAddr, Error)>,
}

impl Refusals {
    pub(super) fn of(goal: &Goal<'_>) -> Self {
        Self { partial: goal.is_partial(), list: Vec::new() }
    }

    /// The value; none if it was refused and the goal is content with the rest.
    pub(super) fn note<T>(&mut self, floating: IpAddr, result: Result<T>) -> Result<Option<T>> {
        match result {
            Err(error) if self.partial => {
                self.list.push((floating, error));
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    /// Takes what was refused out of what is wanted.
    pub(super) fn leave(&self, wanted: &mut Wanted) {
        self.list.iter().for_each(|(floating, _)| _ = wanted.remove(floating));
    }
}

fn bound(what: impl ToString, binding: &Binding) -> Error {
    Error::Bound { what: what.to_string(), fixed: binding.fixed(), owner: binding.owner().clone() }
}

/// The link that carries the address of these bindings: who does not say where it shall be leaves
/// it where it is, as long as that link exists.
fn placed(view: &View, existing: &[Binding]) -> Option<LinkName> {
    let uplink = existing.iter().find_map(|old| old.uplink().cloned());
    uplink.filter(|name| view.links.named(name).is_some())
}

fn merge(existing: Vec<Binding>, new: Binding, replace: bool) -> Result<Vec<Binding>> {
    let mut kept = Vec::new();
    for old in existing {
        if old.owner() != new.owner() {
            return Err(bound(new.floating(), &old));
        }
        if old.is_whole_address() && new.is_whole_address() {
            if old.fixed() != new.fixed() && !replace {
                return Err(bound(new.floating(), &old));
            }
            continue;
        }
        kept.extend(give_way(old, &new, replace)?);
    }
    let uplink = new.uplink();
    if let Some(other) = kept.iter().find(|old| uplink.is_some() && old.uplink() != uplink) {
        let on = other.uplink().map(ToString::to_string).unwrap_or_default();
        let why = format!("other bindings of it are on {on}; a floating address is on one link");
        return Err(Error::refused(new.floating(), why));
    }
    kept.push(new);
    Ok(kept)
}

/// What is left of `old` beside `new`, of which one at least is of ports.
fn give_way(old: Binding, new: &Binding, replace: bool) -> Result<Option<Binding>> {
    if old.is_whole_address() {
        return Ok(Some(old));
    }
    let clashes = |port: &crate::PortForward| {
        new.ports().iter().any(|p| p.protocol == port.protocol && p.port == port.port)
    };
    for port in old.ports().iter().filter(|port| clashes(port)) {
        let same = old.fixed() == new.fixed() && new.ports().contains(port);
        if !same && !replace {
            let what = format!("{} {}:{}", old.floating(), port.protocol, port.port);
            return Err(bound(what, &old));
        }
    }
    Ok(retain_ports(&old, |port| !clashes(port)))
}

/// The binding with only some of its ports; none if none is left.
fn retain_ports(binding: &Binding, keep: impl Fn(&crate::PortForward) -> bool) -> Option<Binding> {
    let ports: Vec<_> = binding.ports().iter().copied().filter(|port| keep(port)).collect();
    (!ports.is_empty()).then(|| binding.clone().with_ports(ports))
}

fn without(
    existing: Vec<Binding>,
    floating: IpAddr,
    ports: &[(Protocol, u16)],
    owner: &Owner,
) -> Result<Vec<Binding>> {
    let mut kept = Vec::new();
    for old in existing {
        let whole = ports.is_empty();
        let hit = |port: &crate::PortForward| ports.contains(&(port.protocol, port.port));
        if !whole && !old.ports().iter().any(hit) {
            kept.push(old);
            continue;
        }
        if old.owner() != owner {
            return Err(bound(floating, &old));
        }
        if !whole {
            kept.extend(retain_ports(&old, |port| !hit(port)));
        }
    }
    Ok(kept)
}

fn own(
    view: &View,
    owner: &Owner,
    bindings: &[Binding],
    refusals: &mut Refusals,
) -> Result<Wanted> {
    let mut wanted = Wanted::new();
    for (key, value) in view.elements() {
        if let Key::Dnat(floating) | Key::Port(floating, ..) = key
            && value.note().is_some_and(|note| note.owner == *owner)
        {
            wanted.entry(*floating).or_default();
        }
    }
    for binding in bindings {
        wanted.entry(binding.floating()).or_default().push(binding.clone().owned_by(owner.clone()));
    }
    for (floating, list) in &mut wanted {
        let mine = own_address(view, owner, *floating, list);
        refusals.note(*floating, mine)?;
    }
    refusals.leave(&mut wanted);
    Ok(wanted)
}

fn own_address(view: &View, owner: &Owner, floating: IpAddr, list: &mut [Binding]) -> Result<()> {
    check_alone(floating, list)?;
    let existing = view.bindings_of(floating);
    if let Some(other) = existing.iter().find(|old| old.owner() != owner) {
        return Err(bound(floating, other));
    }
    if let Some(uplink) = placed(view, &existing) {
        for binding in list.iter_mut().filter(|binding| binding.uplink().is_none()) {
            *binding = binding.clone().on(uplink.clone());
        }
    }
    Ok(())
}

/// Two of the bindings for one floating address must not want the same of it.
fn check_alone(floating: IpAddr, list: &[Binding]) -> Result<()> {
    let mut whole = false;
    let mut ports = BTreeSet::new();
    for binding in list {
        if binding.is_whole_address() && std::mem::replace(&mut whole, true) {
            return Err(Error::refused(floating, "it is bound twice"));
        }
        for port in binding.ports() {
            if !ports.insert((port.protocol, port.port)) {
                let why = format!("its port {}:{} is bound twice", port.protocol, port.port);
                return Err(Error::refused(floating, why));
            }
        }
    }
    Ok(())
}

/// All bindings of an owner.
pub(super) fn bindings_of_owner(view: &View, owner: &Owner) -> Vec<Binding> {
    let all = nat::bindings(view.elements()).into_iter().map(|bound| bound.binding);
    all.filter(|binding| binding.owner() == owner).collect()
}
