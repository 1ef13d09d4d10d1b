//! Links, and how they are made and changed.

use std::fmt;
use std::str::FromStr;

use crate::binding::LinkName;
use crate::error::{Error, Result};
use crate::netns::NetNs;

/// A link-layer (Ethernet) address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = Error;

    /// Six pairs of hexadecimal digits with colons between, as `02:00:5e:10:00:01`.
    fn from_str(text: &str) -> Result<Self> {
        let pair = |pair: &str| {
            let digits = pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
            u8::from_str_radix(pair, 16).ok().filter(|_| digits)
        };
        let bytes: Option<Vec<u8>> = text.split(':').map(pair).collect();
        let mac = bytes.and_then(|bytes| bytes.try_into().ok());
        mac.map(Self).ok_or_else(|| Error::parse(text, "an Ethernet address, as 02:00:5e:10:00:01"))
    }
}

/// A network link (card, bridge, one end of a veth pair, ...).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The interface index.
    pub index: u32,
    /// The name.
    pub name: LinkName,
    /// The Ethernet address; none on links that have no such.
    pub mac: Option<Mac>,
    /// The largest packet, in bytes.
    pub mtu: u32,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Operational: up, with carrier (`IFF_RUNNING`).
    pub running: bool,
    /// A loopback link (`IFF_LOOPBACK`).
    pub loopback: bool,
    /// The kind of a virtual link, as `bridge` or `veth`.
    pub kind: Option<String>,
    /// The index of the bridge (or bond, VRF) it is a port of.
    pub master: Option<u32>,
}

impl Link {
    /// The Ethernet address by which neighbours reach it; none on a link without neighbours
    /// (loopback, tunnels).
    pub fn ethernet(&self) -> Option<Mac> {
        self.mac.filter(|_| !self.loopback)
    }
}

/// A link to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewLink {
    /// A bridge, down.
    Bridge {
        /// Its name.
        name: LinkName,
        /// Its MTU, in bytes.
        mtu: u32,
    },
    /// A pair of virtual Ethernet links, down. The peer may be born in another namespace.
    Veth {
        /// The name of the near end.
        name: LinkName,
        /// The name of the far end.
        peer: LinkName,
        /// The Ethernet address of the far end; random if none.
        peer_mac: Option<Mac>,
        /// The namespace of the far end; this one if none.
        peer_netns: Option<NetNs>,
        /// The MTU of both, in bytes.
        mtu: u32,
    },
}

/// A change of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkChange {
    /// Administratively up or down.
    Up(bool),
    /// The MTU, in bytes.
    Mtu(u32),
    /// A port of the bridge with this index, or of none.
    Master(Option<u32>),
    /// The Ethernet address.
    Mac(Mac),
    /// May a frame leave by the bridge port that it came in by (`IFLA_BRPORT_MODE`)?
    Hairpin(bool),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethernet_addresses_print_as_they_are_read() {
        let mac: Mac = "02:00:5e:10:00:ff".parse().unwrap();
        assert_eq!(mac, Mac([2, 0, 0x5e, 0x10, 0, 0xff]));
        assert_eq!(mac.to_string(), "02:00:5e:10:00:ff");
        for bad in [
            "",
            ":",
            "02:00:5e:10:00",
            "02:00:5e:10:00:01:02",
            "2:0:5e:10:0:1",
            "+2:00:5e:10:00:01",
        ] {
            assert!(bad.parse::<Mac>().unwrap_err().is_usage(), "{bad}");
        }
    }
}
