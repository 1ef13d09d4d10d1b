//! Flows that live longer than one question.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};

use super::ns::Ns;
use super::traffic::{tcp_whoami, udp_socket};
use super::whoami::{RECEIVE_ROOM, Reply};
use super::{ANSWER, PATIENCE, wait_for};

/// A UDP flow: always the same two ports.
pub(crate) struct UdpFlow {
    socket: UdpSocket,
    asked: u64,
}

impl UdpFlow {
    pub(crate) fn open(ns: &Ns, to: (IpAddr, u16)) -> Self {
        Self { socket: flow_socket(ns, to), asked: 0 }
    }

    /// Asks anew, and waits for the answer to this very question, however busy the machine is.
    pub(crate) fn ask(&mut self) -> Option<Reply> {
        self.ask_within(PATIENCE)
    }

    /// The same where nobody should answer.
    pub(crate) fn ask_in_vain(&mut self) -> Option<Reply> {
        self.ask_within(ANSWER)
    }

    fn ask_within(&mut self, patience: Duration) -> Option<Reply> {
        self.asked += 1;
        let question = self.asked.to_string();
        // An ICMP error for an earlier question shows up here, once, and sends nothing.
        if self.socket.send(question.as_bytes()).is_err() {
            self.socket.send(question.as_bytes()).ok()?;
        }
        let deadline = Instant::now() + patience;
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
    setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_ROOM).unwrap();
    socket
}

/// The next answer; ICMP errors in between are passed over. What is there already is taken after the
/// deadline too.
fn receive(socket: &UdpSocket, deadline: Instant) -> Option<Reply> {
    let mut buffer = [0; 512];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
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
        let to = SocketAddr::from(to);
        let stream = ns.run(|| TcpStream::connect_timeout(&to, PATIENCE)).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Asks once more, and waits for the answer, however busy the machine is; an error when the
    /// connection is dead, or silent.
    pub(crate) fn ask(&mut self) -> Result<Reply, String> {
        self.ask_within(PATIENCE)
    }

    /// The same where nobody should answer.
    pub(crate) fn ask_in_vain(&mut self) -> Result<Reply, String> {
        self.ask_within(ANSWER)
    }

    fn ask_within(&mut self, patience: Duration) -> Result<Reply, String> {
        self.stream.get_ref().set_read_timeout(Some(patience)).unwrap();
        let mut line = String::new();
        let mut ask = || {
            self.stream.get_mut().write_all(b"?\n")?;
            self.stream.read_line(&mut line)
        };
        ask().map_err(|error| error.to_string())?;
        line.parse()
    }
}

/// Who asks over TCP again and again rests for so long in between. Each connection keeps its port for
/// a minute after its end, and once half of the ports are taken the kernel has to search for more.
pub(crate) const TCP_PACE: Duration = Duration::from_millis(5);

/// Asks again and again in the background: over UDP, one flow, a question each millisecond unless
/// the server is behind, and over TCP, one connection after the other.
pub(crate) struct Prober {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    socket: Arc<UdpSocket>,
    udp: Line,
    tcp: Line,
}

/// The numbers of the questions that were answered, and by whom, in order of the questions: not of
/// the answers, for who is held up may answer an earlier question after another has answered a
/// later one.
type Seen = Vec<(usize, String)>;

/// One of the two, and what it has seen.
struct Line {
    seen: Arc<Mutex<Seen>>,
    thread: JoinHandle<()>,
}

