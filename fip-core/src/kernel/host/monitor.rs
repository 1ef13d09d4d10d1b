//! Waiting for what others do: netlink notifications, the neighbours' frames, a waker.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netlink_sys::protocols::NETLINK_NETFILTER;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::error::{Error, Result};
use crate::kernel::{Link, Monitor, News, Signal, Waker};
use crate::netns::NetNs;

use super::inside;
use super::rtnl::{self, Listener};
use super::wire::PacketSocket;

/// `NFNLGRP_NFTABLES` (`linux/netfilter/nfnetlink.h`)
const NFTABLES_GROUP: u32 = 7;

/// The stream of changes of one network namespace.
pub struct HostMonitor {
    netns: Option<NetNs>,
    links: Listener,
    ruleset: netlink_sys::Socket,
    neighbours: Vec<PacketSocket>,
    woken: Arc<EventFd>,
}

impl HostMonitor {
    pub(super) fn open(netns: Option<&NetNs>) -> Result<Self> {
        let links = rtnl::monitor_socket(netns)?;
        let ruleset = inside(netns, || {
            listen_to_nftables().map_err(|error| Error::kernel("listen to nf_tables", error))
        })?;
        let woken = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
            .map_err(|error| Error::kernel("make an eventfd", error.into()))?;
        let netns = netns.cloned();
        Ok(Self { netns, links, ruleset, neighbours: Vec::new(), woken: Arc::new(woken) })
    }

    /// What has already arrived.
    fn pending(&mut self) -> Result<Option<Signal>> {
        if self.woken.read().is_ok() {
            return Ok(Some(Signal::Woken));
        }
        if drain(&self.ruleset).map_err(|error| Error::kernel("listen to nf_tables", error))? {
            return Ok(Some(Signal::Ruleset));
        }
        let news = self.links.drain();
        let news = news.map_err(|error| Error::kernel("listen to rtnetlink", error))?;
        if news != News::Nothing {
            return Ok(Some(Signal::Links));
        }
        for socket in &self.neighbours {
            if let Some(sighting) = socket.receive()? {
                return Ok(Some(Signal::Heard(sighting)));
            }
        }
        Ok(None)
    }

    fn wait(&self, until: Option<Instant>) -> io::Result<()> {
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds: Vec<PollFd<'_>> = vec![
            readable(self.woken.as_fd()),
            readable(self.links.as_fd()),
            readable(self.ruleset.as_fd()),
        ];
        fds.extend(self.neighbours.iter().map(|socket| readable(socket.as_fd())));
        let timeout = match until {
            None => PollTimeout::NONE,
            // Rounded up: waking early would only mean to wait again.
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                let left = left + Duration::from_millis(1) - Duration::from_nanos(1);
                PollTimeout::try_from(left.as_millis().min(i32::MAX as u128) as i32)
                    .unwrap_or(PollTimeout::MAX)
            }
        };
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Monitor for HostMonitor {
    fn next(&mut self, until: Option<Instant>) -> Result<Option<Signal>> {
        loop {
            if let Some(signal) = self.pending()? {
                return Ok(Some(signal));
            }
            if until.is_some_and(|until| until <= Instant::now()) {
                return Ok(None);
            }
            self.wait(until).map_err(|error| Error::kernel("wait for events", error))?;
        }
    }

    fn listen_on(&mut self, uplinks: &[Link]) -> Result<()> {
        // To open one takes the kernel milliseconds, and to close one tens of them.
        self.neighbours.retain(|socket| uplinks.iter().any(|link| socket.hears(link)));
        let new = |link: &&Link| !self.neighbours.iter().any(|socket| socket.hears(link));
        let new: Vec<&Link> = uplinks.iter().filter(new).collect();
        if new.is_empty() {
            return Ok(());
        }
        let opened = inside(self.netns.as_ref(), || {
            new.into_iter().map(PacketSocket::listeners).collect::<Result<Vec<_>>>()
        })?;
        self.neighbours.extend(opened.into_iter().flatten());
        Ok(())
    }

    fn waker(&self) -> Waker {
        let woken = Arc::clone(&self.woken);
        // It fails only when a wake-up is pending already.
        Waker::new(move || _ = woken.write(1))
    }
}

fn listen_to_nftables() -> io::Result<netlink_sys::Socket> {
    let mut socket = netlink_sys::Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.set_non_blocking(true)?;
    socket.add_membership(NFTABLES_GROUP)?;
    Ok(socket)
}

/// Takes all notifications; was there one, or was one lost?
fn drain(socket: &netlink_sys::Socket) -> io::Result<bool> {
    let mut heard = false;
    let mut room = [0; 256];
    loop {
        match socket.recv(&mut &mut room[..], 0) {
            Ok(_) => heard = true,
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => return Ok(heard),
                Some(libc::ENOBUFS) => heard = true,
                Some(libc::EINTR) => {}
                _ => return Err(error),
            },
        }
    }
}
