//! Every process and everything in memory is gone; what is on disk is left.

use std::thread;

use fip_plugin::driver::LABEL;

use super::{ALLOW, addresses, floating, wait_until_right, with};
use crate::docker::{Engine, Options, Plugin, fetch, wait_for_page};
use crate::lab::{Lan, Ns, ping, wait_for};

/// Containers of all kinds, each with its page; all but the fourth start again by themselves.
fn inhabit(engine: &Engine) {
    engine.docker_ok("network create --driver fip one");
    let always = "--restart always";
    engine.web("option", &format!("{always} {}", with(200)), "option");
    let label = |number| format!("--label {LABEL}={}", floating(number));
    engine.web("label", &format!("{always} --network one {}", label(201)), "label");
    engine.web("both", &format!("{always} {}", label(202)), "both");
    engine.docker_ok("network connect one both");
    engine.web("gone", &with(203), "gone");
    engine.web("plain", &format!("{always} --network one"), "plain");
}

/// All is as it was, but for the container that does not start by itself.
fn assert_inhabited(engine: &Engine, plugin: &Plugin, host: &Ns, client: &Ns) {
    for (number, page) in [(200, "option"), (201, "label"), (202, "both")] {
        assert_eq!(wait_for_page(client, floating(number), page), floating(1));
        assert!(ping(client, floating(number)), "{page}");
    }
    wait_until_right(host, plugin, &[200, 201, 202], 4);
    assert!(fetch(client, floating(203)).is_err());
    let plain = engine.inside("plain");
    let server = crate::lab::Whoami::start(client, &[7]);
    let seen = crate::lab::tcp_whoami(&plain, (floating(1), 7)).unwrap();
    assert_eq!(seen.peer, floating(11), "masqueraded");
    drop(server);

    // And it is as it would be had nothing happened.
    engine.docker_ok("start gone");
    wait_for_page(client, floating(203), "gone");
    engine.docker_ok("rm --force option label both gone plain");
    wait_until_right(host, plugin, &[], 0);
    engine.docker_ok("network rm one");
    assert!(!host.ip("-br link show").contains("br-"));
}

#[test]
fn all_comes_back_when_the_plugin_starts_first() {
    let lan = Lan::new();
    let (a, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&a, &Options::default());
    let plugin = Plugin::start(&engine, ALLOW);
    inhabit(&engine);

    engine.power_cycle();
    plugin.lost_power();
    assert!(addresses(&a).is_empty());
    plugin.up();
    engine.up();

    assert_inhabited(&engine, &plugin, &a, &client);
}

#[test]
fn all_comes_back_when_the_plugin_starts_while_dockerd_looks_for_it() {
    let lan = Lan::new();
    let (a, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&a, &Options::default());
    let plugin = Plugin::start(&engine, ALLOW);
    inhabit(&engine);

    engine.power_cycle();
    plugin.lost_power();
    let before = engine.log().len();
    thread::scope(|scope| {
        scope.spawn(|| engine.up());
        wait_for("dockerd to look for the plugin", || {
            engine.log()[before..].contains("retrying in").then_some(())
        });
        plugin.up();
    });

    assert_inhabited(&engine, &plugin, &a, &client);
}

#[test]
fn a_plugin_that_starts_long_after_dockerd_serves_what_is_started_then() {
    let lan = Lan::new();
    let (a, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&a, &Options::default());
    let plugin = Plugin::start(&engine, ALLOW);
    engine.docker_ok("network create --driver fip one");
    engine.web("c1", &format!("--restart always {}", with(200)), "one");

    engine.power_cycle();
    plugin.lost_power();
    // It gives the container up.
    engine.up();
    assert_eq!(engine.inspect("container c1")["State"]["Running"], false);
    plugin.up();

    engine.docker_ok("start c1");
    wait_for_page(&client, floating(200), "one");
    wait_until_right(&a, &plugin, &[200], 1);
}

#[test]
fn an_uplink_without_carrier_is_waited_for() {
    let lan = Lan::new();
    let (a, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&a, &Options::default());
    let plugin = Plugin::start(&engine, ALLOW);
    inhabit(&engine);

    engine.power_cycle();
    plugin.lost_power();
    a.ip("link set eth0 down");
    plugin.up();
    engine.up();
    wait_until_right(&a, &plugin, &[200, 201, 202], 4);
    a.ip("link set eth0 up");
    a.ip("route add default via 192.168.99.254");

    assert_inhabited(&engine, &plugin, &a, &client);
}

#[test]
fn an_uplink_that_is_not_there_yet_is_used_when_it_is() {
    let lan = Lan::new();
    let (a, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&a, &Options::default());
    let plugin = Plugin::start(&engine, &format!("{ALLOW} --uplink eth0"));
    inhabit(&engine);

    engine.power_cycle();
    plugin.lost_power();
    a.ip("link set eth0 down");
    a.ip("link set eth0 name absent");
    let since = plugin.log().len();
    plugin.up();
    plugin.wait_for_line(since, &["cannot be restored: this host has no link eth0"]);
    a.ip("link set absent name eth0");
    a.ip("link set eth0 up");
    a.ip("route add default via 192.168.99.254");
    engine.up();

    assert_inhabited(&engine, &plugin, &a, &client);
}
