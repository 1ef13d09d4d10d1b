//! Links as rtnetlink messages (`linux/if_link.h`).

use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::RawFd;

use netlink_packet_route::link::{
    InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind, InfoVeth, LinkAttribute,
    LinkExtentMask, LinkFlags, LinkHeader, LinkInfo, LinkMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::message::Message;
use crate::binding::LinkName;
use crate::kernel::{Link, LinkChange, Mac};

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;

/// The request for every link, without its counters.
pub(super) fn dump() -> Message {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    (&RouteNetlinkMessage::GetLink(message)).into()
}

/// The link that the message is about; none if it has a name that [`LinkName`] does not take, for
/// then nobody can mean it.
pub(super) fn decode(message: &Message) -> Option<Link> {
    let (header, attributes) = message.parts::<16>(libc::RTM_NEWLINK)?;
    let header = LinkHeader::parse(header).ok()?;
    // The same type tells about bridge ports, too, under the family AF_BRIDGE.
    if header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let kind = attributes.nested(IFLA_LINKINFO).and_then(|info| info.text(IFLA_INFO_KIND));
    let mac = attributes.get(IFLA_ADDRESS).and_then(|bytes| bytes.try_into().ok()).map(Mac);
    Some(Link {
        index: header.index,
        name: attributes.text(IFLA_IFNAME)?.parse().ok()?,
        mac,
        mtu: attributes.number(IFLA_MTU).unwrap_or(0),
        up: header.flags.contains(LinkFlags::Up),
        running: header.flags.contains(LinkFlags::Running),
        loopback: header.flags.contains(LinkFlags::Loopback),
        kind: kind.map(str::to_owned),
        master: attributes.number(IFLA_MASTER).filter(|&master| master != 0),
    })
}

/// A new bridge. Its Ethernet address is fixed, so that it does not follow its ports' as they come
/// and go: workloads have it in their neighbour tables.
pub(super) fn bridge(name: &LinkName) -> RouteNetlinkMessage {
    let mut message = named(name);
    message.attributes.push(LinkAttribute::Address(random_mac().0.to_vec()));
    message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]));
    RouteNetlinkMessage::NewLink(message)
}

/// A new veth pair; the peer is born in the namespace that is open as `netns`.
pub(super) fn veth(
    name: &LinkName,
    peer: &LinkName,
    peer_mac: Option<Mac>,
    netns: Option<RawFd>,
    mtu: u32,
) -> RouteNetlinkMessage {
    let mut far = named(peer);
    far.attributes.push(LinkAttribute::Mtu(mtu));
    far.attributes.extend(peer_mac.map(|mac| LinkAttribute::Address(mac.0.to_vec())));
    far.attributes.extend(netns.map(LinkAttribute::NetNsFd));
    let mut near = named(name);
    near.attributes.push(LinkAttribute::Mtu(mtu));
    near.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(far))),
    ]));
    RouteNetlinkMessage::NewLink(near)
}

/// The end of a link.
pub(super) fn delete(index: u32) -> RouteNetlinkMessage {
    RouteNetlinkMessage::DelLink(indexed(index))
}

/// A change of a link.
pub(super) fn change(index: u32, change: &LinkChange) -> RouteNetlinkMessage {
    let mut message = indexed(index);
    match change {
        LinkChange::Up(up) => {
            message.header.change_mask = LinkFlags::Up;
            message.header.flags.set(LinkFlags::Up, *up);
        }
        LinkChange::Mtu(mtu) => message.attributes.push(LinkAttribute::Mtu(*mtu)),
        LinkChange::Master(master) => {
            message.attributes.push(LinkAttribute::Controller(master.unwrap_or(0)));
        }
        LinkChange::Mac(mac) => message.attributes.push(LinkAttribute::Address(mac.0.to_vec())),
        LinkChange::Hairpin(on) => {
            let data = InfoPortData::BridgePort(vec![InfoBridgePort::HairpinMode(*on)]);
            message.attributes.push(LinkAttribute::LinkInfo(vec![
                LinkInfo::PortKind(InfoPortKind::Bridge),
                LinkInfo::PortData(data),
            ]));
            // Data of a port is changed by RTM_NEWLINK only; without NLM_F_CREATE it makes none.
            return RouteNetlinkMessage::NewLink(message);
        }
    }
    RouteNetlinkMessage::SetLink(message)
}

fn indexed(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

fn named(name: &LinkName) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_string()));
    message
}

/// A random unicast address of the locally administered kind (IEEE 802).
fn random_mac() -> Mac {
    // The standard library seeds its hashers from the kernel's random numbers.
    let [a, b, c, d, e, f, ..] = RandomState::new().build_hasher().finish().to_ne_bytes();
    Mac([(a & 0xfc) | 0x02, b, c, d, e, f])
}
