//! Hosts and agents that die.

use super::teller::Cut;
use super::*;
use crate::lab::wait_for;

const FAMILY: Family = Family::V4;

impl Scene {
    /// The card of that host is unplugged, or plugged in again.
    fn plug(&self, side: &Side, state: &str) {
        self.lan.switch.ip(&format!("link set {} {state}", side.host.name()));
    }
}

/// The kernel of a host whose agent is dead goes on answering: the other one waits, until an agent
/// is there again to learn that the workload has left.
#[test]
fn a_killed_agent_leaves_a_host_that_serves() {
    let mut scene = Scene::new(Kind::Rancher);
    let capture = scene.capture();
    let old = scene.begin(FAMILY);
    let prober = scene.prober(FAMILY);
    assert_eq!(scene.a.end("KILL"), None);

    let new = scene.b.run("new", 2);
    let job = new.job(&scene.b, floating(FAMILY));
    scene.tell(std::slice::from_ref(&job));
    let waiting = scene.b.agent().wait_for_state(floating(FAMILY), "waiting");
    assert!(waiting.why.unwrap().contains(&scene.a.mac));
    prober.wait_for_answers(100);
    scene.assert_holders(&capture, FAMILY, &[&scene.a]);

    scene.a.start("");
    scene.b.agent().wait_for_state(floating(FAMILY), "bound");
    drop(old);
    assert_moved("killed, and started after the move", prober);
    scene.assert_holders(&capture, FAMILY, &[&scene.a, &scene.b]);
    assert!(!scene.a.has(floating(FAMILY)));
}

/// A host that is gone: power, network, agent.
fn gone(scene: &mut Scene) -> (Web, Web) {
    let old = scene.begin(FAMILY);
    let prober = scene.prober(FAMILY);
    scene.a.end("KILL");
    scene.plug(&scene.a, "down");
    let new = scene.b.run("new", 2);
    scene.b.teller.tell(&[new.job(&scene.b, floating(FAMILY))]);
    scene.b.agent().wait_for_state(floating(FAMILY), "bound");
    assert_moved("the host is gone", prober);
    (old, new)
}

#[test]
fn what_a_dead_host_had_is_claimed_and_stays_when_it_is_back() {
    for cut in [false, true] {
        let mut scene = Scene::new(Kind::Rancher);
        let (_old, new) = gone(&mut scene);
        // Nobody announces it any more: A must ask.
        scene.b.end("KILL");
        // Its source says that the workload has moved, or says nothing.
        if cut {
            scene.a.teller.cut(Cut::Refused);
        } else {
            scene.a.teller.tell(&[new.job(&scene.b, floating(FAMILY))]);
        }
        scene.plug(&scene.a, "up");
        // Its kernel has kept what was there; nobody on it knows better yet.
        assert!(scene.a.has(floating(FAMILY)));
        scene.a.start("");
        wait_for("A to let go", || (!scene.a.has(floating(FAMILY))).then_some(()));
        let capture = scene.capture();
        scene.client.ip("neigh flush all");
        let steady = steady::Steady::start(&scene.client, floating(FAMILY));
        steady.assert_nothing_lost();
        scene.assert_holders(&capture, FAMILY, &[&scene.b]);
    }
}

/// Only the card is unplugged: the agent lives, and believes that its workload runs, which it does.
#[test]
fn a_host_that_was_unplugged_asks_before_it_speaks() {
    let mut scene = Scene::new(Kind::Rancher);
    let capture = scene.capture();
    let _old = scene.begin(FAMILY);
    let prober = scene.prober(FAMILY);
    scene.plug(&scene.a, "down");
    let new = scene.b.run("new", 2);
    scene.b.teller.tell(&[new.job(&scene.b, floating(FAMILY))]);
    scene.b.agent().wait_for_state(floating(FAMILY), "bound");
    assert_moved("unplugged", prober);

    scene.plug(&scene.a, "up");
    let yielded = scene.a.agent().wait_for_state(floating(FAMILY), "yielded");
    assert!(yielded.why.unwrap().contains(&scene.b.mac));
    let steady = steady::Steady::start(&scene.client, floating(FAMILY));
    steady.assert_nothing_lost();
    scene.assert_holders(&capture, FAMILY, &[&scene.a, &scene.b]);
}

#[test]
fn who_dies_while_it_waits_waits_again() {
    let mut scene = Scene::new(Kind::Rancher);
    let capture = scene.capture();
    let old = scene.begin(FAMILY);
    let prober = scene.prober(FAMILY);
    let new = scene.b.run("new", 2);
    let both = [old.job(&scene.a, floating(FAMILY)), new.job(&scene.b, floating(FAMILY))];
    scene.tell(&both);
    let probes = Claim::Probes(scene.b.mac.clone());
    capture.wait_for_claim(floating(FAMILY), &probes);
    scene.b.end("KILL");
    assert!(!scene.b.has(floating(FAMILY)));
    prober.wait_for_answers(100);

    scene.b.start("");
    scene.b.agent().wait_for_state(floating(FAMILY), "waiting");
    scene.assert_holders(&capture, FAMILY, &[&scene.a]);
    drop(old);
    scene.tell(&both[1..]);
    scene.b.agent().wait_for_state(floating(FAMILY), "bound");
    assert_moved("killed while it waited", prober);
    scene.assert_holders(&capture, FAMILY, &[&scene.a, &scene.b]);
}

/// While it was cut off, its workload's connections went on trying: their packets make its kernel
/// ask for the client in the name of the address, before the agent can let go of it. That is no
/// claim.
#[test]
fn what_an_unplugged_host_still_sends_takes_nothing() {
    let mut scene = Scene::new(Kind::Rancher);
    let _old = scene.begin(FAMILY);
    scene.plug(&scene.a, "down");
    let new = scene.b.run("new", 2);
    scene.b.teller.tell(&[new.job(&scene.b, floating(FAMILY))]);
    scene.b.agent().wait_for_state(floating(FAMILY), "bound");

    let address = floating(FAMILY).to_string();
    let client = lan(FAMILY, 1).to_string();
    let capture = scene.capture();
    let pid = scene.a.agent().pid().to_string();
    scene.a.host.tool("kill", &["-s", "STOP", &pid], "");
    scene.plug(&scene.a, "up");
    // "Who has the client? Tell the floating address."
    scene.a.host.try_tool("arping", &["-c2", "-s", &address, "-I", "eth0", &client], "");
    capture.catch_up(&scene.client);
    scene.a.host.tool("kill", &["-s", "CONT", &pid], "");
    scene.a.agent().wait_for_state(floating(FAMILY), "yielded");
    steady::Steady::start(&scene.client, floating(FAMILY)).assert_nothing_lost();
    assert!(scene.b.has(floating(FAMILY)));
}
