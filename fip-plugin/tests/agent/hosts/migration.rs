//! A workload leaves one host and starts on another; both agents know what is so.

use super::*;
use crate::lab::wait_for;

/// Sources and families: the metadata service knows only IPv4 addresses.
const MOVES: [(Kind, Family); 3] =
    [(Kind::Rancher, Family::V4), (Kind::File, Family::V4), (Kind::File, Family::V6)];

#[test]
fn stopped_here_and_started_there_it_moves() {
    for (kind, family) in MOVES {
        let mut scene = Scene::new(kind);
        let capture = scene.capture();
        let old = scene.begin(family);
        let prober = scene.prober(family);

        drop(old);
        scene.tell(&[]);
        scene.a.agent().wait_until("nothing to do", |report| report.workloads.is_empty());
        let new = scene.b.run("new", 2);
        scene.tell(&[new.job(&scene.b, floating(family))]);

        scene.b.agent().wait_for_state(floating(family), "bound");
        assert_moved(&format!("stop, start: {kind:?}, {family:?}"), prober);
        scene.assert_holders(&capture, family, &[&scene.a, &scene.b]);
        assert!(!scene.a.has(floating(family)));
    }
}

#[test]
fn started_there_before_it_is_stopped_here_it_waits() {
    for (kind, family) in MOVES {
        let mut scene = Scene::new(kind);
        let capture = scene.capture();
        let old = scene.begin(family);
        let prober = scene.prober(family);

        let new = scene.b.run("new", 2);
        let both = [old.job(&scene.a, floating(family)), new.job(&scene.b, floating(family))];
        scene.tell(&both);
        // A knows better, and B says for whom it waits.
        let waiting = scene.b.agent().wait_for_state(floating(family), "waiting");
        assert!(waiting.why.unwrap().contains(&scene.a.mac));
        scene.a.agent().wait_for_log(&[&scene.b.mac, "wants", &floating(family).to_string()]);
        assert!(scene.a.agent().report().counters.challenges > 0);
        scene.a.agent().wait_for_state(floating(family), "bound");
        prober.wait_for_answers(100);
        scene.assert_holders(&capture, family, &[&scene.a]);

        drop(old);
        scene.tell(&both[1..]);
        scene.b.agent().wait_for_state(floating(family), "bound");
        assert_moved(&format!("start, stop: {kind:?}, {family:?}"), prober);
        scene.assert_holders(&capture, family, &[&scene.a, &scene.b]);
        assert!(!scene.a.has(floating(family)));
        scene.a.agent().wait_for_move("left");
    }
}

#[test]
fn a_host_yields_to_one_that_takes_over() {
    for (kind, family) in MOVES {
        let mut scene = Scene::new(kind);
        let capture = scene.capture();
        let old = scene.begin(family);
        scene.b.end("TERM");
        scene.b.start("--rival take-over");
        let prober = scene.prober(family);

        let new = scene.b.run("new", 2);
        let both = [old.job(&scene.a, floating(family)), new.job(&scene.b, floating(family))];
        scene.tell(&both);

        let yielded = scene.a.agent().wait_for_state(floating(family), "yielded");
        assert!(yielded.why.unwrap().contains(&scene.b.mac));
        assert!(!scene.a.has(floating(family)));
        // From here on only B speaks, whatever A said to B's first announcement.
        capture.catch_up(&scene.client);
        let before = capture.claims(floating(family)).len();
        scene.client.ip("neigh flush all");
        wait_for("an answer to the client, which has forgotten who it is", || {
            (capture.claims(floating(family)).len() > before).then_some(())
        });
        assert_moved(&format!("take over: {kind:?}, {family:?}"), prober);
        scene.b.agent().wait_for_state(floating(family), "bound");
        capture.catch_up(&scene.client);
        assert_order(&capture.claims(floating(family))[before..], &[&scene.b]);
        scene.a.agent().wait_for_move("yielded");
    }
}

#[test]
fn back_and_forth_five_times() {
    let mut scene = Scene::new(Kind::Rancher);
    let capture = scene.capture();
    let mut web = scene.begin(Family::V4);
    for round in 0..5 {
        let to = if round % 2 == 0 { &scene.b } else { &scene.a };
        drop(web);
        web = to.run("web", 3 + round);
        scene.tell(&[web.job(to, floating(Family::V4))]);
        to.agent().wait_for_state(floating(Family::V4), "bound");
        let steady = steady::Steady::start(&scene.client, floating(Family::V4));
        steady.assert_nothing_lost();
    }
    let (a, b) = (&scene.a, &scene.b);
    scene.assert_holders(&capture, Family::V4, &[a, b, a, b, a, b]);
}
