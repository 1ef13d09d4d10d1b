//! What the command `fip` and other programs do beside the driver.

use std::net::IpAddr;

use crate::docker::{fetch, wait_for_page};
use crate::lab::wait_for;
use crate::scene::{LABEL, Scene, v4, visit};

fn text(addresses: &[IpAddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

#[test]
fn the_list_shows_whose_network_a_binding_is_of() {
    let scene = Scene::new();
    scene.engine.docker_ok("network create --driver fip --subnet 172.19.0.0/16 second");
    scene.web_with("c1", "fip.address=192.168.99.201");
    let port = format!("--network second --label {LABEL}=192.168.99.202:tcp:80");
    scene.engine.web("c2", &port, "c2");

    let rows = scene.fip().list();
    let column =
        |name: &str| -> Vec<&str> { rows.iter().map(|row| row[name].as_str().unwrap()).collect() };
    assert_eq!(column("floating"), text(&[v4(201), v4(202)]));
    assert_eq!(column("fixed"), ["172.18.0.2", "172.19.0.2"]);
    let owners = ["fip", "second"].map(|name| format!("plugin:{}", scene.short_id(name)));
    assert_eq!(column("owner"), owners);
    assert_eq!(column("interface"), ["eth0", "eth0"]);
    assert_eq!(column("state"), ["active", "active"]);
    let ports = rows.iter().map(|row| row["ports"].as_array().unwrap().len());
    assert_eq!(ports.collect::<Vec<_>>(), [0, 1]);
    let table = scene.fip().ok("list").stdout.clone();
    assert!(owners.iter().all(|owner| table.contains(owner)), "{table}");
    let of_one = scene.fip().ok(&format!("list --owner {}", owners[1])).stdout.clone();
    assert!(of_one.contains("172.19.0.2") && !of_one.contains("172.18.0.2"), "{of_one}");
}

#[test]
fn an_address_of_the_driver_is_unbound_by_its_owner_only_and_comes_back() {
    let scene = Scene::new();
    scene.web_with("c1", "fip.address=192.168.99.201");
    let owner = format!("plugin:{}", scene.short_id("fip"));
    let before = (scene.host.nft("-s list table inet fip"), scene.fip().list().len());

    let others = ["", " --owner agent", " --owner plugin:0123456789ab"];
    for other in others {
        let refused = scene.fip().run(&format!("unbind 192.168.99.201{other}")).exits(3);
        refused.complains_of(&["192.168.99.201", &owner, "--owner"]);
    }
    scene.fip().run("bind 192.168.99.201 172.18.0.9 --probe 0").exits(3).complains_of(&[&owner]);
    let replace = "bind 192.168.99.201 172.18.0.9 --probe 0 --replace";
    scene.fip().run(replace).exits(3).complains_of(&[&owner]);
    assert_eq!((scene.host.nft("-s list table inet fip"), scene.fip().list().len()), before);
    assert_eq!(visit(&scene.client, v4(201), "c1"), Ok(v4(1)));
    assert!(!scene.plugin.log().contains("repaired:"), "{}", scene.plugin.log());

    // Who names the owner undoes it, but Docker still says otherwise, and the driver holds that.
    let undone = scene.fip().ok(&format!("unbind 192.168.99.201 --owner {owner} --json")).json();
    assert!(!undone["changes"].as_array().unwrap().is_empty());
    wait_for("the driver to bind it again", || {
        (scene.plugin.log().contains("repaired:") && scene.fip().list().len() == 1).then_some(())
    });
    assert_eq!(wait_for_page(&scene.client, v4(201), "c1"), v4(1));

    scene.engine.docker_ok("network disconnect fip c1");
    assert_eq!(scene.fip().list().len(), 0);
    // While the driver is away nobody binds again what was unbound.
    scene.engine.docker_ok("network connect --driver-opt fip.address=192.168.99.201 fip c1");
    scene.plugin.stop();
    scene.fip().ok(&format!("unbind 192.168.99.201 --owner {owner}"));
    assert!(fetch(&scene.client, v4(201)).is_err());
    scene.plugin.up();
    assert_eq!(wait_for_page(&scene.client, v4(201), "c1"), v4(1));
}

#[test]
fn the_driver_leaves_the_bindings_of_others_alone() {
    let scene = Scene::new();
    scene.web("c1", "");
    scene.fip().ok("bind 192.168.99.210 172.18.0.2");
    scene.web_with("c2", "fip.address=192.168.99.201");
    let option = "--network name=fip,driver-opt=fip.address=192.168.99.210";
    let refused = scene.engine.docker(&format!("run --detach --name c3 {option} lab"));
    assert_ne!(refused.code, Some(0));
    refused.complains_of(&["192.168.99.210", "cli"]);
    scene.engine.docker_ok("rm --force c2 c3");
    scene.plugin.restart();
    assert_eq!(visit(&scene.client, v4(210), "c1"), Ok(v4(1)));
    scene.fip().ok("unbind 192.168.99.210");
    assert_eq!(scene.fip().list().len(), 0);
}

/// What other programs do to a host, and what of ours it takes.
const HARM: [(&str, &str); 6] = [
    ("the table is gone", "nft delete table inet fip"),
    ("an address is gone", "ip route del local 192.168.99.201/32 dev eth0 table local"),
    ("all addresses are gone", "ip -4 route flush table local proto 0xf1"),
    ("a map is empty", "nft flush map inet fip dnat4"),
    ("DOCKER-USER is empty", "iptables-nft -F DOCKER-USER"),
    ("the ruleset is gone", "nft flush ruleset"),
];

#[test]
fn what_others_undo_is_done_again_without_any_call() {
    let scene = Scene::new();
    scene.web_with("c1", "fip.address=192.168.99.201");
    scene.engine.web("c2", &format!("--label {LABEL}=192.168.99.202"), "c2");
    scene.engine.docker_ok("network connect fip c2");
    wait_for_page(&scene.client, v4(202), "c2");
    let whole = || {
        let rows = scene.fip().list();
        rows.len() == 2 && rows.iter().all(|row| row["state"] == "active")
    };
    assert!(whole());
    for (what, command) in HARM {
        let (program, args) = command.split_once(' ').unwrap();
        scene.host.tool(program, &args.split(' ').collect::<Vec<_>>(), "");
        wait_for(what, || whole().then_some(()));
        for (name, floating) in [("c1", v4(201)), ("c2", v4(202))] {
            assert_eq!(wait_for_page(&scene.client, floating, name), v4(1), "{what}");
            assert!(visit(&scene.client, floating, name).is_ok(), "{what}");
        }
    }

    // dockerd makes its own rules again when it starts, all but the policy.
    assert!(!scene.host.iptables("-S").contains("DOCKER"));
    scene.engine.restart();
    assert!(scene.host.iptables("-S FORWARD").contains("-j DOCKER-USER"));
    scene.host.iptables("-P FORWARD DROP");
    scene.engine.docker_ok("start c1 c2");
    for (name, floating) in [("c1", v4(201)), ("c2", v4(202))] {
        assert_eq!(wait_for_page(&scene.client, floating, name), v4(1));
    }
}
