//! From what is wanted to the steps that lead there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::rc::Rc;

use ipnetwork::IpNetwork;

use crate::address::{AddressBinder, Links};
use crate::binding::{Binding, LinkName, Owner};
use crate::conntrack;
use crate::diff::{self, Changes};
use crate::error::{Error, Result};
use crate::kernel::{Address, AddressChange, Flows, Hold, Kernel, Link};
use crate::nat::{self, Elements, Family, Key, Mark, Ruleset, Skeleton, Value};

use super::goal::{Bridges, Refusals, Wanted};
use super::view::{View, is_within};
use super::{Options, hold};

/// What has to be done, and what the user should know. Printed as `nft` and `ip` would be told.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Changes of the packet filter, one transaction.
    pub rules: Changes,
    /// Changes of the links' addresses.
    pub addresses: Vec<AddressChange>,
    /// Tracked connections to forget.
    pub flows: Vec<Flows>,
    /// What works against it, though it will be done.
    pub warnings: Vec<String>,
    /// The links that get new addresses, with these.
    pub claims: Vec<(Link, Vec<IpAddr>)>,
    address_lines: Vec<String>,
    /// How many changes of addresses come before those of the rules.
    leaving: usize,
}

impl Plan {
    /// Nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.addresses.is_empty()
    }

    /// The changes as text, in the order in which they are made.
    pub fn lines(&self) -> Vec<String> {
        let (leave, rest) = self.address_lines.split_at(self.leaving);
        [leave, &self.rules.lines(), rest].concat()
    }

    /// The same, of a plan that has been carried out.
    pub(super) fn into_lines(mut self) -> Vec<String> {
        let rest = self.address_lines.split_off(self.leaving);
        self.address_lines.append(&mut self.rules.lines());
        self.address_lines.extend(rest);
        self.address_lines
    }

    /// The changes that come first: addresses that go.
    pub(super) fn removals(&self) -> Vec<String> {
        self.address_lines[..self.leaving].to_vec()
    }

    /// The changes of addresses: what goes before the rules, what comes after them, and what goes
    /// then because it is held otherwise by now.
    pub(super) fn address_steps(&self) -> [&[AddressChange]; 3] {
        let (leave, rest) = self.addresses.split_at(self.leaving);
        let come = rest.partition_point(|change| matches!(change, AddressChange::Add(_)));
        let (come, replaced) = rest.split_at(come);
        [leave, come, replaced]
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Where a floating address goes to, and how it is held there.
struct Place {
    link: Rc<Link>,
    hold: Hold,
}

/// The links that floating addresses go to: thousands go to few.
#[derive(Default)]
struct Uplinks(Vec<Rc<Link>>);

impl Uplinks {
    fn share(&mut self, link: &Link) -> Rc<Link> {
        if let Some(known) = self.0.iter().find(|known| known.index == link.index) {
            return Rc::clone(known);
        }
        let link = Rc::new(link.clone());
        self.0.push(Rc::clone(&link));
        link
    }
}

/// The floating addresses that change, with their places.
type Places = BTreeMap<IpAddr, Place>;

/// Plans the way from what is to what is wanted. What is refused is no longer wanted.
pub(super) fn plan<K: Kernel>(
    kernel: &mut K,
    view: &mut View,
    wanted: &mut Wanted,
    bridges: &Bridges,
    options: &Options,
    refusals: &mut Refusals,
) -> Result<Plan> {
    let (mut places, mut uplinks) = (Places::new(), Uplinks::default());
    // What is so already is not looked at any further: of ten thousand, few change at a time.
    let mut changing = Wanted::new();
    for (&floating, bindings) in wanted.iter() {
        let place = place(kernel, view, &mut uplinks, floating, bindings, options.hold);
        let Some(place) = refusals.note(floating, place)? else { continue };
        if !is_so(view, floating, bindings, place.as_ref()) {
            changing.insert(floating, bindings.clone());
            places.extend(place.map(|place| (floating, place)));
        }
    }
    refusals.leave(wanted);
    check_mark(view, wanted, bridges, options.mark)?;
    let mark = options.mark.or(view.mark()).unwrap_or_default();
    let skeleton = Skeleton::new(mark);
    let desired = desired(view, &mut changing, &places, refusals)?;
    refusals.leave(wanted);
    let rules = rules(view, &changing, bridges, desired, skeleton);
    let flows = changing.iter().flat_map(|(floating, after)| {
        let before = view.bindings_of(*floating);
        conntrack::outdated(*floating, before.iter(), after.iter())
    });
    let flows = flows.collect();
    let warnings = warnings(view, wanted, bridges, mark);
    let scope: BTreeSet<IpAddr> = changing.keys().copied().collect();
    let held: HashMap<IpAddr, (u32, Hold)> = places
        .iter()
        .filter(|(floating, _)| changing.contains_key(floating))
        .map(|(floating, place)| (*floating, (place.link.index, place.hold)))
        .collect();
    let binder = AddressBinder::new(kernel, &mut view.links);
    let addresses = binder.plan(&scope, &held);
    let address_lines = addresses.iter().map(|change| binder.describe(change)).collect();
    let leaves = |change: &&AddressChange| {
        let Address { link, network, .. } = change.address();
        held.get(&network.ip()).is_none_or(|(to, _)| to != link)
    };
    let leaving = addresses.iter().take_while(leaves).count();
    let claims = claims(&view.links, &addresses, &places);
    Ok(Plan { rules, addresses, flows, warnings, claims, address_lines, leaving })
}

/// The table has one mark. Two that disagree would undo each other's table for ever.
fn check_mark(view: &View, wanted: &Wanted, bridges: &Bridges, mark: Option<Mark>) -> Result<()> {
    let (Some(mark), Some(present)) = (mark, view.mark()) else { return Ok(()) };
    if mark == present {
        return Ok(());
    }
    let owners: HashSet<&Owner> = wanted.values().flatten().map(Binding::owner).collect();
    let mut notes = view.elements().values().filter_map(Value::note);
    let binding = notes.find(|note| !owners.contains(&note.owner));
    let is_other = |bridge: &&LinkName| !bridges.contains_key(*bridge);
    let bridge = || view.bridges().filter_map(|(key, _)| key.bridge()).find(is_other);
    let user = match binding {
        Some(note) => format!("the bindings of {}", note.owner),
        None => match bridge() {
            Some(bridge) => format!("the rules of the bridge {bridge}"),
            None => return Ok(()),
        },
    };
    let (present, mark) = (present.bits(), mark.bits());
    Err(Error::Unsupported {
        what: format!("{user} use the mark {present:#x}, not {mark:#x}"),
        hint: "leave out --mark, or unbind the others' first".to_owned(),
    })
}

/// The place for a floating address; none if nothing is wanted of it.
fn place<K: Kernel>(
    kernel: &mut K,
    view: &mut View,
    uplinks: &mut Uplinks,
    floating: IpAddr,
    bindings: &[Binding],
    hold: Option<Hold>,
) -> Result<Option<Place>> {
    let Some(link) = uplink(view, floating, bindings)? else { return Ok(None) };
    let link = uplinks.share(link);
    if floating.is_ipv4() {
        view.links.look_at(kernel, &link)?;
    }
    let hold = hold::choose(&view.links, floating, &link, hold)?;
    Ok(Some(Place { link, hold }))
}

/// The link for a floating address.
fn uplink<'v>(view: &'v View, floating: IpAddr, bindings: &[Binding]) -> Result<Option<&'v Link>> {
    let mut place: Option<&Link> = None;
    for binding in bindings {
        let link = view.links.uplink(floating, binding.uplink())?;
        if link.loopback {
            let why = format!("{} is the loopback link: no neighbour could reach it", link.name);
            return Err(Error::refused(floating, why));
        }
        if let Some(other) = place.replace(link).filter(|other| other.index != link.index) {
            let (one, two) = (&other.name, &link.name);
            let why = format!("a floating address is on one link, not on {one} and {two}");
            return Err(Error::refused(floating, why));
        }
    }
    Ok(place)
}

