//! Pings every millisecond.

use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::{Ns, wait_for};

/// An echo request (RFC 792) with identifier and sequence number 0: type 8, code 0, checksum.
const REQUEST: [u8; 8] = [8, 0, 0xf7, 0xff, 0, 0, 0, 0];

/// Silence that is longer is the end.
const SILENCE: Duration = Duration::from_millis(50);

/// The times of the first and the last answer since it was armed.
type Answers = Mutex<Option<(Instant, Instant)>>;

/// Pings one address, until it is dropped.
pub(super) struct Pinger {
    answers: Arc<Answers>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Pinger {
    pub(super) fn start(ns: &Ns, to: Ipv4Addr) -> Self {
        let open = || Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4));
        let socket = Arc::new(ns.run(open).unwrap());
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        let (answers, stop) = (Arc::<Answers>::default(), Arc::<AtomicBool>::default());
        let asks = {
            let (socket, stop) = (socket.clone(), stop.clone());
            thread::spawn(move || ask(&socket, to, &stop))
        };
        let hears = {
            let (answers, stop) = (answers.clone(), stop.clone());
            thread::spawn(move || hear(&socket, to, &answers, &stop))
        };
        Self { answers, stop, threads: vec![asks, hears] }
    }

    /// Forgets what was answered.
    pub(super) fn arm(&self) {
        *self.answers.lock().unwrap() = None;
    }

    /// Waits for the first answer: when it came.
    pub(super) fn first_answer(&self) -> Instant {
        wait_for("a ping to be answered", || self.answers.lock().unwrap().map(|(first, _)| first))
    }

    /// Waits until nobody answers any more.
    pub(super) fn wait_for_silence(&self) {
        wait_for("pings to stay unanswered", || {
            let last = self.answers.lock().unwrap().map(|(_, last)| last);
            last.is_none_or(|last| last.elapsed() > 4 * SILENCE).then_some(())
        });
    }
}

impl Drop for Pinger {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

fn ask(socket: &Socket, to: Ipv4Addr, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        // While nobody has the address the kernel says so here.
        let _ = socket.send_to(&REQUEST, &SocketAddrV4::new(to, 0).into());
        thread::sleep(Duration::from_millis(1));
    }
}

fn hear(socket: &Socket, from: Ipv4Addr, answers: &Answers, stop: &AtomicBool) {
    let mut buffer = [MaybeUninit::uninit(); 128];
    while !stop.load(Ordering::Relaxed) {
        match socket.recv_from(&mut buffer) {
            Ok((_, sender)) if sender.as_socket_ipv4().is_some_and(|s| *s.ip() == from) => {
                let now = Instant::now();
                let mut answers = answers.lock().unwrap();
                answers.get_or_insert((now, now)).1 = now;
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("pings cannot be heard: {error}"),
        }
    }
}
