//! What is known of the host: read once, then kept up to date with our own changes, and read again
//! when somebody else changed something.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnetwork::IpNetwork;

use crate::address::Links;
use crate::binding::{Binding, LinkName, Protocol};
use crate::diff::Changes;
use crate::error::Result;
use crate::kernel::{Counter, Kernel, Rtnl};
use crate::nat::{self, Elements, Family, Key, Mark, Ruleset, Skeleton, Snapshot, Value};

use super::goal::Goal;

/// The ruleset and the links of a host.
#[derive(Debug)]
pub(super) struct View {
    pub(super) snapshot: Snapshot,
    pub(super) links: Links,
    /// The families for which this host is known to forward.
    pub(super) forwarding: BTreeSet<Family>,
    /// How many translations lead to each fixed address.
    fixed: BTreeMap<IpAddr, usize>,
    /// We changed rules in foreign chains since: what their handles are, only the kernel knows.
    handles_unknown: bool,
    /// Tells this reading of the host from any other.
    reading: Arc<()>,
    /// If no more is known than one goal needs, the floating addresses that it is about.
    narrow: Option<Vec<IpAddr>>,
}

impl View {
    /// Reads all of it.
    pub(super) fn read<K: Kernel>(kernel: &mut K) -> Result<Self> {
        // Asked first: what changes from here on is noticed the next time.
        kernel.news()?;
        let links = Links::read(kernel)?;
        Ok(Self::of(links, kernel.snapshot()?))
    }

    /// The same, with the counters.
    pub(super) fn read_counted<K: Kernel>(kernel: &mut K) -> Result<(Self, Vec<Counter>)> {
        kernel.news()?;
        let links = Links::read(kernel)?;
        let (snapshot, counters) = kernel.snapshot_counted()?;
        Ok((Self::of(links, snapshot), counters))
    }

    /// Reads what this goal needs, if that can be less than all. Whether more is needed is known
    /// only then ([`View::suffices`]).
    pub(super) fn read_for<K: Kernel>(kernel: &mut K, goal: &Goal<'_>) -> Result<Option<Self>> {
        if !goal.is_narrow() {
            return Ok(None);
        }
        let floating = goal.floating();
        let links = Links::read_about(kernel, &floating)?;
        let snapshot = kernel.snapshot_about(&goal.about(&links))?;
        let narrow = Some(floating);
        Ok(Some(Self { narrow, ..Self::of(links, snapshot) }))
    }

    fn of(links: Links, snapshot: Snapshot) -> Self {
        let (forwarding, fixed) = (BTreeSet::new(), BTreeMap::new());
        let handles_unknown = false;
        let (reading, narrow) = (Arc::default(), None);
        let mut this =
            Self { snapshot, links, forwarding, fixed, handles_unknown, reading, narrow };
        this.count_fixed();
        this
    }

    /// Whether no more is known than one goal needs.
    pub(super) fn is_narrow(&self) -> bool {
        self.narrow.is_some()
    }

    /// Whether enough is known to plan a table with this mark. One that is to be made anew takes
    /// everybody's elements.
    pub(super) fn suffices(&self, mark: Option<Mark>) -> bool {
        let desired = Skeleton::new(mark.or(self.mark()).unwrap_or_default());
        self.narrow.is_none() || self.snapshot.ruleset.skeleton.iter().all(|s| *s == desired)
    }

    fn count_fixed(&mut self) {
        self.fixed.clear();
        for fixed in self.snapshot.ruleset.elements.values().filter_map(Value::fixed) {
            *self.fixed.entry(fixed).or_default() += 1;
        }
    }

    /// Whether it has to be read again before it is planned with.
    pub(super) fn is_outdated(&self) -> bool {
        self.handles_unknown
    }

    /// Reads the links again if they changed. A view that is soon dropped does not listen to the
    /// kernel's news, which takes longer to begin than to read them.
    pub(super) fn refresh_links(&mut self, kernel: &mut impl Rtnl) -> Result<()> {
        if let Some(floating) = &self.narrow {
            self.links = Links::read_about(kernel, floating)?;
            self.forwarding.clear();
        } else if self.links.refresh(kernel)? {
            self.forwarding.clear();
            self.reading = Arc::default();
        }
        Ok(())
    }

    /// The present reading. It stays the same as long as all that changes is our own doing.
    pub(super) fn reading(&self) -> Arc<()> {
        Arc::clone(&self.reading)
    }

