//! Thousands of calls that no dockerd would make: the driver answers every one, and forgets what it
//! is told to forget.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod dockerd;

use std::collections::BTreeSet;
use std::thread;

use dockerd::{Answer, Call, Host, Random, Recording};
use fip_core::kernel::{NewLink, Rtnl};
use fip_plugin::protocol::Method;
use serde_json::{Value, json};

const CALLS: usize = 10_000;
const THREADS: usize = 4;

/// What was answered without an error, and may still be there.
#[derive(Debug, Default)]
struct Made {
    networks: BTreeSet<String>,
    /// Network and endpoint.
    endpoints: BTreeSet<(String, String)>,
}

impl Made {
    fn note(&mut self, path: &str, body: &[u8], answer: &Answer) {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let id = |key: &str| body[key].as_str().map(str::to_owned);
        let (network, endpoint) = (id("NetworkID"), id("EndpointID"));
        let method = Method::from_path(path).filter(|_| answer.error().is_none());
        match (method, network, endpoint) {
            (Some(Method::CreateNetwork), Some(network), _) => _ = self.networks.insert(network),
            (Some(Method::CreateEndpoint), Some(network), Some(endpoint)) => {
                self.endpoints.insert((network, endpoint));
            }
            _ => {}
        }
    }

    /// Deletes all of it.
    fn delete(&self, host: &Host) {
        for (network, endpoint) in &self.endpoints {
            let body = json!({"NetworkID": network, "EndpointID": endpoint});
            delete(host, Method::DeleteEndpoint, &body);
        }
        for network in &self.networks {
            delete(host, Method::DeleteNetwork, &json!({"NetworkID": network}));
        }
    }
}

fn delete(host: &Host, method: Method, body: &Value) {
    let answer = host.call(method.path(), body.to_string().as_bytes());
    assert_eq!(answer.error(), None, "{method} {body}");
}

/// Makes calls up.
struct Fuzzer {
    random: Random,
    recorded: Vec<Call>,
    networks: Vec<String>,
    endpoints: Vec<String>,
}

impl Fuzzer {
    fn new(seed: u64) -> Self {
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let mut ids = |count: usize| -> Vec<String> {
            (0..count)
                .map(|_| format!("{:064x}", random.number()))
                .map(|id| reversed(&id))
                .collect()
        };
        let (mut networks, mut endpoints) = (ids(3), ids(8));
        // Such as begin like another: their links have the same names.
        for list in [&mut networks, &mut endpoints] {
            let twin = format!("{}{:052x}", &list[0][..12], 7);
            list.push(twin);
        }
        let recorded = Recording::all();
        let recorded = recorded.iter().flat_map(Recording::calls).cloned().collect();
        Self { random, recorded, networks, endpoints }
    }

    fn call(&mut self) -> (String, Vec<u8>) {
        let Call { path, body, .. } = self.random.pick(&self.recorded).clone();
        let path = match self.random.number() % 40 {
            0 => self.random.pick(&Method::ALL).path().to_owned(),
            1 => (*self.random.pick(PATHS)).to_owned(),
            _ => path,
        };
        let Some(mut body) = body else { return (path, Vec::new()) };
        self.set_ids(&mut body);
        if self.random.one_in(3) {
            for _ in 0..=self.random.number() % 3 {
                self.mutate(&mut body);
            }
        }
        let mut bytes = body.to_string().into_bytes();
        if self.random.one_in(20) {
            self.damage(&mut bytes);
        }
        (path, bytes)
    }

    /// Ids of few networks and endpoints, so that calls are often about what is there. Each
    /// network has its subnet.
    fn set_ids(&mut self, body: &mut Value) {
        let place = self.random.below(self.networks.len()).unwrap();
        let text = body.to_string().replace("172.18.", &format!("172.{}.", 16 + place));
        let text = text.replace("fd00:18:", &format!("fd00:{}:", 16 + place));
        *body = serde_json::from_str(&text).unwrap();
        for (key, id) in [
            ("NetworkID", self.networks[place].clone()),
            ("EndpointID", self.random.pick(&self.endpoints).clone()),
        ] {
            if let Some(value) = body.get_mut(key) {
                *value = json!(id);
            }
        }
    }

    /// Changes one place of it.
    fn mutate(&mut self, body: &mut Value) {
        let mut places = Vec::new();
        list_places(body, String::new(), &mut places);
        let place = self.random.pick(&places).clone();
        let junk = self.junk();
        let Some(value) = body.pointer_mut(&place) else { return };
        match (self.random.number() % 4, value) {
            (0 | 1, Value::Object(map)) => {
                map.insert((*self.random.pick(KEYS)).to_owned(), junk);
            }
            (2, Value::Object(map)) => {
                let keys: Vec<String> = map.keys().cloned().collect();
                if let Some(place) = self.random.below(keys.len()) {
                    map.remove(&keys[place]);
                }
            }
            (0 | 1, Value::Array(list)) => list.push(junk),
            (_, value) => *value = junk,
        }
    }

    fn junk(&mut self) -> Value {
        match self.random.number() % 14 {
            0 => Value::Null,
            1 => json!(self.random.one_in(2)),
            2 => json!(*self.random.pick(&[0, 1, -1, i64::MAX, i64::MIN])),
            3 => json!(1e308),
            4 => json!([]),
            5 => json!({}),
            6 => (0..100).fold(Value::Null, |inner, _| json!([inner])),
            7 => json!("a".repeat(100_000)),
            8 => json!(self.random.pick(&self.networks)),
            9 => json!(self.random.pick(&self.endpoints)),
            _ => json!(self.random.pick(TEXTS)),
        }
    }

