//! Messages, as `linux/netlink.h`, `nfnetlink.h`, `nf_tables.h`, `rtnetlink.h` lay them out.

use std::net::Ipv4Addr;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;

/// `NFNL_SUBSYS_NFTABLES`.
const NFTABLES: u8 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_DELSETELEM: u16 = 14;

const AF_INET: u8 = 2;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;

/// Many more do not fit into the 64 KiB of one attribute.
const ELEMENTS: usize = 1000;

const TABLE: &[u8] = b"bench\0";

#[derive(Clone, Copy)]
pub(crate) enum Change {
    Add,
    Remove,
}

impl Change {
    fn flags(self) -> u16 {
        match self {
            Self::Add => NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL,
            Self::Remove => NLM_F_REQUEST,
        }
    }

    fn pick(self, add: u16, remove: u16) -> u16 {
        match self {
            Self::Add => add,
            Self::Remove => remove,
        }
    }
}

/// Elements of one map.
pub(crate) struct Elements {
    pub(crate) map: &'static str,
    pub(crate) change: Change,
    pub(crate) pairs: Vec<(Ipv4Addr, Ipv4Addr)>,
}

/// One transaction; the last of its messages is acknowledged.
pub(crate) fn transaction(all: &[Elements]) -> Vec<u8> {
    let parts: Vec<_> = all
        .iter()
        .flat_map(|elements| elements.pairs.chunks(ELEMENTS).map(move |pairs| (elements, pairs)))
        .collect();
    let batch = [0, 0, 0, NFTABLES];
    let mut bytes = message(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, &batch);
    for (index, (elements, pairs)) in parts.iter().enumerate() {
        let kind = elements.change.pick(NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM);
        let flags = elements.change.flags() | ack(index + 1 == parts.len());
        let list: Vec<u8> = pairs.iter().flat_map(|pair| element(*pair, elements.change)).collect();
        let mut body = vec![AF_INET, 0, 0, 0];
        body.extend(attribute(1, TABLE));
        body.extend(attribute(2, &[elements.map.as_bytes(), b"\0"].concat()));
        body.extend(attribute(3, &list));
        bytes.extend(message(u16::from(NFTABLES) << 8 | kind, flags, &body));
    }
    bytes.extend(message(NFNL_MSG_BATCH_END, NLM_F_REQUEST, &batch));
    bytes
}

fn element((key, data): (Ipv4Addr, Ipv4Addr), change: Change) -> Vec<u8> {
    let mut body = attribute(1, &attribute(1, &key.octets()));
    if matches!(change, Change::Add) {
        body.extend(attribute(2, &attribute(1, &data.octets())));
    }
    attribute(1, &body)
}

/// An address of a link, /32.
pub(crate) fn address(link: u32, address: Ipv4Addr, change: Change, last: bool) -> Vec<u8> {
    let mut body = vec![AF_INET, 32, 0, 0];
    body.extend(link.to_ne_bytes());
    body.extend(attribute(1, &address.octets()));
    body.extend(attribute(2, &address.octets()));
    message(change.pick(RTM_NEWADDR, RTM_DELADDR), change.flags() | ack(last), &body)
}

/// A route of type `local` in the table `local`.
pub(crate) fn local_route(link: u32, address: Ipv4Addr, change: Change, last: bool) -> Vec<u8> {
    let (table, protocol, scope, kind) = (255, 4, 254, 2);
    let mut body = vec![AF_INET, 32, 0, 0, table, protocol, scope, kind, 0, 0, 0, 0];
    body.extend(attribute(1, &address.octets()));
    body.extend(attribute(4, &link.to_ne_bytes()));
    message(change.pick(RTM_NEWROUTE, RTM_DELROUTE), change.flags() | ack(last), &body)
}

fn ack(last: bool) -> u16 {
    if last { NLM_F_ACK } else { 0 }
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).expect("a message is short");
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(body);
    bytes
}

fn attribute(kind: u16, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + content.len()).expect("an attribute is short");
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
