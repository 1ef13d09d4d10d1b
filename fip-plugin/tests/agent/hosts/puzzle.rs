//! Four hosts, five services that all want port 80, one address for each.

use std::net::IpAddr;

use super::*;
use crate::lab::{tcp_whoami, wait_for};

const FAMILY: Family = Family::V4;

const NAMES: [&str; 4] = ["A", "B", "C", "D"];

/// On which host each service is at first.
const FIRST: [usize; 5] = [0, 1, 2, 3, 0];

struct Cluster {
    lan: Lan,
    client: Ns,
    /// None that are dead.
    sides: Vec<Option<Side>>,
    services: Vec<Service>,
}

struct Service {
    web: Web,
    at: usize,
    floating: IpAddr,
}

fn name(service: usize) -> String {
    format!("page-{service}")
}

impl Cluster {
    fn new() -> Self {
        let network = Lan::new();
        let client = network.client();
        let numbered = NAMES.into_iter().zip(11..);
        let side = |(name, number)| Some(Side::new(&network, name, number, Kind::Rancher));
        let sides = numbered.map(side).collect();
        let mut cluster = Self { lan: network, client, sides, services: Vec::new() };
        for (service, at) in FIRST.into_iter().enumerate() {
            let web = cluster.start(service, at);
            let floating = lan(FAMILY, 201 + u8::try_from(service).unwrap());
            cluster.services.push(Service { web, at, floating });
        }
        cluster.tell();
        cluster.sides.iter_mut().flatten().for_each(|side| side.start(""));
        cluster
    }

    fn side(&self, at: usize) -> &Side {
        self.sides[at].as_ref().unwrap()
    }

    fn start(&self, service: usize, at: usize) -> Web {
        self.side(at).run(&name(service), 2 + u8::try_from(service).unwrap())
    }

    /// All hosts that live know where everything runs.
    fn tell(&self) {
        let job = |s: &Service| s.web.job(self.side(s.at), s.floating);
        let jobs: Vec<_> = self.services.iter().map(job).collect();
        self.sides.iter().flatten().for_each(|side| side.teller.tell(&jobs));
    }

    /// Every address answers with its own page, from a server that sees the client.
    #[track_caller]
    fn assert_all_answer(&self) {
        for (number, service) in self.services.iter().enumerate() {
            let reply = wait_for(&format!("an answer of {}", name(number)), || {
                let reply = tcp_whoami(&self.client, (service.floating, 80)).ok()?;
                (reply.name == name(number)).then_some(reply)
            });
            assert_eq!(reply.peer, lan(FAMILY, 1));
            self.side(service.at).agent().wait_for_state(service.floating, "bound");
        }
    }

    /// Nobody hears the host any more.
    fn unplug(&self, victim: usize) {
        self.lan.switch.ip(&format!("link set {} down", NAMES[victim]));
    }

    /// The host is dead, with all that ran on it; those services are started on the others.
    fn kill(&mut self, victim: usize) {
        let mut dead = self.sides[victim].take().unwrap();
        dead.end("KILL");
        dead.host.ip("link set eth0 down");
        let moved = (0..self.services.len()).filter(|&s| self.services[s].at == victim);
        for (count, service) in moved.collect::<Vec<_>>().into_iter().enumerate() {
            let at = (victim + 1 + count) % self.sides.len();
            let web = self.start(service, at);
            let service = &mut self.services[service];
            (service.web, service.at) = (web, at);
        }
        self.tell();
    }
}

fn any_host_may_die(victim: usize) {
    let mut cluster = Cluster::new();
    cluster.assert_all_answer();
    cluster.unplug(victim);
    // Until then it may still have announced what it has.
    let capture = Capture::start(&cluster.lan.switch);
    cluster.kill(victim);
    cluster.assert_all_answer();
    capture.catch_up(&cluster.client);
    for service in cluster.services.iter().filter(|service| FIRST[service.number()] == victim) {
        assert_order(&capture.claims(service.floating), &[cluster.side(service.at)]);
    }
}

impl Service {
    fn number(&self) -> usize {
        let IpAddr::V4(floating) = self.floating else { unreachable!() };
        usize::from(floating.octets()[3] - 201)
    }
}

#[test]
fn host_a_dies() {
    any_host_may_die(0);
}

#[test]
fn host_b_dies() {
    any_host_may_die(1);
}

#[test]
fn host_c_dies() {
    any_host_may_die(2);
}

#[test]
fn host_d_dies() {
    any_host_may_die(3);
}
