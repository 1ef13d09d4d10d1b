//! A blocking netlink socket (netlink(7)): requests with acknowledgements, dumps, transactions.
//!
//! Every wait has a deadline, and answers to earlier requests are passed over by their sequence
//! number, so an error in the middle of a conversation cannot poison the next one.

use std::fmt::Debug;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NetlinkDeserializable,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use netlink_proto::{NetlinkCodec, NetlinkMessageCodec};
use netlink_sys::SocketAddr;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::SockRef;

/// How long the kernel may take to answer. It answers in microseconds; a batch of 10,000 in
/// milliseconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often a dump that was interrupted by a change is begun again.
const DUMP_ATTEMPTS: usize = 32;

/// Room for one datagram of a dump (the kernel fills at most 32 KiB).
const RECEIVE_ROOM: usize = 32 << 10;

/// The same for a search, which may need no more than the first objects: the kernel fills as much
/// as there is room for. It fills at least a page, and 8 KiB where pages are larger
/// (`NLMSG_GOODSIZE` in `linux/netlink.h`).
const SEARCH_ROOM: usize = 8 << 10;

/// The length of `struct nlmsghdr`.
const HEADER: usize = 16;

/// A netlink socket of one protocol.
pub(super) struct Socket {
    inner: netlink_sys::Socket,
    port: u32,
    sequence: u32,
    out: BytesMut,
    /// What was received last. Only as much of it as the kernel fills takes memory.
    room: Vec<u8>,
    /// How much one datagram may be.
    most: usize,
    send_room: usize,
}

impl Socket {
    /// Opens a socket of this protocol (`NETLINK_ROUTE`, `NETLINK_NETFILTER`).
    pub(super) fn open(protocol: isize) -> io::Result<Self> {
        let mut inner = netlink_sys::Socket::new(protocol)?;
        let port = inner.bind_auto()?.port_number();
        inner.connect(&SocketAddr::new(0, 0))?;
        inner.set_cap_ack(true)?;
        SockRef::from(&inner.as_fd()).set_read_timeout(Some(TIMEOUT))?;
        let send_room = SockRef::from(&inner.as_fd()).send_buffer_size()?;
        Ok(Self {
            inner,
            port,
            sequence: 0,
            out: BytesMut::new(),
            room: Vec::with_capacity(RECEIVE_ROOM),
            most: RECEIVE_ROOM,
            send_room,
        })
    }

    /// The port that the kernel writes into notifications of changes made by this socket.
    pub(super) fn port(&self) -> u32 {
        self.port
    }

    /// Has the kernel heed what a dump is asked for (`NETLINK_GET_STRICT_CHK`, Linux 4.20).
    pub(super) fn check_strictly(&self) -> io::Result<()> {
        self.inner.set_netlink_get_strict_chk(true)
    }

    /// Sends the requests in one datagram; the kernel's answer to each, in order.
    ///
    /// Only the last one asks for an acknowledgement: the kernel takes them in order, and whatever
    /// was asked for, it answers a request that it refuses.
    pub(super) fn request<T: NetlinkSerializable + Debug>(
        &mut self,
        messages: impl IntoIterator<Item = (T, u16)>,
    ) -> io::Result<Vec<io::Result<()>>> {
        let first = self.begin().wrapping_add(1);
        let mut messages = messages.into_iter().peekable();
        while let Some((payload, flags)) = messages.next() {
            let ack = if messages.peek().is_none() { NLM_F_ACK } else { 0 };
            self.push(payload, NLM_F_REQUEST | ack | flags)?;
        }
        let total = self.sequence.wrapping_add(1).wrapping_sub(first) as usize;
        let mut results: Vec<io::Result<()>> = (0..total).map(|_| Ok(())).collect();
        if total == 0 {
            return Ok(results);
        }
        self.flush()?;
        let mut answered = false;
        while !answered {
            self.receive(|header, buffer| {
                let place = header.sequence_number.wrapping_sub(first) as usize;
                if let Some(result) = results.get_mut(place)
                    && let Some(answer) = acknowledgement(header, buffer)?
                {
                    *result = answer;
                    answered |= place + 1 == total;
                }
                Ok(())
            })?;
        }
        Ok(results)
    }

