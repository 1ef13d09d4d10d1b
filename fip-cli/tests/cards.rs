//! A host with two cards on one LAN: what its other card answers is no rival's word.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../fip-core/tests/lab/mod.rs"]
mod lab;

#[path = "cli/file.rs"]
mod file;
#[path = "cli/live.rs"]
mod live;
#[path = "cli/scene.rs"]
mod scene;

use file::File;
use lab::{Capture, Claim, Family};
use live::Live;
use scene::Scene;

/// Gives host A a second card on the LAN, which answers for whatever the host has: Linux does so,
/// by any card, for every address (`arp_ignore` 0).
fn second_card(scene: &Scene) {
    scene.lan.switch.ip_batch(&format!(
        "link add A2 type veth peer name eth1 netns {}\nlink set A2 master lan up\n",
        scene.a.pid()
    ));
    scene.a.ip_batch("link set eth1 up\naddress add 192.168.99.13/24 dev eth1\n");
    scene.a.sysctl("net/ipv4/conf/eth1/arp_ignore", "0");
    scene.lan.switch.wait_ready("A2");
    scene.a.wait_ready("eth1");
}

/// The first card's answer is on the wire: it was there to be taken for a rival's.
fn assert_answered(capture: &Capture, scene: &Scene, by: &str) {
    capture.catch_up(&scene.client);
    let claims = capture.claims(scene.pair(Family::V4).0);
    let answer = Claim::Holds(scene.a.mac(by));
    assert!(claims.contains(&answer), "{by} did not answer: {claims:?}");
}

#[test]
fn an_address_moves_from_card_to_card() {
    let scene = Scene::new();
    second_card(&scene);
    let (floating, fixed) = scene.pair(Family::V4);
    scene.fip().ok(&format!("bind {floating} {fixed} -i eth0 --announce 0"));
    for (from, to) in [("eth0", "eth1"), ("eth1", "eth0")] {
        let capture = Capture::start(&scene.lan.switch);
        let options = "--replace --rival refuse --announce 0";
        scene.fip().ok(&format!("bind {floating} {fixed} -i {to} {options}"));
        assert_answered(&capture, &scene, from);
        assert_eq!(scene.fip().list()[0]["interface"], to);
        scene.wait_for_traffic(floating);
    }
}

#[test]
fn the_other_card_makes_no_watch_yield() {
    let scene = Scene::new();
    second_card(&scene);
    let (floating, fixed) = scene.pair(Family::V4);
    let file = File::with("cards", &format!("{floating} {fixed}\n"));
    let command = format!("watch {} --json --announce 0", file.path().display());
    let watch = Live::start(&scene.a, env!("CARGO_BIN_EXE_fip"), &command);
    watch.wait_for_event(0, "watching", |_| true);
    scene.wait_for_traffic(floating);
    let card = scene.fip().list()[0]["interface"].as_str().unwrap().to_owned();
    let (port, other) = if card == "eth0" { ("A", "eth1") } else { ("A2", "eth0") };

    // The cable is pulled out and put back: the watch asks whether the address is still free.
    let from = watch.lines().len();
    scene.lan.switch.ip(&format!("link set {port} down"));
    watch.wait_for_event(from, "warning", |event| {
        event["warning"].as_str().unwrap().contains(&card)
    });
    let capture = Capture::start(&scene.lan.switch);
    scene.lan.switch.ip(&format!("link set {port} up"));
    let (_, event) = watch.wait_for_event(from, "announced", |_| true);
    assert_answered(&capture, &scene, other);
    assert_eq!(event["addresses"], 1, "{:#?}", watch.lines());
    scene.wait_for_traffic(floating);
    watch.signal("TERM");
    assert_eq!(watch.finish(), Some(0));
}
