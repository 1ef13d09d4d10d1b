//! Who watches and has nothing to do sleeps.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lab;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use fip_core::fip::{BindOptions, OnRival};
use fip_core::{Binding, FloatingIps, Options, Owner};

use lab::{Family, Lan, Ns, container, lan};

/// How long the watch is looked at.
const WHILE: Duration = Duration::from_millis(800);

/// How often this thread has gone to sleep.
fn sleeps() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}

/// How many packets the card has received.
fn received(host: &Ns) -> u64 {
    let text = host.ip("-s -o link show dev eth0");
    // After the headings come bytes, packets, ...
    let numbers = text.split("RX:").nth(1).unwrap().split_whitespace();
    numbers.filter_map(|word| word.parse().ok()).nth(1).unwrap()
}

/// Asks by ARP and neighbour discovery for addresses of the LAN, as any host does.
fn talk(client: &Ns) {
    client.run(|| {
        let sockets = ["0.0.0.0:0", "[::]:0"].map(|any| UdpSocket::bind(any).unwrap());
        for number in 100..200 {
            for (socket, family) in sockets.iter().zip(Family::BOTH) {
                let _ = socket.send_to(b"?", (lan(family, number), 9));
            }
        }
    });
}

#[test]
fn what_neighbours_ask_each_other_wakes_nobody() {
    let network = Lan::new();
    let (client, host) = (network.client(), network.host_a());
    host.bridge("br0", 18);
    let bindings = Family::BOTH
        .map(|family| Binding::new(lan(family, 100), container(family, 18, 2)).unwrap());
    let netns = host.path().to_str().unwrap().parse().unwrap();
    let fips = FloatingIps::open_in(&netns, Options::default()).unwrap();
    let options = BindOptions { announcements: 1, ..BindOptions::default() };
    let mut watch =
        fips.watch([Owner::default()], bindings.to_vec(), options, OnRival::Yield).unwrap();
    while watch.next(Some(Instant::now() + Duration::from_millis(100))).unwrap().is_some() {}

    // To count packets is to sleep as well.
    let packets = received(&host);
    let slept = sleeps();
    let event = std::thread::scope(|scope| {
        scope.spawn(|| talk(&client));
        watch.next(Some(Instant::now() + WHILE)).unwrap()
    });
    let slept = sleeps() - slept;
    let packets = received(&host) - packets;
    assert!(event.is_none(), "{event:?}");
    assert!(packets >= 100, "nobody asked: {packets} packets");
    // Its own sleep, and the other thread's beginning and end.
    assert!(slept < 10, "it was woken {slept} times");
}
