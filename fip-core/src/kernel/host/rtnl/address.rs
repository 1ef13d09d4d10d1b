//! Addresses as rtnetlink messages (`linux/if_addr.h`).

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::FIP_PROTOCOL;
use super::message::Message;
use crate::binding::LINK_NAME_MAX;
use crate::kernel::host::attributes::Attributes;
use crate::kernel::{Address, AddressChange, Hold};

/// The prefix route metric (`IFA_RT_PRIORITY`, Linux 4.18) that marks it on a kernel that does not
/// know the protocol. Our addresses make no prefix route, so it has no other effect: "fip".
pub(super) const FIP_METRIC: u32 = 0x0066_6970;

/// What the label of an IPv4 address of ours ends with: a mark for people.
const LABEL_SUFFIX: &str = ":fip";

/// "For ever" as a lifetime (`INFINITY_LIFE_TIME` in `net/addrconf.h`).
const FOR_EVER: u32 = u32::MAX;

/// The scope of an IPv4 address of ours: never chosen as the source address of what leaves the
/// host (`inet_select_addr` in `net/ipv4/devinet.c`). With scope link it would still be, and be the
/// first choice, for routes without a gateway and for multicast.
const NO_SOURCE: AddressScope = AddressScope::Host;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_RT_PRIORITY: u16 = 9;
const IFA_PROTO: u16 = 11;

/// The request for every address of both families.
pub(super) fn dump() -> Message {
    (&RouteNetlinkMessage::GetAddress(AddressMessage::default())).into()
}

/// The address that the message is about.
pub(super) fn decode(message: &Message) -> Option<Address> {
    let (header, attributes) = message.parts::<8>(libc::RTM_NEWADDR)?;
    read(header, attributes)
}

/// Reads `struct ifaddrmsg` and what follows it.
fn read(header: &[u8; 8], attributes: Attributes<'_>) -> Option<Address> {
    let &[_family, prefix, _flags, _scope, a, b, c, d] = header;
    let address = local(attributes)?;
    let ours = match attributes.get(IFA_PROTO) {
        Some(protocol) => protocol == [FIP_PROTOCOL],
        None => {
            attributes.number(IFA_RT_PRIORITY) == Some(FIP_METRIC)
                || attributes.text(IFA_LABEL).is_some_and(|l| l.ends_with(LABEL_SUFFIX))
        }
    };
    Some(Address {
        link: u32::from_ne_bytes([a, b, c, d]),
        network: IpNetwork::new(address, prefix).ok()?,
        ours,
        hold: Hold::Address,
    })
}

/// The change that a notification tells of, from what follows its netlink header on.
pub(super) fn notified(kind: u16, body: &[u8]) -> Option<AddressChange> {
    let made = match kind {
        libc::RTM_NEWADDR => AddressChange::Add,
        libc::RTM_DELADDR => AddressChange::Remove,
        _ => return None,
    };
    let (header, attributes) = body.split_first_chunk::<8>()?;
    read(header, Attributes(attributes)).map(made)
}

/// The address itself. Where there is a peer, `IFA_ADDRESS` is the peer's.
fn local(attributes: Attributes<'_>) -> Option<IpAddr> {
    attributes.address(IFA_LOCAL).or_else(|| attributes.address(IFA_ADDRESS))
}

/// The request that makes the change, with its flags. `link` is the name of the link, if known.
pub(super) fn change(change: &AddressChange, link: Option<&str>) -> (RouteNetlinkMessage, u16) {
    match change {
        AddressChange::Add(address) => {
            (RouteNetlinkMessage::NewAddress(add(address, link)), NLM_F_CREATE | NLM_F_EXCL)
        }
        AddressChange::Remove(address) => {
            // Capacity for no more than the two attributes that select an address.
            (RouteNetlinkMessage::DelAddress(message(address, 2)), 0)
        }
    }
}

