//! When an IPv6 address takes effect.
//!
//! The kernel acknowledges an IPv6 address before it joins its group and before it takes packets to
//! it for its own: that is done a moment later, by a worker (`addrconf_dad_work` in
//! `net/ipv6/addrconf.c`), also where no duplicate is looked for. A packet that comes meanwhile is
//! forwarded. Were the address announced by then, the neighbours' first advertisements would be
//! lost, and with them all packets for a second.

use std::io;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::RtnlSocket;
use super::message::Message;
use crate::kernel::{Address, AddressChange};

/// The longest wait: on a link that is down an address may not take effect at all. On a busy host
/// others keep the worker waiting for a tenth of a second and more.
const PATIENCE: Duration = Duration::from_secs(1);
/// From one look to the next. The worker begins within microseconds.
const PAUSE: Duration = Duration::from_micros(50);

/// A whole IPv6 address.
const WHOLE: u8 = 128;
/// `RTN_LOCAL` (`linux/rtnetlink.h`)
const LOCAL: u8 = 2;

impl RtnlSocket {
    /// Waits until the IPv6 addresses among those that were added are in force.
    pub(super) fn wait_until_in_force(
        &mut self,
        changes: &[AddressChange],
        results: &[io::Result<()>],
    ) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let made = changes.iter().zip(results).filter(|(_, result)| result.is_ok());
        for (change, _) in made {
            let AddressChange::Add(Address { link, network, ours: true, .. }) = change else {
                continue;
            };
            let ip = network.ip();
            if ip.is_ipv6() && !comes_true(deadline, || self.takes(*link, ip))? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether packets to the IPv6 address are this host's own.
    fn takes(&mut self, link: u32, address: IpAddr) -> io::Result<bool> {
        let is_local = |answer: Message| {
            let kind = answer.parts::<12>(libc::RTM_NEWROUTE).map(|(header, _)| header[7]);
            Some(kind == Some(LOCAL))
        };
        match self.socket.get(lookup(link, address), is_local) {
            Ok(local) => Ok(local == Some(true)),
            // Nothing leads there, not even to others.
            Err(error) if error.raw_os_error() == Some(libc::ENETUNREACH) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Whether that is so before the deadline. Who is held up past it looks once more.
fn comes_true(deadline: Instant, mut is_so: impl FnMut() -> io::Result<bool>) -> io::Result<bool> {
    loop {
        let late = Instant::now() >= deadline;
        if is_so()? {
            return Ok(true);
        }
        if late {
            return Ok(false);
        }
        thread::sleep(PAUSE);
    }
}

/// The question where a packet to the address would go. The link says in which VRF.
fn lookup(link: u32, address: IpAddr) -> Message {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet6;
    message.header.destination_prefix_length = WHOLE;
    message.attributes.push(RouteAttribute::Destination(RouteAddress::from(address)));
    message.attributes.push(RouteAttribute::Oif(link));
    (&RouteNetlinkMessage::GetRoute(message)).into()
}

#[cfg(test)]
mod tests;
