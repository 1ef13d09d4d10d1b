//! Connection tracking over netlink (`linux/netfilter/nfnetlink_conntrack.h`).

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::FileExt;

use netlink_sys::protocols::NETLINK_NETFILTER;

use crate::binding::Protocol;
use crate::conntrack::{Connection, Strays};
use crate::error::{Error, Result};
use crate::kernel::{Flows, Which};
use crate::nat::Family;

use super::attributes::{Attributes, address_bytes, leading_address};
use super::message::Message;
use super::socket::Socket;

/// `NFNL_SUBSYS_CTNETLINK`, `IPCTNL_MSG_CT_GET`, `_DELETE`
const CTNETLINK: u8 = 1;
const GET: u8 = 1;
const DELETE: u8 = 2;
/// `CTA_TUPLE_ORIG`, `CTA_TUPLE_REPLY`, `CTA_MARK`, `CTA_ID`, `CTA_ZONE`
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const MARK: u16 = 8;
const ID: u16 = 12;
const ZONE: u16 = 18;
/// `NFPROTO_UNSPEC`
const ANY_FAMILY: u8 = 0;
/// How many connections are tracked. Once it is open it tells of the network namespace in which it
/// was opened, in a quarter of the time that netlink takes (`IPCTNL_MSG_CT_GET_STATS`).
const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
/// `CTA_TUPLE_IP`, `CTA_TUPLE_PROTO`; within the latter `CTA_PROTO_NUM`,
/// `CTA_PROTO_SRC_PORT`, `CTA_PROTO_DST_PORT`
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const PROTO_NUM: u16 = 1;
const PROTO_SRC_PORT: u16 = 2;
const PROTO_DST_PORT: u16 = 3;
/// `CTA_FILTER` and its flags (`net/netfilter/nf_conntrack_netlink.c`)
const FILTER: u16 = 25;
const IP_DST: u32 = 1 << 1;
const PROTO: u32 = 1 << 3;
const DST_PORT: u32 = 1 << 5;
/// Deletions in one datagram.
const DELETIONS: usize = 64;
/// So many passes over the kernel's table are quicker than one list of it.
const FEW: usize = 16;

/// Connection tracking of one network namespace.
pub(super) struct ConntrackSocket {
    socket: Socket,
    count: Option<File>,
}

impl ConntrackSocket {
    pub(super) fn open() -> Result<Self> {
        let socket = Socket::open(NETLINK_NETFILTER)
            .map_err(|error| Error::kernel("open a netfilter netlink socket", error))?;
        Ok(Self { socket, count: File::open(COUNT).ok() })
    }

    /// See [`crate::kernel::Conntrack::forget`].
    pub(super) fn forget(&mut self, flows: &[Flows]) -> Result<()> {
        self.forget_all(flows).map_err(|error| Error::kernel("forget tracked connections", error))
    }

    fn forget_all(&mut self, flows: &[Flows]) -> io::Result<()> {
        // Any search walks the kernel's whole hash table, also when it is empty.
        if flows.is_empty() || self.is_empty() {
            return Ok(());
        }
        let filters = flows.iter().map(filters).collect::<Option<Vec<_>>>().map(|f| f.concat());
        if let Some(filters) = filters.filter(|filters| filters.len() <= FEW) {
            let results = self.socket.request(filters.into_iter().map(|filter| (filter, 0)))?;
            // A kernel before 6.9 takes the filter for an incomplete connection.
            if results.iter().all(Result::is_ok) {
                return Ok(());
            }
        }
        let mut by_address: HashMap<IpAddr, Vec<&Flows>> = HashMap::new();
        flows.iter().for_each(|flows| by_address.entry(flows.floating).or_default().push(flows));
        let doomed = |connection: &Connection| {
            let concerned = [connection.destination, connection.answered];
            let mut flows =
                concerned.iter().filter_map(|address| by_address.get(address)).flatten();
            flows.any(|flows| flows.include(connection))
        };
        let families: Vec<Family> = flows.iter().map(|flows| Family::of(flows.floating)).collect();
        let only = families.first().copied().filter(|first| families.iter().all(|f| f == first));
        self.forget_listed(only, doomed)
    }

    /// See [`crate::kernel::Conntrack::forget_strays`].
    pub(super) fn forget_strays(&mut self, strays: &Strays) -> Result<()> {
        let mut forget = || -> io::Result<()> {
            if self.is_empty() {
                return Ok(());
            }
            self.forget_listed(None, |connection| strays.include(connection))
        };
        forget().map_err(|error| Error::kernel("forget tracked connections", error))
    }

    /// Whether nothing is tracked; false if it cannot be known.
    fn is_empty(&self) -> bool {
        let mut digits = [0; 16];
        let read = self.count.as_ref().map(|count| count.read_at(&mut digits, 0));
        matches!(read, Some(Ok(length)) if digits[..length].trim_ascii() == b"0")
    }

