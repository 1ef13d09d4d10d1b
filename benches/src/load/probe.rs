//! A question each millisecond, and who answers it.

use std::io::{PipeReader, PipeWriter};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};

use crate::lab::Ns;

/// From one question to the next.
pub(crate) const INTERVAL: Duration = Duration::from_millis(1);

/// An answer that takes longer is late: it was kept somewhere on its way.
const LATE: Duration = Duration::from_millis(5);

/// A datagram: its number, and who answered it.
const QUESTION: usize = 4;
const ANSWER: usize = QUESTION + 1;

/// Answers each datagram with the datagram and its own mark, until dropped.
pub(crate) struct Echo {
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    /// Serves that port of the namespace, both families.
    pub(crate) fn start(ns: &Ns, port: u16, mark: u8) -> Self {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let socket = ns.run(|| UdpSocket::bind(any)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let (stopped, stop) = std::io::pipe().unwrap();
        let thread = thread::spawn(move || echo(&socket, &stopped, mark));
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Echo {
    /// Its socket would keep the namespace.
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn echo(socket: &UdpSocket, stopped: &PipeReader, mark: u8) {
    let mut datagram = [0; 64];
    while ready(socket, stopped) {
        while let Ok((length, peer)) = socket.recv_from(&mut datagram) {
            datagram[length] = mark;
            let _ = socket.send_to(&datagram[..=length], peer);
        }
    }
}

/// Waits for a datagram; false when it is over.
fn ready(socket: &UdpSocket, stopped: &PipeReader) -> bool {
    let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
    let mut fds = [readable(socket.as_fd()), readable(stopped.as_fd())];
    let _ = poll(&mut fds, PollTimeout::NONE);
    !fds[1].any().unwrap_or(true)
}

/// Asks one address, one flow, until it is stopped.
pub(crate) struct Prober {
    stop: Arc<AtomicBool>,
    steady: Arc<Steady>,
    /// Closed, it ends the receiving thread.
    end: PipeWriter,
    asked: JoinHandle<Vec<Instant>>,
    answered: JoinHandle<Vec<(usize, Instant, u8)>>,
}

/// Who answers now, and for how many answers on end.
#[derive(Default)]
struct Steady {
    mark: AtomicU32,
    count: AtomicU32,
}

impl Prober {
    /// Asks from that namespace.
    pub(crate) fn start(ns: &Ns, to: (IpAddr, u16)) -> Self {
        let to = SocketAddr::from(to);
        let any: SocketAddr = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
        let socket = ns.run(|| UdpSocket::bind(any)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let listener = socket.try_clone().unwrap();
        let (stop, steady) = (Arc::new(AtomicBool::new(false)), Arc::new(Steady::default()));
        let (stopped, end) = std::io::pipe().unwrap();
        let (asking, hearing) = (Arc::clone(&stop), Arc::clone(&steady));
        Self {
            asked: thread::spawn(move || ask(&socket, to, &asking)),
            answered: thread::spawn(move || hear(&listener, &stopped, &hearing)),
            stop,
            steady,
            end,
        }
    }

    /// Whether the last so many answers came from there.
    pub(crate) fn is_steady(&self, mark: u8, answers: u32) -> bool {
        let Steady { mark: who, count } = &*self.steady;
        who.load(Ordering::Acquire) == u32::from(mark) && count.load(Ordering::Acquire) >= answers
    }

    /// Waits until that is so, or that time has passed; whether it is so.
    pub(crate) fn wait_for(&self, mark: u8, answers: u32, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        while !self.is_steady(mark, answers) {
            if Instant::now() >= end {
                return false;
            }
            thread::sleep(INTERVAL);
        }
        true
    }

    /// Ends it. What is under way then counts for nothing.
    pub(crate) fn stop(self) -> Record {
        self.stop.store(true, Ordering::Release);
        let asked = self.asked.join().unwrap();
        // The last ones may still be answered.
        thread::sleep(LATE * 4);
        drop(self.end);
        let mut probes: Vec<Probe> =
            asked.into_iter().map(|asked| Probe { asked, answer: None }).collect();
        for (number, at, mark) in self.answered.join().unwrap() {
            if let Some(probe) = probes.get_mut(number).filter(|probe| probe.answer.is_none()) {
                probe.answer = Some((at, mark));
            }
        }
        Record { probes }
    }
}

/// Asks at absolute times: one that is late is followed by the next without delay.
fn ask(socket: &UdpSocket, to: SocketAddr, stop: &AtomicBool) -> Vec<Instant> {
    let mut asked = Vec::with_capacity(1 << 14);
    let mut due = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap());
    while !stop.load(Ordering::Acquire) {
        due += INTERVAL;
        let time = TimeSpec::from(due);
        let _ =
            clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &time);
        let number = u32::try_from(asked.len()).unwrap();
        asked.push(Instant::now());
        // What cannot be sent is lost.
        let _ = socket.send_to(&number.to_be_bytes(), to);
    }
    asked
}

fn hear(socket: &UdpSocket, stopped: &PipeReader, steady: &Steady) -> Vec<(usize, Instant, u8)> {
    let mut heard = Vec::with_capacity(1 << 14);
    let mut datagram = [0; 64];
    while ready(socket, stopped) {
        while let Ok(length) = socket.recv(&mut datagram) {
            if length != ANSWER {
                continue;
            }
            let number = u32::from_be_bytes(datagram[..QUESTION].try_into().unwrap());
            let mark = datagram[QUESTION];
            heard.push((number as usize, Instant::now(), mark));
            if steady.mark.swap(mark.into(), Ordering::AcqRel) != u32::from(mark) {
                steady.count.store(0, Ordering::Release);
            }
            steady.count.fetch_add(1, Ordering::AcqRel);
        }
    }
    heard
}

/// A question.
#[derive(Debug, Clone, Copy)]
struct Probe {
    asked: Instant,
    /// When the first answer came, and from where.
    answer: Option<(Instant, u8)>,
}

/// All questions of a [`Prober`].
pub(crate) struct Record {
    probes: Vec<Probe>,
}

impl Record {
    /// Those that were asked before, and not answered.
    pub(crate) fn lost_before(&self, event: Instant) -> usize {
        let lost = |probe: &&Probe| probe.asked < event && probe.answer.is_none();
        self.probes.iter().filter(lost).count()
    }

    /// Those that were asked from then on, and not answered.
    pub(crate) fn lost_after(&self, event: Instant) -> usize {
        self.after(event).filter(|probe| probe.answer.is_none()).count()
    }

    /// Those that were answered, but late.
    pub(crate) fn late_after(&self, event: Instant) -> usize {
        let is_late = |probe: &&Probe| probe.answer.is_some_and(|(at, _)| at > probe.asked + LATE);
        self.after(event).filter(is_late).count()
    }

    /// The longest time after that in which no answer came.
    pub(crate) fn outage(&self, event: Instant) -> Duration {
        let mut times: Vec<Instant> =
            self.probes.iter().filter_map(|probe| Some(probe.answer?.0)).collect();
        times.sort_unstable();
        let ends = times.last().copied().max(self.probes.last().map(|probe| probe.asked));
        times.extend(ends);
        let gaps = times.windows(2).filter(|pair| pair[1] > event);
        gaps.map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// How long after that the first answer came from there.
    pub(crate) fn first(&self, mark: u8, event: Instant) -> Option<Duration> {
        let from_there = |probe: &Probe| probe.answer.filter(|(_, who)| *who == mark);
        let first = self.probes.iter().filter_map(from_there).map(|(at, _)| at).min()?;
        Some(first.saturating_duration_since(event))
    }

    fn after(&self, event: Instant) -> impl Iterator<Item = &Probe> {
        self.probes.iter().filter(move |probe| probe.asked >= event)
    }
}
