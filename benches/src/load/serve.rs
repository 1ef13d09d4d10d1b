//! The servers of a workload: they accept, they echo, they swallow.

use std::io::Read;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use nix::sys::socket::{SockaddrIn, recvfrom};
use socket2::{Domain, SockRef, Socket, Type};

use super::cpu::Cpu;
use crate::lab::Ns;

/// TCP: accepts and closes.
pub(crate) const ACCEPT: u16 = 8080;
/// UDP: sends back what comes.
pub(crate) const ECHO: u16 = 7;
/// TCP: reads, one connection at a time.
pub(crate) const SINK: u16 = 5201;

/// As many connections as may wait until they are accepted.
const BACKLOG: i32 = 4096;

/// All three, each with a thread on the second processor, until dropped.
pub(crate) struct Servers(#[expect(dead_code, reason = "they serve until dropped")] [Server; 3]);

struct Server {
    /// Another name of its socket, to end it.
    socket: OwnedFd,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Servers {
    /// Serves in the namespace.
    pub(crate) fn start(ns: &Ns) -> Self {
        let any = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let udp = ns.run(|| UdpSocket::bind(any(ECHO))).unwrap();
        let [accept, sink] = [ACCEPT, SINK].map(|port| ns.run(|| listen(any(port))));
        Self([
            Server::start(accept, |listener| drop(listener.accept())),
            Server::start(udp, echo),
            Server::start(sink, swallow),
        ])
    }
}

impl Server {
    fn start<S: AsFd + Send + 'static>(socket: S, serve: fn(&S)) -> Self {
        let other = socket.as_fd().try_clone_to_owned().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let thread = thread::spawn(move || {
            Cpu::Second.pin();
            while !ended.load(Ordering::Acquire) {
                serve(&socket);
            }
        });
        Self { socket: other, over, thread: Some(thread) }
    }
}

impl Drop for Server {
    /// Its socket would keep the namespace.
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        // It wakes who waits, even where it says that there is no connection.
        let _ = SockRef::from(&self.socket).shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(address: SocketAddr) -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(BACKLOG).unwrap();
    socket.into()
}

fn echo(socket: &UdpSocket) {
    let mut datagram = [0; 2048];
    // Woken by its end it hears from nobody, which the standard library's call does not expect.
    let heard = recvfrom::<SockaddrIn>(socket.as_raw_fd(), &mut datagram);
    if let Ok((length, Some(peer))) = heard {
        let _ = socket.send_to(&datagram[..length], SocketAddrV4::from(peer));
    }
}

fn swallow(listener: &TcpListener) {
    if let Ok((mut stream, _)) = listener.accept() {
        let mut buffer = vec![0; 1 << 20];
        while stream.read(&mut buffer).is_ok_and(|length| length > 0) {}
    }
}