    /// Sends the messages as one nf_tables transaction: all are made or none.
    ///
    /// Only the last real message asks for an acknowledgement. An error for any message of the
    /// transaction ends it: the kernel answers a batch that it refuses as a whole (no privilege,
    /// stale generation) for the batch-begin message only.
    pub(super) fn transaction<T: NetlinkSerializable + Debug>(
        &mut self,
        messages: Vec<(T, u16)>,
    ) -> io::Result<()> {
        let first = self.begin();
        let acknowledged = messages.len().saturating_sub(1);
        self.out.reserve(messages.iter().map(|(message, _)| HEADER + message.buffer_len()).sum());
        for (position, (payload, flags)) in messages.into_iter().enumerate() {
            // The batch-end message is last and is never acknowledged.
            let ack = if position + 1 == acknowledged { NLM_F_ACK } else { 0 };
            self.push(payload, NLM_F_REQUEST | ack | flags)?;
        }
        let wanted = first.wrapping_add(acknowledged as u32);
        self.flush()?;
        let mut outcome = None;
        while outcome.is_none() {
            self.receive(|header, buffer| {
                let ours = header.sequence_number.wrapping_sub(first) as usize <= acknowledged + 1;
                if ours
                    && outcome.is_none()
                    && let Some(answer) = acknowledgement(header, buffer)?
                    && (answer.is_err() || header.sequence_number == wanted)
                {
                    outcome = Some(answer);
                }
                Ok(())
            })?;
        }
        outcome.unwrap_or(Ok(()))
    }

    /// Asks for one object; none if the kernel knows no such. The object or an error is the whole
    /// answer: no acknowledgement is asked for.
    pub(super) fn get<Q, T, R>(
        &mut self,
        payload: Q,
        mut take: impl FnMut(T) -> Option<R>,
    ) -> io::Result<Option<R>>
    where
        Q: NetlinkSerializable + std::fmt::Debug,
        T: NetlinkDeserializable + std::fmt::Debug,
    {
        let sequence = self.begin().wrapping_add(1);
        self.push(payload, NLM_F_REQUEST)?;
        self.flush()?;
        let mut answer = None;
        while answer.is_none() {
            self.receive(|header, buffer| {
                if header.sequence_number == sequence {
                    answer = Some(match acknowledgement(header, buffer)? {
                        Some(answer) => answer.map(|()| None),
                        None => Ok(inner_message(buffer)?.and_then(&mut take)),
                    });
                }
                Ok(())
            })?;
        }
        match answer {
            Some(Err(error)) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Some(answer) => answer,
            None => Ok(None),
        }
    }