/// The elements of what changes, of which what is refused is taken out.
fn desired(
    view: &View,
    changing: &mut Wanted,
    places: &Places,
    refusals: &mut Refusals,
) -> Result<Elements> {
    let (mut desired, mut egress) = (Vec::with_capacity(2 * places.len()), Elements::new());
    for (&floating, bindings) in changing.iter() {
        let Some(Place { link, .. }) = places.get(&floating) else { continue };
        let elements = view.links.check(floating).and_then(|()| {
            let mut elements = Vec::with_capacity(2);
            for binding in bindings {
                for (key, value) in nat::translations(binding, &link.name) {
                    check_egress(view, changing, &egress, binding, (&key, &value))?;
                    elements.push((key, value));
                }
            }
            Ok(elements)
        });
        for (key, value) in refusals.note(floating, elements)?.into_iter().flatten() {
            match key {
                Key::Snat(..) => _ = egress.insert(key, value),
                _ => desired.push((key, value)),
            }
        }
    }
    refusals.leave(changing);
    // In order by now, and so quickly made a tree.
    desired.extend(egress);
    Ok(desired.into_iter().collect())
}

/// Whether these are the bindings of the address already, and it is in its place.
fn is_so(view: &View, floating: IpAddr, bindings: &[Binding], place: Option<&Place>) -> bool {
    let mut carrying = view.links.carrying(floating);
    let Some(Place { link, hold }) = place else {
        return carrying.next().is_none() && view.has_exactly(floating, Vec::new());
    };
    let mut desired = Vec::new();
    for binding in bindings {
        desired.extend(nat::translations(binding, &link.name));
        let network = view.links.network_of(binding.fixed());
        if network.is_some_and(|network| !view.elements().contains_key(&Key::Hairpin(network))) {
            return false;
        }
    }
    let in_place = |address: &Address| address.link == link.index && address.hold == *hold;
    let here = carrying.next().is_some_and(in_place);
    here && carrying.next().is_none() && view.has_exactly(floating, desired)
}

