//! Which addresses may be claimed at all.

mod uplinks;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use fip_core::Error;
use fip_core::error::Result;
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

pub use uplinks::own_subnets;

const EXPECTED: &str = "a list of networks, addresses and ranges \
                        (as 192.168.99.0/24, 192.168.99.7 or 192.168.99.200-192.168.99.220)";

/// A set of addresses, written as networks, single addresses and ranges, separated by commas or
/// spaces: `192.168.99.200-192.168.99.220, 2001:db8::/64`.
///
/// Two lists are equal when they hold the same addresses, however they were written. A list is
/// never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AllowList {
    /// In order, apart from each other.
    ranges: Vec<Range>,
}

impl AllowList {
    /// Whether this address is in the list.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.covers_range(Range { first: address, last: address })
    }

    /// Whether every address of the other list is in this one.
    pub fn covers(&self, other: &Self) -> bool {
        other.ranges.iter().all(|&range| self.covers_range(range))
    }

    /// All addresses of all these lists; `None` if there is no list.
    pub fn union(lists: impl IntoIterator<Item = Self>) -> Option<Self> {
        let ranges: Vec<Range> = lists.into_iter().flat_map(|list| list.ranges).collect();
        (!ranges.is_empty()).then(|| Self { ranges: merge(ranges) })
    }

    fn covers_range(&self, inner: Range) -> bool {
        let after = self.ranges.partition_point(|range| range.first <= inner.first);
        after > 0 && inner.last <= self.ranges[after - 1].last
    }
}

/// The whole subnet of this address.
impl From<IpNetwork> for AllowList {
    fn from(network: IpNetwork) -> Self {
        Self { ranges: vec![Range::of_network(network.ip(), network.prefix())] }
    }
}

impl FromStr for AllowList {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let ranges = items(text).map(Range::from_str).collect::<Result<Vec<_>>>()?;
        if ranges.is_empty() {
            return Err(Error::parse(text, EXPECTED));
        }
        Ok(Self { ranges: merge(ranges) })
    }
}

impl fmt::Display for AllowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.ranges.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{range}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for AllowList {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<AllowList> for String {
    fn from(list: AllowList) -> Self {
        list.to_string()
    }
}

/// What stands between commas and spaces.
pub(crate) fn items(text: &str) -> impl Iterator<Item = &str> {
    let separates = |c: char| c == ',' || c.is_ascii_whitespace();
    text.split(separates).filter(|item| !item.is_empty())
}

/// From the first address to the last, which is of the same family and not before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    first: IpAddr,
    last: IpAddr,
}

impl Range {
    fn of_network(address: IpAddr, prefix: u8) -> Self {
        let (number, width) = number(address);
        let host = host_bits(width - u32::from(prefix));
        let at = |bits| with_number(address, bits);
        Self { first: at(number & !host), last: at(number | host) }
    }
}

impl FromStr for Range {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some((address, prefix)) = text.split_once('/') {
            return parse_network(text, address, prefix);
        }
        let bad = || Error::parse(text, EXPECTED);
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let first: IpAddr = first.parse().map_err(|_| bad())?;
        let last: IpAddr = last.parse().map_err(|_| bad())?;
        if first.is_ipv4() != last.is_ipv4() {
            return Err(Error::parse(text, "a range: its two addresses are of different families"));
        }
        if last < first {
            let turned = format!("a range: its last address comes first; turn it, {last}-{first}");
            return Err(Error::parse(text, turned));
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, width) = number(self.first);
        let (last, _) = number(self.last);
        let host = first ^ last;
        // A network: the addresses differ in the low bits only, which go from all 0 to all 1.
        let is_network = host == host_bits(host.count_ones()) && first & host == 0;
        match host.count_ones() {
            0 => write!(f, "{}", self.first),
            bits if is_network => write!(f, "{}/{}", self.first, width - bits),
            _ => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

fn parse_network(text: &str, address: &str, prefix: &str) -> Result<Range> {
    let bad = || Error::parse(text, "a network (ADDRESS/PREFIX_LENGTH, as 192.168.99.0/24)");
    let address: IpAddr = address.parse().map_err(|_| bad())?;
    let is_number = prefix.bytes().all(|byte| byte.is_ascii_digit());
    let prefix: u8 = prefix.parse().ok().filter(|_| is_number).ok_or_else(bad)?;
    if u32::from(prefix) > number(address).1 {
        return Err(bad());
    }
    let range = Range::of_network(address, prefix);
    if range.first != address {
        let network = range.first;
        let expected = format!(
            "a network: it has host bits set; write {network}/{prefix} for the network, or {address} \
             for the one address"
        );
        return Err(Error::parse(text, expected));
    }
    Ok(range)
}

/// In order, with those joined that overlap or follow each other at once.
fn merge(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(before) if touches(*before, range) => before.last = before.last.max(range.last),
            _ => merged.push(range),
        }
    }
    merged
}

/// Whether `after`, which begins no earlier, leaves no gap between the two.
fn touches(before: Range, after: Range) -> bool {
    let (end, _) = number(before.last);
    let (begin, _) = number(after.first);
    before.last.is_ipv4() == after.first.is_ipv4() && begin <= end.saturating_add(1)
}

/// The address as a number, and how many bits it has.
fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), Ipv4Addr::BITS),
        IpAddr::V6(address) => (address.to_bits(), Ipv6Addr::BITS),
    }
}

/// The address of the same family with this number; of an IPv4 address the low 32 bits count.
fn with_number(family: IpAddr, number: u128) -> IpAddr {
    match family {
        IpAddr::V4(_) => Ipv4Addr::from_bits(number as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(number).into(),
    }
}

/// The lowest `count` bits set, of which there are at most 128.
fn host_bits(count: u32) -> u128 {
    u128::MAX.checked_shr(u128::BITS - count).unwrap_or(0)
}

#[cfg(test)]
mod tests;