fn add(address: &Address, link: Option<&str>) -> AddressMessage {
    let mut message = message(address, 7);
    let ip = address.network.ip();
    let attributes = &mut message.attributes;
    let mut flags = AddressFlags::empty();
    if ip.is_ipv6() {
        // Ours is probed by ourselves. A foreign one is in a subnet that we manage, and without
        // this a gateway would stay unusable for as long as its bridge has no port.
        flags |= AddressFlags::Nodad;
    }
    if address.ours {
        flags |= AddressFlags::Noprefixroute;
        attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(FIP_PROTOCOL)));
        attributes.push(AddressAttribute::RoutePriority(FIP_METRIC));
        match ip {
            IpAddr::V4(_) => {
                attributes.extend(link.and_then(label));
                message.header.scope = NO_SOURCE;
            }
            IpAddr::V6(_) => attributes.push(AddressAttribute::CacheInfo(never_preferred())),
        }
    } else if let IpNetwork::V4(network) = address.network
        && network.prefix() < 31
    {
        attributes.push(AddressAttribute::Broadcast(network.broadcast()));
    }
    if !flags.is_empty() {
        attributes.push(AddressAttribute::Flags(flags));
    }
    message
}

/// The header, and the attributes that select the address.
fn message(address: &Address, capacity: usize) -> AddressMessage {
    let ip = address.network.ip();
    let mut message = AddressMessage::default();
    message.header.family = if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = address.network.prefix();
    message.header.index = address.link;
    message.attributes = Vec::with_capacity(capacity);
    message.attributes.push(AddressAttribute::Local(ip));
    message.attributes.push(AddressAttribute::Address(ip));
    message
}

/// `eth0:fip`, if it fits. By convention a label begins with the link's name (ip-address(8)).
fn label(link: &str) -> Option<AddressAttribute> {
    let fits = link.len() + LABEL_SUFFIX.len() <= LINK_NAME_MAX;
    fits.then(|| AddressAttribute::Label([link, LABEL_SUFFIX].concat()))
}

/// Valid for ever but never chosen as a source address (RFC 6724, rule 3).
fn never_preferred() -> CacheInfo {
    let mut info = CacheInfo::default();
    info.ifa_valid = FOR_EVER;
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(network: &str) -> Address {
        let network = network.parse().unwrap();
        Address { link: 7, network, ours: true, hold: Hold::Address }
    }

    fn added(address: &Address, link: Option<&str>) -> Message {
        (&change(&AddressChange::Add(address.clone()), link).0).into()
    }

    #[test]
    fn what_we_add_is_what_we_read() {
        for network in ["192.0.2.1/32", "2001:db8::1/128"] {
            let address = ours(network);
            assert_eq!(decode(&added(&address, Some("eth0"))), Some(address.clone()));
            let foreign = Address { ours: false, ..address };
            assert_eq!(decode(&added(&foreign, Some("eth0"))), Some(foreign));
        }
    }

    #[test]
    fn without_the_protocol_the_metric_or_the_label_tells() {
        let strip = |kinds: &[u16]| {
            let message = added(&ours("192.0.2.1/32"), Some("eth0"));
            let (header, attributes) = message.parts::<8>(libc::RTM_NEWADDR).unwrap();
            let mut body = header.to_vec();
            for (kind, value) in attributes.iter().filter(|(kind, _)| !kinds.contains(kind)) {
                body.extend((value.len() as u16 + 4).to_ne_bytes());
                body.extend(kind.to_ne_bytes());
                body.extend(value);
                body.resize(body.len().next_multiple_of(4), 0);
            }
            decode(&Message::raw(libc::RTM_NEWADDR, body)).unwrap().ours
        };
        assert!(strip(&[IFA_PROTO]));
        assert!(strip(&[IFA_PROTO, IFA_LABEL]));
        assert!(strip(&[IFA_PROTO, IFA_RT_PRIORITY]));
        assert!(!strip(&[IFA_PROTO, IFA_RT_PRIORITY, IFA_LABEL]));
    }

    #[test]
    fn a_label_must_fit() {
        assert_eq!(label("eth0"), Some(AddressAttribute::Label("eth0:fip".to_owned())));
        assert!(label("enp0s31f6ab").is_some());
        assert!(label("enp0s31f6abc").is_none());
    }

    #[test]
    fn hostile_messages_are_none() {
        let body = |bytes: &[u8]| Message::raw(libc::RTM_NEWADDR, bytes.to_vec());
        assert_eq!(decode(&body(&[])), None);
        assert_eq!(decode(&body(&[2, 32, 0, 0, 1, 0, 0, 0])), None);
        let address = [8, 0, 1, 0, 192, 0, 2, 1];
        let with_prefix = |prefix| [&[2, prefix, 0, 0, 1, 0, 0, 0], &address[..]].concat();
        assert!(decode(&body(&with_prefix(32))).is_some());
        assert_eq!(decode(&body(&with_prefix(33))), None);
    }
}