impl Prober {
    /// Starts asking from `ns`.
    pub(crate) fn start(ns: &Arc<Ns>, to: (IpAddr, u16)) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(AtomicUsize::new(0));
        let socket = Arc::new(flow_socket(ns, to));
        let (ns, count) = (ns.clone(), asked.clone());
        let mut asking = Asking { socket: socket.clone(), heard: Instant::now() };
        Self {
            udp: Line::start(&stop, move |number, seen| {
                count.fetch_add(1, Ordering::Relaxed);
                asking.ask(number, seen);
            }),
            tcp: Line::start(&stop, move |number, seen| {
                if let Ok(reply) = tcp_whoami(&ns, to) {
                    note(seen, number, reply);
                }
                std::thread::sleep(TCP_PACE);
            }),
            stop,
            asked,
            socket,
        }
    }

    /// How many questions over UDP have no answer so far.
    pub(crate) fn lost(&self) -> usize {
        let answered = self.udp.seen.lock().unwrap().len();
        self.asked.load(Ordering::Relaxed).saturating_sub(answered)
    }

    /// Waits until that server has the last word on both lines: the latest question that was
    /// answered is answered by it.
    pub(crate) fn wait_for(&self, name: &str) {
        for (protocol, line) in [("UDP", &self.udp), ("TCP", &self.tcp)] {
            wait_for(&format!("an answer by {name} over {protocol}"), || {
                let seen = line.seen.lock().unwrap();
                (seen.last()?.1 == name).then_some(())
            });
        }
    }

    /// Waits until this many more questions were answered over UDP: about as many milliseconds.
    pub(crate) fn wait_for_answers(&self, count: usize) {
        let answered = || self.udp.seen.lock().unwrap().len();
        let enough = answered() + count;
        wait_for("answers over UDP", || (answered() >= enough).then_some(()));
    }

    /// Stops, and returns who answered, in order of the questions: over UDP, and over TCP.
    pub(crate) fn stop(self) -> (Vec<String>, Vec<String>) {
        self.ask_no_more();
        let end = |line: &Line| {
            let seen = line.seen.lock().unwrap();
            seen.iter().map(|(_, name)| name.clone()).collect()
        };
        (end(&self.udp), end(&self.tcp))
    }

    /// Stops, waits for what is on its way, and returns how many questions over UDP have no answer.
    pub(crate) fn lost_in_the_end(self) -> usize {
        self.ask_no_more();
        let deadline = Instant::now() + PATIENCE;
        while self.lost() > 0
            && let Some(reply) = receive(&self.socket, deadline)
        {
            note_udp(&self.udp.seen, reply);
        }
        self.lost()
    }

    fn ask_no_more(&self) {
        self.stop.store(true, Ordering::Relaxed);
        wait_for("the prober to stop", || {
            (self.udp.thread.is_finished() && self.tcp.thread.is_finished()).then_some(())
        });
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Line {
    /// `ask` gets the number of its question.
    fn start(
        stop: &Arc<AtomicBool>,
        mut ask: impl FnMut(usize, &Mutex<Seen>) + Send + 'static,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Seen::new()));
        let (stop, here) = (stop.clone(), seen.clone());
        let thread = std::thread::spawn(move || {
            (0..)
                .take_while(|_| !stop.load(Ordering::Relaxed))
                .for_each(|number| ask(number, &here));
        });
        Self { seen, thread }
    }
}

/// How far a server may be behind with its answers before the next question waits for it.
const LAG: usize = 100;

/// Who has not answered for so long is not behind, but gone.
const SILENCE: Duration = Duration::from_millis(100);

/// The UDP flow of a [`Prober`].
struct Asking {
    socket: Arc<UdpSocket>,
    /// When an answer came last.
    heard: Instant,
}

impl Asking {
    /// Asks once, and takes what has arrived and what arrives within a millisecond. Questions that
    /// pile up at a server would keep it from answering anybody else.
    fn ask(&mut self, number: usize, seen: &Mutex<Seen>) {
        let _ = self.socket.send(number.to_string().as_bytes());
        let next = Instant::now() + Duration::from_millis(1);
        while self.hears(next, seen) {}
        let is_behind = || seen.lock().unwrap().last().is_some_and(|last| last.0 + LAG < number);
        while is_behind() && self.hears(self.heard + SILENCE, seen) {}
    }

    fn hears(&mut self, until: Instant, seen: &Mutex<Seen>) -> bool {
        let Some(reply) = receive(&self.socket, until) else {
            return false;
        };
        self.heard = Instant::now();
        note_udp(seen, reply);
        true
    }
}

/// A question over UDP is its own number.
fn note_udp(seen: &Mutex<Seen>, reply: Reply) {
    note(seen, reply.question.parse().unwrap(), reply);
}

fn note(seen: &Mutex<Seen>, number: usize, reply: Reply) {
    let mut seen = seen.lock().unwrap();
    let place = seen.partition_point(|(earlier, _)| *earlier <= number);
    seen.insert(place, (number, reply.name));
}
