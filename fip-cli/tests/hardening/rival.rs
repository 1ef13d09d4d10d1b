//! A rival that does not give in.

use crate::lab::{Capture, Claim, Family, wait_for};
use crate::neighbours::announce;
use crate::scene::Scene;
use crate::watched::Watched;

#[test]
fn a_defender_has_the_last_word() {
    let scene = Scene::new();
    let rival = scene.lan.machine("rival", 66);
    for family in Family::BOTH {
        let (floating, fixed) = scene.pair(family);
        let state = format!("{floating} {fixed}\n");
        let watched = Watched::start(&scene, "word", &state, "--rival-policy defend");
        let capture = Capture::start(&scene.lan.switch);
        let (ours, theirs) = (Claim::Holds(scene.a.mac("eth0")), Claim::Holds(rival.mac("eth0")));
        announce(&rival, floating);
        watched.watch.wait_for_event(0, "rival", |event| event["done"] == "defended");
        capture.wait_for_claim(floating, &ours);
        // Sooner than the address may be defended again.
        announce(&rival, floating);
        announce(&rival, floating);
        let said = |claims: &[Claim], who| claims.iter().filter(|claim| *claim == who).count();
        wait_for("the defender's last word", || {
            let claims = capture.claims(floating);
            (said(&claims, &theirs) >= 3 && claims.last() == Some(&ours)).then_some(())
        });
    }
}
