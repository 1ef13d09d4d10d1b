//! The agent's network actuator with a real Docker and the real driver: what is wished for is
//! reachable from the LAN, and what goes wrong concerns nobody else.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use fip_plugin::agent::actuator::network::{MARKER, NetworkActuator, NetworkSpec};
use fip_plugin::agent::actuator::{Actuator, Bell, Held, Holder, Signal};
use fip_plugin::agent::model::{Presence, State, Wish, Workload};
use fip_plugin::docker::Docker;
use fip_plugin::options::parse_floating;

use crate::docker::{Engine, IMAGE, Options, PATIENCE, Plugin, fetch};
use crate::lab::{Host, Lan, Ns, wait_for};
use crate::scene::{LABEL, v4, visit};

const ALLOW: &str = "--allow 192.168.99.0/24";

/// A LAN with a client, and a host with Docker and the driver.
struct Site {
    plugin: Plugin,
    engine: Engine,
    client: Ns,
    host: Host,
    _lan: Lan,
}

impl Site {
    fn new() -> Self {
        let lan = Lan::new();
        let (host, client) = (lan.host_a(), lan.client());
        let engine = Engine::start(&host, &Options::default());
        let plugin = Plugin::start(&engine, ALLOW);
        Self { plugin, engine, client, host, _lan: lan }
    }

    fn actuator(&self) -> Agent {
        Agent::start(&self.engine, spec())
    }

    /// A container on Docker's own bridge that serves its name, and the wish for that address.
    fn web(&self, name: &str, asks: &str) -> Wish {
        self.engine.web(name, "", name);
        self.wish(name, asks)
    }

    fn wish(&self, name: &str, asks: &str) -> Wish {
        let container = self.engine.inspect(&format!("container {name}"));
        let workload = Workload {
            id: name.to_owned(),
            name: name.to_owned(),
            container: Some(container["Id"].as_str().unwrap().to_owned()),
            asks: asks.to_owned(),
            age: 0,
            run: 0,
            presence: Presence::Running(Vec::new()),
        };
        Wish { workload: workload.into(), floating: parse_floating(asks).unwrap() }
    }

    #[track_caller]
    fn reaches(&self, number: u8, page: &str) {
        assert_eq!(visit(&self.client, v4(number), page), Ok(v4(1)), "{number}");
    }

    #[track_caller]
    fn does_not_reach(&self, number: u8) {
        let found = fetch(&self.client, v4(number));
        assert!(found.is_err(), "{number}: {found:?}");
        let card = self.host.carried("eth0");
        assert!(!card.contains(&v4(number).to_string()), "{card}");
    }

    /// Its endpoint on the network `fip`, as Docker has it; `Null` if there is none.
    fn endpoint(&self, name: &str) -> serde_json::Value {
        let mut container = self.engine.inspect(&format!("container {name}"));
        container["NetworkSettings"]["Networks"]["fip"].take()
    }

    fn networks(&self) -> String {
        self.engine.docker_ok("network ls --format {{.Name}}")
    }
}

fn spec() -> NetworkSpec {
    NetworkSpec {
        name: "fip".to_owned(),
        driver: "fip".to_owned(),
        subnets: vec!["172.18.0.0/16".parse().unwrap()],
        options: BTreeMap::new(),
    }
}

/// An actuator, and what it tells.
struct Agent {
    actuator: NetworkActuator,
    signals: Receiver<Signal>,
    heard: Vec<Signal>,
}

impl Agent {
    fn start(engine: &Engine, spec: NetworkSpec) -> Self {
        let socket = engine.machine().path("/run/docker.sock");
        let docker = Docker::new(&format!("unix://{}", socket.display()), Duration::from_secs(5));
        let (heard, signals) = channel();
        let bell = Bell::new(move |signal| _ = heard.send(signal));
        let actuator = NetworkActuator::start(&docker.unwrap(), spec, bell).unwrap();
        Self { actuator, signals, heard: Vec::new() }
    }