    /// Dumps all objects, as one consistent list: begun again if a change interrupted it.
    pub(super) fn dump<Q, T, R>(
        &mut self,
        request: &Q,
        mut take: impl FnMut(T) -> Option<R>,
    ) -> io::Result<Vec<R>>
    where
        Q: NetlinkSerializable + Debug + Clone,
        T: NetlinkDeserializable,
    {
        for _ in 0..DUMP_ATTEMPTS {
            if let Some(list) = self.dump_once(request.clone(), &mut take)? {
                return Ok(list);
            }
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "the list changed while it was read"))
    }

    /// Hands on the objects of a dump until `wants_more` says no; whether that came to the end. If
    /// it did not, or failed, this socket is of no more use. A change meanwhile is not noticed.
    pub(super) fn search<Q, T>(
        &mut self,
        request: Q,
        mut wants_more: impl FnMut(T) -> bool,
    ) -> io::Result<bool>
    where
        Q: NetlinkSerializable + Debug,
        T: NetlinkDeserializable,
    {
        let sequence = self.begin().wrapping_add(1);
        self.push(request, NLM_F_REQUEST | NLM_F_DUMP)?;
        self.flush()?;
        self.most = SEARCH_ROOM;
        let (mut enough, mut end) = (false, None);
        while end.is_none() && !enough {
            self.receive(|header, buffer| {
                if header.sequence_number == sequence && end.is_none() && !enough {
                    match acknowledgement(header, buffer)? {
                        Some(answer) => end = Some(answer),
                        None => enough = inner_message(buffer)?.is_some_and(|m| !wants_more(m)),
                    }
                }
                Ok(())
            })?;
        }
        end.unwrap_or(Ok(())).map(|()| !enough)
    }

    fn dump_once<Q, T, R>(
        &mut self,
        request: Q,
        take: &mut impl FnMut(T) -> Option<R>,
    ) -> io::Result<Option<Vec<R>>>
    where
        Q: NetlinkSerializable + Debug,
        T: NetlinkDeserializable,
    {
        let sequence = self.begin().wrapping_add(1);
        self.push(request, NLM_F_REQUEST | NLM_F_DUMP)?;
        self.flush()?;
        let (mut list, mut interrupted, mut end) = (Vec::new(), false, None);
        while end.is_none() {
            self.receive(|header, buffer| {
                if header.sequence_number != sequence || end.is_some() {
                    return Ok(());
                }
                interrupted |= header.flags & NLM_F_DUMP_INTR != 0;
                match acknowledgement(header, buffer)? {
                    Some(answer) => end = Some(answer),
                    None => list.extend(inner_message(buffer)?.and_then(&mut *take)),
                }
                Ok(())
            })?;
        }
        match end {
            // The kernel interrupts a dump of nf_tables with EINTR when the generation changes.
            Some(Err(error)) if error.raw_os_error() == Some(libc::EINTR) => Ok(None),
            Some(Err(error)) => Err(error),
            _ => Ok((!interrupted).then_some(list)),
        }
    }

    fn begin(&mut self) -> u32 {
        self.out.clear();
        self.sequence
    }

    fn push<T: NetlinkSerializable + Debug>(&mut self, payload: T, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message =
            NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(payload));
        message.header.flags = flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        NetlinkCodec::encode(message, &mut self.out)?;
        self.out.resize(self.out.len().next_multiple_of(4), 0);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        // A datagram must fit the send buffer, with some room for the kernel's bookkeeping.
        let needed = self.out.len() + (4 << 10);
        if needed > self.send_room {
            setsockopt(&self.inner.as_fd(), sockopt::SndBufForce, &needed)?;
            self.send_room = needed;
        }
        retry(|| self.inner.send(&self.out, 0)).map(drop)
    }

    /// Receives one datagram and hands on its messages.
    fn receive(
        &mut self,
        mut each: impl FnMut(&Header, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let Self { inner, room, most, .. } = self;
        room.clear();
        retry(|| inner.recv(&mut (&mut *room).limit(*most), 0)).map_err(|error| {
            match error.kind() {
                io::ErrorKind::WouldBlock => {
                    io::Error::new(io::ErrorKind::TimedOut, "the kernel did not answer")
                }
                _ => error,
            }
        })?;
        messages(room, &mut each)
    }
}

/// What the header of a netlink message says.
pub(super) struct Header {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence_number: u32,
}

/// Hands on the messages of one datagram.
pub(super) fn messages(
    mut datagram: &[u8],
    each: &mut impl FnMut(&Header, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    while !datagram.is_empty() {
        let buffer = NetlinkBuffer::new_checked(&datagram).map_err(invalid)?;
        let length = buffer.length() as usize;
        let header = Header {
            kind: buffer.message_type(),
            flags: buffer.flags(),
            sequence_number: buffer.sequence_number(),
        };
        each(&header, &datagram[..length])?;
        datagram = &datagram[length.next_multiple_of(4).min(datagram.len())..];
    }
    Ok(())
}

/// The payload of a message that is not about the conversation itself.
pub(super) fn inner_message<T: NetlinkDeserializable>(buffer: &[u8]) -> io::Result<Option<T>> {
    match NetlinkMessage::<T>::deserialize(buffer).map_err(invalid)?.payload {
        NetlinkPayload::InnerMessage(message) => Ok(Some(message)),
        _ => Ok(None),
    }
}

/// The result that an error or done message carries.
fn acknowledgement(header: &Header, buffer: &[u8]) -> io::Result<Option<io::Result<()>>> {
    if header.kind != libc::NLMSG_ERROR as u16 && header.kind != libc::NLMSG_DONE as u16 {
        return Ok(None);
    }
    let code = match buffer.get(HEADER..HEADER + 4) {
        Some(&[a, b, c, d]) => i32::from_ne_bytes([a, b, c, d]),
        _ if header.kind == libc::NLMSG_DONE as u16 => 0,
        _ => return Err(invalid("truncated acknowledgement")),
    };
    Ok(Some(if code < 0 { Err(io::Error::from_raw_os_error(-code)) } else { Ok(()) }))
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.inner.as_fd()
    }
}
