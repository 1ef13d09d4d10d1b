//! The plugin dies, or is replaced by a newer one, while its containers work.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use fip_plugin::driver::LABEL;

use super::{ALLOW, floating, wait_until_right, with};
use crate::docker::{Engine, Options, Plugin, fetch, wait_for_page};
use crate::lab::{Lan, Ns, Running, TcpFlow, Whoami, wait_for};

/// All that the plugin makes, line by line: on the host, and in a container on two networks. In no
/// order: addresses, for one thing, are listed in the order in which they were added.
fn made(host: &Ns, inside: &Ns) -> Vec<String> {
    let texts = [
        host.nft("-s list table inet fip"),
        host.ip("-d -o address show"),
        host.carried("eth0"),
        host.ip("-o link show"),
        host.ip("route show table all type unicast"),
        host.iptables("-S DOCKER-USER"),
        inside.ip("rule show"),
        inside.ip("route show table all"),
        inside.ip("-d -o address show"),
    ];
    let mut lines: Vec<String> = texts.concat().lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// Panics with the lines in which they differ, if any.
#[track_caller]
fn assert_same(after: &[String], before: &[String]) {
    let missing: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
    let new: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(after == before, "no more there: {missing:#?}\nnew: {new:#?}");
}

/// Writes down whatever is changed on the host, until it is asked for.
struct Changes<'a> {
    host: &'a Ns,
    writers: Vec<(PathBuf, Running)>,
}

impl<'a> Changes<'a> {
    /// From its return on, every change is seen.
    fn watch(engine: &'a Engine) -> Self {
        let host = engine.machine().net();
        let writers = ["nft monitor", "ip -o monitor address route rule"];
        let start = |command: &str| {
            let file = engine.machine().path(&format!("/run/disk/{}", command.replace(' ', "-")));
            let script = format!("exec {command} >{}", file.display());
            let writer = Running::start(host, "sh", &["-c", &script], "");
            (file, writer)
        };
        let changes = Self { host, writers: writers.map(start).into() };
        changes.mark(1);
        changes
    }

    /// Changes something of each kind until all writers have told of it.
    fn mark(&self, number: u8) {
        let (table, address) = (format!("mark{number}"), format!("192.0.2.{number}/32"));
        let told = |file| {
            fs::read_to_string(file).is_ok_and(|t| t.contains(&table) || t.contains(&address))
        };
        wait_for("the changes to be written down", || {
            self.host.nft(&format!("add table inet {table}"));
            self.host.nft(&format!("delete table inet {table}"));
            self.host.ip(&format!("address add {address} dev lo"));
            self.host.ip(&format!("address del {address} dev lo"));
            self.writers.iter().all(|(file, _)| told(file)).then_some(())
        });
    }

    /// What was changed since, but for the marks.
    fn stop(self) -> Vec<String> {
        self.mark(2);
        let texts = self.writers.iter().map(|(file, _)| fs::read_to_string(file).unwrap());
        let texts: String = texts.collect();
        let lines = texts.lines().map(str::to_owned);
        let marks = ["table inet mark", "192.0.2.", "new generation"];
        let marked = |line: &String| marks.iter().any(|mark| line.contains(mark));
        lines.filter(|line| !marked(line)).collect()
    }
}

/// Pings, a thousand times a second, until stopped.
struct Pings {
    ping: Running,
    file: PathBuf,
}

impl Pings {
    fn start(engine: &Engine, client: &Ns, to: IpAddr) -> Self {
        let file = engine.machine().path(&format!("/run/disk/ping-{to}"));
        let script = format!("exec ping -n -i 0.001 {to} >{}", file.display());
        let pings = Self { ping: Running::start(client, "sh", &["-c", &script], ""), file };
        pings.wait_for_answers(100);
        pings
    }

    /// The numbers of those that were answered, in order.
    fn answered(&self) -> Vec<usize> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        let number = |line: &str| -> Option<usize> {
            line.split_once("icmp_seq=")?.1.split(' ').next()?.parse().ok()
        };
        text.lines().filter_map(number).collect()
    }

    /// Waits until this many more were answered.
    fn wait_for_answers(&self, count: usize) {
        let enough = self.answered().len() + count;
        wait_for("answers to pings", || (self.answered().len() >= enough).then_some(()));
    }

    /// Panics if one that was answered later had an unanswered one before it.
    fn assert_none_lost(self) {
        self.wait_for_answers(100);
        let last = self.answered().into_iter().max().unwrap_or_default();
        // One that was held up comes after others.
        self.wait_for_answers(100);
        self.ping.signal("INT");
        let answered = self.answered();
        let missing: Vec<usize> = (1..=last).filter(|n| !answered.contains(n)).collect();
        assert!(missing.is_empty(), "of {last} pings, these were not answered: {missing:?}");
    }
}

