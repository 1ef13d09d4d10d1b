//! How bytes reach the server: over a socket file, TCP, or TLS over TCP, as a transport of ureq.
//!
//! `ureq::unversioned` may change with each minor version of ureq, never with a patch (so its
//! documentation says): hence the dependency is held to one minor version.

mod deadline;
mod timed;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use socket2::{Domain, SockAddr, Socket, TcpKeepalive, Type};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use super::address::{Address, Way};
use super::switch::Switch;
use super::tls::Credentials;
use deadline::Deadline;
use timed::Timed;

/// Silence after which the kernel asks whether the other host is still there; so often again, nine
/// times, then the connection has ended.
const SILENCE: Duration = Duration::from_secs(10);

/// Connects to the one place where the server listens, whatever the URI says.
#[derive(Debug, Clone)]
pub(super) struct Dial {
    pub(super) address: Address,
    pub(super) credentials: Option<Credentials>,
    pub(super) switch: Switch,
}

impl Connector for Dial {
    type Out = Wire;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Wire>, ureq::Error> {
        let deadline = Deadline::of(&details.timeout);
        let socket = match &self.address.way {
            Way::Unix(path) => connect_unix(path, &deadline)?,
            Way::Tcp(_) => {
                connect_tcp(&details.addrs, &deadline).map_err(|error| deadline.error(error))?
            }
        };
        let socket = Arc::new(socket);
        self.switch.admit(&socket)?;
        let line = self.line(Timed { socket, deadline })?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Wire { line, buffers }))
    }
}

impl Dial {
    fn line(&self, mut timed: Timed) -> Result<Line, ureq::Error> {
        let (Some(credentials), Some(host)) = (&self.credentials, self.address.host()) else {
            return Ok(Line::Plain(timed));
        };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connection = ClientConnection::new(credentials.0.clone(), name);
        let mut connection = connection.map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut timed)?;
        }
        Ok(Line::Tls(Box::new(StreamOwned::new(connection, timed))))
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
        match self.0.way {
            Way::Unix(_) => Ok(self.empty()),
            Way::Tcp(_) => DefaultResolver::default().resolve(uri, config, timeout),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Wire {
    line: Line,
    buffers: LazyBuffers,
}

/// What the bytes go through.
enum Line {
    Plain(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

impl Line {
    /// Limits what comes next.
    fn limit(&mut self, timeout: &NextTimeout) {
        let deadline = Deadline::of(timeout);
        match self {
            Self::Plain(timed) => timed.deadline = deadline,
            Self::Tls(stream) => stream.sock.deadline = deadline,
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Tls(_) => "Tls",
        })
    }
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.line.limit(&timeout);
        let bytes = &self.buffers.output()[..amount];
        match &mut self.line {
            Line::Plain(timed) => timed.write_all(bytes)?,
            Line::Tls(stream) => stream.write_all(bytes)?,
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.line.limit(&timeout);
        let room = self.buffers.input_append_buf();
        let amount = match &mut self.line {
            Line::Plain(timed) => timed.read(room)?,
            Line::Tls(stream) => stream.read(room)?,
        };
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    /// Never asked: no connection is kept for a second question.
    fn is_open(&mut self) -> bool {
        false
    }
}

/// Connects to a socket file. A daemon that accepts nobody lets `connect` wait once its backlog is
/// full; the send timeout of the socket ends that too (`unix_stream_connect` of the kernel).
fn connect_unix(path: &Path, deadline: &Deadline) -> Result<Socket, ureq::Error> {
    let to = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    deadline.run(&socket, |socket| socket.connect(&to))?;
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
