//! Single questions: TCP, UDP and ping.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::ANSWER;
use super::ns::Ns;
use super::whoami::Reply;

/// A protocol of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proto {
    Tcp,
    Udp,
    Icmp,
}

impl Proto {
    pub(crate) const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Icmp];
}

/// Asks over TCP, from that namespace, who is at `to`.
pub(crate) fn tcp_whoami(ns: &Ns, to: (IpAddr, u16)) -> Result<Reply, String> {
    ns.run(|| {
        let ask = || {
            let mut stream = TcpStream::connect_timeout(&SocketAddr::from(to), ANSWER)?;
            stream.set_read_timeout(Some(ANSWER))?;
            stream.write_all(b"?\n")?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line)?;
            Ok(line)
        };
        ask().map_err(|error: std::io::Error| error.to_string())?.parse()
    })
}

/// Asks over UDP, from that namespace, who is at `to`.
pub(crate) fn udp_whoami(ns: &Ns, to: (IpAddr, u16)) -> Result<Reply, String> {
    ns.run(|| {
        let ask = || {
            let socket = udp_socket(SocketAddr::from(to))?;
            socket.set_read_timeout(Some(ANSWER))?;
            socket.send(b"?")?;
            let mut buffer = [0; 512];
            let length = socket.recv(&mut buffer)?;
            Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
        };
        ask().map_err(|error: std::io::Error| error.to_string())?.parse()
    })
}

/// Asks over TCP or UDP.
pub(crate) fn whoami(proto: Proto, ns: &Ns, to: (IpAddr, u16)) -> Result<Reply, String> {
    match proto {
        Proto::Tcp => tcp_whoami(ns, to),
        Proto::Udp => udp_whoami(ns, to),
        Proto::Icmp => Err("ICMP has no such question".to_owned()),
    }
}

/// A UDP socket connected to `to`, in the namespace of this thread.
pub(crate) fn udp_socket(to: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(to)?;
    Ok(socket)
}

/// Whether an echo request from that namespace is answered. By whom, tells an [`EchoWitness`].
pub(crate) fn ping(ns: &Ns, to: IpAddr) -> bool {
    let seconds = ANSWER.as_secs().to_string();
    let done = ns.try_tool("ping", &["-n", "-c1", "-W", &seconds, &to.to_string()], "");
    done.code == Some(0)
}

/// Sees the echo requests that reach a namespace, as its own kernel gets them.
///
/// A request is there before its answer leaves, so a [`ping`] that succeeded through this
/// namespace has left its trace.
pub(crate) struct EchoWitness {
    v4: UdpSocket,
    v6: UdpSocket,
}

impl EchoWitness {
    pub(crate) fn start(ns: &Ns) -> Self {
        let raw = |domain, protocol| {
            let socket = Socket::new(domain, Type::RAW, Some(protocol)).unwrap();
            socket.set_nonblocking(true).unwrap();
            // Only `recv_from` is used, which is the same for every kind of socket.
            UdpSocket::from(socket)
        };
        ns.run(|| Self {
            v4: raw(Domain::IPV4, Protocol::ICMPV4),
            v6: raw(Domain::IPV6, Protocol::ICMPV6),
        })
    }

    /// The sources of the requests since the last call, in order.
    pub(crate) fn sources(&self) -> Vec<IpAddr> {
        const ECHO_REQUEST_V4: u8 = 8;
        const ECHO_REQUEST_V6: u8 = 128;
        let mut sources = Vec::new();
        let mut packet = [0; 2048];
        while let Ok((_, from)) = self.v4.recv_from(&mut packet) {
            // IPv4 raw sockets hand over the IP header as well (raw(7)).
            let header = usize::from(packet[0] & 0xf) * 4;
            if packet[header] == ECHO_REQUEST_V4 {
                sources.push(from.ip());
            }
        }
        while let Ok((_, from)) = self.v6.recv_from(&mut packet) {
            if packet[0] == ECHO_REQUEST_V6 {
                sources.push(from.ip());
            }
        }
        sources
    }
}
