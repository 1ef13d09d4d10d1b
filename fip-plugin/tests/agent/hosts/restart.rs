//! The agent ends and is started again: nobody notices.

use super::monitor::Monitor;
use super::steady::Steady;
use super::*;
use crate::lab::wait_for;

#[test]
fn a_restart_changes_nothing_and_loses_nothing() {
    for (kind, family) in [(Kind::Rancher, Family::V4), (Kind::File, Family::V6)] {
        let mut scene = Scene::new(kind);
        let _old = scene.begin(family);
        let before = scene.a.made();
        let capture = scene.capture();
        let steady = Steady::start(&scene.client, floating(family));
        let monitor = Monitor::start(&scene.a.host);
        for signal in ["TERM", "KILL", "INT", "KILL"] {
            let code = scene.a.end(signal);
            assert_eq!(code, (signal != "KILL").then_some(0), "{signal}");
            steady.go_on();
            assert_eq!(scene.a.made(), before, "after {signal}");
            scene.a.start("");
            scene.a.agent().wait_for_source(true);
            scene.a.agent().wait_for_state(floating(family), "bound");
            steady.go_on();
            assert_eq!(scene.a.made(), before, "after {signal} and a start");
        }
        steady.assert_nothing_lost();
        assert_eq!(monitor.transactions(), Vec::<String>::new());
        // Nobody else ever spoke for it.
        capture.catch_up(&scene.client);
        let claims = capture.claims(floating(family));
        assert!(holders(&claims).iter().all(|mac| *mac == scene.a.mac), "{claims:?}");
    }
}

/// What changed while no agent was there is made so by the next one.
#[test]
fn what_changed_meanwhile_is_caught_up_with() {
    let mut scene = Scene::new(Kind::Rancher);
    let old = scene.begin(Family::V4);
    let (gone, stays) = (floating(Family::V4), lan(Family::V4, 201));
    let next = scene.a.run("next", 3);
    scene.a.end("KILL");
    drop(old);
    scene.tell(&[next.job(&scene.a, stays)]);
    scene.a.start("");
    scene.a.agent().wait_for_state(stays, "bound");
    wait_for("A to let go", || (!scene.a.has(gone)).then_some(()));
    Steady::start(&scene.client, stays).assert_nothing_lost();
}
