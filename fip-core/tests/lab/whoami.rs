//! A server that tells who it is and whom it sees.

use std::fmt;
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::str::FromStr;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};

use super::ns::Ns;

/// What a [`Whoami`] answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The server's name.
    pub(crate) name: String,
    /// Whose request it saw.
    pub(crate) peer: IpAddr,
    /// The port it was asked at.
    pub(crate) port: u16,
    /// What it was asked.
    pub(crate) question: String,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.name, self.peer, self.port, self.question)
    }
}

impl FromStr for Reply {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.trim_end().split(' ').collect();
        let parse = || {
            let [name, peer, port, question] = parts.as_slice() else {
                return None;
            };
            Some(Self {
                name: (*name).to_owned(),
                peer: peer.parse().ok()?,
                port: port.parse().ok()?,
                question: (*question).to_owned(),
            })
        };
        parse().ok_or_else(|| format!("not an answer: {text:?}"))
    }
}

/// A TCP and UDP server, IPv4 and IPv6, until dropped. It answers each line and each datagram.
pub(crate) struct Whoami {
    // Closed by the drop: that is what the server's thread waits for.
    _stop: PipeWriter,
}

impl Whoami {
    /// Serves these ports of the namespace. From its return on, questions are answered.
    pub(crate) fn start(ns: &Ns, ports: &[u16]) -> Self {
        let doors = ns.run(|| ports.iter().map(|&port| Door::open(port)).collect());
        let (stopped, stop) = std::io::pipe().unwrap();
        let name = ns.name().to_owned();
        std::thread::spawn(move || serve(&name, doors, &stopped));
        Self { _stop: stop }
    }
}

/// What datagrams may fill before one is lost, in bytes: a server that others keep from running for
/// seconds still answers each.
pub(super) const RECEIVE_ROOM: usize = 16 << 20;

/// One port, both protocols.
struct Door {
    port: u16,
    tcp: TcpListener,
    udp: UdpSocket,
}

impl Door {
    fn open(port: u16) -> Self {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let tcp = TcpListener::bind(any).unwrap();
        let udp = UdpSocket::bind(any).unwrap();
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        setsockopt(&udp, sockopt::RcvBufForce, &RECEIVE_ROOM).unwrap();
        Self { port, tcp, udp }
    }
}

fn serve(name: &str, doors: Vec<Door>, stopped: &PipeReader) {
    let mut streams: Vec<(u16, TcpStream)> = Vec::new();
    while wait(&doors, &streams, stopped) {
        for door in &doors {
            while let Ok((stream, _)) = door.tcp.accept() {
                stream.set_nonblocking(true).unwrap();
                streams.push((door.port, stream));
            }
            // One at a time: as many as come would leave no turn for the streams.
            let mut question = [0; 512];
            if let Ok((length, peer)) = door.udp.recv_from(&mut question) {
                let reply = reply(name, door.port, peer, &question[..length]);
                let _ = door.udp.send_to(reply.as_bytes(), peer);
            }
        }
        streams.retain_mut(|(port, stream)| answer(name, *port, stream));
    }
}

/// Waits for something to do; false when it is over.
fn wait(doors: &[Door], streams: &[(u16, TcpStream)], stopped: &PipeReader) -> bool {
    let sockets = doors.iter().flat_map(|door| [door.tcp.as_fd(), door.udp.as_fd()]);
    let streams = streams.iter().map(|(_, stream)| stream.as_fd());
    let mut all: Vec<PollFd<'_>> = std::iter::once(stopped.as_fd())
        .chain(sockets)
        .chain(streams)
        .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
        .collect();
    poll(&mut all, PollTimeout::NONE).unwrap();
    !all[0].any().unwrap()
}

/// Answers what has arrived; false when the stream is at its end.
fn answer(name: &str, port: u16, stream: &mut TcpStream) -> bool {
    let mut question = [0; 512];
    loop {
        match stream.read(&mut question) {
            Ok(0) => return false,
            Ok(length) => {
                let Ok(peer) = stream.peer_addr() else {
                    return false;
                };
                let reply = reply(name, port, peer, &question[..length]);
                if stream.write_all(reply.as_bytes()).is_err() {
                    return false;
                }
            }
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

fn reply(name: &str, port: u16, peer: SocketAddr, question: &[u8]) -> String {
    let question = String::from_utf8_lossy(question).trim_end().to_owned();
    format!("{}\n", Reply { name: name.to_owned(), peer: peer.ip().to_canonical(), port, question })
}
