//! The rule builder: bindings to the desired state of the table `inet fip`.
//!
//! The table's [`Skeleton`] is constant; a binding is a few elements of its maps. Everything here
//! is plain data: it is compared by [`crate::diff`], and printed as nft would write it.

mod about;
mod bridges;
pub mod expr;
mod rules;
pub mod skeleton;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnetwork::IpNetwork;

use crate::binding::{Binding, LinkName, Owner, PortForward, Protocol};
use crate::error::{Error, Result};
pub use about::{About, Maps, elements_about};
pub use bridges::{BridgeRules, bridge_rules};
pub use rules::pass_rule;
pub use skeleton::Skeleton;

/// The name of our table, of family `inet`.
pub const TABLE: &str = "fip";

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of this address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// nft's keyword.
    pub fn nft(self) -> &'static str {
        self.pick("ip", "ip6")
    }

    /// The prefix length of a single address.
    pub fn bits(self) -> u8 {
        self.pick(32, 128)
    }

    /// The map from floating to fixed addresses.
    pub fn dnat(self) -> &'static str {
        self.pick("dnat4", "dnat6")
    }

    /// The map of translated ports.
    pub fn port(self) -> &'static str {
        self.pick("port4", "port6")
    }

    /// The map from uplink and fixed address to the floating source address.
    pub fn snat(self) -> &'static str {
        self.pick("snat4", "snat6")
    }

    /// The set of subnets that hold workloads, each paired with itself.
    pub fn hairpin(self) -> &'static str {
        self.pick("hairpin4", "hairpin6")
    }

    /// How many 32-bit registers an address takes.
    pub(crate) fn slots(self) -> u8 {
        self.pick(1, 4)
    }

    /// The kernel's number (`NFPROTO_IPV4`, `NFPROTO_IPV6`).
    pub(crate) fn nfproto(self) -> u8 {
        self.pick(2, 10)
    }

    fn pick<T>(self, v4: T, v6: T) -> T {
        match self {
            Self::V4 => v4,
            Self::V6 => v6,
        }
    }
}

/// The bit of the connection mark and the packet mark that our connections carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark(u32);

impl Mark {
    /// A mark of exactly one bit.
    ///
    /// # Errors
    /// [`Error::Parse`] for any other number.
    pub fn new(bits: u32) -> Result<Self> {
        if bits.count_ones() == 1 {
            Ok(Self(bits))
        } else {
            Err(Error::parse(&format!("{bits:#x}"), "a mark of exactly one bit, as 0x1000"))
        }
    }

    /// The bit, as a number.
    pub fn bits(self) -> u32 {
        self.0
    }

    fn invert(self) -> Self {
        Self(!self.0)
    }
}

impl Default for Mark {
    /// `0x1000`: used by none of Docker, kube-proxy, Tailscale and Calico by default.
    fn default() -> Self {
        Self(0x1000)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

impl FromStr for Mark {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = match text.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => text.parse(),
        };
        let expected = "a mark of exactly one bit, as 0x1000";
        Self::new(number.map_err(|_| Error::parse(text, expected))?)
    }
}

/// The set of bridges paired with the links that their packets may go out by.
pub(crate) const THROUGH: &str = "through";
/// The set of those pairs whose packets leave with the host's address. (`masquerade` is a word of nft.)
pub(crate) const MASQUERADED: &str = "masqueraded";
/// The set of bridges that nothing leaves or enters.
pub(crate) const INTERNAL: &str = "internal";

/// The key of an element, which also tells its map. Those of bridges come last in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A floating address, all of it.
    Dnat(IpAddr),
    /// A port of a floating address.
    Port(IpAddr, Protocol, u16),
    /// What a fixed address sends by an uplink.
    Snat(LinkName, IpAddr),
    /// A subnet that holds workloads.
    Hairpin(IpNetwork),
    /// A bridge, and a link that its packets may go out by: itself, to its own workloads.
    Through(LinkName, LinkName),
    /// A bridge, and a link by which its packets leave with the host's address.
    Masquerade(LinkName, LinkName),
    /// A bridge that nothing leaves or enters.
    Internal(LinkName),
}

