//! dockerd ends and starts again; the plugin goes on.

use std::fs;

use super::{ALLOW, endpoint_links, floating, remembered, wait_until_right, with};
use crate::docker::{Engine, Options, Plugin, fetch, wait_for_page};
use crate::lab::{Lan, TcpFlow, Whoami, wait_for};

const LIVE: Options = Options { live_restore: true, bip: "172.17.0.1/16", more: "" };

#[test]
fn a_stop_of_dockerd_stops_its_containers_and_a_start_starts_them() {
    let lan = Lan::new();
    let (a, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&a, &Options::default());
    let plugin = Plugin::start(&engine, ALLOW);
    engine.docker_ok("network create --driver fip one");
    engine.web("c1", &format!("--restart always {}", with(200)), "one");
    engine.web("c2", &with(201), "two");

    engine.stop();
    wait_until_right(&a, &plugin, &[], 0);
    assert_eq!(remembered(&plugin, "networks"), 1);
    engine.up();

    wait_for_page(&client, floating(200), "one");
    wait_until_right(&a, &plugin, &[200], 1);
    engine.docker_ok("start c2");
    wait_for_page(&client, floating(201), "two");
}

#[test]
fn with_live_restore_nothing_happens_to_containers() {
    let lan = Lan::new();
    let (a, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&a, &LIVE);
    let plugin = Plugin::start(&engine, ALLOW);
    engine.docker_ok("network create --driver fip one");
    let inside = engine.web("c1", &with(200), "one");
    let _server = Whoami::start(&inside, &[7]);
    let mut flow = TcpFlow::open(&client, (floating(200), 7));
    flow.ask().unwrap();

    for end in [Engine::stop, Engine::kill] {
        let since = plugin.log().len();
        end(&engine);
        plugin.wait_for_line(since, &["dockerd is gone"]);
        flow.ask().unwrap();
        engine.up();
        plugin.wait_for_line(since, &["dockerd answers"]);
        flow.ask().unwrap();
        wait_until_right(&a, &plugin, &[200], 1);
    }

    engine.docker_ok("restart c1");
    wait_for_page(&client, floating(200), "one");
    engine.docker_ok("rm --force c1");
    wait_until_right(&a, &plugin, &[], 0);
}

/// Without `--live-restore` a dockerd that starts ends the containers that survived the last one.
#[test]
fn a_dockerd_that_was_killed_leaves_nothing_of_containers_that_do_not_start_again() {
    let lan = Lan::new();
    let (a, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&a, &Options::default());
    let plugin = Plugin::start(&engine, ALLOW);
    engine.docker_ok("network create --driver fip one");
    engine.web("c1", &format!("--restart always {}", with(200)), "one");
    engine.web("c2", &with(201), "two");

    engine.kill();
    wait_for_page(&client, floating(200), "one");
    wait_for_page(&client, floating(201), "two");
    engine.up();

    wait_for_page(&client, floating(200), "one");
    wait_until_right(&a, &plugin, &[200], 1);
}

#[test]
fn a_container_that_died_while_dockerd_was_down_is_collected() {
    let lan = Lan::new();
    let (a, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&a, &LIVE);
    let plugin = Plugin::start(&engine, ALLOW);
    engine.docker_ok("network create --driver fip one");
    engine.web("c1", &with(200), "one");
    engine.web("c2", &with(201), "two");
    let pid = engine.inspect("container c1")["State"]["Pid"].to_string();

    engine.kill();
    engine.machine().bash(r#"kill -s KILL "$1""#, &[&pid]);
    // dockerd's mount holds the namespace: nobody can know better yet.
    wait_for("the container to end", || fetch(&client, floating(200)).is_err().then_some(()));
    assert_eq!(remembered(&plugin, "endpoints"), 2);
    engine.up();

    wait_until_right(&a, &plugin, &[201], 1);
    wait_for_page(&client, floating(201), "two");
    engine.docker_ok("start c1");
    wait_for_page(&client, floating(200), "one");
}

#[test]
fn both_down_and_a_container_dead_is_collected_by_the_next_pair() {
    let lan = Lan::new();
    let (a, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&a, &LIVE);
    let plugin = Plugin::start(&engine, ALLOW);
    engine.docker_ok("network create --driver fip one");
    engine.web("c1", &with(200), "one");
    engine.web("c2", &with(201), "two");
    let pid = engine.inspect("container c1")["State"]["Pid"].to_string();

    plugin.kill();
    engine.kill();
    engine.machine().bash(r#"kill -s KILL "$1""#, &[&pid]);
    plugin.up();
    wait_for_page(&client, floating(201), "two");
    engine.up();

    wait_until_right(&a, &plugin, &[201], 1);
    wait_for_page(&client, floating(201), "two");
}

/// `docker network rm` asks the plugin in vain, for a quarter of a minute, and never again.
#[test]
fn a_network_that_was_removed_while_the_plugin_was_down_is_collected() {
    let lan = Lan::new();
    let (a, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&a, &Options::default());
    let plugin = Plugin::start(&engine, ALLOW);
    engine.docker_ok("network create --driver fip one");
    engine.docker_ok("network create --driver fip two");
    engine.web("c1", &with(200), "one");
    let id = engine.inspect("network two")["Id"].as_str().unwrap().to_owned();
    let bridge = format!("br-{}", &id[..12]);
    assert!(a.ip("-br link show").contains(&bridge));

    plugin.kill();
    engine.docker_ok("network rm two");
    plugin.up();

    wait_for("the network to be collected", || {
        (!plugin.state_dir().join(format!("networks/{id}.json")).exists()).then_some(())
    });
    assert!(!a.ip("-br link show").contains(&bridge));
    assert!(!a.nft("list table inet fip").contains(&bridge));
    wait_for_page(&client, floating(200), "one");
    assert_eq!((remembered(&plugin, "networks"), endpoint_links(&a)), (1, 1));
}

#[test]
fn without_dockers_answers_options_work_and_labels_are_left_out_with_a_word() {
    let lan = Lan::new();
    let (a, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&a, &Options::default());
    let plugin = Plugin::start(&engine, &format!("{ALLOW} --docker unix:///nowhere"));
    engine.docker_ok("network create --driver fip one");
    engine.web("c1", &with(200), "one");
    assert_eq!(wait_for_page(&client, floating(200), "one"), floating(1));

    let label = fip_plugin::driver::LABEL;
    let line = plugin.wait_for_line(0, &["dockerd does not answer (yet)"]);
    assert!(line.contains("WARN") && line.contains("unix:///nowhere"), "{line}");
    assert_eq!(plugin.log().matches(line.as_str()).count(), 1);
    engine.web("c2", &format!("--network one --label {label}=192.168.99.201"), "two");
    let id =
        engine.inspect("container c2")["NetworkSettings"]["Networks"]["one"]["EndpointID"].take();
    let endpoint = &id.as_str().unwrap()[..12];
    plugin.wait_for_line(0, &[&format!("the labels of endpoint {endpoint} wait until dockerd")]);
    wait_until_right(&a, &plugin, &[200], 2);

    engine.docker_ok("rm --force c1 c2");
    engine.docker_ok("network rm one");
    assert_eq!(fs::read_dir(plugin.state_dir().join("networks")).unwrap().count(), 0);
}
