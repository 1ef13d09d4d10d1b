//! Flows that live longer than one question.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::ns::Ns;
use super::traffic::{tcp_whoami, udp_socket};
use super::whoami::Reply;
use super::{ANSWER, wait_for};

/// A UDP flow: always the same two ports.
pub(crate) struct UdpFlow {
    socket: UdpSocket,
    asked: u64,
}

impl UdpFlow {
    pub(crate) fn open(ns: &Ns, to: (IpAddr, u16)) -> Self {
        Self { socket: flow_socket(ns, to), asked: 0 }
    }

    /// Asks anew, and waits for the answer to this very question.
    pub(crate) fn ask(&mut self) -> Option<Reply> {
        self.asked += 1;
        let question = self.asked.to_string();
        // An ICMP error for an earlier question shows up here, once, and sends nothing.
        if self.socket.send(question.as_bytes()).is_err() {
            self.socket.send(question.as_bytes()).ok()?;
        }
        let deadline = Instant::now() + ANSWER;
        loop {
            let reply = receive(&self.socket, deadline)?;
            if reply.question == question {
                return Some(reply);
            }
        }
    }
}

/// A UDP socket for [`receive`], which does the waiting.
fn flow_socket(ns: &Ns, to: (IpAddr, u16)) -> UdpSocket {
    let socket = ns.run(|| udp_socket(SocketAddr::from(to))).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// The next answer; ICMP errors in between are passed over.
fn receive(socket: &UdpSocket, deadline: Instant) -> Option<Reply> {
    let mut buffer = [0; 512];
    loop {
        let left = deadline.checked_duration_since(Instant::now())?;
        // The socket's own timeout would be as coarse as the kernel's clock ticks.
        let left = PollTimeout::try_from(left.as_micros().div_ceil(1000)).unwrap();
        poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], left).unwrap();
        match socket.recv(&mut buffer) {
            Ok(length) => return String::from_utf8_lossy(&buffer[..length]).parse().ok(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(_) => {}
        }
    }
}

/// A TCP connection that stays open.
pub(crate) struct TcpFlow {
    stream: BufReader<TcpStream>,
}

impl TcpFlow {
    pub(crate) fn open(ns: &Ns, to: (IpAddr, u16)) -> Self {
        let stream = ns.run(|| TcpStream::connect_timeout(&SocketAddr::from(to), ANSWER)).unwrap();
        stream.set_read_timeout(Some(ANSWER)).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Asks once more; an error when the connection is dead, or silent.
    pub(crate) fn ask(&mut self) -> Result<Reply, String> {
        let mut line = String::new();
        let mut ask = || {
            self.stream.get_mut().write_all(b"?\n")?;
            self.stream.read_line(&mut line)
        };
        ask().map_err(|error| error.to_string())?;
        line.parse()
    }
}

/// Asks again and again in the background: over UDP, one flow, a question each millisecond, and
/// over TCP, one connection after the other.
pub(crate) struct Prober {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    udp: Line,
    tcp: Line,
}

/// One of the two, and what it has seen.
struct Line {
    seen: Arc<Mutex<Vec<String>>>,
    thread: JoinHandle<()>,
}

impl Prober {
    /// Starts asking from `ns`.
    pub(crate) fn start(ns: &Arc<Ns>, to: (IpAddr, u16)) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(AtomicUsize::new(0));
        let socket = flow_socket(ns, to);
        let (ns, count) = (ns.clone(), asked.clone());
        Self {
            udp: Line::start(&stop, move |seen| {
                count.fetch_add(1, Ordering::Relaxed);
                probe_udp(&socket, seen);
            }),
            tcp: Line::start(&stop, move |seen| {
                if let Ok(reply) = tcp_whoami(&ns, to) {
                    note(seen, reply);
                }
            }),
            stop,
            asked,
        }
    }

    /// How many questions over UDP have no answer so far.
    pub(crate) fn lost(&self) -> usize {
        let answered = self.udp.seen.lock().unwrap().len();
        self.asked.load(Ordering::Relaxed).saturating_sub(answered)
    }

    /// Waits until that server has the last word on both lines.
    pub(crate) fn wait_for(&self, name: &str) {
        for (protocol, line) in [("UDP", &self.udp), ("TCP", &self.tcp)] {
            wait_for(&format!("an answer by {name} over {protocol}"), || {
                let seen = line.seen.lock().unwrap();
                (seen.last()? == name).then_some(())
            });
        }
    }

    /// Waits until this many more questions were answered over UDP: about as many milliseconds.
    pub(crate) fn wait_for_answers(&self, count: usize) {
        let answered = || self.udp.seen.lock().unwrap().len();
        let enough = answered() + count;
        wait_for("answers over UDP", || (answered() >= enough).then_some(()));
    }

    /// Stops, and returns who answered, in order: over UDP, and over TCP.
    pub(crate) fn stop(self) -> (Vec<String>, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let end = |line: &Line| line.seen.lock().unwrap().clone();
        wait_for("the prober to stop", || {
            (self.udp.thread.is_finished() && self.tcp.thread.is_finished()).then_some(())
        });
        (end(&self.udp), end(&self.tcp))
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Line {
    fn start(stop: &Arc<AtomicBool>, ask: impl Fn(&Mutex<Vec<String>>) + Send + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (stop, here) = (stop.clone(), seen.clone());
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                ask(&here);
            }
        });
        Self { seen, thread }
    }
}

/// Asks once, and takes what arrives within a millisecond.
fn probe_udp(socket: &UdpSocket, seen: &Mutex<Vec<String>>) {
    let _ = socket.send(b"?");
    let next = Instant::now() + Duration::from_millis(1);
    while let Some(reply) = receive(socket, next) {
        note(seen, reply);
    }
}

fn note(seen: &Mutex<Vec<String>>, reply: Reply) {
    seen.lock().unwrap().push(reply.name);
}
