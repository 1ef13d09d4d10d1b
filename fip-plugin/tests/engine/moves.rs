//! An address that moves between the containers of two hosts, each with its own engine and plugin.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::sync::Arc;

use crate::docker::{Engine, IMAGE, Options, PATIENCE, Plugin, wait_for_page};
use crate::lab::{
    Capture, Claim, Family, Host, Lan, Ns, Prober, Run, Whoami, holders, lan, ping, wait_for,
};

/// A host of containers.
struct Side {
    engine: Engine,
    plugin: Plugin,
    host: Host,
    mac: String,
}

/// Two of them on one LAN.
struct Scene {
    a: Side,
    b: Side,
    client: Arc<Ns>,
    lan: Lan,
}

const NETWORK: &str = "network create --driver fip --ipv6 --subnet 2001:db8:18::/64 one";

/// A container with an address of each family. The quotes are for a comma within a field (RFC 4180).
const WEB: &str = "--network name=one,\"driver-opt=fip.address=192.168.99.200,2001:db8:99::200\"";

fn floating(family: Family) -> IpAddr {
    lan(family, 200)
}

/// Waits until the client gets that page at both addresses, from a server that sees the client.
#[track_caller]
fn wait_for_pages(client: &Ns, page: &str) {
    for family in Family::BOTH {
        assert_eq!(wait_for_page(client, floating(family), page), lan(family, 1));
        assert!(ping(client, floating(family)));
    }
}

impl Scene {
    /// The plugins wait that long for an address.
    fn new(deadline: &str) -> Self {
        let lan = Lan::new();
        let client = Arc::new(lan.client());
        let hosts = [lan.host_a(), lan.host_b()];
        let engines = Engine::start_each([&hosts[0], &hosts[1]], &Options::default());
        let mut sides = hosts.into_iter().zip(engines).map(|(host, engine)| {
            let plugin = Plugin::start(&engine, &format!("--deadline {deadline}"));
            engine.docker_ok(NETWORK);
            let mac = host.mac("eth0");
            Side { engine, plugin, host, mac }
        });
        let (a, b) = (sides.next().unwrap(), sides.next().unwrap());
        Self { a, b, client, lan }
    }

    fn capture(&self) -> Capture {
        Capture::start(&self.lan.switch)
    }

    /// Panics unless these, and no others, answered for the addresses or announced them, one after
    /// the other.
    #[track_caller]
    fn assert_holders(&self, capture: &Capture, wanted: &[&Side]) {
        let wanted: Vec<&str> = wanted.iter().map(|side| side.mac.as_str()).collect();
        capture.catch_up(&self.client);
        for family in Family::BOTH {
            let claims = capture.claims(floating(family));
            assert_eq!(holders(&claims), wanted, "who had {}, in order", floating(family));
        }
    }

    /// All who answer when the LAN is asked for the IPv4 address now.
    fn answering(&self) -> BTreeSet<String> {
        let capture = self.capture();
        let target = floating(Family::V4).to_string();
        self.client.try_tool("arping", &["-c", "3", "-I", "eth0", &target], "");
        capture.catch_up(&self.client);
        let claims = capture.claims(floating(Family::V4));
        holders(&claims).into_iter().map(str::to_owned).collect()
    }
}

impl Side {
    fn web(&self, page: &str) -> Ns {
        self.engine.web("web", WEB, page)
    }

    /// Whether anything on the host is about the address or a container.
    fn traces(&self) -> Vec<String> {
        let texts = [
            self.host.ip("-o address show"),
            self.host.carried("eth0"),
            self.host.ip("-br link show"),
            self.host.nft("list table inet fip"),
        ];
        let mut lines: Vec<String> = texts.concat().lines().map(str::to_owned).collect();
        let addresses = Family::BOTH.map(|family| floating(family).to_string());
        let named = |line: &str| addresses.iter().any(|address| line.contains(address));
        lines.retain(|line| named(line) || line.starts_with("fv"));
        let files = fs::read_dir(self.plugin.state_dir().join("endpoints")).unwrap();
        lines.extend(files.map(|file| file.unwrap().path().display().to_string()));
        lines
    }
}

#[test]
fn stopped_here_and_started_there_it_answers_from_there() {
    let scene = Scene::new("5s");
    let Scene { a, b, client, .. } = &scene;
    let capture = scene.capture();
    a.web("A");
    // From now on the client knows A's hardware address, and sends there.
    wait_for_pages(client, "A");

    a.engine.docker_ok("stop web");
    assert_eq!(a.traces(), Vec::<String>::new());
    b.web("B");

    wait_for_pages(client, "B");
    scene.assert_holders(&capture, &[a, b]);
    assert_eq!(scene.answering(), [b.mac.clone()].into());
}

