//! The neighbours on a link, by packet sockets (packet(7)): the real [`Wire`].
//!
//! To close a packet socket takes a grace period of the kernel, 10 to 20 ms. So the sockets stay
//! open from one claim to the next, and in between a filter lets nothing through.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

use nix::poll::PollFlags;

use super::frame;
use crate::error::{Error, Result};
use crate::kernel::{Link, Sighting, Wire};

mod socket;

use socket::wait;
pub(crate) use socket::{Neighbours, PacketSocket};

/// After how many probes to look for answers, so that many probes' answers do not overflow the
/// receive buffer.
const PROBES_AT_ONCE: usize = 64;

/// Opens a muted [`PacketSocket`], perhaps in another network namespace.
type Open = dyn Fn(&Link, Neighbours) -> Result<PacketSocket> + Send;

/// The packet sockets of a network namespace: one for each link and protocol that was asked for.
pub(crate) struct WireSockets {
    open: Box<Open>,
    sockets: Vec<PacketSocket>,
    heard: VecDeque<Sighting>,
}

impl WireSockets {
    /// Sockets that `open` opens when they are needed, as [`PacketSocket::open`].
    pub(crate) fn new(
        open: impl Fn(&Link, Neighbours) -> Result<PacketSocket> + Send + 'static,
    ) -> Self {
        Self { open: Box::new(open), sockets: Vec::new(), heard: VecDeque::new() }
    }

    fn socket(&mut self, link: &Link, neighbours: Neighbours) -> Result<&mut PacketSocket> {
        let at = match self.sockets.iter().position(|s| s.serves(link, neighbours)) {
            Some(at) => at,
            None => {
                self.sockets.push((self.open)(link, neighbours)?);
                self.sockets.len() - 1
            }
        };
        Ok(&mut self.sockets[at])
    }

    /// Queues what has been heard on the link.
    fn collect(&mut self, link: &Link) -> Result<()> {
        let mut listening = self.sockets.iter().filter(|s| s.listening_on(link));
        listening.try_for_each(|socket| socket.receive_all(&mut self.heard))
    }

    /// A socket that cannot send is of no further use: its link has been deleted, and another
    /// may come in its place.
    fn or_forget(&mut self, link: &Link, neighbours: Neighbours, sent: Result<()>) -> Result<()> {
        if sent.is_err() {
            self.sockets.retain(|s| !s.serves(link, neighbours));
        }
        sent
    }
}

impl Wire for WireSockets {
    /// Nobody answers on a link without neighbours.
    fn probe(&mut self, link: &Link, addresses: &[IpAddr]) -> Result<()> {
        let Some(mac) = link.ethernet() else {
            return Ok(());
        };
        for some in addresses.chunks(PROBES_AT_ONCE) {
            for &address in some {
                let neighbours = Neighbours::of(address);
                let socket = self.socket(link, neighbours)?;
                socket.listen(true)?;
                let sent = socket.send(&frame::probe(mac, address));
                self.or_forget(link, neighbours, sent)?;
            }
            self.collect(link)?;
        }
        Ok(())
    }

    fn heard(&mut self, link: &Link, until: Instant) -> Result<Option<Sighting>> {
        loop {
            // Asked before collecting, so that none means that nothing came before `until`.
            let late = Instant::now() >= until;
            if self.heard.iter().all(|sighting| sighting.link != link.index) {
                self.collect(link)?;
            }
            let next = self.heard.iter().position(|sighting| sighting.link == link.index);
            if let Some(sighting) = next.and_then(|next| self.heard.remove(next)) {
                return Ok(Some(sighting));
            }
            if late {
                return Ok(None);
            }
            let sockets: Vec<_> = self.sockets.iter().filter(|s| s.listening_on(link)).collect();
            wait(&sockets, PollFlags::POLLIN, until).map_err(|error| {
                Error::kernel(format!("listen to the neighbours on {}", link.name), error)
            })?;
        }
    }

    fn stop_listening(&mut self, link: &Link) -> Result<()> {
        self.heard.retain(|sighting| sighting.link != link.index);
        let mut listening = self.sockets.iter_mut().filter(|s| s.listening_on(link));
        listening.try_for_each(PacketSocket::mute)
    }

    /// There is nobody to tell on a link without neighbours.
    fn announce(&mut self, link: &Link, addresses: &[IpAddr]) -> Result<()> {
        let Some(mac) = link.ethernet() else {
            return Ok(());
        };
        for &address in addresses {
            let neighbours = Neighbours::of(address);
            let socket = self.socket(link, neighbours)?;
            let frames = frame::announcement(mac, address);
            let sent = frames.iter().try_for_each(|frame| socket.send(frame));
            self.or_forget(link, neighbours, sent)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
