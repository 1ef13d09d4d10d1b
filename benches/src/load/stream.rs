//! One TCP flow, as fast as it goes.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::cpu::Cpu;
use crate::lab::Ns;

/// Bytes of a write.
const CHUNK: usize = 128 << 10;
/// Until the window has grown.
const WARM_UP: Duration = Duration::from_millis(300);

/// Writes to a server for that long, and returns Gbit/s. What is still in the buffers at the end is
/// as much as was there at the beginning.
pub(crate) fn gbit_s(ns: &Ns, to: SocketAddr, time: Duration) -> f64 {
    ns.run(|| {
        Cpu::First.pin();
        let mut stream = TcpStream::connect(to).unwrap();
        let chunk = vec![0; CHUNK];
        send(&mut stream, &chunk, WARM_UP);
        let began = Instant::now();
        let bytes = send(&mut stream, &chunk, time);
        bytes as f64 * 8.0 / began.elapsed().as_secs_f64() / 1e9
    })
}

fn send(stream: &mut TcpStream, chunk: &[u8], time: Duration) -> u64 {
    let (mut sent, end) = (0, Instant::now() + time);
    while Instant::now() < end {
        stream.write_all(chunk).expect("the flow broke off");
        sent += chunk.len() as u64;
    }
    sent
}
