//! Routes as rtnetlink messages (`linux/rtnetlink.h`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::message::Message;
use crate::kernel::Route;
use crate::kernel::host::attributes::{Attributes, address};

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTN_UNICAST: u8 = 1;
const RTM_F_CLONED: u32 = 0x200;

/// The families that have routes of ours.
pub(super) const FAMILIES: [AddressFamily; 2] = [AddressFamily::Inet, AddressFamily::Inet6];

/// The request for the routes of a table. Only a kernel that checks strictly
/// (`NETLINK_GET_STRICT_CHK`, Linux 4.20) heeds the table; [`decode`] drops the others.
pub(super) fn dump(family: AddressFamily, table: u32) -> Message {
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    message.attributes.push(RouteAttribute::Table(table));
    (&RouteNetlinkMessage::GetRoute(message)).into()
}

/// The route that the message is about, if it is a unicast route of this table and of this
/// family. (A kernel without IPv6 answers a request for its routes with those of every family.)
pub(super) fn decode(message: &Message, wanted: AddressFamily, wanted_table: u32) -> Option<Route> {
    let (&[family, prefix, _source, _tos, table, _protocol, _scope, kind, a, b, c, d], attributes) =
        message.parts::<12>(libc::RTM_NEWROUTE)?;
    let table = attributes.number(RTA_TABLE).unwrap_or(table.into());
    let cloned = u32::from_ne_bytes([a, b, c, d]) & RTM_F_CLONED != 0;
    let other = AddressFamily::from(family) != wanted || table != wanted_table;
    if other || cloned || kind != RTN_UNICAST {
        return None;
    }
    let any = match wanted {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let destination = attributes.address(RTA_DST).unwrap_or(any);
    let (link, gateway) = match attributes.get(RTA_MULTIPATH).and_then(first_hop) {
        Some((link, attributes)) => (Some(link), gateway(attributes)),
        None => (attributes.number(RTA_OIF), gateway(attributes)),
    };
    Some(Route {
        destination: IpNetwork::new(destination, prefix).ok()?,
        gateway,
        link,
        metric: attributes.number(RTA_PRIORITY).unwrap_or(0),
    })
}

/// The link and the attributes of the first `struct rtnexthop`.
fn first_hop(hops: &[u8]) -> Option<(u32, Attributes<'_>)> {
    let (&[l0, l1, _flags, _hops, a, b, c, d], _) = hops.split_first_chunk::<8>()?;
    let length = usize::from(u16::from_ne_bytes([l0, l1]));
    Some((u32::from_ne_bytes([a, b, c, d]), Attributes(hops.get(8..length)?)))
}

/// The next hop. An IPv4 route may lead over IPv6: then `struct rtvia` has the family before it.
fn gateway(attributes: Attributes<'_>) -> Option<IpAddr> {
    let via = || address(attributes.get(RTA_VIA)?.get(2..)?);
    attributes.address(RTA_GATEWAY).or_else(via)
}

/// The request to add the route to the table.
pub(super) fn new(route: &Route, table: u32) -> RouteNetlinkMessage {
    let mut message = message(route, table);
    message.header.protocol = RouteProtocol::Static;
    // On link is what has no next hop; the kernel demands that it says so (IPv4).
    message.header.scope = match route.gateway {
        None if route.destination.is_ipv4() => RouteScope::Link,
        _ => RouteScope::Universe,
    };
    RouteNetlinkMessage::NewRoute(message)
}

/// The request to delete the route from the table, of whatever protocol and scope it is.
pub(super) fn delete(route: &Route, table: u32) -> RouteNetlinkMessage {
    let mut message = message(route, table);
    message.header.scope = RouteScope::NoWhere;
    RouteNetlinkMessage::DelRoute(message)
}

/// What tells the route from others.
fn message(route: &Route, table: u32) -> RouteMessage {
    let mut message = RouteMessage::default();
    let destination = route.destination.ip();
    message.header = RouteHeader {
        address_family: FAMILIES[usize::from(destination.is_ipv6())],
        destination_prefix_length: route.destination.prefix(),
        kind: RouteType::Unicast,
        ..RouteHeader::default()
    };
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Table(table));
    if route.destination.prefix() > 0 {
        attributes.push(RouteAttribute::Destination(RouteAddress::from(destination)));
    }
    attributes.extend(route.gateway.map(|hop| RouteAttribute::Gateway(RouteAddress::from(hop))));
    attributes.extend(route.link.map(RouteAttribute::Oif));
    if route.metric > 0 {
        attributes.push(RouteAttribute::Priority(route.metric));
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::MAIN_TABLE;

    fn route(destination: &str, gateway: Option<&str>) -> Route {
        Route {
            destination: destination.parse().unwrap(),
            gateway: gateway.map(|g| g.parse().unwrap()),
            link: Some(3),
            metric: 100,
        }
    }

    fn ipv4(body: Vec<u8>) -> Option<Route> {
        decode(&Message::raw(libc::RTM_NEWROUTE, body), AddressFamily::Inet, MAIN_TABLE)
    }

    #[test]
    fn what_we_add_is_what_we_read() {
        for route in [
            route("0.0.0.0/0", Some("192.0.2.1")),
            route("198.51.100.0/24", None),
            route("::/0", Some("fe80::1")),
            route("2001:db8::/32", None),
        ] {
            let family = FAMILIES[usize::from(route.destination.is_ipv6())];
            for table in [MAIN_TABLE, 61_000_004] {
                let message = (&new(&route, table)).into();
                assert_eq!(decode(&message, family, table), Some(route.clone()));
                assert_eq!(decode(&message, family, table + 1), None);
            }
        }
    }

    #[test]
    fn the_first_hop_of_several_counts() {
        let mut body = vec![2, 0, 0, 0, 254, 3, 0, RTN_UNICAST, 0, 0, 0, 0];
        let hop = |link: u8, last: u8| [16, 0, 0, 0, link, 0, 0, 0, 8, 0, 5, 0, 192, 0, 2, last];
        body.extend([36, 0, 9, 0]);
        body.extend([hop(4, 1), hop(5, 2)].concat());
        let read = ipv4(body).unwrap();
        assert_eq!(read.link, Some(4));
        assert_eq!(read.gateway, Some("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn other_tables_kinds_and_families_are_none() {
        let header = |family, table, kind| vec![family, 0, 0, 0, table, 3, 0, kind, 0, 0, 0, 0];
        assert!(ipv4(header(2, 254, RTN_UNICAST)).is_some());
        assert!(ipv4(header(10, 254, RTN_UNICAST)).is_none());
        assert!(ipv4(header(2, 255, RTN_UNICAST)).is_none());
        assert!(ipv4(header(2, 254, 6)).is_none());
        assert!(ipv4(vec![2; 11]).is_none());
        // A table beyond 255 is in the attribute, and the hop's length lies.
        assert!(ipv4([header(2, 252, 1), vec![8, 0, 15, 0, 254, 1, 0, 0]].concat()).is_none());
        let lying = [header(2, 254, 1), vec![12, 0, 9, 0, 255, 0, 0, 0, 4, 0, 0, 0]].concat();
        assert_eq!(ipv4(lying).unwrap().link, None);
    }
}
