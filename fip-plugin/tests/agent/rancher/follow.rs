//! What happens between two listings.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::*;
use crate::lab::{PATIENCE, wait_for};

/// A source that is followed, as the agent does it.
struct Followed(Receiver<Result<Listing, SourceError>>);

impl Followed {
    fn start(scene: &Scene, mut source: RancherSource) -> Self {
        let ns = Ns::of("follower", &scene.ns.path());
        let (sender, receiver) = channel();
        thread::spawn(move || {
            ns.run(|| {
                loop {
                    let said = source.next();
                    let failed = said.is_err();
                    if sender.send(said).is_err() {
                        return;
                    }
                    if failed {
                        thread::sleep(Duration::from_millis(50));
                    }
                }
            });
        });
        Self(receiver)
    }

    fn said(&self) -> Result<Listing, SourceError> {
        self.0.recv_timeout(PATIENCE).expect("a word of the source")
    }

    fn listed(&self) -> Vec<Workload> {
        self.said().unwrap().workloads.into_iter().map(Arc::unwrap_or_clone).collect()
    }
}

impl Scene {
    /// Until the source sleeps.
    fn wait_for_poll(&self, count: usize) {
        wait_for("a poll", || (self.service.count("wait=true") >= count).then_some(()));
    }
}

fn long(config: &mut RancherConfig) {
    config.poll = Duration::from_secs(60);
}

#[test]
fn what_is_published_is_listed_though_a_poll_could_go_on() {
    let scene = Scene::new(two());
    let source = Followed::start(&scene, scene.source_with(long));
    assert_eq!(names(&source.listed()), ["a", "b"]);
    scene.wait_for_poll(1);
    scene.service.publish(two()[..1].to_vec());
    assert_eq!(names(&source.listed()), ["a"]);
    // Two versions for one change: the second brings nothing new, and the one after does.
    scene.wait_for_poll(2);
    scene.service.reload();
    assert_eq!(names(&source.listed()), ["a"]);
    scene.wait_for_poll(3);
    scene.service.publish(two());
    assert_eq!(names(&source.listed()), ["a", "b"]);
}

#[test]
fn a_change_just_after_the_answer_is_not_missed() {
    let scene = Scene::new(two());
    scene.service.publish_after_an_answer(two()[..1].to_vec());
    let source = Followed::start(&scene, scene.source_with(long));
    assert_eq!(names(&source.listed()), ["a", "b"]);
    assert_eq!(names(&source.listed()), ["a"]);
}

#[test]
fn a_change_that_gets_no_version_is_found_when_the_poll_ends() {
    let scene = Scene::new(two());
    scene.service.freeze();
    let mut source = scene.source();
    scene.listed(&mut source);
    scene.service.publish(two()[..1].to_vec());
    assert_eq!(names(&scene.listed(&mut source)), ["a"]);
}

#[test]
fn an_old_service_that_ends_no_poll_is_asked_whether_it_lives() {
    let scene = Scene::new(two());
    scene.service.tick(None);
    scene.service.freeze();
    let mut source = scene.source_with(|config| config.timeout = Duration::from_secs(1));
    scene.listed(&mut source);
    scene.service.publish(two()[..1].to_vec());
    assert_eq!(names(&scene.listed(&mut source)), ["a"]);
    assert_eq!(scene.service.count("wait=true"), 1);
    // What was published meanwhile was seen: there is no other version to be waited for.
    let paths: Vec<_> = scene.service.asked().iter().map(|a| a.target.clone()).collect();
    assert_eq!(paths[4], "/latest/version");
}

#[test]
fn the_end_of_the_service_in_the_middle_of_a_poll_holds_until_it_is_back() {
    let scene = Scene::new(two());
    let source = Followed::start(&scene, scene.source_with(long));
    source.listed();
    scene.wait_for_poll(1);
    scene.service.kill();
    // The end of the connection, then refused ones.
    for _ in 0..3 {
        source.said().unwrap_err();
    }
    scene.service.publish(two()[..1].to_vec());
    scene.service.heal();
    let listing = wait_for("a listing", || source.said().ok());
    assert_eq!(names(&listing.workloads), ["a"]);
    scene.service.publish(two());
    assert_eq!(names(&source.listed()), ["a", "b"]);
}

#[test]
fn a_second_source_answers_while_the_first_one_sleeps() {
    let scene = Scene::new(two());
    let first = Followed::start(&scene, scene.source_with(long));
    first.listed();
    scene.wait_for_poll(1);
    assert_eq!(names(&scene.listed(&mut scene.source_with(long))), ["a", "b"]);
    assert!(first.0.try_recv().is_err(), "the first one is not woken by that");
}

#[test]
fn a_refused_connection_names_the_place_and_the_way_out() {
    let scene = Scene::new(two());
    scene.service.kill();
    let error = scene.next(&mut scene.source()).unwrap_err();
    assert!(error.what.contains("http://127.0.0.1:80: Connection refused"), "{error}");
    assert!(error.hint.unwrap().contains("--rancher-url"));
}
