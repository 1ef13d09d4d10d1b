//! Connection tracking over netlink (`linux/netfilter/nfnetlink_conntrack.h`).

use std::io;
use std::net::IpAddr;

use netlink_sys::protocols::NETLINK_NETFILTER;

use crate::binding::Protocol;
use crate::error::{Error, Result};
use crate::kernel::{Flows, Which};
use crate::nat::Family;

use super::message::{Attributes, Message, read_address};
use super::socket::Socket;

/// `NFNL_SUBSYS_CTNETLINK`, `IPCTNL_MSG_CT_GET`, `_DELETE`, `_GET_STATS`
const CTNETLINK: u8 = 1;
const GET: u8 = 1;
const DELETE: u8 = 2;
const GET_STATS: u8 = 5;
/// `CTA_TUPLE_ORIG`, `CTA_TUPLE_REPLY`, `CTA_ID`, `CTA_ZONE`
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const ID: u16 = 12;
const ZONE: u16 = 18;
/// `CTA_STATS_GLOBAL_ENTRIES`
const ENTRIES: u16 = 1;
/// `CTA_TUPLE_IP`, `CTA_TUPLE_PROTO`; within the latter `CTA_PROTO_NUM`, `CTA_PROTO_DST_PORT`
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const PROTO_NUM: u16 = 1;
const PROTO_DST_PORT: u16 = 3;
/// Deletions in one datagram.
const DELETIONS: usize = 64;

/// Connection tracking of one network namespace.
pub(super) struct ConntrackSocket {
    socket: Socket,
}

impl ConntrackSocket {
    pub(super) fn open() -> Result<Self> {
        let socket = Socket::open(NETLINK_NETFILTER)
            .map_err(|error| Error::kernel("open a netfilter netlink socket", error))?;
        Ok(Self { socket })
    }

    /// See [`crate::kernel::Conntrack::forget`].
    pub(super) fn forget(&mut self, flows: &[Flows]) -> Result<usize> {
        let families: Vec<Family> = Family::ALL
            .into_iter()
            .filter(|family| flows.iter().any(|flows| Family::of(flows.floating) == *family))
            .collect();
        let forget = |this: &mut Self| {
            // The list takes as long as the kernel's hash table is large, also when it is empty.
            if families.is_empty() || this.entries()? == 0 {
                return Ok(0);
            }
            families.iter().map(|family| this.forget_family(*family, flows)).sum()
        };
        forget(self).map_err(|error: io::Error| Error::kernel("forget tracked connections", error))
    }

    fn entries(&mut self) -> io::Result<u32> {
        let request = Message::new(CTNETLINK, GET_STATS, 0);
        let entries = self.socket.get(request, |reply: Message| reply.attributes().be32(ENTRIES))?;
        Ok(entries.unwrap_or(u32::MAX))
    }

    fn forget_family(&mut self, family: Family, flows: &[Flows]) -> io::Result<usize> {
        let list = Message::new(CTNETLINK, GET, family.nfproto());
        let doomed = self.socket.dump(&list, |reply: Message| {
            let flow = Flow::read(reply.attributes(), family)?;
            flows.iter().any(|flows| flow.is_of(flows)).then(|| deletion(&reply))
        })?;
        let mut forgotten = 0;
        for deletions in doomed.chunks(DELETIONS) {
            for result in self.socket.request(deletions.iter().map(|m| (m.clone(), 0)))? {
                match result {
                    Ok(()) => forgotten += 1,
                    // It ended by itself.
                    Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(forgotten)
    }
}

/// Deletes exactly this entry: the identifier guards against another one with the same addresses.
fn deletion(entry: &Message) -> Message {
    let attributes = entry.attributes();
    Message::new(CTNETLINK, DELETE, entry.family()).with(|w| {
        for (kind, nested) in [(ORIGINAL, true), (ID, false), (ZONE, false)] {
            if let Some(value) = attributes.bytes(kind) {
                w.copy(kind, value, nested);
            }
        }
    })
}

/// What is looked at of an entry.
#[derive(Debug, PartialEq, Eq)]
struct Flow {
    protocol: u8,
    destination: IpAddr,
    port: u16,
    reply_destination: IpAddr,
}

impl Flow {
    fn read(entry: Attributes<'_>, family: Family) -> Option<Self> {
        let (original, reply) = (entry.nest(ORIGINAL)?, entry.nest(REPLY)?);
        let protocol = original.nest(TUPLE_PROTO)?;
        let port = protocol.bytes(PROTO_DST_PORT).and_then(|port| port.try_into().ok());
        Some(Self {
            protocol: *protocol.bytes(PROTO_NUM)?.first()?,
            destination: address(original, family)?,
            port: port.map_or(0, u16::from_be_bytes),
            reply_destination: address(reply, family)?,
        })
    }

    fn is_of(&self, flows: &Flows) -> bool {
        let inbound = self.destination == flows.floating;
        let outbound = !inbound && self.reply_destination == flows.floating;
        let listed = |ports: &[(Protocol, u16)]| {
            ports.iter().any(|(protocol, port)| {
                protocol.number() == self.protocol && *port == self.port
            })
        };
        match &flows.which {
            Which::Only(ports) => inbound && listed(ports),
            Which::Except(ports) => outbound || (inbound && !listed(ports)),
            Which::Outbound => outbound,
        }
    }
}

/// The destination: `CTA_IP_V4_DST`, `CTA_IP_V6_DST`.
fn address(tuple: Attributes<'_>, family: Family) -> Option<IpAddr> {
    let kind = match family {
        Family::V4 => 2,
        Family::V6 => 4,
    };
    read_address(tuple.nest(TUPLE_IP)?.bytes(kind)?, family)
}
