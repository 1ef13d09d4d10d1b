//! What a user asks for: a floating address, the fixed address behind it, and how.
//!
//! Parsing is the only validation: a value of these types is well formed. What only the host can
//! tell (its own addresses, its gateways) is checked by [`crate::address::AddressBinder`].

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU8;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The longest name of a network link, without the terminating NUL (`IFNAMSIZ` in `linux/if.h`).
pub const LINK_NAME_MAX: usize = 15;

/// The longest [`Owner`]: it must fit an nf_tables comment (128 bytes) with the rest of the note.
pub const OWNER_MAX: usize = 80;

/// The name of a network link, such as `eth0`.
///
/// Ten thousand bindings have as many of them, in keys that are compared all the time: so it has
/// no memory of its own, and is compared as a number.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LinkName {
    /// What is not used is 0.
    text: [u8; LINK_NAME_MAX],
    /// The length and one more: where there is no name, that is 0.
    length: NonZeroU8,
}

impl LinkName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        let length = usize::from(self.length.get() - 1);
        std::str::from_utf8(&self.text[..length]).unwrap_or_default()
    }

    /// Before every name in order, and itself no name: where a range of names begins.
    pub(crate) fn before_all() -> Self {
        Self { text: [0; LINK_NAME_MAX], length: NonZeroU8::MIN }
    }

    /// The text as a number, of the same order.
    fn number(&self) -> u128 {
        let mut bytes = [0; 16];
        bytes[..LINK_NAME_MAX].copy_from_slice(&self.text);
        u128::from_be_bytes(bytes)
    }
}

impl Ord for LinkName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.number().cmp(&other.number())
    }
}

impl PartialOrd for LinkName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LinkName").field(&self.as_str()).finish()
    }
}

impl FromStr for LinkName {
    type Err = Error;

    /// Accepts what the kernel accepts (`dev_valid_name` in `net/core/dev.c`), but for `%`: no link
    /// has it in its name, because whoever makes `br%d` gets the first of `br0`, `br1`, ... that is
    /// free (`dev_prep_valid_name`).
    fn from_str(text: &str) -> Result<Self> {
        let visible = |b: u8| b.is_ascii_graphic() && !b"/:\"%".contains(&b);
        let valid = !text.is_empty()
            && text.len() <= LINK_NAME_MAX
            && text != "."
            && text != ".."
            && text.bytes().all(visible);
        if valid {
            let mut name = Self::before_all();
            name.text[..text.len()].copy_from_slice(text.as_bytes());
            name.length = name.length.saturating_add(text.len() as u8);
            Ok(name)
        } else {
            Err(Error::parse(text, "a link name (1 to 15 visible characters, no '/', ':' or '%')"))
        }
    }
}

/// Who holds a binding. Reconciling touches only the bindings of its owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Owner(Arc<str>);

impl Owner {
    /// The owner's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Owner {
    fn default() -> Self {
        static CLI: LazyLock<Owner> = LazyLock::new(|| Owner("cli".into()));
        CLI.clone()
    }
}

impl FromStr for Owner {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let valid = (1..=OWNER_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/@+-".contains(&b));
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(Error::parse(text, "an owner (1 to 80 of A-Z a-z 0-9 . _ : / @ + -)"))
        }
    }
}

/// A transport protocol that has ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Transmission Control Protocol.
    Tcp,
    /// User Datagram Protocol.
    Udp,
    /// Stream Control Transmission Protocol.
    Sctp,
}

impl Protocol {
    /// Every protocol that a port forward can name.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// The number in the IP header (IANA protocol numbers).
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// The protocol with this number, if it is one of ours.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.number() == number)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

impl FromStr for Protocol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|p| p.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| Error::parse(text, "a protocol (tcp, udp or sctp)"))
    }
}

/// One translated port: `tcp:80` or, with another port inside, `tcp:80:8080`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortForward {
    /// The transport protocol.
    pub protocol: Protocol,
    /// The port of the floating address.
    pub port: u16,
    /// The port of the fixed address.
    pub fixed_port: u16,
}

impl fmt::Display for PortForward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.protocol, self.port)?;
        if self.fixed_port != self.port {
            write!(f, ":{}", self.fixed_port)?;
        }
        Ok(())
    }
}

impl FromStr for PortForward {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad =
            || Error::parse(text, "a port forward (PROTOCOL:PORT[:FIXED_PORT], as tcp:80:8080)");
        let number = |s: &str| s.parse().ok().filter(|&n: &u16| n > 0).ok_or_else(bad);
        let mut parts = text.split(':');
        let protocol = parts.next().unwrap_or_default().parse()?;
        let port = number(parts.next().ok_or_else(bad)?)?;
        let fixed_port = parts.next().map_or(Ok(port), number)?;
        match parts.next() {
            None => Ok(Self { protocol, port, fixed_port }),
            Some(_) => Err(bad()),
        }
    }
}

