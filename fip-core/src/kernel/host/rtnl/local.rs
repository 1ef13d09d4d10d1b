//! Addresses that are held by a route of type `local`, as rtnetlink messages
//! (`linux/rtnetlink.h`).

use std::io;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope,
    RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::FIP_PROTOCOL;
use super::message::Message;
use crate::kernel::host::attributes::Attributes;
use crate::kernel::{Address, AddressChange, Hold};

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTN_LOCAL: u8 = 2;
/// Where `struct rtmsg` has the table.
const TABLE: usize = 4;
/// A whole IPv4 address.
const WHOLE: u8 = 32;
/// The kernel's own routes (`RTPROT_KERNEL`): they follow addresses.
pub(super) const KERNEL: u8 = 2;

/// The request for the local routes of IPv4, of this protocol or of any. A kernel that checks
/// strictly (`NETLINK_GET_STRICT_CHK`, Linux 4.20) sends no others; [`decode`] drops most of them.
pub(super) fn dump(protocol: Option<u8>) -> Message {
    let mut message = message();
    message.header.protocol = RouteProtocol::from(protocol.unwrap_or_default());
    message.attributes.push(RouteAttribute::Table(libc::RT_TABLE_LOCAL.into()));
    (&RouteNetlinkMessage::GetRoute(message)).into()
}

/// The question by which route the kernel would deliver packets to this IPv4 address: the answer is
/// the route as it is in its table (`RTM_F_FIB_MATCH`, Linux 4.14).
pub(super) fn lookup(address: IpAddr) -> Message {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.destination_prefix_length = WHOLE;
    message.header.flags = RouteFlags::FibMatch;
    message.attributes.push(RouteAttribute::Destination(RouteAddress::from(address)));
    (&RouteNetlinkMessage::GetRoute(message)).into()
}

/// What the answer to [`lookup`] says about the address.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is not this host's.
    Elsewhere,
    /// A link has it as an address.
    Address,
    /// It is held by this route.
    Route(Address),
}

/// Reads the answer to [`lookup`]. Which table it names says nothing: as long as there are no
/// policy rules, the tables `local` and `main` are one, and that is `main`.
pub(super) fn answer(message: &Message) -> Answer {
    match message.parts::<12>(libc::RTM_NEWROUTE) {
        Some(([_, _, _, _, _, KERNEL, _, RTN_LOCAL, ..], _)) => Answer::Address,
        Some((header, attributes)) => {
            read(header, attributes).map_or(Answer::Elsewhere, Answer::Route)
        }
        None => Answer::Elsewhere,
    }
}

/// Whether the error that answers [`lookup`] says that no route delivers packets to this host.
pub(super) fn leads_nowhere(error: &io::Error) -> bool {
    let unreachable =
        [libc::ENETUNREACH, libc::EHOSTUNREACH, libc::EACCES, libc::EINVAL, libc::ESRCH];
    error.raw_os_error().is_some_and(|code| unreachable.contains(&code))
}

/// The address that is held by the route that the message is about, unless it is the kernel's.
pub(super) fn decode(message: &Message) -> Option<Address> {
    let (header, attributes) = message.parts::<12>(libc::RTM_NEWROUTE)?;
    read(header, attributes).filter(|_| header[TABLE] == libc::RT_TABLE_LOCAL)
}

/// Reads `struct rtmsg` and what follows it.
fn read(header: &[u8; 12], attributes: Attributes<'_>) -> Option<Address> {
    let &[family, prefix, _source, _tos, _table, protocol, _scope, kind, ..] = header;
    let whole = AddressFamily::from(family) == AddressFamily::Inet && prefix == WHOLE;
    if !whole || kind != RTN_LOCAL || protocol == KERNEL {
        return None;
    }
    Some(Address {
        link: attributes.number(RTA_OIF)?,
        network: IpNetwork::from(attributes.address(RTA_DST).filter(IpAddr::is_ipv4)?),
        ours: protocol == FIP_PROTOCOL,
        hold: Hold::Route,
    })
}

