//! The calls of packet(7) for which the standard library and socket2 have no safe form.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsRawFd;

use socket2::{SockAddr, SockAddrStorage, Socket};

const ADDRESS_LENGTH: libc::socklen_t = size_of::<libc::sockaddr_ll>() as libc::socklen_t;

/// Binds a packet socket to a link and, with that, begins to receive frames of this type
/// (`ETH_P_...`) from it.
pub(super) fn bind(socket: &Socket, link: u32, frame_type: u16) -> io::Result<()> {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: sockaddr_ll is one of the address types for which sockaddr_storage exists: it is
    // not larger, not stricter aligned, and any bits are valid in its integer fields.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET as libc::sa_family_t;
    address.sll_protocol = frame_type.to_be();
    address.sll_ifindex = index(link)?;
    // SAFETY: the storage holds a sockaddr_ll, which is of this length.
    let address = unsafe { SockAddr::new(storage, ADDRESS_LENGTH) };
    socket.bind(&address)
}

/// Asks the card to hand up the frames of every multicast group, or no longer. The kernel counts
/// who asked, and forgets a socket that is closed.
pub(super) fn all_multicast(socket: &Socket, link: u32, wanted: bool) -> io::Result<()> {
    let request = libc::packet_mreq {
        mr_ifindex: index(link)?,
        mr_type: libc::PACKET_MR_ALLMULTI as libc::c_ushort,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    let option = if wanted { libc::PACKET_ADD_MEMBERSHIP } else { libc::PACKET_DROP_MEMBERSHIP };
    // SAFETY: the descriptor is open as long as the socket is borrowed, and the kernel reads
    // exactly the given number of octets of a value that outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            (&raw const request).cast(),
            size_of_val(&request) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn index(link: u32) -> io::Result<libc::c_int> {
    link.try_into().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}
