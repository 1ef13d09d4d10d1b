//! A netlink socket: send, and wait for the answer.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::sockopt::SndBufForce;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket,
};

const NLMSG_ERROR: u16 = 2;

pub(crate) struct Netlink {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Netlink {
    pub(crate) fn open(protocol: SockProtocol) -> Self {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol);
        let socket = socket.expect("cannot open a netlink socket");
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0)).expect("cannot bind");
        Self { socket, buffer: vec![0; 1 << 16] }
    }

    /// Makes room for messages of that many bytes in one call.
    pub(crate) fn make_room(&self, bytes: usize) {
        setsockopt(&self.socket, SndBufForce, &(2 * bytes)).expect("this needs root");
    }

    /// Sends messages of which one wants to be acknowledged, and waits for that.
    pub(crate) fn call(&mut self, messages: &[u8]) {
        let fd = self.socket.as_raw_fd();
        send(fd, messages, MsgFlags::empty()).expect("cannot send");
        let length = recv(fd, &mut self.buffer, MsgFlags::empty()).expect("cannot receive");
        let answer = &self.buffer[..length];
        let kind = u16::from_ne_bytes([answer[4], answer[5]]);
        let code = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
        assert_eq!(kind, NLMSG_ERROR, "an answer that is none");
        assert!(code == 0, "the kernel refused: {}", io::Error::from_raw_os_error(-code));
    }
}
