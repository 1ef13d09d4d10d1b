//! What a caller wants, as the complete list of bindings of the floating addresses concerned, and
//! the complete rules of the bridges concerned.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::address::Links;
use crate::binding::{Binding, LinkName, Owner, Protocol};
use crate::error::{Error, Result};
use crate::nat::{self, About, BridgeRules, Elements, Key};

use super::view::View;

/// What a caller wants.
#[derive(Debug, Clone)]
pub(super) enum Goal<'a> {
    /// These bindings, besides the others that there are: all of them or none.
    Bind {
        bindings: &'a [Binding],
        /// A binding of the same owner in their way gives way.
        replace: bool,
    },
    /// Not these ports of a floating address; not any of it if there are none.
    Unbind { floating: IpAddr, ports: &'a [(Protocol, u16)], owner: &'a Owner },
    /// Exactly these bindings of the owners; and these rules of bridges, besides others'.
    Own {
        owners: &'a BTreeSet<Owner>,
        bindings: &'a [Binding],
        bridges: &'a [BridgeRules],
        /// What cannot be had does not keep the others from being made so.
        partial: bool,
    },
    /// Exactly these bindings of these floating addresses, where no other owner has them.
    Restore { owners: &'a BTreeSet<Owner>, floating: &'a [IpAddr], bindings: &'a [Binding] },
    /// Exactly these rules of a bridge, or none.
    Bridge { bridge: &'a LinkName, rules: Option<&'a BridgeRules> },
}

/// The bridges concerned, each with the elements of all its rules.
pub(super) type Bridges = BTreeMap<LinkName, Elements>;

/// The floating addresses concerned, each with all the bindings it shall have.
pub(super) type Wanted = BTreeMap<IpAddr, Vec<Binding>>;

/// The bindings by their floating addresses.
pub(super) fn by_address(bindings: impl IntoIterator<Item = Binding>) -> Wanted {
    let mut wanted = Wanted::new();
    for binding in bindings {
        enter(&mut wanted, binding);
    }
    wanted
}

/// Nearly every address has one binding, where a list that grows has room for four.
fn enter(wanted: &mut Wanted, binding: Binding) {
    let list = wanted.entry(binding.floating()).or_default();
    list.reserve_exact(1);
    list.push(binding);
}

