//! A socket that hears of changes of links, addresses, routes and forwarding.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::NLM_F_REPLACE;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{SockFilter, SockRef};

use super::{address, local};
use crate::kernel::{Address, AddressChange, Hold, News};

/// The multicast groups of rtnetlink(7): links, and both families' addresses, routes and
/// forwarding (`RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR`, `RTNLGRP_IPV4_NETCONF`, ... in
/// `linux/rtnetlink.h`).
const GROUPS: [u32; 7] = [1, 5, 7, 9, 11, 24, 25];

/// What a burst may fill before changes count as lost, in bytes.
const RECEIVE_ROOM: usize = 1 << 20;

/// Room for the beginning of a notification: all of one about an address or a local route; of one
/// about a link only `struct ifinfomsg` is read.
const NOTIFICATION: usize = 512;

/// `linux/rtnetlink.h`
const RTM_NEWNETCONF: u16 = 80;
const RTM_DELNETCONF: u16 = 81;

/// The length of `struct nlmsghdr`.
const NETLINK_HEADER: usize = 16;

/// Hears of changes, without blocking.
///
/// A filter in the kernel keeps back the changes that one's own request socket makes, and the
/// kernel's own routes of the local table: these only follow addresses, of which we hear anyhow.
/// About IPv6
/// addresses the kernel does not say who made the change (`inet6_ifa_notify` in
/// `net/ipv6/addrconf.c`), and it tells of a new one a moment after it has acknowledged it. So
/// those changes are announced by [`Listener::expect`].
pub(in crate::kernel::host) struct Listener {
    socket: netlink_sys::Socket,
    /// The last change that was announced and not heard of yet, by link and address.
    expected: HashMap<(u32, IpAddr), u16>,
}

impl Listener {
    /// Listens in the calling thread's network namespace from now on. Changes that the socket
    /// with the port `own` makes do not count.
    pub(in crate::kernel::host) fn open(own: Option<u32>) -> io::Result<Self> {
        let mut socket = netlink_sys::Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.set_non_blocking(true)?;
        // Only CAP_NET_ADMIN may exceed net.core.rmem_max. With less, changes are lost earlier.
        let _ = setsockopt(&socket.as_fd(), sockopt::RcvBufForce, &RECEIVE_ROOM);
        SockRef::from(&socket).attach_filter(&filter(own))?;
        GROUPS.into_iter().try_for_each(|group| socket.add_membership(group))?;
        Ok(Self { socket, expected: HashMap::new() })
    }

    /// The kernel has made this change for us: its notification does not count.
    pub(super) fn expect(&mut self, change: &AddressChange) {
        if change.address().network.is_ipv6() {
            let (key, kind) = key_and_kind(change);
            self.expected.insert(key, kind);
        }
    }

    /// Takes what was heard since the last time. Lost messages may have been about anything.
    pub(in crate::kernel::host) fn drain(&mut self) -> io::Result<News> {
        let mut news = News::Nothing;
        let mut room = [0; NOTIFICATION];
        loop {
            match self.socket.recv(&mut &mut room[..], 0) {
                Ok(length) => self.hear(&room[..length.min(NOTIFICATION)], &mut news),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => return Ok(news),
                    Some(libc::ENOBUFS) => news = News::Everything,
                    Some(libc::EINTR) => {}
                    _ => return Err(error),
                },
            }
        }
    }

    fn hear(&mut self, notification: &[u8], news: &mut News) {
        let told = told(notification);
        if let Told::Change(change) = &told
            && self.was_expected(change)
        {
            return;
        }
        if *news == News::Nothing {
            *news =
                News::Some { addresses: Vec::new(), gone: Vec::new(), links: false, routes: false };
        }
        let News::Some { addresses, gone, links, routes } = news else { return };
        match told {
            Told::Change(change) => addresses.push(change),
            Told::Gone(link) => {
                gone.push(link);
                *links = true;
            }
            Told::Links => *links = true,
            Told::Routes => *routes = true,
            Told::Forwarding => {}
            Told::Replaced | Told::Unknown => *news = News::Everything,
        }
    }

    fn was_expected(&mut self, change: &AddressChange) -> bool {
        if change.address().hold == Hold::Route {
            return false;
        }
        let (key, kind) = key_and_kind(change);
        self.expected.remove(&key) == Some(kind)
    }
}

