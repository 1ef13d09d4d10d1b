//! The two address families, with their names.

use std::net::IpAddr;

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
