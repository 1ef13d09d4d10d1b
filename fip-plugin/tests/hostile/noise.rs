//! Random requests: near misses and plain noise.

use std::io::Write;

use fip_plugin::http::Limits;

use crate::server::{Server, Stream, alone, echo, receive};

const REQUESTS: usize = 10_000;

/// Where the requests come from, unless `FIP_SEED` says otherwise.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// What requests are made of.
const PIECES: [&[u8]; 24] = [
    b"POST /NetworkDriver.Join HTTP/1.1\r\nHost: \r\n",
    b"POST / HTTP/1.0\r\n",
    b"GET / HTTP/1.1\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 5000000\r\n",
    b"Content-Length: 18446744073709551615\r\n",
    b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Expect: 100-continue\r\n",
    b"Accept: application/vnd.docker.plugins.v1.2+json\r\n",
    b"\r\n",
    b"\r\n",
    b"\r\n",
    b"\n",
    b"5\r\nhello\r\n",
    b"0\r\n",
    b"ffffffffffffffff\r\n",
    b"{\"NetworkID\":\"",
    b"hello",
    b"\0",
    b"\xff\xff\xff\xff",
    b": ",
];

/// Marsaglia's xorshift: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn request(&mut self) -> Vec<u8> {
        let mut bytes = match self.below(8) {
            0 => (0..self.below(3000)).map(|_| self.below(256) as u8).collect(),
            1 => PIECES[self.below(PIECES.len())].repeat(self.below(3000)),
            2..=5 => {
                [PIECES[0], PIECES[3 + self.below(6)], b"\r\n", b"5\r\nhello\r\n0\r\n\r\n"].concat()
            }
            _ => (0..self.below(12))
                .flat_map(|_| PIECES[self.below(PIECES.len())].to_vec())
                .collect(),
        };
        for _ in 0..self.below(3) {
            self.damage(&mut bytes);
        }
        bytes
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let at = self.below(bytes.len());
        match self.below(4) {
            0 => bytes[at] = self.below(256) as u8,
            1 => bytes.truncate(at),
            2 => drop(bytes.remove(at)),
            _ => bytes.insert(at, self.below(256) as u8),
        }
    }
}

#[test]
fn ten_thousand_random_requests_do_no_harm() {
    let _alone = alone();
    let seed = std::env::var("FIP_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    println!("FIP_SEED={seed}");
    let server = Server::start(Limits::default(), echo);
    let mut random = Random(seed.max(1));
    let mut counts = std::collections::BTreeMap::<u16, usize>::new();
    for _ in 0..REQUESTS {
        let mut stream = server.unix();
        let _ = stream.write_all(&random.request());
        stream.end();
        *counts.entry(receive(stream).status).or_default() += 1;
    }
    println!("answers: {counts:?}");
    let known = [0, 200, 400, 403, 405, 408, 413, 431, 501, 505];
    assert!(counts.keys().all(|status| known.contains(status)), "{counts:?}");
    // It is no test if all fail at the first hurdle.
    for status in [200, 400, 405, 413, 501, 505] {
        assert!(counts.contains_key(&status), "{counts:?}");
    }
    server.assert_alive();
}
