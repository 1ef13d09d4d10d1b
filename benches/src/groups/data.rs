//! What a packet and a connection cost on their way to a workload, however many floating addresses
//! there are.

mod paths;
mod show;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::harness::{Bench, Case, Figures, Group, in_turn};
use crate::load::serve::{ACCEPT, ECHO, SINK};
use crate::load::{connect, rtt, stream};
use paths::Path;

pub(crate) use show::{plots, tables};

/// How many floating addresses the host has.
const COUNTS: [u64; 3] = [1, 1_000, 10_000];

/// The limit, and the others.
const ROUTED: &str = "routed, no NAT";
const HOST: &str = "the host itself";
const FIP: &str = "fip";
const NFT: &str = "nft, two maps";
const IPTABLES: &str = "iptables, three rules each";
const DOCKER: &str = "docker run -p";

/// How long and how often each is measured in a round.
#[derive(Clone, Copy)]
struct Effort {
    connects: Duration,
    stream: Duration,
    trips: u32,
}

pub(crate) fn run(bench: &Bench) -> Group {
    let mut group = Group::new("data");
    let rounds = bench.of(4, 1);
    let millis = Duration::from_millis;
    let effort = bench.of(
        Effort { connects: millis(500), stream: millis(2_000), trips: 3_000 },
        Effort { connects: millis(80), stream: millis(80), trips: 300 },
    );
    describe(&mut group, bench, rounds, effort);
    let counts = bench.of(&COUNTS[..], &COUNTS[..2]);
    let paths = paths::all(&mut group, counts);
    for path in &paths {
        check(path);
    }
    let cases =
        paths.iter().map(|path| Case::new(path.name, path.present, move || measure(path, effort)));
    group.rows = in_turn(rounds, bench.of(1, 0), cases.collect());
    group
}

fn describe(group: &mut Group, bench: &Bench, rounds: usize, effort: Effort) {
    group.set("rounds", rounds);
    group.set("processors", "who asks is on the first, who answers on the second");
    group.set(
        "connections",
        format!(
            "{} ms one at a time for the time that one takes, {} ms with {} under way for the \
             rate; each from another port, ended by a reset; tracked connections are forgotten \
             after each",
            effort.connects.as_millis(),
            effort.connects.as_millis(),
            connect::AT_ONCE
        ),
    );
    group.set("round trips", format!("{} of 64 bytes, one at a time, one flow", effort.trips));
    group.set("throughput", format!("one TCP flow, {} ms", effort.stream.as_millis()));
    group.set("the address that is asked", "the last of N; of iptables the last rules");
    group.uses("fip", &bench.programs.fip);
}

/// Every way to ask gets an answer, from the workload where it is one that should.
fn check(path: &Path) {
    path.must_reach();
    let figures = measure(
        path,
        Effort {
            connects: Duration::from_millis(20),
            stream: Duration::from_millis(20),
            trips: 20,
        },
    );
    for (metric, value) in figures {
        let is_loss = [show::FAILED, show::LOST].contains(&metric);
        assert_eq!(is_loss, value == 0.0, "{} ({:?}): {metric} {value}", path.name, path.present);
    }
}

fn measure(path: &Path, effort: Effort) -> Figures {
    let (client, address) = (path.client(), path.address);
    let at = |port| SocketAddr::from((address, port));
    let one = connect::one_by_one(client, at(ACCEPT), effort.connects);
    path.forget();
    let many = connect::at_once(client, at(ACCEPT), effort.connects);
    path.forget();
    let udp = rtt::udp(client, at(ECHO), effort.trips);
    let mut lost = udp.lost;
    let mut figures = vec![
        (show::RATE, many.rate()),
        (show::CONNECT, one.quantile_us(0.5)),
        (show::CONNECT_99, one.quantile_us(0.99)),
        (show::UDP, udp.quantile_us(0.5)),
        (show::UDP_99, udp.quantile_us(0.99)),
    ];
    // Docker publishes no ICMP.
    if path.name != DOCKER {
        let icmp = rtt::icmp(client, IpAddr::V4(address), effort.trips);
        lost += icmp.lost;
        figures.push((show::ICMP, icmp.quantile_us(0.5)));
    }
    figures.push((show::STREAM, stream::gbit_s(client, at(SINK), effort.stream)));
    figures.push((show::FAILED, (one.failed + many.failed) as f64));
    figures.push((show::LOST, lost as f64));
    path.forget();
    figures
}
