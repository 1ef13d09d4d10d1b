//! A service that never lets its clients sleep.

use std::time::Instant;

use super::*;
use crate::metadata::Fault;

/// Polls until so much time is over, and how many questions of each kind that were at most: four
/// polls at once, then one a second.
fn polled(scene: &Scene, source: &mut RancherSource, time: Duration) -> (usize, usize) {
    let begun = Instant::now();
    let mut listings = 0;
    while begun.elapsed() < time {
        assert_eq!(names(&scene.listed(source)), ["a", "b"]);
        listings += 1;
    }
    let most = 4 + usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    (listings, most)
}

#[test]
fn a_version_that_changes_at_every_poll_burns_nothing() {
    let scene = Scene::new(two());
    scene.service.never_rest();
    let mut source = scene.source();
    let (listings, most) = polled(&scene, &mut source, Duration::from_secs(4));
    let polls = scene.service.count("wait=true");
    assert!(polls <= most, "{polls} polls, at most {most}");
    assert!(listings >= 5, "it goes on listing: {listings}");
}

#[test]
fn a_poll_that_does_not_wait_burns_nothing() {
    let scene = Scene::new(two());
    let mut source = scene.source_with(|config| config.poll = Duration::from_secs(4));
    scene.listed(&mut source);
    scene.service.fault("poll", Fault::Says(format!("{:?}", scene.service.version())));
    let (listings, most) = polled(&scene, &mut source, Duration::from_secs(3));
    let polls = scene.service.count("wait=true");
    assert!(polls <= most, "{polls} polls, at most {most}");
    assert!(polls > listings, "a version that is the same is no reason to list");
}