impl Key {
    /// The name of the map.
    pub fn map(&self) -> &'static str {
        match self {
            Self::Dnat(floating) => Family::of(*floating).dnat(),
            Self::Port(floating, ..) => Family::of(*floating).port(),
            Self::Snat(_, fixed) => Family::of(*fixed).snat(),
            Self::Hairpin(network) => Family::of(network.ip()).hairpin(),
            Self::Through(..) => THROUGH,
            Self::Masquerade(..) => MASQUERADED,
            Self::Internal(_) => INTERNAL,
        }
    }

    /// The place of its kind in order.
    fn kind(&self) -> u8 {
        match self {
            Self::Dnat(_) => 0,
            Self::Port(..) => 1,
            Self::Snat(..) => 2,
            Self::Hairpin(_) => 3,
            Self::Through(..) => 4,
            Self::Masquerade(..) => 5,
            Self::Internal(_) => 6,
        }
    }

    /// The bridge whose rules it is part of.
    pub fn bridge(&self) -> Option<&LinkName> {
        match self {
            Self::Through(bridge, _) | Self::Masquerade(bridge, _) | Self::Internal(bridge) => {
                Some(bridge)
            }
            Self::Dnat(_) | Self::Port(..) | Self::Snat(..) | Self::Hairpin(_) => None,
        }
    }
}

/// As addresses are ordered anyway, but as numbers.
fn compare(one: &IpAddr, other: &IpAddr) -> Ordering {
    match (one, other) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a.to_bits().cmp(&b.to_bits()),
        (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits().cmp(&b.to_bits()),
        _ => one.is_ipv6().cmp(&other.is_ipv6()),
    }
}

impl Ord for Key {
    /// What is derived takes several times as long, and to compare keys is most of the work of
    /// finding one of ten thousand.
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Dnat(a), Self::Dnat(b)) => compare(a, b),
            (Self::Port(a, p, m), Self::Port(b, q, n)) => {
                compare(a, b).then_with(|| (p, m).cmp(&(q, n)))
            }
            (Self::Snat(l, a), Self::Snat(m, b)) => compare(a, b).then_with(|| l.cmp(m)),
            (Self::Hairpin(a), Self::Hairpin(b)) => a.cmp(b),
            (Self::Through(a, l), Self::Through(b, m))
            | (Self::Masquerade(a, l), Self::Masquerade(b, m)) => (a, l).cmp(&(b, m)),
            (Self::Internal(a), Self::Internal(b)) => a.cmp(b),
            _ => self.kind().cmp(&other.kind()),
        }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dnat(floating) => write!(f, "{floating}"),
            Self::Port(floating, protocol, port) => write!(f, "{floating} . {protocol} . {port}"),
            Self::Snat(uplink, fixed) => write!(f, "\"{uplink}\" . {fixed}"),
            Self::Hairpin(network) => write!(f, "{network} . {network}"),
            Self::Through(bridge, link) | Self::Masquerade(bridge, link) => {
                write!(f, "\"{bridge}\" . \"{link}\"")
            }
            Self::Internal(bridge) => write!(f, "\"{bridge}\""),
        }
    }
}

/// What an element's key leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// The fixed address.
    Dnat(IpAddr, Note),
    /// The fixed address and its port.
    Port(IpAddr, u16, Note),
    /// The floating address.
    Snat(IpAddr),
    /// Nothing: a member of a set.
    Member,
}

impl Value {
    /// The fixed address of a translation.
    pub fn fixed(&self) -> Option<IpAddr> {
        match self {
            Self::Dnat(fixed, _) | Self::Port(fixed, ..) => Some(*fixed),
            Self::Snat(_) | Self::Member => None,
        }
    }

