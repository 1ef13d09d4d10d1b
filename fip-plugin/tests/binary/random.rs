//! Ten thousand calls at random, from several clients at once.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::daemon::{Caller, Daemon, PATIENCE, Place, endpoint, join, network};

const CLIENTS: u64 = 4;
const REQUESTS: usize = 10_000 / CLIENTS as usize;

/// Where the calls come from, unless `FIP_SEED` says otherwise.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Bytes that the process may have more at the end: what the allocator keeps.
const KEPT: usize = 64 << 20;

const METHODS: [&str; 14] = [
    "CreateNetwork",
    "DeleteNetwork",
    "CreateEndpoint",
    "EndpointOperInfo",
    "DeleteEndpoint",
    "Join",
    "Leave",
    "ProgramExternalConnectivity",
    "RevokeExternalConnectivity",
    "GetCapabilities",
    "GwAllocCheck",
    "AllocateNetwork",
    "DiscoverNew",
    "Nonsense",
];

const IDS: [&str; 8] = ["n1", "n2", "e1", "e2", "../../canary", "", "a/b", "\u{0}"];

/// Marsaglia's xorshift: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    /// Any JSON value, not too deep.
    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 6 } else { 8 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => json!(self.below(1 << 20) as i64 - (1 << 19)),
            3 => json!(self.pick(&IDS)),
            4 => {
                json!(self.pick(&["172.18.0.0/16", "172.18.0.1/16", "192.168.99.200", "fe80::/10"]))
            }
            5 => json!("x".repeat(self.below(3000))),
            6 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            _ => (0..self.below(4))
                .map(|_| {
                    (self.pick(&["fip.address", "Pool", "x"]).to_owned(), self.value(depth - 1))
                })
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// A call as dockerd makes it, or nearly.
    fn call(&mut self) -> (&'static str, Vec<u8>) {
        let method = self.pick(&METHODS);
        let (net, end) = (self.pick(&IDS[..3]), self.pick(&IDS[1..5]));
        let options = match self.below(3) {
            0 => json!({"fip.address": "192.168.99.200"}),
            1 => json!({"fip.address": self.value(1)}),
            _ => json!({}),
        };
        let mut body = match method {
            "CreateNetwork" => network(net),
            "CreateEndpoint" => endpoint(net, end, &options),
            "Join" => join(net, end),
            _ => json!({"NetworkID": net, "EndpointID": end}),
        };
        for _ in 0..self.below(2) {
            let keys: Vec<String> = body.as_object().unwrap().keys().cloned().collect();
            body[&keys[self.below(keys.len())]] = self.value(2);
        }
        let mut bytes = body.to_string().into_bytes();
        match self.below(8) {
            0 => bytes.truncate(self.below(bytes.len())),
            1 => {
                let at = self.below(bytes.len());
                bytes[at] = self.below(256) as u8;
            }
            _ => {}
        }
        (method, bytes)
    }
}

#[test]
fn ten_thousand_random_calls_do_no_harm() {
    let seed = std::env::var("FIP_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    println!("FIP_SEED={seed}");
    let place = Place::new();
    let (files, host) = (place.foreign_files(), place.network());
    let plugin = place.serve();
    sweep(&plugin);
    let before = plugin.usage();

    let counts = thread::scope(|scope| {
        let clients: Vec<_> = (1..=CLIENTS)
            .map(|client| {
                let caller = plugin.caller();
                scope.spawn(move || storm(&caller, Random(seed.wrapping_mul(client) | 1)))
            })
            .collect();
        let mut all = BTreeMap::<(u16, bool), usize>::new();
        for client in clients {
            for (answer, count) in client.join().unwrap() {
                *all.entry(answer).or_default() += count;
            }
        }
        all
    });

    println!("answers (status, failed): {counts:?}");
    assert!(counts.keys().all(|(status, _)| [200, 400, 404].contains(status)), "{counts:?}");
    // It is no test if all fail at the first hurdle.
    for answer in [(200, false), (200, true), (400, true), (404, true)] {
        assert!(counts.contains_key(&answer), "{counts:?}");
    }
    sweep(&plugin);
    plugin.assert_alive();
    assert_eq!(place.foreign_files(), files);
    assert_eq!(place.network(), host);
    for kind in ["networks", "endpoints"] {
        let left = std::fs::read_dir(place.state().join(kind)).unwrap().count();
        assert_eq!(left, 0, "{kind}");
    }
    settled(&plugin, before);
    let after = plugin.usage();
    println!("before {before:?}, after {after:?}");
    assert!(after.memory <= before.memory + KEPT, "{before:?}, {after:?}");
    assert!(after.peak <= before.memory + 2 * KEPT, "{before:?}, {after:?}");
    assert_eq!(plugin.end("TERM").code, Some(0));
}

/// Asks a client's share. How often which status came, with a failure or without.
fn storm(plugin: &Caller, mut random: Random) -> BTreeMap<(u16, bool), usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..REQUESTS {
        let (method, body) = random.call();
        let (status, answer) = plugin.post(&format!("/NetworkDriver.{method}"), &body);
        *counts.entry((status, answer.contains("\"Err\""))).or_default() += 1;
    }
    counts
}

/// Removes all that can have been made.
fn sweep(plugin: &Daemon) {
    for net in IDS.into_iter().filter(|id| id.starts_with(['n', 'e'])) {
        plugin.call_ok("DeleteNetwork", &json!({"NetworkID": net}));
    }
}

/// Waits until the process has no more threads, and hardly more files, than it had: some handles
/// on the kernel are kept for the next call.
fn settled(plugin: &Daemon, before: crate::daemon::Usage) {
    const HANDLES: usize = 32;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = plugin.usage();
        if now.threads <= before.threads && now.files <= before.files + HANDLES {
            return;
        }
        assert!(Instant::now() < deadline, "{before:?}, and still {now:?}");
        thread::sleep(Duration::from_millis(10));
    }
}