struct Scene {
    engine: Engine,
    plugin: Plugin,
    inside: Ns,
    client: Ns,
    host: crate::lab::Host,
    _lan: Lan,
}

impl Scene {
    /// One container with an address by option, and one on two networks with one by its label.
    fn new() -> Self {
        let lan = Lan::new();
        let (host, client) = (lan.host_a(), lan.client());
        let engine = Engine::start(&host, &Options::default());
        let plugin = Plugin::start(&engine, ALLOW);
        engine.docker_ok("network create --driver fip one");
        engine.web("c1", &with(200), "one");
        let inside = engine.web("c2", &format!("--label {LABEL}={}", floating(201)), "two");
        engine.docker_ok("network connect one c2");
        wait_for("the source rule in the container", || {
            inside.ip("rule show").contains("from 172.18.").then_some(())
        });
        wait_for_page(&client, floating(200), "one");
        wait_for_page(&client, floating(201), "two");
        Self { engine, plugin, inside, client, host, _lan: lan }
    }
}

/// Has the plugin end and start again in some way, and panics if anybody could notice.
fn assert_unnoticed(scene: &Scene, again: impl Fn(&Plugin)) {
    let Scene { engine, plugin, inside, client, host, .. } = scene;
    let _server = Whoami::start(inside, &[7]);
    let mut flow = TcpFlow::open(client, (floating(201), 7));
    assert_eq!(flow.ask().unwrap().peer, floating(1));
    let before = made(host, inside);
    let pings = [200, 201].map(|n| Pings::start(engine, client, floating(n)));
    let changes = Changes::watch(engine);

    let since = plugin.log().len();
    again(plugin);
    // It has asked dockerd, and had nothing to do.
    plugin.wait_for_line(since, &["dockerd answers"]);

    assert_eq!(flow.ask().unwrap().peer, floating(1));
    assert_eq!(changes.stop(), Vec::<String>::new(), "what was changed on the host");
    pings.into_iter().for_each(Pings::assert_none_lost);
    assert_same(&made(host, inside), &before);
    wait_until_right(host, plugin, &[200, 201], 2);
}

#[test]
fn nobody_notices_that_the_plugin_was_killed() {
    let scene = Scene::new();
    assert_unnoticed(&scene, |plugin| {
        plugin.kill();
        plugin.up();
    });
    // It knows what is whose.
    scene.engine.docker_ok("stop c1");
    wait_until_right(&scene.host, &scene.plugin, &[201], 1);
    scene.engine.docker_ok("start c1");
    wait_for_page(&scene.client, floating(200), "one");
    scene.engine.docker_ok("rm --force c1 c2");
    wait_until_right(&scene.host, &scene.plugin, &[], 0);
}

#[test]
fn nobody_notices_an_upgrade() {
    let scene = Scene::new();
    assert_unnoticed(&scene, |plugin| {
        plugin.stop();
        wait_for_page(&scene.client, floating(200), "one");
        wait_for_page(&scene.client, floating(201), "two");
        plugin.up();
    });
}

#[test]
fn what_others_broke_while_the_plugin_was_down_is_repaired() {
    let Scene { plugin, inside, client, host, .. } = &Scene::new();
    let before = made(host, inside);

    plugin.kill();
    host.nft("delete table inet fip");
    host.take_away(floating(200), "eth0");
    let table = inside.ip("rule show");
    let table = table.lines().find(|line| line.contains("from 172.18.")).unwrap();
    inside.ip(&format!("rule del {}", table.split_once(':').unwrap().1.trim()));
    assert!(fetch(client, floating(200)).is_err());
    plugin.up();

    wait_for_page(client, floating(200), "one");
    wait_for_page(client, floating(201), "two");
    let settled = || inside.ip("rule show").contains("from 172.18.").then_some(());
    wait_for("the source rule to be there again", settled);
    assert_same(&made(host, inside), &before);
}
