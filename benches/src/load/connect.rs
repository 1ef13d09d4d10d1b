//! New TCP connections: how many in a second, and how long one takes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::{Domain, Socket, Type};

use super::cpu::Cpu;
use crate::lab::Ns;

/// So many are under way where the rate is measured.
pub(crate) const AT_ONCE: usize = 64;

/// Beyond this a connection that is under way has failed.
const PATIENCE: Duration = Duration::from_secs(3);

/// The first port of a caller, and how many there are.
const PORTS: (u16, u16) = (1_100, 63_000);

/// What became of the connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connects {
    /// From the first packet until the connection was there.
    times: Vec<Duration>,
    pub(crate) failed: usize,
    took: Duration,
}

impl Connects {
    /// Connections in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }

    /// The time, in microseconds, that this part of the connections did not exceed.
    pub(crate) fn quantile_us(&self, part: f64) -> f64 {
        super::quantile_us(&self.times, part)
    }
}

/// Connects one after the other for that long, from the namespace, each time from another port.
pub(crate) fn one_by_one(ns: &Ns, to: SocketAddr, time: Duration) -> Connects {
    ns.run(|| {
        Cpu::First.pin();
        let (mut all, began) = (Connects::default(), Instant::now());
        while began.elapsed() < time {
            let socket = caller(false);
            let sent = Instant::now();
            match socket.connect_timeout(&to.into(), PATIENCE) {
                Ok(()) => all.times.push(sent.elapsed()),
                Err(_) => all.failed += 1,
            }
        }
        all.took = began.elapsed();
        all
    })
}

/// Connects for that long, with [`AT_ONCE`] under way.
pub(crate) fn at_once(ns: &Ns, to: SocketAddr, time: Duration) -> Connects {
    ns.run(|| {
        Cpu::First.pin();
        Crowd::new(to).run(time)
    })
}

/// The connections that are under way.
struct Crowd {
    to: SocketAddr,
    epoll: Epoll,
    places: Vec<Option<(Socket, Instant)>>,
    all: Connects,
}

impl Crowd {
    fn new(to: SocketAddr) -> Self {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        let places = (0..AT_ONCE).map(|_| None).collect();
        Self { to, epoll, places, all: Connects::default() }
    }

    fn run(mut self, time: Duration) -> Connects {
        let began = Instant::now();
        loop {
            let elapsed = began.elapsed();
            if elapsed < time {
                (0..AT_ONCE).for_each(|place| self.fill(place));
            } else if self.places.iter().all(Option::is_none) {
                break;
            } else if elapsed > time + PATIENCE {
                self.all.failed += self.places.iter().flatten().count();
                break;
            }
            self.finish();
        }
        self.all.took = began.elapsed();
        self.all
    }

    fn fill(&mut self, place: usize) {
        if self.places[place].is_some() {
            return;
        }
        let socket = caller(true);
        let sent = Instant::now();
        match socket.connect(&self.to.into()) {
            Ok(()) => self.all.times.push(sent.elapsed()),
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
                let writable = EpollEvent::new(EpollFlags::EPOLLOUT, place as u64);
                self.epoll.add(&socket, writable).unwrap();
                self.places[place] = Some((socket, sent));
            }
            Err(_) => self.all.failed += 1,
        }
    }

    /// Takes out those that are there by now.
    fn finish(&mut self) {
        let mut events = [EpollEvent::empty(); AT_ONCE];
        let count = self.epoll.wait(&mut events, EpollTimeout::from(200u8)).unwrap_or(0);
        for event in &events[..count] {
            let Some((socket, sent)) = self.places[event.data() as usize].take() else { continue };
            match socket.take_error() {
                Ok(None) => self.all.times.push(sent.elapsed()),
                _ => self.all.failed += 1,
            }
        }
    }
}

/// A socket with a port that was not used for long. Closed, it resets its connection, so that
/// neither side remembers it.
fn caller(is_nonblocking: bool) -> Socket {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let (first, count) = PORTS;
    for _ in 0..count {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % count;
        match open(port, is_nonblocking) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            other => return other.expect("cannot open a socket"),
        }
    }
    panic!("no port is free to connect from");
}

fn open(port: u16, is_nonblocking: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(is_nonblocking)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    Ok(socket)
}