    /// Lists all connections, of one family or of both, which takes some 10 ms however few there
    /// are, and deletes one by one.
    fn forget_listed(
        &mut self,
        only: Option<Family>,
        doomed: impl Fn(&Connection) -> bool,
    ) -> io::Result<()> {
        let list = Message::new(CTNETLINK, GET, only.map_or(ANY_FAMILY, Family::nfproto));
        let deletions = self.socket.dump(&list, |reply: Message| {
            let family = Family::ALL.into_iter().find(|f| f.nfproto() == reply.family())?;
            let connection = read(reply.attributes(), family)?;
            doomed(&connection).then(|| deletion(&reply))
        })?;
        for deletions in deletions.chunks(DELETIONS) {
            for result in self.socket.request(deletions.iter().map(|m| (m.clone(), 0)))? {
                match result {
                    // It ended by itself.
                    Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                    other => other?,
                }
            }
        }
        Ok(())
    }
}

/// Deletions that the kernel makes in one pass each over its table, some 0.3 ms; none if it cannot
/// choose these flows.
///
/// Never for IPv6: there the kernel's comparison is inverted (`!ipv6_addr_cmp` in
/// `ctnetlink_filter_match_tuple`, seen in 6.18), and it would delete all the others.
fn filters(flows: &Flows) -> Option<Vec<Message>> {
    if flows.floating.is_ipv6() {
        return None;
    }
    let to = || filter(flows.floating, ORIGINAL, None);
    let from = || filter(flows.floating, REPLY, None);
    match &flows.which {
        Which::Except(ports) if ports.is_empty() => Some(vec![to(), from()]),
        Which::Except(_) => None,
        Which::Outbound => Some(vec![from()]),
        Which::Only(ports) => {
            Some(ports.iter().map(|&port| filter(flows.floating, ORIGINAL, Some(port))).collect())
        }
    }
}

/// Deletes all with this destination in this direction (`ctnetlink_alloc_filter`).
fn filter(floating: IpAddr, direction: u16, port: Option<(Protocol, u16)>) -> Message {
    let family = Family::of(floating);
    let flags = IP_DST | if port.is_some() { PROTO | DST_PORT } else { 0 };
    Message::new(CTNETLINK, DELETE, family.nfproto()).with(|w| {
        w.nest(direction, |w| {
            w.nest(TUPLE_IP, |w| _ = w.bytes(destination(family), &address_bytes(floating)));
            if let Some((protocol, port)) = port {
                w.nest(TUPLE_PROTO, |w| {
                    w.bytes(PROTO_NUM, &[protocol.number()]);
                    w.bytes(PROTO_DST_PORT, &port.to_be_bytes());
                });
            }
        });
        // CTA_FILTER_ORIG_FLAGS, CTA_FILTER_REPLY_FLAGS have the numbers of the directions.
        w.nest(FILTER, |w| {
            for kind in [ORIGINAL, REPLY] {
                let flags: u32 = if kind == direction { flags } else { 0 };
                w.bytes(kind, &flags.to_ne_bytes());
            }
        });
    })
}

/// Deletes exactly this entry: the identifier guards against another one with the same addresses.
fn deletion(entry: &Message) -> Message {
    let attributes = entry.attributes();
    Message::new(CTNETLINK, DELETE, entry.family()).with(|w| {
        for (kind, nested) in [(ORIGINAL, true), (ID, false), (ZONE, false)] {
            if let Some(value) = attributes.get(kind) {
                w.copy(kind, value, nested);
            }
        }
    })
}

/// What is looked at of an entry.
fn read(entry: Attributes<'_>, family: Family) -> Option<Connection> {
    let (original, reply) = (entry.nested(ORIGINAL)?, entry.nested(REPLY)?);
    let protocol = original.nested(TUPLE_PROTO)?;
    Some(Connection {
        protocol: *protocol.get(PROTO_NUM)?.first()?,
        source: address(original, source(family), family)?,
        destination: address(original, destination(family), family)?,
        port: port(protocol, PROTO_DST_PORT),
        answerer: address(reply, source(family), family)?,
        answering_port: port(reply.nested(TUPLE_PROTO)?, PROTO_SRC_PORT),
        answered: address(reply, destination(family), family)?,
        mark: entry.be32(MARK).unwrap_or_default(),
    })
}

/// A port; protocols without ports have none.
fn port(protocol: Attributes<'_>, kind: u16) -> u16 {
    let bytes = protocol.get(kind).and_then(|port| port.try_into().ok());
    bytes.map_or(0, u16::from_be_bytes)
}

/// The source: `CTA_IP_V4_SRC`, `CTA_IP_V6_SRC`.
fn source(family: Family) -> u16 {
    match family {
        Family::V4 => 1,
        Family::V6 => 3,
    }
}

/// The destination: `CTA_IP_V4_DST`, `CTA_IP_V6_DST`.
fn destination(family: Family) -> u16 {
    match family {
        Family::V4 => 2,
        Family::V6 => 4,
    }
}

fn address(tuple: Attributes<'_>, kind: u16, family: Family) -> Option<IpAddr> {
    leading_address(tuple.nested(TUPLE_IP)?.get(kind)?, family)
}