/// A floating address bound to a fixed one, with its owner and options.
///
/// Without ports the whole address is translated, every protocol, and what the workload itself
/// starts leaves with the floating source address ([`Binding::egress`]). With ports only those
/// are translated, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Binding {
    floating: IpAddr,
    fixed: IpAddr,
    uplink: Option<LinkName>,
    ports: BTreeSet<PortForward>,
    egress: bool,
    owner: Owner,
}

impl Binding {
    /// Binds the whole floating address, for the default owner (`cli`).
    ///
    /// # Errors
    /// [`Error::Refused`] where one of the two can never be used so: unspecified, loopback,
    /// multicast, broadcast, link-local, an IPv4-mapped IPv6 address, both the same, or of
    /// different families.
    pub fn new(floating: IpAddr, fixed: IpAddr) -> Result<Self> {
        check_floating(floating)?;
        check_unicast(fixed, "a fixed address")?;
        if floating == fixed {
            return Err(Error::refused(
                floating,
                "the floating and the fixed address are the same",
            ));
        }
        if floating.is_ipv4() != fixed.is_ipv4() {
            let why = format!("the fixed address {fixed} is of the other address family");
            return Err(Error::refused(floating, why));
        }
        Ok(Self {
            floating,
            fixed,
            uplink: None,
            ports: BTreeSet::new(),
            egress: true,
            owner: Owner::default(),
        })
    }

    /// Puts the address on this link instead of the one that [`crate::address`] would choose.
    #[must_use]
    pub fn on(mut self, uplink: LinkName) -> Self {
        self.uplink = Some(uplink);
        self
    }

    /// Translates this port only (and the others given so).
    #[must_use]
    pub fn port(mut self, port: PortForward) -> Self {
        self.ports.insert(port);
        self
    }

    /// The same, of a binding that is being put together.
    pub(crate) fn insert_port(&mut self, port: PortForward) {
        self.ports.insert(port);
    }

    /// Translates exactly these ports.
    #[must_use]
    pub fn with_ports(mut self, ports: impl IntoIterator<Item = PortForward>) -> Self {
        self.ports = ports.into_iter().collect();
        self
    }

    /// Whether workload-initiated traffic leaves with the floating source address. Only a
    /// whole-address binding does.
    #[must_use]
    pub fn with_egress(mut self, egress: bool) -> Self {
        self.egress = egress;
        self
    }

    /// Names the owner.
    #[must_use]
    pub fn owned_by(mut self, owner: Owner) -> Self {
        self.owner = owner;
        self
    }

    /// The external address.
    pub fn floating(&self) -> IpAddr {
        self.floating
    }

    /// The workload's inside address.
    pub fn fixed(&self) -> IpAddr {
        self.fixed
    }

    /// The link that shall carry the floating address, if the user named one.
    pub fn uplink(&self) -> Option<&LinkName> {
        self.uplink.as_ref()
    }

    /// The translated ports; empty for a whole-address binding.
    pub fn ports(&self) -> &BTreeSet<PortForward> {
        &self.ports
    }

    /// Whether every protocol and port is translated.
    pub fn is_whole_address(&self) -> bool {
        self.ports.is_empty()
    }

    /// Whether workload-initiated traffic leaves with the floating source address.
    pub fn egress(&self) -> bool {
        self.egress && self.is_whole_address()
    }

    /// Who holds the binding.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.floating, self.fixed)?;
        self.ports.iter().try_for_each(|port| write!(f, " {port}"))
    }
}

/// Parses a bare address: a mask or a zone is an error that says so.
///
/// # Errors
/// [`Error::Parse`].
pub fn parse_address(text: &str) -> Result<IpAddr> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    Err(Error::parse(
        text,
        if text.contains('/') {
            "a bare address: leave out the mask, a floating address is always a single address"
        } else if text.contains('%') {
            "a bare address: leave out the zone and name the link with --interface"
        } else {
            "an IPv4 or IPv6 address"
        },
    ))
}

/// Whether the address can be a floating one at all, on whatever host.
///
/// # Errors
/// [`Error::Refused`], as [`Binding::new`].
pub fn check_floating(address: IpAddr) -> Result<()> {
    check_unicast(address, "a floating address")
}

