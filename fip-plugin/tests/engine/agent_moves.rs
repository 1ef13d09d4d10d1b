//! A label that moves between the containers of two hosts, each with its own engine and agent.

use std::net::IpAddr;

use crate::agent_scene::Attach;
use crate::docker::{Agent, Engine, Options, Plugin, eventually, fetch};
use crate::lab::{Capture, Family, Host, Lan, Ns, holders, lan};
use crate::scene::LABEL;

/// A host of containers.
struct Side {
    host: Host,
    engine: Engine,
    agent: Agent,
    _plugin: Option<Plugin>,
}

/// Two of them on one LAN.
struct Scene {
    a: Side,
    b: Side,
    client: Ns,
    lan: Lan,
}

fn floating() -> IpAddr {
    lan(Family::V4, 200)
}

impl Scene {
    fn new(attach: Attach) -> Self {
        let lan = Lan::new();
        let client = lan.client();
        let hosts = [lan.host_a(), lan.host_b()];
        let engines = Engine::start_each([&hosts[0], &hosts[1]], &Options::default());
        let mut sides = hosts.into_iter().zip(engines).map(|(host, engine)| {
            let plugin = (attach == Attach::Network).then(|| Plugin::start(&engine, ""));
            let agent = Agent::start(&engine, attach.args());
            Side { host, engine, agent, _plugin: plugin }
        });
        let (a, b) = (sides.next().unwrap(), sides.next().unwrap());
        Self { a, b, client, lan }
    }

    #[track_caller]
    fn serves(&self, page: &str) {
        eventually(&format!("{} serves {page:?}", floating()), || {
            let found = fetch(&self.client, floating())?;
            let right = found.text == page && found.peer == lan(Family::V4, 1);
            right.then_some(()).ok_or(format!("{found:?}"))
        });
    }

    /// Panics unless these, and no others, answered for the address or announced it, one after the
    /// other.
    #[track_caller]
    fn assert_holders(&self, capture: &Capture, wanted: &[&Side]) {
        capture.catch_up(&self.client);
        let wanted: Vec<String> = wanted.iter().map(|side| side.host.mac("eth0")).collect();
        let claims = capture.claims(floating());
        assert_eq!(holders(&claims), wanted, "who had it, in order: {claims:?}");
    }
}

impl Side {
    fn web(&self, name: &str) {
        self.engine.web(name, &format!("--label {LABEL}={}", floating()), name);
    }
}

#[test]
fn an_address_moves_with_its_label() {
    for attach in Attach::BOTH {
        let scene = Scene::new(attach);
        let Scene { a, b, lan, .. } = &scene;
        let capture = Capture::start(&lan.switch);
        a.web("one");
        scene.serves("one");
        // Stopped here, started there.
        a.engine.docker_ok("stop --time 0 one");
        b.web("two");
        scene.serves("two");
        // Started here while it still runs there: who has it keeps it.
        a.engine.docker_ok("rm one");
        a.web("three");
        a.agent.wait_for_why("three", "in use");
        scene.serves("two");
        b.engine.docker_ok("rm --force two");
        scene.serves("three");
        a.agent.wait_for_state("three", "bound");
        scene.assert_holders(&capture, &[a, b, a]);
    }
}
