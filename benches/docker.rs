//! What the plugin adds to Docker's commands: a network of the built-in bridge driver beside one of
//! `fip`, on a real engine, with 0, 1,000 and 10,000 floating addresses of somebody else bound on
//! the host.
//!
//! One of each is measured in turn, so that whatever else this machine does meets all alike. A
//! ratio is of the medians, to the built-in driver's with as many addresses present.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../fip-core/tests/lab/mod.rs"]
mod lab;

#[path = "../fip-plugin/tests/docker/mod.rs"]
mod docker;

#[path = "docker/api.rs"]
mod api;
#[path = "docker/table.rs"]
mod table;

use std::env;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use docker::{Engine, IMAGE, Options, Plugin};
use fip_core::claim::{Claim, RivalPolicy};
use fip_core::fip::BindOptions;
use fip_core::netns::NetNs;
use fip_core::{Binding, FloatingIps};
use lab::{Lan, Ns};
use table::Table;

const COUNTS: [u32; 3] = [0, 1_000, 10_000];

/// What is left to be done when a command returns must not count against the next one.
const REST: Duration = Duration::from_millis(50);

/// The floating address of the container. Those of somebody else are in another subnet.
const FLOATING: &str = "192.168.99.200";

/// A container that waits to be connected.
const IDLE: &str = "idle";

/// What is compared.
struct Case<'a> {
    name: &'static str,
    engine: &'a Engine,
    network: &'static str,
    floating: bool,
}

/// How a container gets into a network.
struct Operation {
    rounds: usize,
    begin: (&'static str, fn(&Case<'_>)),
    end: (&'static str, fn(&Case<'_>)),
}

const OPERATIONS: [Operation; 3] = [
    Operation {
        rounds: 40,
        begin: ("POST /networks/ID/connect", api_connect),
        end: ("POST /networks/ID/disconnect", api_disconnect),
    },
    Operation {
        rounds: 15,
        begin: ("docker network connect", cli_connect),
        end: ("docker network disconnect", cli_disconnect),
    },
    Operation { rounds: 15, begin: ("docker run -d", run), end: ("docker rm -f", remove) },
];

fn main() {
    let lan = Lan::new();
    let hosts = [lan.host_a(), lan.host_b()];
    let engines = Engine::start_each([&hosts[0], &hosts[1]], &Options::default());
    let [asks, trusts] = &engines;
    let _plugins = [Plugin::start(asks, ""), Plugin::start(trusts, "--probe 0")];
    for engine in &engines {
        engine.docker_ok("network create --subnet 172.18.0.0/16 built-in");
        engine.docker_ok("network create --driver fip --subnet 172.19.0.0/16 fip");
        engine.docker_ok(&format!("run --detach --name {IDLE} {IMAGE}"));
    }
    let cases = [
        Case { name: "bridge", engine: asks, network: "built-in", floating: false },
        Case { name: "fip", engine: asks, network: "fip", floating: false },
        Case { name: "fip.address", engine: asks, network: "fip", floating: true },
        Case { name: "fip.address, --probe 0", engine: trusts, network: "fip", floating: true },
    ];
    let table = Table::start();
    for count in COUNTS {
        hosts.iter().for_each(|host| occupy(host, count));
        let wanted = OPERATIONS.iter().filter(|operation| is_wanted(operation, count));
        wanted.for_each(|operation| measure(operation, &cases, count, &table));
    }
}

/// Whether the arguments do not ask for others only, as `-- connect,10000`.
fn is_wanted(operation: &Operation, count: u32) -> bool {
    let filters: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let name = format!("{},{count}", operation.begin.0);
    filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
}

/// Binds that many floating addresses, in the name of somebody else.
fn occupy(host: &Ns, count: u32) {
    let nth = |first: [u8; 4], n| Ipv4Addr::from_bits(Ipv4Addr::from(first).to_bits() + n).into();
    let bindings: Vec<Binding> = (0..count)
        .map(|n| Binding::new(nth([172, 28, 0, 1], n), nth([172, 30, 0, 1], n)).unwrap())
        .collect();
    let netns: NetNs = host.path().display().to_string().parse().unwrap();
    let mut fips = FloatingIps::open_in(&netns, fip_core::Options::default()).unwrap();
    let claim = Claim { policy: RivalPolicy::TakeOver, ..Claim::default() };
    let options = BindOptions { replace: false, claim, announcements: 0 };
    fips.reconcile(&"bench".parse().unwrap(), &bindings, &options).unwrap();
}

fn measure(operation: &Operation, cases: &[Case<'_>], count: u32, table: &Table) {
    let mut times = vec![(Vec::new(), Vec::new()); cases.len()];
    // The first round warms up.
    for round in 0..=operation.rounds {
        for (case, (begins, ends)) in cases.iter().zip(&mut times) {
            let took = [operation.begin.1, operation.end.1].map(|step| {
                thread::sleep(REST);
                let began = Instant::now();
                step(case);
                began.elapsed()
            });
            if round > 0 {
                begins.push(took[0]);
                ends.push(took[1]);
            }
        }
    }
    let (begins, ends): (Vec<_>, Vec<_>) = times.into_iter().unzip();
    for (name, times) in [(operation.begin.0, begins), (operation.end.0, ends)] {
        let names = cases.iter().map(|case| case.name);
        table.print(name, count, names.zip(times));
    }
}

impl Case<'_> {
    fn post(&self, action: &str, body: &str) {
        let socket = self.engine.machine().path("/run/docker.sock");
        api::post(&socket, &format!("/networks/{}/{action}", self.network), body);
    }

    fn driver_option(&self) -> String {
        if self.floating { format!("fip.address={FLOATING}") } else { String::new() }
    }
}

fn api_connect(case: &Case<'_>) {
    let options = if case.floating {
        format!(r#","EndpointConfig":{{"DriverOpts":{{"fip.address":"{FLOATING}"}}}}"#)
    } else {
        String::new()
    };
    case.post("connect", &format!(r#"{{"Container":"{IDLE}"{options}}}"#));
}

fn api_disconnect(case: &Case<'_>) {
    case.post("disconnect", &format!(r#"{{"Container":"{IDLE}"}}"#));
}

fn cli_connect(case: &Case<'_>) {
    let option =
        if case.floating { "--driver-opt " } else { "" }.to_owned() + &case.driver_option();
    case.engine.docker_ok(&format!("network connect {option} {} {IDLE}", case.network));
}

fn cli_disconnect(case: &Case<'_>) {
    case.engine.docker_ok(&format!("network disconnect {} {IDLE}", case.network));
}

fn run(case: &Case<'_>) {
    let option = if case.floating { ",driver-opt=" } else { "" }.to_owned() + &case.driver_option();
    let network = format!("name={}{option}", case.network);
    case.engine.docker_ok(&format!("run --detach --name new --network {network} {IMAGE}"));
}

fn remove(case: &Case<'_>) {
    case.engine.docker_ok("rm --force new");
}