impl Goal<'_> {
    /// Whether the rest is done if some of it cannot be had.
    pub(super) fn is_partial(&self) -> bool {
        matches!(self, Self::Own { partial: true, .. } | Self::Restore { .. })
    }

    /// Whether it takes no more than a look at the bindings of a few floating addresses.
    pub(super) fn is_narrow(&self) -> bool {
        matches!(self, Self::Bind { .. } | Self::Unbind { .. })
    }

    /// The floating addresses of a narrow goal.
    pub(super) fn floating(&self) -> Vec<IpAddr> {
        match self {
            Self::Bind { bindings, .. } => bindings.iter().map(Binding::floating).collect(),
            Self::Unbind { floating, .. } => vec![*floating],
            Self::Own { .. } | Self::Restore { .. } | Self::Bridge { .. } => Vec::new(),
        }
    }

    /// What has to be known for it, if it is a narrow one.
    pub(super) fn about(&self, links: &Links) -> About {
        let floating = self.floating().into_iter().collect();
        let mut about = About { floating, subnets: links.subnets().collect(), ..About::default() };
        if let Self::Bind { bindings, .. } = self {
            about.fixed.extend(bindings.iter().map(Binding::fixed));
            // One that cannot be had is refused when it is planned.
            let uplink = |b: &Binding| links.uplink(b.floating(), b.uplink()).ok();
            about.uplinks.extend(bindings.iter().filter_map(uplink).map(|link| link.name.clone()));
        }
        about
    }

    /// Whether nothing is to be added.
    pub(super) fn is_removal(&self) -> bool {
        match self {
            Self::Unbind { .. } | Self::Bridge { rules: None, .. } => true,
            Self::Restore { bindings, .. } => bindings.is_empty(),
            Self::Bind { .. } | Self::Own { .. } | Self::Bridge { .. } => false,
        }
    }

    /// Whether it is about nothing but a bridge.
    pub(super) fn is_of_bridge(&self) -> bool {
        matches!(self, Self::Bridge { .. })
    }

    /// The bridges concerned.
    pub(super) fn bridges(&self) -> Bridges {
        match self {
            Self::Own { bridges, .. } => {
                bridges.iter().map(|rules| (rules.bridge.clone(), rules.elements())).collect()
            }
            Self::Bridge { bridge, rules } => {
                let elements = rules.map(BridgeRules::elements).unwrap_or_default();
                [((*bridge).clone(), elements)].into()
            }
            Self::Bind { .. } | Self::Unbind { .. } | Self::Restore { .. } => Bridges::new(),
        }
    }

    /// What it comes to on this host.
    pub(super) fn wanted(&self, view: &View, refusals: &mut Refusals) -> Result<Wanted> {
        match self {
            Self::Bind { bindings, replace } => bind(view, bindings, *replace),
            Self::Unbind { floating, ports, owner } => {
                let existing = view.bindings_of(*floating);
                Ok([(*floating, without(existing, *floating, ports, owner)?)].into())
            }
            Self::Own { owners, bindings, .. } => {
                let present = present(view, owners);
                own(view, owners, present, bindings, refusals)
            }
            Self::Restore { owners, floating, bindings } => {
                let present = floating.iter().map(|floating| (*floating, Vec::new())).collect();
                own(view, owners, present, bindings, refusals)
            }
            Self::Bridge { .. } => Ok(Wanted::new()),
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

/// The link that carries the address, by what is noted of it: who does not say where it shall be
/// leaves it where it is, as long as that link exists.
fn placed(view: &View, uplink: Option<&LinkName>) -> Option<LinkName> {
    uplink.filter(|name| view.links.named(name).is_some()).cloned()
}

fn bind(view: &View, bindings: &[Binding], replace: bool) -> Result<Wanted> {
    let mut wanted = by_address(bindings.iter().cloned());
    for (floating, list) in &mut wanted {
        check_alone(*floating, list)?;
        let existing = view.bindings_of(*floating);
        let named = list.iter().find_map(|binding| binding.uplink().cloned());
        let noted = || existing.iter().find_map(Binding::uplink);
        put_on(list, named.or_else(|| placed(view, noted())));
        let merge = |merged, new: &Binding| merge(merged, new.clone(), replace);
        *list = list.iter().try_fold(existing, merge)?;
    }
    Ok(wanted)
}

/// Those that do not say where they shall be are on this link.
fn put_on(list: &mut [Binding], uplink: Option<LinkName>) {
    let Some(uplink) = uplink else { return };
    for binding in list.iter_mut().filter(|binding| binding.uplink().is_none()) {
        *binding = binding.clone().on(uplink.clone());
    }
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

/// What is left of the bindings of an address beside a new one that replaces what is in its way.
pub(super) fn supersede(old: Vec<Binding>, new: &Binding) -> Vec<Binding> {
    let beside = |old: Binding| match old.is_whole_address() && new.is_whole_address() {
        true => None,
        false => give_way(old, new, true).ok().flatten(),
    };
    old.into_iter().filter(|old| old.owner() == new.owner()).filter_map(beside).collect()
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

/// The floating addresses that the owners have now; nothing is wanted of them yet.
fn present(view: &View, owners: &BTreeSet<Owner>) -> Wanted {
    let mut present = Wanted::new();
    for (key, value) in view.elements() {
        if let Key::Dnat(floating) | Key::Port(floating, ..) = key
            && value.note().is_some_and(|note| owners.contains(&note.owner))
        {
            present.entry(*floating).or_default();
        }
    }
    present
}

fn own(
    view: &View,
    owners: &BTreeSet<Owner>,
    mut wanted: Wanted,
    bindings: &[Binding],
    refusals: &mut Refusals,
) -> Result<Wanted> {
    for binding in bindings {
        enter(&mut wanted, binding.clone());
    }
    for (floating, list) in &mut wanted {
        let mine = own_address(view, owners, *floating, list);
        refusals.note(*floating, mine)?;
    }
    refusals.leave(&mut wanted);
    Ok(wanted)
}

fn own_address(
    view: &View,
    owners: &BTreeSet<Owner>,
    floating: IpAddr,
    list: &mut [Binding],
) -> Result<()> {
    check_alone(floating, list)?;
    if let Some(stranger) = list.iter().find(|binding| !owners.contains(binding.owner())) {
        let why =
            format!("its owner {} is none of those whose bindings these are", stranger.owner());
        return Err(Error::refused(floating, why));
    }
    if let Some(other) = list.iter().find(|binding| binding.owner() != list[0].owner()) {
        return Err(bound(floating, other));
    }
    // Most are well: whole bindings are put together only to say what is not.
    let (mut noted, mut strange) = (None, false);
    for note in view.translations(floating).filter_map(|(_, value)| value.note()) {
        noted = noted.or(note.uplink.as_ref());
        strange |= !owners.contains(&note.owner);
    }
    if strange
        && let existing = view.bindings_of(floating)
        && let Some(other) = existing.iter().find(|old| !owners.contains(old.owner()))
    {
        return Err(bound(floating, other));
    }
    put_on(list, placed(view, noted));
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