fn rules(
    view: &View,
    wanted: &Wanted,
    bridges: &Bridges,
    mut desired: Elements,
    skeleton: Skeleton,
) -> Changes {
    let (mut current, networks) = current(view, wanted, &desired);
    current.extend(bridges.keys().flat_map(|bridge| view.elements_of_bridge(bridge)));
    desired.extend(bridges.values().flatten().map(|(key, value)| (key.clone(), value.clone())));
    // First without the table as a whole, to see what is left of it.
    let goes = |(key, value): &(&Key, &Value)| desired.get(key) != Some(value);
    let gone: BTreeMap<&Key, &Value> = current.iter().filter(goes).collect();
    let used = widest(&view.used_networks(networks, &gone, &desired));
    let families: BTreeSet<Family> =
        Family::ALL.into_iter().filter(|family| view.is_of_use(*family, &gone, &desired)).collect();
    current.extend(view.hairpins_within(&used));
    desired.extend(used.into_iter().map(|network| (Key::Hairpin(network), Value::Member)));
    finish(view, desired, current, &families, skeleton)
}

/// Those that are not within another one: the kernel takes no range within a range.
fn widest(networks: &BTreeSet<IpNetwork>) -> BTreeSet<IpNetwork> {
    let within = |inner: &IpNetwork| networks.iter().any(|outer| is_within(inner, outer));
    networks.iter().filter(|network| !within(network)).copied().collect()
}

