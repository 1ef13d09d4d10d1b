//! The Ethernet frames with which neighbours find each other: ARP (RFC 826, RFC 5227) and IPv6
//! neighbour discovery (RFC 4861, RFC 4862). Encoding and decoding only, no input or output.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::kernel::{Deed, Mac};

/// Octets of an Ethernet header: destination, source, type.
const ETHERNET: usize = 14;
/// Octets of a whole ARP frame for IPv4 over Ethernet.
const ARP_FRAME: usize = ETHERNET + 28;
/// The IPv6 header begins after the Ethernet header, the ICMPv6 message after both.
const ICMP: usize = ETHERNET + 40;
/// Octets of a neighbour solicitation or advertisement without options.
const ND_MESSAGE: usize = 24;

const TYPE_ARP: [u8; 2] = [0x08, 0x06];
const TYPE_IPV6: [u8; 2] = [0x86, 0xdd];
/// Hardware type Ethernet, protocol type IPv4, with their address lengths.
const ARP_ETHERNET_IPV4: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];

const ICMPV6: u8 = 58;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const OPTION_TARGET_MAC: u8 = 2;
const FLAG_SOLICITED: u8 = 0x40;
const FLAG_OVERRIDE: u8 = 0x20;
/// A router lowers the hop limit, so 255 proves that the sender is on this link.
const HOP_LIMIT: u8 = 255;

const BROADCAST: Mac = Mac([0xff; 6]);
const NOBODY: Mac = Mac([0; 6]);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The operation of an ARP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Request = 1,
    Reply = 2,
}

/// Who was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    /// The address that it has, or wants.
    pub(super) address: IpAddr,
    /// Its hardware address.
    pub(super) mac: Mac,
    /// What it did.
    pub(super) deed: Deed,
}

impl Heard {
    fn new(address: impl Into<IpAddr>, mac: Mac, deed: Deed) -> Self {
        Self { address: address.into(), mac, deed }
    }
}

/// The question who has the address, in a way that changes no neighbour's cache: an ARP probe
/// (RFC 5227 section 2.1.1) or a solicitation from `::` (RFC 4862 section 5.4.2).
pub(super) fn probe(from: Mac, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(target) => arp(Operation::Request, from, Ipv4Addr::UNSPECIFIED, NOBODY, target),
        IpAddr::V6(target) => neighbour_discovery(
            from,
            Ipv6Addr::UNSPECIFIED,
            solicited_node(target),
            &solicitation(target),
        ),
    }
}

/// The frames, in order, that tell every neighbour that `from` has the address now.
///
/// For IPv4 a gratuitous ARP request and then a reply (RFC 5944 section 4.6), because some stacks
/// learn from the one only and some from the other; for IPv6 an unsolicited advertisement with
/// the override flag (RFC 4861 section 7.2.6).
pub(super) fn announcement(from: Mac, address: IpAddr) -> Vec<Vec<u8>> {
    match address {
        IpAddr::V4(address) => vec![
            arp(Operation::Request, from, address, NOBODY, address),
            arp(Operation::Reply, from, address, from, address),
        ],
        IpAddr::V6(address) => {
            let message = advertisement(FLAG_OVERRIDE, address, from);
            vec![neighbour_discovery(from, address, ALL_NODES, &message)]
        }
    }
}

/// What a frame tells about who has or wants an address; none if it tells nothing, is malformed,
/// or fails the checks of RFC 4861 section 7.1. Frames with a VLAN tag belong to another link.
pub(super) fn decode(frame: &[u8]) -> Option<Heard> {
    match octets(frame, 12)? {
        TYPE_ARP => decode_arp(frame),
        TYPE_IPV6 => decode_neighbour_discovery(frame),
        _ => None,
    }
}

/// Who looks for an address, as one does to send something there; none if the frame is anything
/// else, or not valid.
pub(super) fn decode_search(frame: &[u8]) -> Option<Heard> {
    let (mac, from, target): (Mac, IpAddr, IpAddr) = match octets(frame, 12)? {
        TYPE_ARP => {
            let (request, mac, sender, target) = read_arp(frame)?;
            (request.then_some(mac)?, sender.into(), target.into())
        }
        TYPE_IPV6 => {
            let Discovery { source, target, message, .. } = read_neighbour_discovery(frame)?;
            let solicitation = message[0] == NEIGHBOUR_SOLICITATION;
            (Mac(octets(frame, 6)?), solicitation.then_some(source)?.into(), target.into())
        }
        _ => return None,
    };
    let ordinary = !from.is_unspecified() && !target.is_unspecified() && from != target;
    ordinary.then(|| Heard::new(target, mac, Deed::Seeks))
}

fn arp(
    operation: Operation,
    sender: Mac,
    sender_address: Ipv4Addr,
    target: Mac,
    target_address: Ipv4Addr,
) -> Vec<u8> {
    let mut frame = Vec::with_capacity(ARP_FRAME);
    frame.extend(BROADCAST.0);
    frame.extend(sender.0);
    frame.extend(TYPE_ARP);
    frame.extend(ARP_ETHERNET_IPV4);
    frame.extend([0, operation as u8]);
    frame.extend(sender.0);
    frame.extend(sender_address.octets());
    frame.extend(target.0);
    frame.extend(target_address.octets());
    frame
}

/// Without a source link-layer option, which a solicitation from `::` must not have.
fn solicitation(target: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![NEIGHBOUR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target.octets());
    message
}

