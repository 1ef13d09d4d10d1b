//! The tracked connections of a host: who changes a binding has the kernel look through them.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

use crate::harness::amount;
use crate::lab::{Family, Ns, lan};

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE` (`linux/netfilter/nfnetlink_conntrack.h`)
const DELETE: u16 = 1 << 8 | 2;
/// `NLM_F_REQUEST | NLM_F_ACK`
const FLAGS: u16 = 1 | 4;
/// A netlink header and a `struct nfgenmsg`.
const LENGTH: u32 = 16 + 4;

/// As many connections as a busy host may have.
pub(super) const MANY: u16 = 10_000;

/// Such a host, in the name of a case.
pub(super) fn busy() -> String {
    format!("{} connections tracked", amount(MANY.into()))
}

/// The client's number on its LAN.
const CLIENT: u8 = 1;

/// Does something while the host tracks so many, and no others: the kernel has one table for all
/// namespaces.
pub(super) fn while_busy<T>(host: &Ns, work: impl FnOnce() -> T) -> T {
    track(host);
    let done = work();
    forget_all(host);
    done
}

/// To the client. They end by themselves after 30 s.
fn track(ns: &Ns) {
    let client = lan(Family::V4, CLIENT);
    let asked = ns.run(|| -> io::Result<()> {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        for port in 1..=MANY {
            // That nobody is there to answer comes back as an error of a later one.
            let sent = || socket.send_to(b"?", (client, port));
            sent().or_else(|_| sent())?;
        }
        Ok(())
    });
    asked.unwrap_or_else(|error| panic!("{}: cannot send: {error}", ns.name()));
}

/// Forgets all of the namespace.
pub(super) fn forget_all(ns: &Ns) {
    ns.run(forget).unwrap_or_else(|error| panic!("{}: tracked connections: {error}", ns.name()));
}

fn forget() -> io::Result<()> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )?;
    let mut request = LENGTH.to_ne_bytes().to_vec();
    request.extend(DELETE.to_ne_bytes());
    request.extend(FLAGS.to_ne_bytes());
    // Sequence number and port; any family, version 0, no resource.
    request.extend([0; 12]);
    let kernel = NetlinkAddr::new(0, 0);
    sendto(socket.as_raw_fd(), &request, &kernel, MsgFlags::empty())?;
    let mut answer = [0; 64];
    recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    // A `struct nlmsgerr` after the header: the error, negative.
    match i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]) {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(-error)),
    }
}
