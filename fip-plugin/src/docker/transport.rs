//! How bytes reach Docker: a socket file or TCP, as a transport of ureq.
//!
//! `ureq::unversioned` may change with each minor version of ureq, never with a patch (so its
//! documentation says): hence the dependency is held to one minor version.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, TcpKeepalive, Type};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use super::address::Address;

/// Silence after which the kernel asks whether the other host is still there; so often again, nine
/// times, then the connection has ended.
const SILENCE: Duration = Duration::from_secs(10);

/// Connects to the one place where Docker listens, whatever the URI says.
#[derive(Debug)]
pub(super) struct ToDocker(pub(super) Address);

impl Connector for ToDocker {
    type Out = Wire;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Wire>, ureq::Error> {
        let deadline = Deadline::of(&details.timeout);
        let socket = match &self.0 {
            Address::Unix(path) => connect_unix(path, &deadline)?,
            Address::Tcp(_) => {
                connect_tcp(&details.addrs, &deadline).map_err(|error| deadline.error(error))?
            }
        };
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Wire { socket, buffers }))
    }
}

/// Resolves names only where there is one: a socket file has none.
#[derive(Debug)]
pub(super) struct NamesOf(pub(super) Address);

impl Resolver for NamesOf {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        match self.0 {
            Address::Unix(_) => Ok(self.empty()),
            Address::Tcp(_) => DefaultResolver::default().resolve(uri, config, timeout),
        }
    }
}

/// One connection to Docker.
#[derive(Debug)]
pub(super) struct Wire {
    socket: Socket,
    buffers: LazyBuffers,
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let deadline = Deadline::of(&timeout);
        let mut rest = &self.buffers.output()[..amount];
        while !rest.is_empty() {
            match deadline.run(&mut self.socket, |socket| socket.write(rest))? {
                0 => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                sent => rest = &rest[sent..],
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let deadline = Deadline::of(&timeout);
        let room = self.buffers.input_append_buf();
        let amount = deadline.run(&mut self.socket, |socket| socket.read(room))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    /// Never asked: no connection is kept for a second question.
    fn is_open(&mut self) -> bool {
        false
    }
}

/// A point in time after which nothing is waited for, and ureq's name for it.
struct Deadline {
    at: Option<Instant>,
    reason: ureq::Timeout,
}

impl Deadline {
    fn of(timeout: &NextTimeout) -> Self {
        let after = (!timeout.after.is_not_happening()).then_some(*timeout.after);
        Self { at: after.and_then(|t| Instant::now().checked_add(t)), reason: timeout.reason }
    }

    /// The time that is left; `None` is for ever.
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.at.map(|at| at.saturating_duration_since(Instant::now()));
        match left {
            Some(Duration::ZERO) => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(left),
        }
    }

    /// A connect, read or write that signals do not end, but the deadline does.
    fn run<T>(
        &self,
        socket: &mut Socket,
        mut operation: impl FnMut(&mut Socket) -> io::Result<T>,
    ) -> Result<T, ureq::Error> {
        loop {
            let limited = self.left().and_then(|left| limit(socket, left));
            match limited.and_then(|()| operation(socket)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done.map_err(|error| self.error(error)),
            }
        }
    }

    /// The kernel says `EAGAIN` when the time of a socket is up.
    fn error(&self, error: io::Error) -> ureq::Error {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                ureq::Error::Timeout(self.reason)
            }
            _ => ureq::Error::Io(error),
        }
    }
}

/// Limits the next operation; `None` is for ever.
fn limit(socket: &Socket, time: Option<Duration>) -> io::Result<()> {
    socket.set_read_timeout(time)?;
    socket.set_write_timeout(time)
}

/// Connects to a socket file. A daemon that accepts nobody lets `connect` wait once its backlog is
/// full; the send timeout of the socket ends that too (`unix_stream_connect` of the kernel).
fn connect_unix(path: &Path, deadline: &Deadline) -> Result<Socket, ureq::Error> {
    let to = SockAddr::unix(path)?;
    let mut socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    deadline.run(&mut socket, |socket| socket.connect(&to))?;
    Ok(socket)
}

/// Connects to the first of the addresses that can be connected to.
fn connect_tcp(addresses: &[SocketAddr], deadline: &Deadline) -> io::Result<Socket> {
    let mut result = Err(io::ErrorKind::NotFound.into());
    for address in addresses {
        result = match deadline.left()? {
            Some(left) => TcpStream::connect_timeout(address, left),
            None => TcpStream::connect(address),
        };
        if result.is_ok() {
            break;
        }
    }
    let socket = Socket::from(result?);
    // A daemon whose whole host is gone sends no end: its events would be awaited for ever.
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(SILENCE).with_interval(SILENCE))?;
    Ok(socket)
}