/// What a notification tells of.
enum Told {
    /// A change of an address.
    Change(AddressChange),
    /// A link that was deleted, or moved away.
    Gone(u32),
    /// A route in the place of another one that held an address; of which is not told.
    Replaced,
    /// A change of links.
    Links,
    /// A change of routes that hold no address.
    Routes,
    /// A change of forwarding.
    Forwarding,
    /// Nothing that could be read.
    Unknown,
}

fn told(notification: &[u8]) -> Told {
    let Some((header, body)) = notification.split_first_chunk::<NETLINK_HEADER>() else {
        return Told::Unknown;
    };
    let kind = u16::from_ne_bytes([header[4], header[5]]);
    let flags = u16::from_ne_bytes([header[6], header[7]]);
    if kind == libc::RTM_DELLINK
        && let Some([family, _, _, _, a, b, c, d]) = body.first_chunk::<8>()
        // With another family a link has left a bridge.
        && i32::from(*family) == libc::AF_UNSPEC
    {
        return Told::Gone(u32::from_ne_bytes([*a, *b, *c, *d]));
    }
    match address::notified(kind, body).or_else(|| local::notified(kind, body)) {
        Some(AddressChange::Add(Address { hold: Hold::Route, .. }))
            if flags & NLM_F_REPLACE != 0 =>
        {
            Told::Replaced
        }
        Some(change) => Told::Change(change),
        None => match kind {
            libc::RTM_NEWLINK | libc::RTM_DELLINK => Told::Links,
            libc::RTM_NEWROUTE | libc::RTM_DELROUTE => Told::Routes,
            RTM_NEWNETCONF | RTM_DELNETCONF => Told::Forwarding,
            _ => Told::Unknown,
        },
    }
}

fn key_and_kind(change: &AddressChange) -> ((u32, IpAddr), u16) {
    let Address { link, network, .. } = change.address();
    let kind = match change {
        AddressChange::Add(_) => libc::RTM_NEWADDR,
        AddressChange::Remove(_) => libc::RTM_DELADDR,
    };
    ((*link, network.ip()), kind)
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The filter as classic BPF (`linux/filter.h`). It sees a notification from its header
/// (`struct nlmsghdr`, 16 bytes) on; loads are big-endian, the message has the host's order.
fn filter(own: Option<u32>) -> Vec<SockFilter> {
    const TYPE: u32 = 4;
    const PORT: u32 = 12;
    const FAMILY: u32 = NETLINK_HEADER as u32;
    const TABLE: u32 = FAMILY + 4;
    const PROTOCOL: u32 = FAMILY + 5;
    let kind = |number: u16| u16::from_be_bytes(number.to_ne_bytes()).into();
    let load = |size: u32, offset| {
        SockFilter::new((libc::BPF_LD | size | libc::BPF_ABS) as u16, 0, 0, offset)
    };
    // Skips the next `no` instructions unless the loaded value is `value`, else `yes`.
    let equal = |value, yes, no| {
        SockFilter::new((libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, yes, no, value)
    };
    let end = |accept| SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, accept);
    let mut program = Vec::new();
    if let Some(port) = own {
        let port = u32::from_be_bytes(port.to_ne_bytes());
        program.extend([load(libc::BPF_W, PORT), equal(port, 0, 1), end(0)]);
    }
    program.extend([
        load(libc::BPF_H, TYPE),
        equal(kind(libc::RTM_NEWROUTE), 1, 0),
        equal(kind(libc::RTM_DELROUTE), 0, 6),
        load(libc::BPF_B, TABLE),
        equal(libc::RT_TABLE_LOCAL.into(), 0, 4),
        // Of the local table, what can hold an IPv4 address for somebody.
        load(libc::BPF_B, FAMILY),
        equal(libc::AF_INET as u32, 0, 3),
        load(libc::BPF_B, PROTOCOL),
        equal(local::KERNEL.into(), 1, 0),
        end(u32::MAX),
        end(0),
    ]);
    program
}
