//! Another host of the LAN that answers for the address.

use std::net::IpAddr;

use crate::lab::{Capture, Claim, Family, Ns, PATIENCE, Run, lan};
use crate::scene::Scene;

/// A machine of the LAN that has taken an address, and answers for it as any Linux host does.
struct Rival {
    ns: Ns,
    address: IpAddr,
}

impl Rival {
    fn with(scene: &Scene, address: IpAddr) -> Self {
        // One of each family; what is left of the first may linger when the second comes.
        let (name, number) = if address.is_ipv4() { ("rival4", 66) } else { ("rival6", 67) };
        let ns = scene.lan.machine(name, number);
        let rival = Self { ns, address };
        rival.change("add");
        rival.ns.wait_in_force("eth0");
        rival
    }

    fn fall_silent(&self) {
        self.change("del");
    }

    fn change(&self, verb: &str) {
        let (address, length, options) = match self.address {
            IpAddr::V4(address) => (address.to_string(), 32, ""),
            IpAddr::V6(address) => (address.to_string(), 128, "nodad"),
        };
        self.ns.ip(&format!("address {verb} {address}/{length} dev eth0 {options}"));
    }
}

#[test]
fn who_refuses_changes_nothing() {
    let scene = Scene::new();
    for family in Family::BOTH {
        let (floating, fixed) = scene.pair(family);
        let rival = Rival::with(&scene, floating);
        let before = scene.state();
        scene
            .fip()
            .run(&format!("bind {floating} {fixed} --rival refuse"))
            .exits(3)
            .complains_of(&[&floating.to_string(), "eth0", &rival.ns.mac("eth0"), "way out: "]);
        scene.state().assert_is(&before, "after the refusal");
        let file = format!("{floating} {fixed}\n");
        scene.fip().run_with_input("apply - --rival refuse", &file).exits(3);
        scene.state().assert_is(&before, "after the refusal of a file");
    }
}

#[test]
fn who_waits_in_vain_changes_nothing() {
    let scene = Scene::new();
    for family in Family::BOTH {
        let (floating, fixed) = scene.pair(family);
        let rival = Rival::with(&scene, floating);
        let before = scene.state();
        scene
            .fip()
            .run(&format!("bind {floating} {fixed} --probe 50ms --deadline 300ms"))
            .exits(3)
            .complains_of(&[&floating.to_string(), &rival.ns.mac("eth0"), "--deadline"]);
        scene.state().assert_is(&before, "after the deadline");
    }
}

#[test]
fn who_waits_is_next_when_the_rival_falls_silent_and_not_before() {
    let scene = Scene::new();
    for family in Family::BOTH {
        let (floating, fixed) = scene.pair(family);
        let rival = Rival::with(&scene, floating);
        let capture = Capture::start(&scene.lan.switch);
        let command = format!("bind {floating} {fixed} --deadline 30s --json");
        let mut waiting = scene.fip().spawn(&command);
        let (ours, theirs) = (scene.a.mac("eth0"), rival.ns.mac("eth0"));
        let holds = |mac: &str| Claim::Holds(mac.to_owned());
        // Many windows of asking and being told.
        crate::lab::wait_for("answers of the rival", || {
            let answers = capture.claims(floating);
            (answers.iter().filter(|claim| **claim == holds(&theirs)).count() > 10).then_some(())
        });
        assert!(waiting.is_running(), "it did not wait");
        rival.fall_silent();
        let run = Run::new(&command, waiting.finish(PATIENCE)).exits(0);
        assert!(run.json()["waited_ms"].as_f64().unwrap() > 0.0);
        scene.wait_for_traffic(floating);
        capture.wait_for_claim(floating, &holds(&ours));
        capture.catch_up(&scene.client);
        let claims = capture.claims(floating);
        let first = claims.iter().position(|claim| *claim == holds(&ours));
        let last = claims.iter().rposition(|claim| *claim == holds(&theirs));
        assert!(last < first, "both answered at once: {claims:?}");
    }
}

#[test]
fn who_takes_over_does_not_ask() {
    let scene = Scene::new();
    for family in Family::BOTH {
        let (floating, fixed) = scene.pair(family);
        let rival = Rival::with(&scene, floating);
        // The client knows the rival as the one that has it.
        assert!(crate::lab::ping(&scene.client, floating));
        let capture = Capture::start(&scene.lan.switch);
        scene.fip().ok(&format!("bind {floating} {fixed} --rival take-over --announce 1"));
        let ours = scene.a.mac("eth0");
        capture.wait_for_claim(floating, &Claim::Holds(ours.clone()));
        capture.catch_up(&scene.client);
        assert!(!capture.claims(floating).contains(&Claim::Probes(ours)), "it asked");
        scene.wait_for_traffic(floating);
        rival.fall_silent();
        scene.fip().ok(&format!("unbind {floating}"));
    }
}

#[test]
fn of_a_file_what_is_free_is_bound_and_the_rest_is_told() {
    let scene = Scene::new();
    let (taken, fixed) = scene.pair(Family::V4);
    let rival = Rival::with(&scene, taken);
    let file = format!("{taken} {fixed}\n192.168.99.201 172.18.0.3\n");
    scene
        .fip()
        .run_with_input("apply - --probe 50ms --deadline 300ms --announce 1", &file)
        .exits(3)
        .complains_of(&[&taken.to_string(), &rival.ns.mac("eth0")]);
    let listed = scene.fip().list();
    assert_eq!(listed.len(), 1, "{listed:#?}");
    assert_eq!(listed[0]["floating"], "192.168.99.201");
    // It says the same again, until the rival is gone.
    scene.fip().run_with_input("apply - --probe 50ms --deadline 100ms", &file).exits(3);
    rival.fall_silent();
    scene.fip().run_with_input("apply - --announce 1", &file).exits(0);
    assert_eq!(scene.fip().list().len(), 2);
    scene.wait_for_traffic(taken);
}

#[test]
fn what_was_unbound_meanwhile_is_not_announced_again() {
    let scene = Scene::new();
    let goes = Family::BOTH.map(|family| (lan(family, 201), scene.pair(family).1));
    let stays = scene.pair(Family::V4).0;
    let capture = Capture::start(&scene.lan.switch);
    let holds = Claim::Holds(scene.a.mac("eth0"));
    let file: String = goes.iter().map(|(goes, fixed)| format!("{goes} {fixed}\n")).collect();
    // It ends when nothing is left to announce.
    let command = "apply - --owner early --probe 0 --announce 1000";
    let applied = scene.fip().spawn_with_input(command, &format!("{file}{stays} 172.18.0.3\n"));
    capture.wait_for_claim(stays, &holds);
    for (floating, _) in goes {
        capture.wait_for_claim(floating, &holds);
        scene.fip().ok(&format!("unbind {floating} --owner early"));
    }
    capture.catch_up(&scene.client);
    let told = |floating| capture.claims(floating).len();
    let told_of_all = || goes.map(|(floating, _)| told(floating));
    let before = (told_of_all(), told(stays));
    // Two frames a round: one round at least is over as a whole.
    crate::lab::wait_for("later rounds", || (told(stays) >= before.1 + 6).then_some(()));
    scene.fip().ok(&format!("unbind {stays} --owner early"));
    Run::new(command, applied.finish(PATIENCE)).exits(0);
    capture.catch_up(&scene.client);
    assert_eq!(told_of_all(), before.0, "{goes:?} were announced after they were unbound");
}
