//! A host forgets its tracked connections, so that one run does not leave the next a full table.

use std::io;
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

use crate::lab::Ns;

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE` (`linux/netfilter/nfnetlink_conntrack.h`)
const DELETE: u16 = 1 << 8 | 2;
/// `NLM_F_REQUEST | NLM_F_ACK`
const FLAGS: u16 = 1 | 4;
/// A netlink header and a `struct nfgenmsg`.
const LENGTH: u32 = 16 + 4;

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