fn advertisement(flags: u8, target: Ipv6Addr, mac: Mac) -> Vec<u8> {
    let mut message = vec![NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
    message.extend(target.octets());
    message.extend([OPTION_TARGET_MAC, 1]);
    message.extend(mac.0);
    message
}

/// Puts the headers before an ICMPv6 message and the checksum into it.
fn neighbour_discovery(from: Mac, source: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(ICMP + message.len());
    frame.extend(multicast_mac(to).0);
    frame.extend(from.0);
    frame.extend(TYPE_IPV6);
    frame.extend([0x60, 0, 0, 0, 0, message.len() as u8, ICMPV6, HOP_LIMIT]);
    frame.extend(source.octets());
    frame.extend(to.octets());
    frame.extend(message);
    let checksum = !sum(source, to, message);
    frame[ICMP + 2..ICMP + 4].copy_from_slice(&checksum.to_be_bytes());
    frame
}

/// The group whose members may have the address (RFC 4291 section 2.7.1).
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

/// RFC 2464 section 7.
fn multicast_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

/// The one's complement sum over pseudo-header and message (RFC 4443 section 2.3). It is all
/// ones over a message that has the right checksum in it.
fn sum(source: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> u16 {
    let words = |octets: &[u8]| -> u32 {
        let word = |pair: &[u8]| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        octets.chunks(2).map(|pair| u32::from(word(pair))).sum()
    };
    let mut total = words(&source.octets()) + words(&to.octets()) + words(message);
    total += message.len() as u32 + u32::from(ICMPV6);
    while total > 0xffff {
        total = (total >> 16) + (total & 0xffff);
    }
    total as u16
}

/// What an ARP packet says: whether it is a request, its sender's addresses, and its target.
fn read_arp(frame: &[u8]) -> Option<(bool, Mac, Ipv4Addr, Ipv4Addr)> {
    let packet = frame.get(ETHERNET..ARP_FRAME)?;
    if octets(packet, 0)? != ARP_ETHERNET_IPV4 {
        return None;
    }
    let request = match octets(packet, 6)? {
        [0, 1] => true,
        [0, 2] => false,
        _ => return None,
    };
    let sender = Ipv4Addr::from(octets::<4>(packet, 14)?);
    let target = Ipv4Addr::from(octets::<4>(packet, 24)?);
    Some((request, Mac(octets(packet, 8)?), sender, target))
}

fn decode_arp(frame: &[u8]) -> Option<Heard> {
    let (request, mac, sender, target) = read_arp(frame)?;
    if !sender.is_unspecified() {
        return Some(Heard::new(sender, mac, Deed::Holds));
    }
    let probe = request && !target.is_unspecified();
    probe.then(|| Heard::new(target, mac, Deed::Probes))
}

/// A message of neighbour discovery that is valid.
struct Discovery<'a> {
    source: Ipv6Addr,
    to: Ipv6Addr,
    target: Ipv6Addr,
    message: &'a [u8],
    options: Vec<(u8, &'a [u8])>,
}

fn read_neighbour_discovery(frame: &[u8]) -> Option<Discovery<'_>> {
    let header: [u8; 8] = octets(frame, ETHERNET)?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let source = Ipv6Addr::from(octets::<16>(frame, ETHERNET + 8)?);
    let to = Ipv6Addr::from(octets::<16>(frame, ETHERNET + 24)?);
    // What follows the packet is padding.
    let message = frame.get(ICMP..ICMP + length)?;
    let valid = header[0] >> 4 == 6
        && header[6..] == [ICMPV6, HOP_LIMIT]
        && length >= ND_MESSAGE
        && message[1] == 0
        && sum(source, to, message) == 0xffff;
    let target = Ipv6Addr::from(octets::<16>(message, 8)?);
    if !valid || target.is_multicast() || target.is_unspecified() {
        return None;
    }
    let options = options(&message[ND_MESSAGE..])?;
    Some(Discovery { source, to, target, message, options })
}

fn decode_neighbour_discovery(frame: &[u8]) -> Option<Heard> {
    let Discovery { source, to, target, message, options } = read_neighbour_discovery(frame)?;
    let sender = Mac(octets(frame, 6)?);
    let (mac, deed) = match message[0] {
        NEIGHBOUR_SOLICITATION => {
            (duplicate_check(source, to, target, &options).then_some(sender)?, Deed::Probes)
        }
        NEIGHBOUR_ADVERTISEMENT if to.is_multicast() && message[4] & FLAG_SOLICITED != 0 => {
            return None;
        }
        NEIGHBOUR_ADVERTISEMENT => (target_mac(&options).unwrap_or(sender), Deed::Holds),
        _ => return None,
    };
    Some(Heard::new(target, mac, deed))
}

/// Whether a solicitation is duplicate address detection: from `::`, to the target's
/// solicited-node group, without a source link-layer option (RFC 4861 section 7.1.1).
fn duplicate_check(
    source: Ipv6Addr,
    to: Ipv6Addr,
    target: Ipv6Addr,
    options: &[(u8, &[u8])],
) -> bool {
    const OPTION_SOURCE_MAC: u8 = 1;
    source.is_unspecified()
        && to == solicited_node(target)
        && options.iter().all(|(kind, _)| *kind != OPTION_SOURCE_MAC)
}

fn target_mac(options: &[(u8, &[u8])]) -> Option<Mac> {
    let (_, value) = options.iter().find(|(kind, _)| *kind == OPTION_TARGET_MAC)?;
    octets(value, 0).map(Mac)
}

/// The options, type and value; none if one is malformed (RFC 4861 section 4.6).
fn options(mut rest: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut found = Vec::new();
    while let [kind, units, ..] = *rest {
        let length = usize::from(units) * 8;
        let value = rest.get(2..length)?;
        found.push((kind, value));
        rest = &rest[length..];
    }
    rest.is_empty().then_some(found)
}

/// `N` octets at this place.
fn octets<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests;
