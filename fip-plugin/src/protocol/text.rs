//! How dockerd writes addresses, and nothing.

use fip_core::error::{Error, Result};
use fip_core::kernel::Mac;
use ipnetwork::IpNetwork;
use serde::{Deserialize, Deserializer};

/// The version of the Internet Protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// `network`, if it is of this family; else an error that names the `field`.
    pub(super) fn admit(self, field: &str, network: IpNetwork) -> Result<IpNetwork> {
        let (fits, name) = match self {
            Self::V4 => (network.is_ipv4(), "IPv4"),
            Self::V6 => (network.is_ipv6(), "IPv6"),
        };
        let expected = format_args!("an {name} address, as {field} must be");
        if fits { Ok(network) } else { Err(Error::parse(&network.to_string(), expected)) }
    }
}

/// A value of the protocol that may be `""`, `null` or missing: none.
pub(super) fn optional<T>(
    field: &str,
    text: Option<String>,
    parse: fn(&str, &str) -> Result<T>,
) -> Result<Option<T>> {
    text.filter(|text| !text.is_empty()).map(|text| parse(field, &text)).transpose()
}

/// An address with its prefix length, as `172.18.0.2/16`.
pub(super) fn network(field: &str, text: &str) -> Result<IpNetwork> {
    let network = text.parse().ok().filter(|_| text.contains('/'));
    network.ok_or_else(|| {
        Error::parse(text, format_args!("an address with a prefix length, as {field} must be"))
    })
}

/// An Ethernet address.
pub(super) fn mac(field: &str, text: &str) -> Result<Mac> {
    let expected = || format!("an Ethernet address, as {field} must be (02:00:5e:10:00:01)");
    text.parse().map_err(|_| Error::parse(text, expected()))
}

/// A field in which `null` stands for the empty value.
pub(super) fn nullable<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
