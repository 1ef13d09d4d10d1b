//! Socket filters that let only neighbours' claims through, or claims and searches, so that
//! ordinary traffic wakes nobody: programs of the classic BPF machine (the kernel's
//! `networking/filter.rst`).
//!
//! Offsets count from the Ethernet header; `jt` and `jf` are the instructions to pass over when
//! a comparison holds, or does not.

use libc::{
    BPF_ABS, BPF_B, BPF_H, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_MISC, BPF_RET, BPF_TAX,
    BPF_W, BPF_X, PACKET_OTHERHOST, SKF_AD_OFF, SKF_AD_PKTTYPE,
};
use socket2::SockFilter;

/// Passes no frame.
pub(super) const NOTHING: &[SockFilter] = &[DROP];

/// Passes ARP replies, and requests that ask for the sender's own address (announcements) or
/// come from nobody (probes).
pub(super) const ARP: &[SockFilter] = &[
    LOAD_PACKET_TYPE,
    foreign(7),
    load(BPF_H, 20), // the operation
    equal(2, 6, 0),
    load(BPF_W, 28), // the sender's address
    equal(0, 4, 0),
    SockFilter::new((BPF_MISC | BPF_TAX) as u16, 0, 0, 0),
    load(BPF_W, 38), // the target's address
    SockFilter::new((BPF_JMP | BPF_JEQ | BPF_X) as u16, 1, 0, 0),
    DROP,
    PASS,
];

/// Passes neighbour advertisements to a multicast group, which is where answers to a host that
/// has no address yet go (RFC 4861 section 7.2.4), and solicitations from `::`.
pub(super) const DISCOVERY: &[SockFilter] = &[
    LOAD_PACKET_TYPE,
    foreign(15),
    load(BPF_B, 20), // the next header: ICMPv6
    equal(58, 0, 13),
    load(BPF_B, 38), // the destination: a group
    equal(0xff, 0, 11),
    load(BPF_B, 54), // the ICMPv6 type
    equal(136, 10, 0),
    equal(135, 0, 8),
    load(BPF_W, 22), // the source, four words
    equal(0, 0, 6),
    load(BPF_W, 26),
    equal(0, 0, 4),
    load(BPF_W, 30),
    equal(0, 0, 2),
    load(BPF_W, 34),
    equal(0, 1, 0),
    DROP,
    PASS,
];

/// Passes every ARP frame.
pub(super) const EVERY_ARP: &[SockFilter] = &[LOAD_PACKET_TYPE, foreign(1), PASS, DROP];

/// Passes neighbour advertisements and solicitations to a multicast group.
pub(super) const EVERY_DISCOVERY: &[SockFilter] = &[
    LOAD_PACKET_TYPE,
    foreign(7),
    load(BPF_B, 20), // the next header: ICMPv6
    equal(58, 0, 5),
    load(BPF_B, 38), // the destination: a group
    equal(0xff, 0, 3),
    load(BPF_B, 54), // the ICMPv6 type
    equal(136, 2, 0),
    equal(135, 1, 0),
    DROP,
    PASS,
];

const DROP: SockFilter = SockFilter::new((BPF_RET | BPF_K) as u16, 0, 0, 0);
const PASS: SockFilter = SockFilter::new((BPF_RET | BPF_K) as u16, 0, 0, u32::MAX);

/// For whom the frame is, as the kernel sees it (packet(7), `sll_pkttype`).
const LOAD_PACKET_TYPE: SockFilter = load(BPF_B, (SKF_AD_OFF + SKF_AD_PKTTYPE) as u32);

/// Leaves out what is for another host, which includes a VLAN that has no link here, and what
/// this host sent: those types are numbered from `PACKET_OTHERHOST` on.
const fn foreign(jt: u8) -> SockFilter {
    SockFilter::new((BPF_JMP | BPF_JGE | BPF_K) as u16, jt, 0, PACKET_OTHERHOST as u32)
}

const fn load(size: u32, offset: u32) -> SockFilter {
    SockFilter::new((BPF_LD | BPF_ABS | size) as u16, 0, 0, offset)
}

const fn equal(value: u32, jt: u8, jf: u8) -> SockFilter {
    SockFilter::new((BPF_JMP | BPF_JEQ | BPF_K) as u16, jt, jf, value)
}
