//! One packet socket: hears the neighbours on one link by one protocol.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, SockFilter, Socket, Type};

use crate::binding::LinkName;
use crate::error::{Error, Result};
use crate::kernel::host::{filter, frame, packet};
use crate::kernel::{Link, Mac, Sighting};

/// How long a frame may wait for room in the send queue.
const SEND_PATIENCE: Duration = Duration::from_secs(1);

/// How long to leave a full device queue alone; it does not tell when it has room again.
const QUEUE_PAUSE: Duration = Duration::from_millis(1);

/// More frames than a receive buffer of the default size holds (about 280): reading this many
/// has read whatever was there at the beginning, and a flood still cannot hold the reader.
const BACKLOG: usize = 1024;

/// The room for a frame. Nothing of interest is longer than an ordinary MTU.
const FRAME_ROOM: usize = 2048;

/// The protocol by which neighbours are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Neighbours {
    /// ARP, for IPv4.
    Arp,
    /// Neighbour discovery, for IPv6.
    Discovery,
}

impl Neighbours {
    pub(super) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Arp } else { Self::Discovery }
    }

    fn frame_type(self) -> u16 {
        match self {
            Self::Arp => libc::ETH_P_ARP as u16,
            Self::Discovery => libc::ETH_P_IPV6 as u16,
        }
    }

    /// What passes: claims, and perhaps searches too.
    fn filter(self, searches: bool) -> &'static [SockFilter] {
        match (self, searches) {
            (Self::Arp, false) => filter::ARP,
            (Self::Arp, true) => filter::EVERY_ARP,
            (Self::Discovery, false) => filter::DISCOVERY,
            (Self::Discovery, true) => filter::EVERY_DISCOVERY,
        }
    }
}

/// Hears the neighbours' claims on one link, by one protocol, and can send. It does not block.
///
/// A socket for one protocol's frames, unlike one for all frames, costs other traffic nothing
/// and is not shown what this host itself sends.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    socket: Socket,
    link: u32,
    name: LinkName,
    mac: Option<Mac>,
    neighbours: Neighbours,
    listening: bool,
}

impl PacketSocket {
    /// Opens the sockets that hear every claim on the link, in this thread's network namespace.
    /// There are none for a link without neighbours.
    pub(crate) fn listeners(link: &Link) -> Result<Vec<Self>> {
        if link.ethernet().is_none() {
            return Ok(Vec::new());
        }
        [Neighbours::Arp, Neighbours::Discovery]
            .into_iter()
            .map(|neighbours| {
                let mut socket = Self::open(link, neighbours)?;
                socket.listen(false)?;
                Ok(socket)
            })
            .collect()
    }

    /// Opens a socket in this thread's network namespace. It can send and hears nothing yet.
    pub(crate) fn open(link: &Link, neighbours: Neighbours) -> Result<Self> {
        let open = || {
            // Without a protocol it receives nothing before it is bound, from no other link.
            let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
            socket.set_nonblocking(true)?;
            socket.attach_filter(filter::NOTHING)?;
            packet::bind(&socket, link.index, neighbours.frame_type())?;
            Ok(socket)
        };
        let failed = |error| Error::kernel(format!("open a packet socket on {}", link.name), error);
        Ok(Self {
            socket: open().map_err(failed)?,
            link: link.index,
            name: link.name.clone(),
            mac: link.mac,
            neighbours,
            listening: false,
        })
    }

    /// Whether it is for this link, as the link is now.
    pub(crate) fn hears(&self, link: &Link) -> bool {
        self.link == link.index && self.mac == link.mac
    }

    /// The next claim by another host that has arrived, if any. A link that went down or away
    /// has none.
    pub(crate) fn receive(&self) -> Result<Option<Sighting>> {
        let mut room = [0; FRAME_ROOM];
        for _ in 0..BACKLOG {
            let Some(length) = self.read(&mut room)? else {
                break;
            };
            if let Some(sighting) = self.sighting(frame::decode(&room[..length])) {
                return Ok(Some(sighting));
            }
        }
        Ok(None)
    }

    /// Queues all that has arrived: claims by other hosts, and who looks for an address. A frame
    /// can be both, of two addresses.
    pub(super) fn receive_all(&self, queue: &mut VecDeque<Sighting>) -> Result<()> {
        let mut room = [0; FRAME_ROOM];
        for _ in 0..BACKLOG {
            let Some(length) = self.read(&mut room)? else {
                break;
            };
            let frame = &room[..length];
            queue.extend(self.sighting(frame::decode(frame)));
            queue.extend(self.sighting(frame::decode_search(frame)));
        }
        Ok(())
    }

