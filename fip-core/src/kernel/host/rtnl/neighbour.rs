//! Neighbours as rtnetlink messages (`linux/neighbour.h`).

use std::net::IpAddr;

use netlink_packet_core::NLM_F_CREATE;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

/// The requests, with their flags, that have the kernel look for a neighbour: at once, whatever it
/// knew. It is told to forget, then that the neighbour is used (`NTF_USE`): it asks, and asks again
/// each second, three times in all, and keeps the packets that it gets for it meanwhile.
pub(super) fn seek(link: u32, address: IpAddr) -> [(RouteNetlinkMessage, u16); 2] {
    let forget = message(link, address);
    let mut using = message(link, address);
    using.header.flags = NeighbourFlags::Use;
    [
        (RouteNetlinkMessage::DelNeighbour(forget), 0),
        (RouteNetlinkMessage::NewNeighbour(using), NLM_F_CREATE),
    ]
}

fn message(link: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    let (family, address) = match address {
        IpAddr::V4(v4) => (AddressFamily::Inet, NeighbourAddress::Inet(v4)),
        IpAddr::V6(v6) => (AddressFamily::Inet6, NeighbourAddress::Inet6(v6)),
    };
    message.header.family = family;
    message.header.ifindex = link;
    message.attributes.push(NeighbourAttribute::Destination(address));
    message
}
