//! Round trips of an established flow, one at a time.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::cpu::Cpu;
use crate::lab::Ns;

/// A question that is not answered by then is lost.
const PATIENCE: Duration = Duration::from_millis(200);
/// Bytes of a question.
const SIZE: usize = 64;
/// An IPv4 header without options, before what a raw socket receives.
const IP_HEADER: usize = 20;
/// `ICMP_ECHO`; its answer is of type 0.
const ECHO_REQUEST: u8 = 8;

/// What became of the questions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trips {
    times: Vec<Duration>,
    pub(crate) lost: usize,
}

impl Trips {
    /// The time, in microseconds, that this part of the round trips did not exceed.
    pub(crate) fn quantile_us(&self, part: f64) -> f64 {
        super::quantile_us(&self.times, part)
    }

    /// Asks so often; the first twentieth only warms up. `ask` tells whether the answer came.
    fn of(count: u32, mut ask: impl FnMut(u32) -> bool) -> Self {
        Cpu::First.pin();
        let (mut trips, warm_up) = (Self::default(), count / 20);
        for number in 0..count + warm_up {
            let sent = Instant::now();
            let answered = ask(number);
            let took = sent.elapsed();
            match answered {
                false => trips.lost += 1,
                true if number >= warm_up => trips.times.push(took),
                true => {}
            }
        }
        trips
    }
}

/// Datagrams to an echo server.
pub(crate) fn udp(ns: &Ns, to: SocketAddr, count: u32) -> Trips {
    ns.run(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(to).unwrap();
        Trips::of(count, |number| {
            let mut question = [0; SIZE];
            question[..4].copy_from_slice(&number.to_be_bytes());
            let mut answer = [0; SIZE];
            let sent = socket.send(&question).is_ok();
            sent && until(|| socket.recv(&mut answer).ok().map(|_| answer == question))
        })
    })
}

/// Echo requests, as of `ping`.
pub(crate) fn icmp(ns: &Ns, to: IpAddr, count: u32) -> Trips {
    ns.run(|| {
        let mut socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(&SocketAddr::from((to, 0)).into()).unwrap();
        let identifier = std::process::id() as u16;
        Trips::of(count, |number| {
            let question = echo_request(identifier, number as u16);
            let mut answer = [0; 2048];
            let sent = socket.send(&question).is_ok();
            sent && until(|| {
                let length = socket.read(&mut answer).ok()?;
                let answer = answer[..length].get(IP_HEADER..)?;
                Some(answer.first() == Some(&0) && answer.get(4..) == Some(&question[4..]))
            })
        })
    })
}

/// Receives until it is the answer (true), or until nothing comes any more.
fn until(mut receive: impl FnMut() -> Option<bool>) -> bool {
    loop {
        match receive() {
            Some(false) => {}
            Some(true) => return true,
            None => return false,
        }
    }
}

/// RFC 792: type, code, checksum, identifier, sequence number.
fn echo_request(identifier: u16, number: u16) -> [u8; SIZE] {
    let mut message = [0; SIZE];
    message[0] = ECHO_REQUEST;
    message[4..6].copy_from_slice(&identifier.to_be_bytes());
    message[6..8].copy_from_slice(&number.to_be_bytes());
    let sum: u32 =
        message.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    // Some thirty words: folding once leaves no carry but one.
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    message
}