    /// What was heard, unless this link sent it.
    fn sighting(&self, heard: Option<frame::Heard>) -> Option<Sighting> {
        let frame::Heard { address, mac, deed } = heard?;
        (Some(mac) != self.mac).then_some(Sighting { link: self.link, address, mac, deed })
    }

    /// Begins to hear; what came before does not count.
    ///
    /// With `all` also who looks for an address, and the card hands up the frames of groups that
    /// nobody here is a member of: those to which another host sends when it probes or looks for an
    /// address that nobody here has yet.
    pub(super) fn listen(&mut self, all: bool) -> Result<()> {
        if self.listening {
            return Ok(());
        }
        self.discard()?;
        let start = || {
            self.socket.attach_filter(self.neighbours.filter(all))?;
            if all && self.neighbours == Neighbours::Discovery {
                packet::all_multicast(&self.socket, self.link, true)?;
            }
            Ok(())
        };
        start().map_err(|error| self.cannot_listen(error))?;
        self.listening = true;
        Ok(())
    }

    /// Hears nothing from now on.
    pub(super) fn mute(&mut self) -> Result<()> {
        self.listening = false;
        if self.neighbours == Neighbours::Discovery {
            // Fails if it was not asked for, or the link is gone: then there is nothing to undo.
            let _ = packet::all_multicast(&self.socket, self.link, false);
        }
        let muted = self.socket.attach_filter(filter::NOTHING);
        muted.map_err(|error| self.cannot_listen(error))?;
        self.discard()
    }

    fn discard(&self) -> Result<()> {
        for _ in 0..BACKLOG {
            if self.read(&mut [0; 1])?.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// The length of the next frame; none if no frame waits.
    fn read(&self, room: &mut [u8]) -> Result<Option<usize>> {
        loop {
            match (&self.socket).read(room) {
                Ok(length) => return Ok(Some(length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                // The kernel tells once that the link went down; frames may wait behind it.
                Err(error) if error.kind() == ErrorKind::NetworkDown => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.cannot_listen(error)),
            }
        }
    }

    /// Sends a frame. On a link that is down it is lost, like on a cable that is not plugged in.
    pub(super) fn send(&self, frame: &[u8]) -> Result<()> {
        let patience = Instant::now() + SEND_PATIENCE;
        let mut told_down = false;
        loop {
            // Asked before it is tried, so that who is held up tries once more.
            let late = Instant::now() >= patience;
            let Err(error) = (&self.socket).write(frame) else {
                return Ok(());
            };
            let waited = match error.kind() {
                ErrorKind::Interrupted => continue,
                // Once may be old news: the kernel also tells so of a link that is up again.
                ErrorKind::NetworkDown if told_down => return Ok(()),
                ErrorKind::NetworkDown => {
                    told_down = true;
                    continue;
                }
                _ if late => Err(error),
                ErrorKind::WouldBlock => wait(&[self], PollFlags::POLLOUT, patience),
                _ if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    std::thread::sleep(QUEUE_PAUSE);
                    Ok(())
                }
                _ => Err(error),
            };
            waited.map_err(|error| {
                Error::kernel(format!("send to the neighbours on {}", self.name), error)
            })?;
        }
    }

    /// Whether it is a socket of this link and protocol.
    pub(super) fn serves(&self, link: &Link, neighbours: Neighbours) -> bool {
        self.link == link.index && self.neighbours == neighbours
    }

    /// Whether it hears this link.
    pub(super) fn listening_on(&self, link: &Link) -> bool {
        self.listening && self.link == link.index
    }

    fn cannot_listen(&self, error: io::Error) -> Error {
        Error::kernel(format!("listen to the neighbours on {}", self.name), error)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Waits until one of the sockets is ready, a signal came or it is time.
pub(super) fn wait(sockets: &[&PacketSocket], events: PollFlags, until: Instant) -> io::Result<()> {
    let mut fds: Vec<_> = sockets.iter().map(|s| PollFd::new(s.as_fd(), events)).collect();
    let left = until.saturating_duration_since(Instant::now());
    // Rounded up, so as not to spin in the last millisecond.
    let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, timeout) {
        Err(nix::Error::EINTR) => Ok(()),
        other => Ok(other.map(drop)?),
    }
}