#[test]
fn started_there_before_it_is_stopped_here_it_waits() {
    let scene = Scene::new("60s");
    let Scene { a, b, client, .. } = &scene;
    let capture = scene.capture();
    let server = Whoami::start(&a.web("A"), &[7]);
    let prober = Prober::start(client, (floating(Family::V4), 7));
    prober.wait_for("web");

    let mut words = vec!["run", "--detach", "--name", "web"];
    words.extend(WEB.split(' '));
    words.extend([IMAGE, "/serve", "B"]);
    let mut starting = b.engine.spawn(&words);
    for family in Family::BOTH {
        capture.wait_for_claim(floating(family), &Claim::Probes(b.mac.clone()));
    }
    // However long that lasts, B waits, and A goes on.
    prober.wait_for_answers(1000);
    assert!(starting.is_running(), "{}", b.plugin.log());
    scene.assert_holders(&capture, &[a]);
    // Other containers of B are not held up.
    b.engine.docker_ok(&format!("run --network one {IMAGE} true"));
    assert!(starting.is_running());

    a.engine.docker_ok("stop web");
    drop(server);
    Run::new("docker run", starting.finish(PATIENCE)).exits(0);
    wait_for_pages(client, "B");
    scene.assert_holders(&capture, &[a, b]);
    assert_eq!(a.traces(), Vec::<String>::new());
    assert_eq!(scene.answering(), [b.mac.clone()].into());
}

#[test]
fn started_there_while_it_stays_here_it_is_refused() {
    let scene = Scene::new("1s");
    let Scene { a, b, client, .. } = &scene;
    let capture = scene.capture();
    a.web("A");
    wait_for_pages(client, "A");

    let refused = b.engine.docker(&format!("run --name web {WEB} {IMAGE}"));
    refused.exits(125).complains_of(&["192.168.99.200", "eth0", &a.mac]);

    assert_eq!(b.traces(), Vec::<String>::new());
    wait_for_pages(client, "A");
    scene.assert_holders(&capture, &[a]);
    // It was not about the container.
    a.engine.docker_ok("stop web");
    b.engine.docker_ok("start web");
    wait_for("B to have the address", || {
        (scene.answering() == [b.mac.clone()].into()).then_some(())
    });
}

#[test]
fn a_host_that_was_cut_off_yields_when_it_is_back() {
    let scene = Scene::new("5s");
    let Scene { a, b, client, lan: switch } = &scene;
    a.web("A");
    wait_for_pages(client, "A");

    switch.switch.ip("link set A down");
    b.web("B");
    wait_for_pages(client, "B");
    let since = a.plugin.log().len();
    switch.switch.ip("link set A up");

    a.plugin.wait_for_line(since, &["yielded", "192.168.99.200", &b.mac]);
    assert!(!a.host.carried("eth0").contains("192.168.99.200"));
    assert_eq!(scene.answering(), [b.mac.clone()].into());
    wait_for_pages(client, "B");

    // The end of A's container takes nothing from B; once B's has ended, A can have it again.
    a.engine.docker_ok("stop web");
    assert_eq!(a.traces(), Vec::<String>::new());
    wait_for_pages(client, "B");
    b.engine.docker_ok("stop web");
    a.engine.docker_ok("start web");
    wait_for_pages(client, "A");
    assert_eq!(scene.answering(), [a.mac.clone()].into());
}

#[test]
fn a_host_that_starts_again_leaves_what_another_has_by_then() {
    let scene = Scene::new("1s");
    let Scene { a, b, client, .. } = &scene;
    let capture = scene.capture();
    let always = format!("--restart always {WEB}");
    a.engine.web("web", &always, "A");
    wait_for_pages(client, "A");

    a.engine.power_cycle();
    a.plugin.lost_power();
    b.web("B");
    wait_for_pages(client, "B");
    a.plugin.up();
    a.engine.up();

    assert_eq!(a.engine.inspect("container web")["State"]["Running"], false);
    assert_eq!(a.traces(), Vec::<String>::new());
    wait_for_pages(client, "B");
    scene.assert_holders(&capture, &[a, b]);
    // And dockerd's log tells why.
    let log = a.engine.log();
    assert!(log.contains(&b.mac) && log.contains("192.168.99.200"), "{log}");
}

/// As above, but the plugin was not there to see it.
#[test]
fn a_plugin_that_comes_back_to_an_address_that_was_taken_yields() {
    let scene = Scene::new("5s");
    let Scene { a, b, client, lan: switch } = &scene;
    a.web("A");
    wait_for_pages(client, "A");

    a.plugin.kill();
    switch.switch.ip("link set A down");
    b.web("B");
    switch.switch.ip("link set A up");
    // Nobody on A knows better. Its card takes a moment until it sends again.
    let both = [a.mac.clone(), b.mac.clone()].into();
    wait_for("both to answer", || (scene.answering() == both).then_some(()));
    a.plugin.up();

    wait_for("A to yield", || {
        let held = a.host.carried("eth0");
        (!held.contains("192.168.99.200")).then_some(())
    });
    assert_eq!(scene.answering(), [b.mac.clone()].into());
    wait_for_pages(client, "B");
}

#[test]
fn back_and_forth_ten_times() {
    let scene = Scene::new("5s");
    let Scene { a, b, client, .. } = &scene;
    let capture = scene.capture();
    a.web("A");
    wait_for_pages(client, "A");
    a.engine.docker_ok("stop web");
    b.web("B");
    wait_for_pages(client, "B");

    let mut holders = vec![a, b];
    for round in 0..10 {
        let (from, to, page) = if round % 2 == 0 { (b, a, "A") } else { (a, b, "B") };
        from.engine.docker_ok("stop web");
        to.engine.docker_ok("start web");
        wait_for_pages(client, page);
        holders.push(to);
        assert_eq!(from.traces(), Vec::<String>::new());
        scene.assert_holders(&capture, &holders);
    }
}