fn check_unicast(address: IpAddr, role: &str) -> Result<()> {
    let kind = match address {
        IpAddr::V4(a) if a == Ipv4Addr::BROADCAST => "the broadcast address",
        IpAddr::V4(a) if a.octets()[0] == 0 => "an unspecified address",
        IpAddr::V4(a) if a.octets()[0] >= 240 => "a reserved address",
        IpAddr::V4(a) if a.is_link_local() => "a link-local address",
        IpAddr::V6(a) if a.to_ipv4_mapped().is_some() => "an IPv4-mapped address",
        IpAddr::V6(a) if a.is_unicast_link_local() => "a link-local address",
        a if a.is_unspecified() => "an unspecified address",
        a if a.is_loopback() => "a loopback address",
        a if a.is_multicast() => "a multicast address",
        _ => return Ok(()),
    };
    Err(Error::refused(address, format!("{kind} cannot be {role}")))
}

/// `Display`, `TryFrom<String>` and `Into<String>` of a text newtype that has `FromStr`.
macro_rules! text_conversions {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.as_str().to_owned()
            }
        }
    )*};
}
text_conversions!(LinkName, Owner);

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn port_forwards_print_as_they_are_read() {
        for text in ["tcp:80", "udp:53:5353", "sctp:1"] {
            assert_eq!(text.parse::<PortForward>().unwrap().to_string(), text);
        }
        assert_eq!("TCP:80:80".parse::<PortForward>().unwrap().to_string(), "tcp:80");
    }

    #[test]
    fn malformed_port_forwards_are_named() {
        for text in
            ["", "tcp", "tcp:", "tcp:0", "tcp:65536", "tcp:1:", "tcp:1:0", "tcp:1:2:3", "icmp:1"]
        {
            let error = text.parse::<PortForward>().unwrap_err().to_string();
            assert!(error.contains("is not"), "{text}: {error}");
        }
    }

    #[test]
    fn names_are_bounded() {
        assert!("a".repeat(15).parse::<LinkName>().is_ok());
        assert!("a".repeat(80).parse::<Owner>().is_ok());
        for bad in ["", ".", "..", "a/b", "a b", "a:b", "a\"b", "a\nb", "%d", "br%d"] {
            assert!(bad.parse::<LinkName>().is_err(), "{bad:?}");
        }
        for bad in ["", "a b", "a\"b", "a\0", "ä"] {
            assert!(bad.parse::<Owner>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(256).parse::<LinkName>().is_err());
        assert!("a".repeat(256).parse::<Owner>().is_err());
    }

    #[test]
    fn names_are_in_the_order_of_their_text() {
        let names = ["a", "a.1", "ab", "b", "eth0", "eth0.100", "eth1", "~~~~~~~~~~~~~~~"];
        let parsed: Vec<LinkName> = names.iter().map(|name| name.parse().unwrap()).collect();
        assert!(parsed.is_sorted() && LinkName::before_all() < parsed[0]);
        assert_eq!(parsed.iter().map(LinkName::as_str).collect::<Vec<_>>(), names);
        assert_eq!(size_of::<Option<LinkName>>(), 16);
    }

    #[test]
    fn addresses_that_cannot_float_are_refused_with_the_reason() {
        for (address, why) in [
            ("127.0.0.1", "loopback"),
            ("::1", "loopback"),
            ("0.0.0.0", "unspecified"),
            ("::", "unspecified"),
            ("224.0.0.1", "multicast"),
            ("ff02::1", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("240.0.0.1", "reserved"),
            ("169.254.1.1", "link-local"),
            ("fe80::1", "link-local"),
            ("::ffff:192.0.2.1", "IPv4-mapped"),
        ] {
            let fixed = if address.contains(':') { "2001:db8::9" } else { "172.18.0.2" };
            let error = Binding::new(ip(address), ip(fixed)).unwrap_err().to_string();
            assert!(error.contains(address) && error.contains(why), "{error}");
        }
        assert!(Binding::new(ip("192.0.2.1"), ip("192.0.2.1")).is_err());
        assert!(Binding::new(ip("192.0.2.1"), ip("2001:db8::1")).is_err());
    }

    #[test]
    fn masks_and_zones_are_explained() {
        assert!(parse_address("192.0.2.1/24").unwrap_err().to_string().contains("mask"));
        assert!(parse_address("fe80::1%eth0").unwrap_err().to_string().contains("zone"));
        assert!(parse_address("host").unwrap_err().to_string().contains("IPv4 or IPv6"));
    }

    #[test]
    fn only_whole_addresses_have_egress() {
        let whole = Binding::new(ip("192.0.2.1"), ip("172.18.0.2")).unwrap();
        assert!(whole.egress() && whole.is_whole_address());
        assert!(!whole.port("tcp:80".parse().unwrap()).egress());
    }
}