    /// The note of a translation.
    pub fn note(&self) -> Option<&Note> {
        match self {
            Self::Dnat(_, note) | Self::Port(_, _, note) => Some(note),
            Self::Snat(_) | Self::Member => None,
        }
    }
}

/// What the kernel keeps with a translation, as a comment: whose it is, and its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Who holds the binding.
    pub owner: Owner,
    /// The link that carries the floating address.
    pub uplink: Option<LinkName>,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "owner={}", self.owner)?;
        self.uplink.iter().try_for_each(|uplink| write!(f, " uplink={uplink}"))
    }
}

impl Note {
    /// Reads a comment. An element that somebody made by hand has no owner that we could read; it
    /// is held by `unknown`, so that it is a conflict and never silently overwritten.
    pub fn read(comment: &str) -> Self {
        let word = |key: &str| {
            comment.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
        };
        let unknown = || Owner::try_from("unknown".to_owned()).unwrap_or_default();
        Self {
            owner: word("owner").and_then(|owner| owner.parse().ok()).unwrap_or_else(unknown),
            uplink: word("uplink").and_then(|uplink| uplink.parse().ok()),
        }
    }
}

/// The elements of the maps.
pub type Elements = BTreeMap<Key, Value>;

/// The elements that make a binding, with its floating address on `uplink`, and the fixed address
/// in the subnet `network` of this host (if it is on link).
pub fn elements(binding: &Binding, uplink: &LinkName, network: Option<IpNetwork>) -> Elements {
    let hairpin = network.map(|network| (Key::Hairpin(network), Value::Member));
    translations(binding, uplink).chain(hairpin).collect()
}

/// Those of them that translate.
pub(crate) fn translations(
    binding: &Binding,
    uplink: &LinkName,
) -> impl Iterator<Item = (Key, Value)> {
    let (floating, fixed) = (binding.floating(), binding.fixed());
    let note = Note { owner: binding.owner().clone(), uplink: Some(uplink.clone()) };
    let whole = binding.is_whole_address().then(|| Value::Dnat(fixed, note.clone()));
    let ports = binding.ports().iter().map(move |port| {
        let key = Key::Port(floating, port.protocol, port.port);
        (key, Value::Port(fixed, port.fixed_port, note.clone()))
    });
    let egress = binding.egress().then(|| Key::Snat(uplink.clone(), fixed));
    whole
        .map(|value| (Key::Dnat(floating), value))
        .into_iter()
        .chain(ports)
        .chain(egress.map(|key| (key, Value::Snat(floating))))
}

/// A binding as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The binding; its uplink is the one that carries it.
    pub binding: Binding,
    /// The maps' keys that make it.
    pub keys: Vec<Key>,
}

/// Reads the bindings back from the elements. Ports of one floating address that lead to one
/// fixed address and are of one owner are one binding.
pub fn bindings(elements: &Elements) -> Vec<Bound> {
    bindings_among(elements.iter(), elements)
}

/// The bindings that some of the elements make.
pub(crate) fn bindings_among<'e>(
    some: impl Iterator<Item = (&'e Key, &'e Value)>,
    all: &Elements,
) -> Vec<Bound> {
    let mut found: Vec<Bound> = Vec::new();
    // Where each binding of ports is; every whole address is one of its own.
    let mut of_ports: HashMap<(IpAddr, IpAddr, &Owner), usize> = HashMap::new();
    for (key, value) in some {
        let (Some(fixed), Some(note)) = (value.fixed(), value.note()) else { continue };
        let (floating, port) = match (key, value) {
            (Key::Dnat(floating), _) => (*floating, None),
            (Key::Port(floating, protocol, port), Value::Port(_, fixed_port, _)) => {
                let (protocol, port, fixed_port) = (*protocol, *port, *fixed_port);
                (*floating, Some(PortForward { protocol, port, fixed_port }))
            }
            _ => continue,
        };
        let place = match port {
            Some(_) => *of_ports.entry((floating, fixed, &note.owner)).or_insert(found.len()),
            None => found.len(),
        };
        if place == found.len() {
            let Some(mut binding) = binding(floating, fixed, note) else {
                of_ports.remove(&(floating, fixed, &note.owner));
                continue;
            };
            if port.is_none() {
                let egress = note.uplink.clone().map(|uplink| Key::Snat(uplink, fixed));
                let egress = egress.and_then(|key| all.get(&key));
                binding = binding.with_egress(egress == Some(&Value::Snat(floating)));
            }
            found.push(Bound { binding, keys: Vec::with_capacity(1) });
        }
        let bound = &mut found[place];
        bound.keys.push(key.clone());
        if let Some(port) = port {
            bound.binding.insert_port(port);
        }
    }
    let place = |b: &Binding| (b.floating(), b.fixed(), !b.is_whole_address());
    found.sort_by(|Bound { binding: a, .. }, Bound { binding: b, .. }| {
        place(a).cmp(&place(b)).then_with(|| a.owner().cmp(b.owner()))
    });
    found
}

