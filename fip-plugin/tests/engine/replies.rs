//! Replies of a container on Docker's own network and on `fip`: by the door that the request came
//! in by, however strictly either side filters.

use std::net::IpAddr;

use crate::docker::{IMAGE, fetch, wait_for_page};
use crate::lab::{Family, Ns, ping};
use crate::scene::{LABEL, Scene, v4, visit, wait_for_source_rule};

/// Sets the filter of the reverse path: 0 none, 1 strict, 2 loose. Of a link's own value and that
/// for all links the greater one counts.
fn filter_reverse_path(ns: &Ns, value: u8) {
    for link in ns.run(links_with_parameters) {
        ns.sysctl(&format!("net/ipv4/conf/{link}/rp_filter"), &value.to_string());
    }
}

/// All links, and `all` and `default`.
fn links_with_parameters() -> Vec<String> {
    let links = std::fs::read_dir("/proc/sys/net/ipv4/conf").unwrap();
    links.map(|link| link.unwrap().file_name().into_string().unwrap()).collect()
}

/// The client gets the page of `c1`, and answers to pings, with every filter on both sides.
#[track_caller]
fn check(scene: &Scene, when: &str) {
    let inside = scene.engine.inside("c1");
    wait_for_page(&inside, [127, 0, 0, 1].into(), "c1");
    wait_for_source_rule(&inside, scene.address_in("fip", "c1", Family::V4));
    let mut wrong = Vec::new();
    for host in 0..=2 {
        filter_reverse_path(&scene.host, host);
        for container in 0..=2 {
            filter_reverse_path(&inside, container);
            let seen = visit(&scene.client, v4(200), "c1");
            if seen != Ok(v4(1)) {
                wrong.push(format!("host {host}, container {container}: {seen:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{when}, rp_filter of {wrong:#?}");
}

/// Nothing of ours is in the container's namespace, in either family.
#[track_caller]
fn check_untouched(inside: &Ns) {
    for family in ["-4", "-6"] {
        let rules = inside.ip(&format!("{family} rule show"));
        let tables: Vec<&str> =
            rules.lines().map(|rule| rule.rsplit_once("lookup ").unwrap().1.trim()).collect();
        let usual =
            if family == "-4" { &["local", "main", "default"][..] } else { &["local", "main"] };
        assert_eq!(tables, usual, "{rules}");
        let routes = inside.ip(&format!("{family} route show table all"));
        assert!(!routes.contains("table 61"), "{routes}");
    }
}

/// The link that carries the fixed address.
fn link_of(inside: &Ns, fixed: IpAddr) -> String {
    let addresses = inside.ip("-4 -o address show");
    let line = addresses.lines().find(|line| line.contains(&format!(" {fixed}/"))).unwrap();
    line.split_whitespace().nth(1).unwrap().to_owned()
}

#[test]
fn replies_pass_reverse_path_filters_of_both_sides_all_a_containers_life_long() {
    let scene = Scene::new();
    let docker = |args: &str| scene.engine.docker_ok(args);
    scene.engine.web("c1", &format!("--label {LABEL}=192.168.99.200"), "c1");
    check_untouched(&scene.engine.inside("c1"));
    docker("network connect fip c1");
    check(&scene, "connected");

    docker("stop c1");
    docker("start c1");
    check(&scene, "started again");
    docker("restart c1");
    check(&scene, "restarted");

    docker("network disconnect bridge c1");
    check(&scene, "disconnected from bridge");
    docker("network connect bridge c1");
    check(&scene, "connected to bridge again");
    docker("network disconnect fip c1");
    check_untouched(&scene.engine.inside("c1"));
    assert!(fetch(&scene.client, v4(200)).is_err());
    docker("network connect fip c1");
    check(&scene, "connected to fip again");

    // A restart gives the links their names anew.
    let link = || {
        let fixed = scene.address_in("fip", "c1", Family::V4);
        link_of(&scene.engine.inside("c1"), fixed)
    };
    let before = link();
    docker("restart c1");
    check(&scene, "restarted after that");
    assert_ne!(link(), before);
}

#[test]
fn a_container_that_was_connected_before_its_first_start_replies() {
    let scene = Scene::new();
    scene.engine.docker_ok(&format!("create --name c1 {IMAGE} /serve c1"));
    let option = "--driver-opt fip.address=192.168.99.200";
    scene.engine.docker_ok(&format!("network connect {option} fip c1"));
    scene.engine.docker_ok("start c1");
    check(&scene, "started");
}

/// The fip network has the default route if its name is the first in the alphabet.
#[test]
fn replies_pass_where_the_fip_network_has_the_default_route() {
    let scene = Scene::new();
    scene.engine.docker_ok("network create --driver fip --subnet 172.19.0.0/16 afip");
    scene.engine.web("c1", &format!("--label {LABEL}=192.168.99.200"), "c1");
    scene.engine.docker_ok("network connect afip c1");
    let inside = scene.engine.inside("c1");
    let default = inside.ip("-4 route show default");
    assert!(default.contains("via 172.19.0.1 "), "{default}");
    for filter in 0..=2 {
        filter_reverse_path(&scene.host, filter);
        filter_reverse_path(&inside, filter);
        assert_eq!(visit(&scene.client, v4(200), "c1"), Ok(v4(1)), "rp_filter {filter}");
    }
    scene.engine.docker_ok("network disconnect afip c1");
    check_untouched(&inside);
    // Docker's own network goes on.
    assert_eq!(visit(&scene.host, [172, 17, 0, 2].into(), "c1"), Ok([172, 17, 0, 1].into()));
}

/// Two fip networks, each with a floating address of the same container.
#[test]
fn a_container_with_a_floating_address_on_each_of_two_networks_replies_by_both() {
    let scene = Scene::new();
    scene.engine.docker_ok("network create --driver fip --subnet 172.19.0.0/16 second");
    let inside = scene.web_with("c1", "fip.address=192.168.99.200");
    let option = "--driver-opt fip.address=192.168.99.201";
    scene.engine.docker_ok(&format!("network connect {option} second c1"));
    for fixed in ["fip", "second"].map(|network| scene.address_in(network, "c1", Family::V4)) {
        wait_for_source_rule(&inside, fixed);
    }
    for filter in 0..=2 {
        filter_reverse_path(&scene.host, filter);
        filter_reverse_path(&inside, filter);
        for floating in [200, 201].map(v4) {
            let seen = visit(&scene.client, floating, "c1");
            assert_eq!(seen, Ok(v4(1)), "{floating}, rp_filter {filter}");
        }
    }
    scene.engine.docker_ok("network disconnect second c1");
    let rules = inside.ip("rule show");
    assert!(rules.contains("from 172.18.") && !rules.contains("from 172.19."), "{rules}");
    assert_eq!(visit(&scene.client, v4(200), "c1"), Ok(v4(1)));
}

/// What the rule is for: the tests above would pass without it if nobody filtered.
#[test]
fn without_the_source_rule_a_strict_filter_loses_the_replies() {
    let scene = Scene::new();
    let inside = scene.engine.web("c1", &format!("--label {LABEL}=192.168.99.200"), "c1");
    scene.engine.docker_ok("network connect fip c1");
    let fixed = scene.address_in("fip", "c1", Family::V4);
    wait_for_source_rule(&inside, fixed);
    filter_reverse_path(&scene.host, 1);
    assert!(ping(&scene.client, v4(200)));
    inside.ip(&format!("rule del from {fixed}"));
    assert!(!ping(&scene.client, v4(200)));
}
