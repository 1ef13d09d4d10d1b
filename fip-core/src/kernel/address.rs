//! Addresses, and how links hold them.

use std::fmt;
use std::str::FromStr;

use ipnetwork::IpNetwork;

use crate::error::{Error, Result};

/// How a link holds an address: what makes the kernel take packets to it for the host, and answer
/// neighbours that ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hold {
    /// As one of its addresses, as ip-address(8) shows them. The kernel walks all IPv4 addresses of
    /// the link to add or remove one (`__inet_insert_ifa` in `net/ipv4/devinet.c`).
    Address,
    /// By a route of type `local` to this address alone in the table `local`, as `ip route show
    /// table local` shows them: found and changed in O(log N). IPv4 only: of IPv6, neighbours get
    /// an answer for addresses only.
    Route,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "address",
            Self::Route => "route",
        })
    }
}

impl FromStr for Hold {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "address" => Ok(Self::Address),
            "route" => Ok(Self::Route),
            _ => Err(Error::parse(text, "how an address is held: address or route")),
        }
    }
}

/// An address on a link.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// The index of the link that carries it.
    pub link: u32,
    /// The address with its prefix length.
    pub network: IpNetwork,
    /// It bears this project's tag: a floating address that we added.
    pub ours: bool,
    /// How the link holds it.
    pub hold: Hold,
}

/// A change of a link's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressChange {
    /// Add an address. A floating one (`ours`) is tagged, makes no prefix route, and is never the
    /// host's source address: IPv4 by scope `host`, or by a route that prefers no source; IPv6 by
    /// preferred lifetime 0. The kernel does no duplicate address detection for it. One that is
    /// held by a route is IPv4, and ours.
    Add(Address),
    /// Remove it.
    Remove(Address),
}

impl AddressChange {
    /// The address that comes or goes.
    pub fn address(&self) -> &Address {
        match self {
            Self::Add(address) | Self::Remove(address) => address,
        }
    }
}
