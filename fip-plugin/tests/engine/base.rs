//! The laboratory itself, with Docker's own bridge driver, and with the plugin in its place.

use std::net::IpAddr;
use std::process::Command;
use std::thread;

use crate::docker::{Engine, Options, Plugin, fetch, wait_for_page};
use crate::lab::{Family, Lan, lan, ping, wait_for};

fn docker0(number: u8) -> IpAddr {
    [172, 17, 0, number].into()
}

#[test]
fn a_container_on_dockers_own_bridge_serves_its_page() {
    let lan = Lan::new();
    let a = lan.host_a();
    let engine = Engine::start(&a, &Options::default());

    let inside = engine.web("c1", "--publish 80:80", "one");

    assert_eq!(wait_for_page(&a, docker0(2), "one"), docker0(1), "who asked from the host");
    assert!(ping(&a, docker0(2)));
    assert!(inside.ip("address show dev eth0").contains("172.17.0.2/16"));
    assert!(a.iptables("-S FORWARD").contains("-P FORWARD DROP"));
    let client = lan.client();
    let peer = wait_for_page(&client, lan_address(11), "one");
    assert_eq!(peer, lan_address(1), "who asked through the published port");

    engine.docker_ok("rm --force c1");
    assert!(fetch(&a, docker0(2)).is_err());
}

#[test]
fn two_engines_are_two_hosts_of_one_lan() {
    let lan = Lan::new();
    let (a, b) = (lan.host_a(), lan.host_b());
    let [on_a, on_b] = Engine::start_each([&a, &b], &Options::default());
    on_a.web("same", "--publish 80:80", "A");
    on_b.web("same", "--publish 80:80", "B");

    let client = lan.client();
    wait_for_page(&client, lan_address(11), "A");
    wait_for_page(&client, lan_address(12), "B");
    let inside = on_b.inside("same");
    assert_eq!(wait_for_page(&inside, lan_address(11), "A"), lan_address(12), "masqueraded");

    on_a.stop();
    assert!(!on_a.is_running());
    assert!(fetch(&client, lan_address(11)).is_err());
    assert_eq!(on_b.docker_ok("ps --format {{.Names}}"), "same");
}

#[test]
fn a_container_survives_dockerds_death_with_live_restore() {
    let lan = Lan::new();
    let a = lan.host_a();
    let engine = Engine::start(&a, &Options { live_restore: true, ..Options::default() });
    engine.web("c1", "", "one");
    let pid = engine.inspect("container c1")["State"]["Pid"].take();

    engine.kill();
    wait_for_page(&a, docker0(2), "one");
    engine.up();

    assert_eq!(engine.inspect("container c1")["State"]["Pid"], pid);
    wait_for_page(&a, docker0(2), "one");
    engine.docker_ok("stop c1");
    assert!(fetch(&a, docker0(2)).is_err());
}

#[test]
fn a_power_cycle_leaves_what_is_on_disk() {
    let lan = Lan::new();
    let a = lan.host_a();
    let cards = a.ip("-o address show dev eth0");
    let engine = Engine::start(&a, &Options::default());
    engine.web("c1", "--restart always", "one");
    a.ip(&format!("address add {}/32 dev eth0", lan_address(200)));

    engine.power_cycle();
    assert!(!engine.is_running());
    assert_eq!(a.ip("-o address show dev eth0"), cards);
    assert_eq!(a.ip("-br link show").lines().count(), 2, "lo and eth0");
    assert_eq!(a.nft("list ruleset"), "");

    engine.up();
    wait_for_page(&a, docker0(2), "one");
}

#[test]
fn a_machine_ends_with_a_container_that_is_paused() {
    let lan = Lan::new();
    let engine = Engine::start(&lan.host_a(), &Options::default());
    engine.web("c1", "", "one");
    engine.docker_ok("pause c1");
    let machine = engine.machine().name().to_owned();
    let groups = || {
        let found = Command::new("find")
            .args(["/sys/fs/cgroup", "-maxdepth", "2", "-name", &machine])
            .output()
            .unwrap();
        String::from_utf8(found.stdout).unwrap()
    };
    assert_ne!(groups(), "");

    let end = thread::spawn(move || drop(engine));
    wait_for("the machine to end", || end.is_finished().then_some(()));
    end.join().unwrap();
    assert_eq!(groups(), "");
}

#[test]
fn an_engine_finds_the_plugin_of_its_own_host() {
    let lan = Lan::new();
    let (a, b) = (lan.host_a(), lan.host_b());
    let [with, without] = Engine::start_each([&a, &b], &Options::default());
    let plugin = Plugin::start(&with, "");

    with.docker_ok("network create --driver fip one");
    assert_eq!(with.inspect("network one")["Driver"], "fip");
    // Were the socket of the other one's plugin there, this would use it.
    without.machine().bash("! test -e /run/docker/plugins/fip.sock", &[]);

    plugin.kill();
    assert!(!plugin.is_running());
    plugin.up();
    with.docker_ok("network rm one");
    plugin.stop();
    let left = || std::fs::exists(plugin.socket()).unwrap().then_some(());
    assert_eq!(left(), None, "the socket of a plugin that was stopped");
}

fn lan_address(number: u8) -> IpAddr {
    lan(Family::V4, number)
}