    /// The elements of all bindings.
    pub(super) fn elements(&self) -> &Elements {
        &self.snapshot.ruleset.elements
    }

    /// The mark of the table that is there.
    pub(super) fn mark(&self) -> Option<Mark> {
        self.snapshot.ruleset.skeleton.as_ref().and_then(Skeleton::mark)
    }

    /// The elements that translate one floating address, in order: found by key, however many
    /// others there are.
    pub(super) fn translations(&self, floating: IpAddr) -> impl Iterator<Item = (&Key, &Value)> {
        let whole = self.elements().get_key_value(&Key::Dnat(floating));
        whole.into_iter().chain(self.ports(floating))
    }

    fn ports(&self, floating: IpAddr) -> impl Iterator<Item = (&Key, &Value)> {
        let ports = self.elements().range(Key::Port(floating, Protocol::Tcp, 0)..);
        let is_of = move |key: &Key| matches!(key, Key::Port(of, ..) if *of == floating);
        ports.take_while(move |(key, _)| is_of(key))
    }

    /// All elements of one floating address, in order.
    fn look_up(&self, floating: IpAddr) -> impl Iterator<Item = (&Key, &Value)> {
        let whole = self.elements().get_key_value(&Key::Dnat(floating));
        let egress = whole.and_then(|(_, value)| {
            let key = Key::Snat(value.note()?.uplink.clone()?, value.fixed()?);
            let egress = self.elements().get_key_value(&key);
            egress.filter(|(_, value)| **value == Value::Snat(floating))
        });
        whole.into_iter().chain(self.ports(floating)).chain(egress)
    }

    /// Whether one floating address has exactly these elements.
    pub(super) fn has_exactly(&self, floating: IpAddr, mut elements: Vec<(Key, Value)>) -> bool {
        elements.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        self.look_up(floating).eq(elements.iter().map(|(key, value)| (key, value)))
    }

