//! A container asks for its floating address by a label or by a driver option, on the network `fip`
//! beside Docker's own.

use std::net::IpAddr;

use crate::docker::{IMAGE, Plugin, fetch, wait_for_page};
use crate::lab::{Family, Ns, ping, wait_for};
use crate::scene::{LABEL, Packets, Scene, v4, visit, wait_for_source_rule};

const FLOATING: &str = "192.168.99.200";

#[test]
fn a_labelled_container_on_bridge_and_the_fip_network_has_its_floating_address() {
    let scene = Scene::new();
    let inside = scene.engine.web("c1", &format!("--label {LABEL}={FLOATING}"), "seed");
    scene.engine.docker_ok("network connect fip c1");

    let eth1 = inside.ip("-4 -o address show dev eth1");
    assert!(eth1.contains(" 172.18.0.2/16 "), "{eth1}");
    let fixed: IpAddr = [172, 18, 0, 2].into();
    assert_eq!(scene.address_in("fip", "c1", Family::V4), fixed);
    check(&scene, &inside, fixed, "seed");
}

/// How a container comes to be on `bridge` and on `fip`, as `docker` commands.
const WAYS: [(&str, &[&str]); 6] = [
    ("label, run on bridge", &["run -d -l LABEL", "network connect fip c1"]),
    ("label, run on fip", &["run -d -l LABEL --network fip", "network connect bridge c1"]),
    ("label, connected before start", &["create -l LABEL", "network connect fip c1", "start c1"]),
    ("option, run on bridge", &["run -d", "network connect --driver-opt OPTION fip c1"]),
    (
        "option, run on fip",
        &["run -d --network name=fip,driver-opt=OPTION", "network connect bridge c1"],
    ),
    (
        "option, connected before start",
        &["create", "network connect --driver-opt OPTION fip c1", "start c1"],
    ),
];

#[test]
fn every_way_to_both_networks_leads_to_the_same() {
    let scene = Scene::new();
    for (way, commands) in WAYS {
        eprintln!("-- {way}");
        for command in commands {
            let command = command
                .replace("LABEL", &format!("{LABEL}={FLOATING}"))
                .replace("OPTION", &format!("fip.address={FLOATING}"));
            let makes = ["run", "create"].contains(&command.split(' ').next().unwrap());
            let own = if makes { format!(" --name c1 {IMAGE} /serve seed") } else { String::new() };
            scene.engine.docker_ok(&format!("{command}{own}"));
        }
        let fixed = scene.address_in("fip", "c1", Family::V4);
        check(&scene, &scene.engine.inside("c1"), fixed, "seed");
        scene.engine.docker_ok("rm --force c1");
        assert!(!scene.host.ip("address").contains(FLOATING), "{way}");
        assert!(!scene.host.nft("list table inet fip").contains(FLOATING), "{way}");
        assert!(fetch(&scene.client, v4(200)).is_err(), "{way}");
    }
}

/// The address is on the card of the default route, is translated to `fixed`, and the container
/// answers the client by it and sees him.
#[track_caller]
fn check(scene: &Scene, inside: &Ns, fixed: IpAddr, page: &str) {
    let Scene { host, client, .. } = scene;
    wait_for_source_rule(inside, fixed);
    wait_for_page(inside, [127, 0, 0, 1].into(), page);
    let route = host.ip("-o -4 route show default");
    let card = route.split_whitespace().skip_while(|word| *word != "dev").nth(1).unwrap();
    let addresses = host.carried(card);
    assert!(addresses.contains(&format!(" {FLOATING}/32 ")), "{addresses}");
    let map = host.nft("-s list map inet fip dnat4");
    let element = map.lines().find(|line| line.contains(FLOATING)).unwrap_or_default();
    assert!(element.contains(&format!(" : {fixed} ")), "{map}");

    let packets = Packets::start(host, &scene.bridge(), "icmp or tcp port 80");
    assert!(ping(client, v4(200)));
    assert_eq!(
        fetch(client, v4(200)).map(|page| (page.text, page.peer)),
        Ok((page.to_owned(), v4(1)))
    );
    packets.wait_for(&[&format!(" {} > {fixed}: ICMP echo request", v4(1))]);
    packets.wait_for(&[&format!(" {fixed} > {}: ICMP echo reply", v4(1))]);
    packets.wait_for(&[&format!(" {}.", v4(1)), &format!(" > {fixed}.80: Flags [S]")]);
    packets.wait_for(&[&format!(" {fixed}.80 > {}.", v4(1)), "Flags [S.]"]);
    let strangers: Vec<String> =
        packets.lines().into_iter().filter(|line| !line.contains(&v4(1).to_string())).collect();
    assert_eq!(strangers, [""; 0], "packets of others on the bridge");
}

