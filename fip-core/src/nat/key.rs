//! The keys of the elements.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::Family;
use crate::binding::{LinkName, Protocol};

/// The set of bridges paired with the links that their packets may go out by.
pub(crate) const THROUGH: &str = "through";
/// The set of those pairs whose packets leave with the host's address. (`masquerade` is a word of
/// nft.)
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
