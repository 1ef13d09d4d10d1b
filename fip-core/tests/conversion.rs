//! How an address is held changes, between an address of the link and a local route, while its
//! neighbours go on: real traffic.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lab;

use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use fip_core::kernel::host::Host as Kernel;
use fip_core::kernel::{Deed, Hold, Rtnl, Wire};
use fip_core::netns::NetNs;
use fip_core::{Binding, FloatingIps, Options, Owner};
use lab::{
    ANSWER, Capture, Claim, Family, Host, Lan, Ns, Prober, TcpFlow, Whoami, Workload, lan,
    udp_whoami,
};

/// Host A with a workload, and a client of the LAN.
struct Scene {
    lan: Lan,
    client: Arc<Ns>,
    a: Host,
    target: Workload,
    _server: Whoami,
}

impl Scene {
    fn new() -> Self {
        let lan = Lan::new();
        let (client, a) = (Arc::new(lan.client()), lan.host_a());
        a.bridge("br0", 18);
        let target = a.workload("target", "br0", 18, 2);
        let server = Whoami::start(&target, &[80]);
        Self { lan, client, a, target, _server: server }
    }

    fn floating(&self) -> IpAddr {
        lan(Family::V4, 200)
    }

    /// A process that holds addresses so, and has nothing to make up for that an earlier one left
    /// undone.
    fn process(&self, hold: Option<Hold>) -> FloatingIps<Kernel> {
        let netns = self.a.path().to_str().unwrap().parse().unwrap();
        let mut fips =
            FloatingIps::open_in(&netns, Options { hold, ..Options::default() }).unwrap();
        fips.unbind(lan(Family::V4, 99), &[], &Owner::default()).unwrap();
        fips
    }

    /// Binds the address; the changes.
    fn bind(&self, fips: &mut FloatingIps<Kernel>) -> Vec<String> {
        let binding = Binding::new(self.floating(), self.target.address(Family::V4)).unwrap();
        fips.bind(&binding).unwrap().changes
    }

    /// Has the address held as an address, and then by a route, so many times.
    fn convert(&self, rounds: usize) {
        let [route, address] = ["local route", "address"]
            .map(|what| format!("{what} {}/32 dev eth0", self.floating()));
        let mut processes = [Hold::Address, Hold::Route].map(|hold| self.process(Some(hold)));
        for _ in 0..rounds {
            for (fips, (new, old)) in
                processes.iter_mut().zip([(&address, &route), (&route, &address)])
            {
                assert_eq!(self.bind(fips), [format!("add {new}"), format!("delete {old}")]);
            }
        }
    }

    /// What the LAN was told of the address since the capture began.
    fn claims(&self, capture: &Capture) -> Vec<Claim> {
        capture.catch_up(&self.client);
        capture.claims(self.floating())
    }
}

fn netns(ns: &Ns) -> NetNs {
    ns.path().to_str().unwrap().parse().unwrap()
}

/// Asks the LAN so many times who has the address; whose answers came, one after the other.
fn ask(ns: &Ns, address: IpAddr, times: usize) -> Vec<Option<String>> {
    let mut kernel = Kernel::open_in(&netns(ns)).unwrap();
    let links = kernel.links().unwrap();
    let card = links.iter().find(|link| link.name.as_str() == "eth0").unwrap();
    let mut answers = Vec::new();
    for _ in 0..times {
        kernel.probe(card, &[address]).unwrap();
        let until = Instant::now() + ANSWER;
        // What neighbours say of other addresses is no answer.
        let mut heard = std::iter::from_fn(|| kernel.heard(card, until).unwrap());
        let answer = heard.find(|who| (who.address, who.deed) == (address, Deed::Holds));
        answers.push(answer.map(|who| who.mac.to_string()));
        answers.dedup();
    }
    answers
}

#[test]
fn whoever_asks_meanwhile_is_answered() {
    let scene = Scene::new();
    let floating = scene.floating();
    scene.bind(&mut scene.process(None));
    let mut connection = TcpFlow::open(&scene.client, (floating, 80));
    assert_eq!(connection.ask().unwrap().name, "target");
    let prober = Prober::start(&scene.client, (floating, 80));
    prober.wait_for("target");
    let answers = thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&scene.client, floating, 3000));
        while !asking.is_finished() {
            scene.convert(10);
        }
        asking.join().unwrap()
    });
    assert_eq!(answers, [Some(scene.a.mac("eth0"))], "always, and by nobody else");
    assert_eq!(prober.lost_in_the_end(), 0, "every question is answered");
    assert_eq!(connection.ask().unwrap().name, "target");
}

#[test]
fn what_was_answered_all_the_time_is_neither_probed_for_nor_announced() {
    let scene = Scene::new();
    scene.bind(&mut scene.process(None));
    let (floating, mac) = (scene.floating(), scene.a.mac("eth0"));
    // A neighbour that knows it already does not ask.
    let known = format!("neigh replace {floating} lladdr {mac} dev eth0 nud permanent");
    scene.client.ip(&known);
    let capture = Capture::start(&scene.lan.switch);
    scene.convert(2);
    assert_eq!(udp_whoami(&scene.client, (floating, 80)).unwrap().name, "target");
    assert_eq!(scene.claims(&capture), []);
}

#[test]
fn what_was_not_answered_is_probed_for_and_announced() {
    let scene = Scene::new();
    scene.bind(&mut scene.process(None));
    let (floating, mac) = (scene.floating(), scene.a.mac("eth0"));
    scene.a.sysctl("net/ipv4/conf/eth0/arp_ignore", "1");
    // Somebody else had it, as far as this neighbour knows.
    let other = "lladdr 02:00:00:00:00:77 dev eth0 nud reachable";
    scene.client.ip(&format!("neigh replace {floating} {other}"));
    assert!(udp_whoami(&scene.client, (floating, 80)).is_err());
    let capture = Capture::start(&scene.lan.switch);
    assert_eq!(scene.bind(&mut scene.process(None)).len(), 2);
    let claims = scene.claims(&capture);
    let first = claims.iter().position(|claim| *claim == Claim::Holds(mac.clone()));
    let last = claims.iter().rposition(|claim| *claim == Claim::Probes(mac.clone()));
    assert!(last.is_some() && last < first, "first the question, then the claim: {claims:?}");
    assert_eq!(udp_whoami(&scene.client, (floating, 80)).unwrap().name, "target");
}