/// The change that a notification tells of, from what follows its netlink header on.
pub(super) fn notified(kind: u16, body: &[u8]) -> Option<AddressChange> {
    let (header, attributes) = body.split_first_chunk::<12>()?;
    let made = match kind {
        libc::RTM_NEWROUTE => AddressChange::Add,
        libc::RTM_DELROUTE => AddressChange::Remove,
        _ => return None,
    };
    let held = read(header, Attributes(attributes));
    held.filter(|_| header[TABLE] == libc::RT_TABLE_LOCAL).map(made)
}

/// The request that makes the change, with its flags.
pub(super) fn change(change: &AddressChange) -> (RouteNetlinkMessage, u16) {
    let Address { link, network, .. } = change.address();
    let mut message = message();
    message.header.destination_prefix_length = network.prefix();
    message.header.table = libc::RT_TABLE_LOCAL;
    message.header.protocol = RouteProtocol::from(FIP_PROTOCOL);
    message.header.scope = RouteScope::Host;
    message.attributes = vec![
        RouteAttribute::Destination(RouteAddress::from(network.ip())),
        RouteAttribute::Oif(*link),
    ];
    match change {
        // Beside the kernel's own, where a link has it as an address too: without NLM_F_EXCL only
        // the very same route is refused.
        AddressChange::Add(_) => {
            (RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_APPEND)
        }
        AddressChange::Remove(_) => (RouteNetlinkMessage::DelRoute(message), 0),
    }
}

fn message() -> RouteMessage {
    let header = RouteHeader {
        address_family: AddressFamily::Inet,
        kind: RouteType::Local,
        ..RouteHeader::default()
    };
    let mut message = RouteMessage::default();
    message.header = header;
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Address {
        let network = "192.0.2.1/32".parse().unwrap();
        Address { link: 7, network, ours: true, hold: Hold::Route }
    }

    /// The message that adds ours, with one byte of its header changed.
    fn added(at: usize, byte: u8) -> Message {
        let message: Message = (&change(&AddressChange::Add(ours())).0).into();
        let (header, attributes) = message.parts::<12>(libc::RTM_NEWROUTE).unwrap();
        let mut body = header.to_vec();
        body[at] = byte;
        body.extend(attributes.0);
        Message::raw(libc::RTM_NEWROUTE, body)
    }

    const FAMILY: usize = 0;
    const PREFIX: usize = 1;
    const PROTOCOL: usize = 5;
    const KIND: usize = 7;

    #[test]
    fn what_we_add_is_what_we_read() {
        assert_eq!(decode(&added(FAMILY, 2)), Some(ours()));
        assert_eq!(answer(&added(FAMILY, 2)), Answer::Route(ours()));
    }

    #[test]
    fn the_protocol_tells_whose_it_is() {
        let theirs = Address { ours: false, ..ours() };
        assert_eq!(decode(&added(PROTOCOL, 3)), Some(theirs.clone()));
        assert_eq!(answer(&added(PROTOCOL, 3)), Answer::Route(theirs));
        assert_eq!(decode(&added(PROTOCOL, KERNEL)), None);
        assert_eq!(answer(&added(PROTOCOL, KERNEL)), Answer::Address);
    }

    #[test]
    fn other_routes_hold_no_address() {
        assert_eq!(decode(&added(TABLE, 254)), None);
        for (at, byte) in [(FAMILY, 10), (PREFIX, 24), (KIND, 1), (KIND, 3)] {
            assert_eq!(decode(&added(at, byte)), None, "{at} {byte}");
            assert_eq!(answer(&added(at, byte)), Answer::Elsewhere, "{at} {byte}");
        }
        assert_eq!(decode(&Message::raw(libc::RTM_NEWROUTE, vec![2; 11])), None);
        let header = [2, 32, 0, 0, 255, 0xf1, 254, RTN_LOCAL, 0, 0, 0, 0];
        assert_eq!(decode(&Message::raw(libc::RTM_NEWROUTE, header.to_vec())), None);
    }
}