/// The binding without its ports; none if there can be no such.
fn binding(floating: IpAddr, fixed: IpAddr, note: &Note) -> Option<Binding> {
    let binding = Binding::new(floating, fixed).ok()?.owned_by(note.owner.clone());
    Some(match &note.uplink {
        Some(uplink) => binding.on(uplink.clone()),
        None => binding,
    })
}

/// All that we keep in the kernel's packet filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    /// The table's shape; none if there is no such table.
    pub skeleton: Option<Skeleton>,
    /// The elements of its maps.
    pub elements: Elements,
    /// The rule that lets our connections through, by the family of the chain (`DOCKER-USER` of
    /// the table `filter`) that is the place for it. A family without such a chain is not there.
    pub passes: BTreeMap<Family, Pass>,
}

impl Ruleset {
    /// The ruleset with these elements, where it has a use for packets of these families, and
    /// foreign `chains` for our rule. No use, no table: else it has the shape of `skeleton`.
    pub fn desired(
        elements: Elements,
        families: &BTreeSet<Family>,
        skeleton: Skeleton,
        chains: impl Iterator<Item = Family>,
    ) -> Self {
        let passes = chains
            .map(|family| match families.contains(&family) {
                true => (family, Pass::There { handle: 0 }),
                false => (family, Pass::Absent { before: None }),
            })
            .collect();
        let skeleton = (!families.is_empty()).then_some(skeleton);
        Self { skeleton, elements, passes }
    }
}

/// Our rule in a foreign chain, with what is needed to change that.
#[derive(Debug, Clone)]
pub enum Pass {
    /// The chain has it not.
    Absent {
        /// The handle of the rule before which it belongs; the end of the chain if none.
        before: Option<u64>,
    },
    /// The chain has it, once, after the user's own rules.
    There {
        /// The handle of our rule.
        handle: u64,
    },
    /// The chain has it more than once, before a rule of the user's, or with another mark.
    Misplaced {
        /// The handles of our rules.
        handles: Vec<u64>,
        /// The handle of the rule before which it belongs; the end of the chain if none.
        before: Option<u64>,
    },
}

impl PartialEq for Pass {
    /// Equal in effect; handles are names only.
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}
impl Eq for Pass {}

/// The packet filter as it is: our part and what matters of the others', of one generation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The generation of all this (`NFTA_GEN_ID`).
    pub generation: u32,
    /// Our part.
    pub ruleset: Ruleset,
    /// The others'.
    pub foreign: Foreign,
}

/// What of other people's rulesets decides whether our packets pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Foreign {
    /// Base chains that drop what is forwarded unless a rule accepts it, and have no chain for
    /// users' rules, as `inet filter forward`; with the families that they see.
    pub dropping: Vec<(String, Vec<Family>)>,
    /// Links whose forwarded packets Docker's nftables backend drops unless they are published.
    pub guarded: BTreeSet<(Family, LinkName)>,
}

#[cfg(test)]
pub(crate) mod tests;