    /// The same, as a copy.
    pub(super) fn elements_of(&self, floating: IpAddr) -> Elements {
        self.look_up(floating).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// The bindings of one floating address.
    pub(super) fn bindings_of(&self, floating: IpAddr) -> Vec<Binding> {
        let found = nat::bindings_among(self.look_up(floating), self.elements());
        found.into_iter().map(|bound| bound.binding).collect()
    }

    /// The network that holds a fixed address, and those in the table that did when it was bound:
    /// its link may be gone by now.
    pub(super) fn networks_of(&self, fixed: IpAddr) -> impl Iterator<Item = IpNetwork> {
        let first = match fixed {
            IpAddr::V4(_) => IpNetwork::from(IpAddr::from(Ipv4Addr::UNSPECIFIED)),
            IpAddr::V6(_) => IpNetwork::from(IpAddr::from(Ipv6Addr::UNSPECIFIED)),
        };
        let known = self.hairpins(first).filter(move |network| network.contains(fixed));
        known.chain(self.links.network_of(fixed))
    }

    /// The networks in the table, from this one on.
    fn hairpins(&self, first: IpNetwork) -> impl Iterator<Item = IpNetwork> {
        self.elements().range(Key::Hairpin(first)..).filter_map(|(key, _)| match key {
            Key::Hairpin(network) => Some(*network),
            _ => None,
        })
    }

    /// The elements of networks that are within, and not equal to, one of these.
    pub(super) fn hairpins_within(&self, outer: &BTreeSet<IpNetwork>) -> Elements {
        let inner = outer.iter().flat_map(|outer| {
            self.hairpins(*outer)
                .take_while(|inner| outer.contains(inner.network()))
                .filter(|inner| is_within(inner, outer))
        });
        inner.map(|network| (Key::Hairpin(network), Value::Member)).collect()
    }

    /// Which of the networks of what goes and what comes (or stays) will still be of use.
    pub(super) fn used_networks(
        &self,
        networks: BTreeSet<IpNetwork>,
        gone: &BTreeMap<&Key, &Value>,
        come: &Elements,
    ) -> BTreeSet<IpNetwork> {
        if gone.is_empty() {
            return networks;
        }
        let mut delta: BTreeMap<IpAddr, isize> = BTreeMap::new();
        for fixed in gone.values().filter_map(|value| value.fixed()) {
            *delta.entry(fixed).or_default() -= 1;
        }
        for fixed in come.values().filter_map(Value::fixed) {
            *delta.entry(fixed).or_default() += 1;
        }
        let added = |network: &IpNetwork| {
            delta.iter().any(|(fixed, &count)| count > 0 && network.contains(*fixed))
        };
        let kept = |network: &IpNetwork| {
            let range = self.fixed.range(network.network()..=network.broadcast());
            range.into_iter().any(|(fixed, &count)| {
                count as isize + delta.get(fixed).copied().unwrap_or_default() > 0
            })
        };
        networks.into_iter().filter(|network| added(network) || kept(network)).collect()
    }

    /// The elements of a bridge's rules.
    pub(super) fn elements_of_bridge(&self, bridge: &LinkName) -> Elements {
        let starts = [
            Key::Through(bridge.clone(), LinkName::before_all()),
            Key::Masquerade(bridge.clone(), LinkName::before_all()),
            Key::Internal(bridge.clone()),
        ];
        let own = |start| {
            self.elements().range(start..).take_while(|(key, _)| key.bridge() == Some(bridge))
        };
        let all = starts.into_iter().flat_map(own);
        all.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// The families in which a link has a subnet, beside the link-local one that every link has.
    pub(super) fn families_of(&self, link: &LinkName) -> Vec<Family> {
        let subnets =
            self.links.named(link).into_iter().flat_map(|l| self.links.subnets_of(l.index));
        let subnets = subnets
            .filter(|subnet| !matches!(subnet.ip(), IpAddr::V6(v6) if v6.is_unicast_link_local()));
        let present: BTreeSet<Family> = subnets.map(|subnet| Family::of(subnet.ip())).collect();
        present.into_iter().collect()
    }

    /// The elements of all bridges' rules.
    pub(super) fn bridges(&self) -> impl Iterator<Item = (&Key, &Value)> {
        let first = Key::Through(LinkName::before_all(), LinkName::before_all());
        self.elements().range(first..)
    }

    /// Whether the table has a use for packets of this family when these are gone and those have
    /// come: a translation, or the rules of a bridge, which are for both.
    pub(super) fn is_of_use(
        &self,
        family: Family,
        gone: &BTreeMap<&Key, &Value>,
        come: &Elements,
    ) -> bool {
        let of_family = |key: &Key| match key {
            Key::Dnat(floating) | Key::Port(floating, ..) => Family::of(*floating) == family,
            Key::Snat(..) | Key::Hairpin(_) => false,
            Key::Through(..) | Key::Masquerade(..) | Key::Internal(_) => true,
        };
        let (first, last): (IpAddr, IpAddr) = match family {
            Family::V4 => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into()),
            Family::V6 => (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::from_bits(u128::MAX).into()),
        };
        let whole = self.elements().range(Key::Dnat(first)..=Key::Dnat(last));
        let ports = self
            .elements()
            .range(Key::Port(first, Protocol::Tcp, 0)..=Key::Port(last, Protocol::Sctp, u16::MAX));
        come.keys().any(of_family)
            || whole.chain(ports).chain(self.bridges()).any(|(key, _)| !gone.contains_key(key))
    }

    /// Notes that the changes were made.
    pub(super) fn note(&mut self, changes: &Changes) {
        let whole = changes.table.is_some();
        let counted = [(-1, &changes.remove), (1, &changes.add)];
        for (sign, list) in counted.into_iter().filter(|_| !whole) {
            for fixed in list.iter().filter_map(|(_, value)| value.fixed()) {
                let count = self.fixed.entry(fixed).or_default();
                *count = count.saturating_add_signed(sign);
                if *count == 0 {
                    self.fixed.remove(&fixed);
                }
            }
        }
        changes.apply(&mut self.snapshot.ruleset);
        self.handles_unknown |= !changes.passes.is_empty();
        // The kernel counts each transaction; 0 is left out.
        self.snapshot.generation = self.snapshot.generation.checked_add(1).unwrap_or(1);
        if whole {
            self.count_fixed();
        }
    }

    /// The part of our ruleset that has these elements.
    pub(super) fn ruleset_with(&self, elements: Elements) -> Ruleset {
        let Ruleset { skeleton, passes, .. } = &self.snapshot.ruleset;
        Ruleset { skeleton: skeleton.clone(), elements, passes: passes.clone() }
    }
}

/// Whether a network is a part of another one.
pub(super) fn is_within(inner: &IpNetwork, outer: &IpNetwork) -> bool {
    inner.prefix() > outer.prefix() && outer.contains(inner.network())
}