    /// Makes it something else than JSON, perhaps.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let place = self.random.below(bytes.len()).unwrap_or_default();
        match self.random.number() % 4 {
            0 => bytes.truncate(place),
            1 => bytes.insert(place, self.random.number() as u8),
            2 => bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 0x20),
            _ => bytes.extend_from_within(place..),
        }
    }
}

/// Ids differ in their beginnings.
fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}

/// The JSON pointer (RFC 6901) of every value within.
fn list_places(value: &Value, place: String, places: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| {
            let key = key.replace('~', "~0").replace('/', "~1");
            list_places(inner, format!("{place}/{key}"), places);
        }),
        Value::Array(list) => list.iter().enumerate().for_each(|(number, inner)| {
            list_places(inner, format!("{place}/{number}"), places);
        }),
        _ => {}
    }
    places.push(place);
}

const PATHS: &[&str] = &[
    "",
    "/",
    "/NetworkDriver.",
    "/NetworkDriver.Join/..",
    "/networkdriver.join",
    "/VolumeDriver.Create",
    "/../../etc/passwd",
];

const KEYS: &[&str] = &[
    "",
    "Gateway",
    "AuxAddresses",
    "fip.address",
    "fip.egress",
    "fip.ports",
    "fip.uplink",
    "fip.allow",
    "fip.nonsense",
    "com.docker.network.generic",
    "com.docker.network.internal",
    "com.docker.network.bridge.name",
    "com.docker.network.bridge.enable_ip_masquerade",
    "com.docker.network.driver.mtu",
];

const TEXTS: &[&str] = &[
    "",
    ".",
    "..",
    "../../etc/passwd",
    "a/b",
    "nul\0",
    "two\nlines",
    "%s%n",
    "ä",
    "true",
    "0",
    "68",
    "1280",
    "99999999999999999999",
    "lo",
    "eth0",
    "br0",
    "172.16.0.7/16",
    "172.16.0.0/16",
    "172.18.0.0/33",
    "0.0.0.0/0",
    "0.0.0.0/32",
    "127.0.0.1/8",
    "224.0.0.1/4",
    "255.255.255.255/32",
    "192.0.2.0/24",
    "192.0.2.10/24",
    "192.0.2.1",
    "192.0.2.10",
    "192.0.2.77",
    "192.0.2.200",
    "192.0.2.200,192.0.2.201,2001:db8::200",
    "192.0.2.200-192.0.2.210",
    "192.0.2.200:tcp:80",
    "tcp:80,udp:53:5353",
    "203.0.113.7",
    "::/0",
    "::1/128",
    "fe80::1/64",
    "2001:db8::10/64",
    "2001:db8:7::1/64",
    "02:42:de:ad:be:ef",
    "ff:ff:ff:ff:ff:ff",
    "00:00:00:00:00:00",
    "/proc/self/ns/net",
];

#[test]
fn every_call_is_answered_and_nothing_is_left() {
    let mut host = Host::new();
    let before = host.footprint();
    let (mut made, mut fuzzer) = (Made::default(), Fuzzer::new(31_415_926));
    let mut done = 0;
    for number in 0..CALLS {
        let (path, body) = fuzzer.call();
        let answer = host.call(&path, &body);
        done += usize::from(answer.error().is_none());
        made.note(&path, &body, &answer);
        if number % 1000 == 0 {
            host.restart_driver();
        }
    }
    println!("{done} done of {CALLS}, {made:?}");
    assert!(done > CALLS / 10 && made.endpoints.len() > 10, "{done} done, {made:?}");
    made.delete(&host);
    assert_eq!(host.footprint().since(&before), Vec::<String>::new());
}

#[test]
fn calls_of_many_at_once_are_answered_and_nothing_is_left() {
    let host = Host::new();
    let before = host.footprint();
    let all: Vec<Made> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS as u64)
            .map(|number| {
                let host = &host;
                scope.spawn(move || {
                    // All have the same ids, each makes other calls.
                    let mut fuzzer = Fuzzer::new(2_718_281);
                    fuzzer.random = Random::new(number);
                    let mut made = Made::default();
                    for _ in 0..CALLS / THREADS {
                        let (path, body) = fuzzer.call();
                        let answer = host.call(&path, &body);
                        made.note(&path, &body, &answer);
                    }
                    made
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    all.iter().for_each(|made| made.delete(&host));
    assert_eq!(host.footprint().since(&before), Vec::<String>::new());
}

/// Docker's own driver names its bridges as this one does.
#[test]
fn a_bridge_of_another_driver_is_nobodys_to_delete() {
    let host = Host::new();
    let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let bridge = dockerd::name("br-0123456789ab");
    host.kernel.clone().create_link(&NewLink::Bridge { name: bridge, mtu: 1500 }).unwrap();
    let before = host.footprint();
    delete(&host, Method::DeleteNetwork, &json!({"NetworkID": id}));
    assert_eq!(host.footprint().since(&before), Vec::<String>::new());
    assert!(host.link("br-0123456789ab").is_some());
}
