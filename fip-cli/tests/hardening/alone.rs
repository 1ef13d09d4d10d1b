//! One binding that cannot be made is the trouble of that one alone.

use crate::neighbours::announce;
use crate::scene::Scene;
use crate::watched::{Watched, floating, rival_with, wait_for_bound};

/// Both go to workloads of host A; the second address is a rival's.
const CONTESTED: &str = "192.168.99.201 172.18.0.2\n192.168.99.202 172.18.0.3\n";

#[test]
fn what_is_free_is_repaired_while_another_address_waits() {
    let scene = Scene::new();
    let (free, contested) = (floating(201), floating(202));
    let rival = rival_with(&scene, contested);
    let watched = Watched::start(&scene, "contested", CONTESTED, "");
    watched.tells_failure(0, &[&contested.to_string(), &rival.mac("eth0")]);
    scene.wait_for_traffic(free);
    watched.repairs_a_flush(&scene, free);
    let from = watched.watch.lines().len();
    scene.a.take_away(free, "eth0");
    watched.watch.wait_for_event(from, "repaired", |_| true);
    scene.wait_for_traffic(free);
    wait_for_bound(&scene, &[free]);
    // It does wait all that time.
    rival.ip(&format!("address del {contested}/32 dev eth0"));
    wait_for_bound(&scene, &[free, contested]);
}

#[test]
fn what_goes_does_not_wait_for_what_is_contested() {
    let scene = Scene::new();
    let contested = floating(202);
    let _rival = rival_with(&scene, contested);
    scene.fip().run_with_input("apply - --announce 1", "192.168.99.201 172.18.0.2\n").exits(0);
    let apply = "apply - --probe 50ms --deadline 300ms --announce 1";
    scene
        .fip()
        .run_with_input(apply, "192.168.99.202 172.18.0.2\n")
        .exits(3)
        .complains_of(&[&contested.to_string()]);
    assert_eq!(scene.fip().list().len(), 0);
    let addresses = scene.a.carried("eth0");
    assert!(!addresses.contains("192.168.99.20"), "{addresses}");
}

#[test]
fn a_rival_is_heard_while_another_address_waits() {
    let scene = Scene::new();
    let (held, contested) = (floating(201), floating(202));
    let rival = rival_with(&scene, contested);
    let watched = Watched::start(&scene, "heard", CONTESTED, "");
    watched.tells_failure(0, &[&contested.to_string()]);
    scene.wait_for_traffic(held);
    announce(&rival, held);
    let is_held = |event: &serde_json::Value| event["address"] == held.to_string();
    let (_, event) = watched.watch.wait_for_event(0, "rival", is_held);
    assert_eq!(event["done"], "yielded");
    wait_for_bound(&scene, &[]);
}

#[test]
fn a_link_that_is_gone_stops_no_other_binding() {
    let scene = Scene::new();
    scene.a.ip_batch("link add eth9 type veth peer name eth9p\nlink set eth9p up\n");
    scene.a.ip("link set eth9 up");
    let state = r#"[
        {"floating": "192.168.99.201", "fixed": "172.18.0.2"},
        {"floating": "192.168.99.203", "fixed": "172.18.0.3", "interface": "eth9"}
    ]"#;
    let watched = Watched::start(&scene, "gone.json", state, "");
    wait_for_bound(&scene, &[floating(201), floating(203)]);
    let from = watched.watch.lines().len();
    scene.a.ip("link del eth9");
    watched.tells_failure(from, &["eth9"]);
    watched.repairs_a_flush(&scene, floating(201));
    // It is bound when it can be.
    scene.a.ip_batch("link add eth9 type veth peer name eth9p\nlink set eth9p up\n");
    scene.a.ip("link set eth9 up");
    wait_for_bound(&scene, &[floating(201), floating(203)]);
}

#[test]
fn another_owners_address_stops_no_other_binding() {
    let scene = Scene::new();
    let theirs = floating(205);
    scene.fip().ok(&format!("bind {theirs} 172.18.0.9 --owner other -p tcp:80 --announce 1"));
    let state = "192.168.99.201 172.18.0.2\n192.168.99.205 172.18.0.3\n";
    let watched = Watched::start(&scene, "owned", state, "");
    watched.tells_failure(0, &[&theirs.to_string(), "other"]);
    scene.wait_for_traffic(floating(201));
    let from = watched.watch.lines().len();
    scene.a.take_away("192.168.99.201", "eth0");
    watched.watch.wait_for_event(from, "repaired", |_| true);
    scene.wait_for_traffic(floating(201));
    let listed = scene.fip().list();
    let other = listed.iter().find(|row| row["floating"] == theirs.to_string()).unwrap();
    assert_eq!((&other["owner"], &other["fixed"]), (&"other".into(), &"172.18.0.9".into()));
    // It is had when they let go.
    scene.fip().ok(&format!("unbind {theirs} --owner other"));
    crate::lab::wait_for("the address that was theirs", || {
        let listed = scene.fip().list();
        (listed.len() == 2 && listed.iter().all(|row| row["owner"] == "cli")).then_some(())
    });
}