    /// Pursues the wishes as the agent does, until all states are as expected.
    #[track_caller]
    fn pursue_until(&mut self, wishes: &[Wish], expected: impl Fn(&[State]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut states = self.actuator.pursue(wishes).states;
            let states: Vec<State> =
                wishes.iter().map(|wish| states.remove(&wish.workload.id).unwrap()).collect();
            if expected(&states) {
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain: {states:?}");
            while let Ok(signal) = self.signals.recv_timeout(left) {
                if signal == Signal::Progress {
                    break;
                }
                self.heard.push(signal);
            }
        }
    }

    #[track_caller]
    fn bind(&mut self, wishes: &[Wish]) {
        self.pursue_until(wishes, |states| states.iter().all(|state| *state == State::Bound));
    }

    /// Pursues them, and waits until there is nothing more to do.
    fn settle(&mut self, wishes: &[Wish]) {
        self.actuator.pursue(wishes);
        self.actuator.settle();
    }

    /// Waits until exactly these have come and not left again: an address is bound before that is
    /// told.
    #[track_caller]
    fn wait_for_came(&mut self, expected: &[IpAddr]) {
        wait_for("the addresses to come", || (self.came() == expected).then_some(()));
    }

    /// The addresses that have come and not left again.
    fn came(&mut self) -> Vec<IpAddr> {
        self.heard.extend(self.signals.try_iter());
        let mut present = Vec::new();
        for signal in &self.heard {
            match *signal {
                Signal::Came { address, .. } => present.push(address),
                Signal::Left { address } => present.retain(|here| *here != address),
                _ => {}
            }
        }
        present
    }
}

/// The reason for which a wish waits.
fn waits_for(state: &State, text: &str) -> bool {
    matches!(state, State::Waiting(why) if why.contains(text))
}

#[test]
fn a_wish_is_made_true_changed_and_taken_back() {
    let site = Site::new();
    let wish = site.web("c1", "192.168.99.200");
    let mut agent = site.actuator();
    let plan = agent.actuator.plan(std::slice::from_ref(&wish)).unwrap();
    let expected =
        ["+ network fip (driver fip, 172.18.0.0/16)", "+ c1: 192.168.99.200 (network fip)"];
    assert_eq!(plan, expected);
    assert!(!site.networks().contains("fip"), "a plan makes nothing");

    agent.bind(std::slice::from_ref(&wish));
    site.reaches(200, "c1");
    agent.wait_for_came(&[v4(200)]);
    let options = site.endpoint("c1")["DriverOpts"].take();
    assert_eq!(options, serde_json::json!({ "fip.address": "192.168.99.200", MARKER.0: MARKER.1 }));
    let held =
        Held { floating: v4(200), by: Holder::Container(wish.workload.container.clone().unwrap()) };
    assert_eq!(agent.actuator.held().unwrap(), [held]);

    agent.bind(&[site.wish("c1", "192.168.99.201")]);
    site.reaches(201, "c1");
    site.does_not_reach(200);
    agent.wait_for_came(&[v4(201)]);

    agent.settle(&[]);
    site.does_not_reach(201);
    assert!(site.endpoint("c1").is_null());
    assert_eq!(agent.came(), [] as [IpAddr; 0]);
    assert!(site.networks().contains("fip"));
}

#[test]
fn what_the_user_has_connected_is_left_alone() {
    let site = Site::new();
    let mut agent = site.actuator();
    agent.settle(&[]);
    site.engine.web("c1", &format!("--label {LABEL}=192.168.99.200"), "c1");
    site.engine.docker_ok("network connect fip c1");
    let endpoint = site.endpoint("c1");

    agent.bind(&[site.wish("c1", "192.168.99.200")]);
    site.reaches(200, "c1");
    agent.settle(&[]);
    assert_eq!(site.endpoint("c1"), endpoint);
    site.reaches(200, "c1");
    assert_eq!(agent.actuator.drain().unwrap(), [""; 0]);
    assert_eq!(site.endpoint("c1"), endpoint);
}

#[test]
fn a_container_that_is_stopped_and_started_has_its_address_again() {
    let site = Site::new();
    let wish = site.web("c1", "192.168.99.200");
    let mut agent = site.actuator();
    agent.bind(std::slice::from_ref(&wish));
    site.engine.docker_ok("stop c1");
    let stopped = || {
        let mut stopped = wish.clone();
        Arc::make_mut(&mut stopped.workload).presence = Presence::Stopped;
        stopped
    };
    agent.pursue_until(&[stopped()], |states| *states == [State::Stopped]);
    site.does_not_reach(200);

    // Docker itself connects it.
    site.engine.docker_ok("start c1");
    wait_for("the page", || visit(&site.client, v4(200), "c1").ok());
    agent.bind(std::slice::from_ref(&wish));

    // Another one gets what it had: it starts all the same.
    site.engine.docker_ok("stop c1");
    let other = site.web("c2", "192.168.99.200");
    agent.pursue_until(&[stopped(), other.clone()], |states| {
        *states == [State::Stopped, State::Bound]
    });
    site.reaches(200, "c2");
    wait_for("c1 to ask for nothing", || site.endpoint("c1").is_null().then_some(()));
    site.engine.docker_ok("start c1");
    // Nobody wishes for it any more while it is stopped.
    site.engine.docker_ok("stop c2");
    agent.settle(&[]);
    assert!(site.endpoint("c2").is_null());
}

#[test]
fn the_next_agent_takes_over_what_is_there() {
    let site = Site::new();
    let wish = site.web("c1", "192.168.99.200");
    let gone = site.web("c2", "192.168.99.201");
    let mut first = site.actuator();
    first.bind(&[wish.clone(), gone]);
    drop(first);
    site.reaches(200, "c1");
    let endpoint = site.endpoint("c1");

    let mut second = site.actuator();
    second.bind(std::slice::from_ref(&wish));
    second.actuator.settle();
    assert_eq!(site.endpoint("c1"), endpoint);
    assert_eq!(second.came(), [] as [IpAddr; 0], "nothing has come");
    site.reaches(200, "c1");
    site.does_not_reach(201);
}

#[test]
fn a_network_that_is_removed_is_made_again() {
    let site = Site::new();
    let wish = site.web("c1", "192.168.99.200");
    let mut agent = site.actuator();
    agent.bind(std::slice::from_ref(&wish));
    // It looks once more at what it has done.
    agent.actuator.settle();
    site.engine.docker_ok("network disconnect fip c1");
    site.engine.docker_ok("network rm fip");
    site.does_not_reach(200);

    agent.settle(std::slice::from_ref(&wish));
    agent.bind(std::slice::from_ref(&wish));
    site.reaches(200, "c1");
}

#[test]
fn without_the_driver_it_waits_and_harms_nobody() {
    let site = Site::new();
    let wish = site.web("c1", "192.168.99.200");
    site.plugin.stop();
    let mut agent = site.actuator();
    let no_driver = |states: &[State]| waits_for(&states[0], "does the network driver fip run");
    agent.pursue_until(std::slice::from_ref(&wish), no_driver);
    site.engine.docker_ok("restart c1");

    site.plugin.up();
    agent.bind(&[site.wish("c1", "192.168.99.200")]);
    site.reaches(200, "c1");
}

#[test]
fn one_of_twenty_that_is_refused_hinders_no_other() {
    let site = Site::new();
    site.engine.docker_ok("network create --driver fip --subnet 172.18.0.0/16 fip");
    site.engine.web("users", "--network name=fip,driver-opt=fip.address=192.168.99.199", "users");
    let mut asks: Vec<String> = (200..217).map(|number| format!("192.168.99.{number}")).collect();
    asks.extend(["203.0.113.7", "192.168.99.11", "192.168.99.199"].map(str::to_owned));
    let name = |index: usize| format!("c{index}");
    let names: Vec<String> = (0..asks.len()).map(name).collect();
    for name in &names {
        let words = ["run", "--detach", "--name", name, IMAGE, "/serve", name];
        site.engine.docker_with(&words).exits(0);
    }
    let wishes: Vec<Wish> =
        names.iter().zip(&asks).map(|(name, asks)| site.wish(name, asks)).collect();
    let mut agent = site.actuator();
    agent.pursue_until(&wishes, |states| {
        let (good, bad) = states.split_at(17);
        good.iter().all(|state| *state == State::Bound)
            && waits_for(&bad[0], "only 192.168.99.0/24 may be claimed")
            && waits_for(&bad[1], "it is this host's own address")
            && waits_for(&bad[2], "192.168.99.199 is already bound")
    });
    for (number, name) in (200..217).zip(&names) {
        wait_for("the page", || visit(&site.client, v4(number), name).ok());
    }
    // A container whose connection was refused starts again.
    let refused = wishes[17..].iter().map(|wish| {
        let mut wish = wish.clone();
        Arc::make_mut(&mut wish.workload).presence = Presence::Unknown;
        wish
    });
    let mut held: Vec<Wish> = wishes[..17].to_vec();
    held.extend(refused);
    agent.settle(&held);
    for name in &names[17..] {
        assert!(site.endpoint(name).is_null(), "{name}");
        site.engine.docker_ok(&format!("restart {name}"));
    }
    drop(agent);

    let mut last = site.actuator();
    let lines = last.actuator.drain().unwrap();
    assert_eq!(lines.len(), 17, "{lines:?}");
    for number in 200..217 {
        site.does_not_reach(number);
    }
    site.reaches(199, "users");
    assert!(site.networks().contains("fip"), "the user has made it");
}

#[test]
fn draining_leaves_no_network_and_no_endpoint() {
    let site = Site::new();
    let links = || site.host.ip("-o link show");
    let wishes = [site.web("c1", "192.168.99.200"), site.web("c2", "192.168.99.201")];
    let mut agent = site.actuator();
    agent.bind(&wishes);
    site.engine.docker_ok("stop c2");
    drop(agent);

    let lines = site.actuator().actuator.drain().unwrap();
    let expected = [
        "- c1: 192.168.99.200 (network fip)",
        "- c2: 192.168.99.201 (network fip)",
        "- network fip (driver fip, 172.18.0.0/16)",
    ];
    let mut sorted = lines.clone();
    sorted.sort();
    assert_eq!(sorted, expected, "{lines:?}");
    assert!(!site.networks().contains("fip"));
    assert!(!links().contains(" br-") && !links().contains(" fv"), "{}", links());
    assert!(!site.host.nft("list ruleset").contains("table inet fip"));
    assert!(site.endpoint("c1").is_null() && site.endpoint("c2").is_null());
    site.engine.docker_ok("start c2");
    assert_eq!(site.actuator().actuator.drain().unwrap(), [""; 0]);
}

#[test]
fn a_network_that_cannot_be_is_told_with_the_way_out() {
    let site = Site::new();
    let wish = site.web("c1", "192.168.99.200");
    let wishes = std::slice::from_ref(&wish);
    site.engine.docker_ok("network create --subnet 203.0.113.0/24 fip");
    let mut agent = site.actuator();
    agent.pursue_until(wishes, |states| {
        waits_for(&states[0], "its driver is bridge, not fip; remove it (docker network rm fip)")
    });
    // In this order: as soon as the name is free, the agent has it, and the subnet.
    site.engine.docker_ok("network create --subnet 172.18.0.0/16 other");
    site.engine.docker_ok("network rm fip");
    agent.pursue_until(wishes, |states| waits_for(&states[0], "choose another subnet (--subnet)"));
    site.engine.docker_ok("network rm other");
    agent.bind(wishes);
    site.reaches(200, "c1");

    site.engine.docker_ok(&format!("run --detach --name c2 --network container:c1 {IMAGE}"));
    let sharing = site.wish("c2", "192.168.99.201");
    agent.pursue_until(&[wish, sharing], |states| {
        let refused =
            |state: &State| matches!(state, State::Refused(why) if why.contains("whose network"));
        states[0] == State::Bound && refused(&states[1])
    });
}