#[test]
fn a_container_on_the_fip_network_alone_needs_no_other() {
    let scene = Scene::new();
    scene.web("labelled", &format!("--label {LABEL}=192.168.99.201"));
    scene.web_with("told", "fip.address=192.168.99.202");
    assert_eq!(visit(&scene.client, v4(201), "labelled"), Ok(v4(1)));
    assert_eq!(visit(&scene.client, v4(202), "told"), Ok(v4(1)));
}

#[test]
fn the_option_goes_before_the_label() {
    let scene = Scene::new();
    let options = format!("--label {LABEL}=192.168.99.201");
    let network = "--network name=fip,driver-opt=fip.address=192.168.99.202";
    scene.engine.web("c1", &format!("{options} {network}"), "c1");
    assert_eq!(visit(&scene.client, v4(202), "c1"), Ok(v4(1)));
    assert!(!scene.host.ip("address").contains("192.168.99.201"));
}

#[test]
fn of_two_fip_networks_the_first_one_has_what_the_label_asks_for() {
    let scene = Scene::new();
    scene.engine.docker_ok("network create --driver fip --subnet 172.19.0.0/16 second");
    scene.web("c1", &format!("--label {LABEL}=192.168.99.201"));
    scene.engine.docker_ok("network connect second c1");
    assert_eq!(visit(&scene.client, v4(201), "c1"), Ok(v4(1)));
    let owners: Vec<_> = scene.fip().list().into_iter().map(|row| row["owner"].clone()).collect();
    assert_eq!(owners, [format!("plugin:{}", scene.short_id("fip"))]);

    scene.engine.docker_ok("network disconnect fip c1");
    assert_eq!(scene.fip().list(), [(); 0].map(|()| serde_json::Value::Null));
}

#[test]
fn what_a_label_asks_for_is_refused_with_the_reason() {
    let scene = Scene::new();
    let run = |value: &str| {
        let label = format!("{LABEL}={value}");
        let words =
            ["run", "--detach", "--name", "c1", "--network", "fip", "--label", &label, IMAGE];
        let run = scene.engine.docker_with(&words);
        scene.engine.docker_ok("rm --force c1");
        assert_ne!(run.code, Some(0), "{value}");
        run
    };
    run("here").complains_of(&["\"here\"", "address"]);
    run("").complains_of(&["address"]);
    run("203.0.113.7").complains_of(&["203.0.113.7", "192.168.99.0/24"]);
    run("192.168.99.11").complains_of(&["192.168.99.11", "host"]);
    run("2001:db8:99::200").complains_of(&["2001:db8:99::200", "no IPv6 address"]);
    run("192.168.99.201,192.168.99.201").complains_of(&["twice"]);

    let left = scene.host.ip("link show");
    assert!(!left.contains(" fv") && !left.contains(" fc"), "{left}");
    assert!(!scene.host.nft("list table inet fip").contains("192.168.99.2"));
}

#[test]
fn the_label_may_have_another_name() {
    let scene = Scene::new();
    scene.plugin.stop();
    let _plugin = Plugin::start(&scene.engine, "--label org.example.address");
    scene.web("old", &format!("--label {LABEL}=192.168.99.201"));
    scene.web("new", "--label org.example.address=192.168.99.202");
    assert_eq!(visit(&scene.client, v4(202), "new"), Ok(v4(1)));
    assert!(!scene.host.ip("address").contains("192.168.99.201"));
}

#[test]
fn without_dockers_api_options_work_and_labels_are_told_of() {
    let scene = Scene::new();
    scene.plugin.stop();
    let deaf = Plugin::start(&scene.engine, "--docker unix:///run/nobody.sock");
    scene.web_with("told", "fip.address=192.168.99.202");
    assert_eq!(visit(&scene.client, v4(202), "told"), Ok(v4(1)));
    scene.web("labelled", &format!("--label {LABEL}=192.168.99.201"));
    assert!(!scene.host.ip("address").contains("192.168.99.201"));
    deaf.stop();

    // One that hears gives the container what its label asks for.
    scene.plugin.up();
    wait_for("the labelled container's page", || {
        visit(&scene.client, v4(201), "labelled").ok().filter(|peer| *peer == v4(1))
    });
}