/// The elements that the wanted bindings are about: theirs as they are, and whatever is where
/// theirs shall be; and the networks that they are about.
fn current(view: &View, wanted: &Wanted, desired: &Elements) -> (Elements, BTreeSet<IpNetwork>) {
    let mut current = Elements::new();
    for floating in wanted.keys() {
        current.extend(view.elements_of(*floating));
    }
    let mut networks = BTreeSet::new();
    for fixed in current.values().chain(desired.values()).filter_map(Value::fixed) {
        networks.extend(view.networks_of(fixed));
    }
    let hairpins: Vec<Key> = networks.iter().copied().map(Key::Hairpin).collect();
    let there =
        desired.keys().chain(&hairpins).filter_map(|key| view.elements().get_key_value(key));
    current.extend(there.map(|(key, value)| (key.clone(), value.clone())));
    (current, networks)
}

fn finish(
    view: &View,
    desired: Elements,
    current: Elements,
    families: &BTreeSet<Family>,
    skeleton: Skeleton,
) -> Changes {
    let chains = view.snapshot.ruleset.passes.keys().copied();
    let mut desired = Ruleset::desired(desired, families, skeleton, chains);
    let mut current = view.ruleset_with(current);
    let intact = current.skeleton == desired.skeleton;
    if !intact && desired.skeleton.is_some() && current.skeleton.is_some() {
        // The table is made anew, with everybody's elements.
        let mut all = view.elements().clone();
        for (key, value) in &current.elements {
            if desired.elements.get(key) != Some(value) {
                all.remove(key);
            }
        }
        all.append(&mut desired.elements);
        desired.elements = all;
        current.elements = view.elements().clone();
    }
    diff::changes(desired, &current)
}

/// A fixed address can send from one floating address only (of each uplink).
fn check_egress(
    view: &View,
    wanted: &Wanted,
    desired: &Elements,
    binding: &Binding,
    (key, value): (&Key, &Value),
) -> Result<()> {
    let Value::Snat(floating) = value else { return Ok(()) };
    let holder = desired.get(key).or_else(|| view.elements().get(key));
    let Some(Value::Snat(holder)) = holder.filter(|holder| *holder != value) else {
        return Ok(());
    };
    let leaves = wanted.contains_key(holder) && !desired.contains_key(key);
    let owner = view.elements().get(&Key::Dnat(*holder)).and_then(Value::note);
    let owner = match owner {
        Some(note) => note.owner.clone(),
        // The floating address is gone, its egress was left behind.
        None if !desired.contains_key(key) => return Ok(()),
        None => binding.owner().clone(),
    };
    if leaves {
        return Ok(());
    }
    let what = format!("the egress of {} (wanted for {floating})", binding.fixed());
    Err(Error::Bound { what, fixed: *holder, owner })
}

/// The addresses that come to links. What a link holds already, in another way that is answered, is
/// nobody else's.
fn claims(links: &Links, changes: &[AddressChange], places: &Places) -> Vec<(Link, Vec<IpAddr>)> {
    let mut claims: BTreeMap<u32, (Link, Vec<IpAddr>)> = BTreeMap::new();
    for change in changes {
        let AddressChange::Add(Address { network, .. }) = change else { continue };
        let Some(Place { link, .. }) = places.get(&network.ip()) else { continue };
        let mut present = links.carrying(network.ip());
        if !present.any(|address| address.link == link.index && links.is_answered(address)) {
            let none = || (Link::clone(link), Vec::new());
            let entry = claims.entry(link.index).or_insert_with(none);
            entry.1.push(network.ip());
        }
    }
    claims.into_values().collect()
}

fn warnings(view: &View, wanted: &Wanted, bridges: &Bridges, mark: Mark) -> Vec<String> {
    let mut warnings: Vec<String> = Vec::new();
    for binding in wanted.values().flatten() {
        warnings.extend(super::status::obstacles(view, binding, mark));
    }
    for bridge in bridges.keys() {
        warnings.extend(super::status::dropping(view, &view.families_of(bridge), mark));
    }
    let mut seen = HashSet::new();
    warnings.retain(|warning| seen.insert(warning.clone()));
    warnings
}
