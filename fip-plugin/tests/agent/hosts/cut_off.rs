//! A host that has lost its source goes on believing what it heard last, until another host wants
//! the address.

use super::teller::Cut;
use super::*;
use crate::lab::UdpFlow;
use crate::metadata::Metadata;

const FAMILY: Family = Family::V4;

const CUTS: [(Kind, Cut); 4] = [
    (Kind::Rancher, Cut::Refused),
    (Kind::Rancher, Cut::Blackholed),
    (Kind::Rancher, Cut::Wrong),
    (Kind::File, Cut::Removed),
];

/// A has the address and loses its source.
fn cut_off(scene: &mut Scene, how: Cut) -> Web {
    let old = scene.begin(FAMILY);
    scene.a.teller.cut(how);
    // Of packets that are lost nobody hears.
    if how != Cut::Blackholed {
        scene.a.agent().wait_for_source(false);
    }
    old
}

/// B has it by now, though the workload still runs at A.
#[track_caller]
fn assert_yielded(scene: &Scene) {
    let yielded = scene.a.agent().wait_for_state(floating(FAMILY), "yielded");
    assert!(yielded.why.unwrap().contains(&scene.b.mac));
    scene.b.agent().wait_for_state(floating(FAMILY), "bound");
    assert!(!scene.a.has(floating(FAMILY)));
    scene.a.agent().wait_for_log(&["given up", &scene.b.mac, &floating(FAMILY).to_string()]);
}

#[test]
fn it_yields_and_does_not_take_it_back() {
    for (kind, how) in CUTS {
        let mut scene = Scene::new(kind);
        let capture = scene.capture();
        let _old = cut_off(&mut scene, how);
        let prober = scene.prober(FAMILY);

        let new = scene.b.run("new", 2);
        let job = new.job(&scene.b, floating(FAMILY));
        scene.b.teller.tell(std::slice::from_ref(&job));
        assert_yielded(&scene);
        assert_moved(&format!("cut off: {how:?}"), prober);

        scene.a.teller.tell(&[job]);
        scene.a.teller.mend(how);
        scene
            .a
            .agent()
            .wait_until("nothing to do", |report| report.source.up && report.workloads.is_empty());
        scene.assert_holders(&capture, FAMILY, &[&scene.a, &scene.b]);
        assert!(!scene.a.has(floating(FAMILY)) && scene.b.has(floating(FAMILY)));
        let mut flow = UdpFlow::open(&scene.client, (floating(FAMILY), 80));
        assert_eq!(flow.ask().unwrap().name, "new");
    }
}

/// Its source comes back and still says that the workload is here: only a new start is a new claim.
#[test]
fn it_claims_again_when_its_workload_starts_anew() {
    let mut scene = Scene::new(Kind::Rancher);
    let capture = scene.capture();
    let old = cut_off(&mut scene, Cut::Refused);
    let new = scene.b.run("new", 2);
    let mut stale = old.job(&scene.a, floating(FAMILY));
    let both = [stale.clone(), new.job(&scene.b, floating(FAMILY))];
    scene.b.teller.tell(&both);
    assert_yielded(&scene);

    scene.a.teller.mend(Cut::Refused);
    scene.a.agent().wait_for_source(true);
    scene.a.agent().wait_for_state(floating(FAMILY), "yielded");
    stale.starts += 1;
    scene.a.teller.tell(&[stale]);
    let waiting = scene.a.agent().wait_for_state(floating(FAMILY), "waiting");
    assert!(waiting.why.unwrap().contains(&scene.b.mac));
    scene.assert_holders(&capture, FAMILY, &[&scene.a, &scene.b]);

    drop(new);
    scene.b.teller.tell(&both[..1]);
    scene.a.agent().wait_for_state(floating(FAMILY), "bound");
    scene.assert_holders(&capture, FAMILY, &[&scene.a, &scene.b, &scene.a]);
}

/// An agent that was started while its source was away has never heard of the workload. What it
/// finds on the host it holds, and gives up as well.
#[test]
fn it_yields_also_if_it_was_started_meanwhile() {
    let mut scene = Scene::new(Kind::Rancher);
    let capture = scene.capture();
    let _old = cut_off(&mut scene, Cut::Refused);
    scene.a.end("KILL");
    scene.a.start("");
    scene.a.agent().wait_for_source(false);
    let prober = scene.prober(FAMILY);

    let new = scene.b.run("new", 2);
    scene.b.teller.tell(&[new.job(&scene.b, floating(FAMILY))]);
    scene.b.agent().wait_for_state(floating(FAMILY), "bound");
    assert_moved("cut off, and started anew", prober);
    scene.assert_holders(&capture, FAMILY, &[&scene.a, &scene.b]);
    assert!(!scene.a.has(floating(FAMILY)));
}

#[test]
fn it_gives_up_nothing_but_what_is_wanted() {
    gives_up_one_of_two(|service| service.kill());
}

/// Who asks anew is told a list in which nothing is this host's, and that is not believed.
#[test]
fn who_is_taken_for_another_host_gives_up_nothing_but_what_is_wanted() {
    gives_up_one_of_two(|service| {
        service.default_host("node-b");
        service.reload();
    });
}

/// What nobody else wants is held, however long.
fn gives_up_one_of_two(cut: impl Fn(&Metadata)) {
    let mut scene = Scene::new(Kind::Rancher);
    let (one, other) = (lan(FAMILY, 200), lan(FAMILY, 201));
    let (web, stays) = (scene.a.run("old", 2), scene.a.run("stays", 3));
    scene.tell(&[web.job(&scene.a, one), stays.job(&scene.a, other)]);
    scene.a.start("");
    scene.b.start("");
    scene.a.agent().wait_for_state(one, "bound");
    scene.a.agent().wait_for_state(other, "bound");
    cut(scene.a.teller.service());
    scene.a.agent().wait_for_source(false);
    let steady = steady::Steady::start(&scene.client, other);

    let new = scene.b.run("new", 2);
    scene.b.teller.tell(&[new.job(&scene.b, one)]);
    scene.b.agent().wait_for_state(one, "bound");
    assert_yielded(&scene);
    scene.a.agent().wait_for_state(other, "bound");
    steady.assert_nothing_lost();
    assert!(!scene.a.has(one) && scene.a.has(other));
}
