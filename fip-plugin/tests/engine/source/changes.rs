//! What happens to containers is said at once, and in the end it is the truth.

use fip_plugin::agent::model::{Presence, Workload};

use super::follower::Follower;
use super::{docker0, running};
use crate::docker::{Engine, IMAGE, Options};
use crate::lab::Lan;

fn engine(lan: &Lan) -> Engine {
    Engine::start(&lan.host_a(), &Options::default())
}

fn runs_at(number: u8) -> impl Fn(&Workload) -> bool {
    move |workload| running(workload) == Some(&[docker0(number)])
}

fn stands(workload: &Workload) -> bool {
    workload.presence == Presence::Stopped
}

#[test]
fn the_life_of_a_container_is_followed() {
    let lan = Lan::new();
    let engine = engine(&lan);
    let mut follower = Follower::new(&engine);
    follower.wait("an engine without containers", <[_]>::is_empty);

    engine.docker_ok(&format!("run --detach --name other {IMAGE}"));
    let labels = "--label fip.address=192.168.99.200 --label other=1";
    let id = engine.docker_ok(&format!("create --name c1 {labels} {IMAGE}"));
    let created = follower.wait_for_one("one that was made", stands);
    assert_eq!(created.asks, "192.168.99.200");
    assert_eq!((&created.id, created.container.as_ref()), (&id, Some(&id)));

    engine.docker_ok("start c1");
    let started = follower.wait_for_one("its start", runs_at(3));
    assert_eq!((started.age, &started.name), (created.age, &created.name));
    assert_ne!(started.run, created.run);

    for (end, what) in [("stop c1", "its end"), ("kill c1", "its death")] {
        engine.docker_ok(end);
        let stopped = follower.wait_for_one(what, stands);
        engine.docker_ok("start c1");
        let again = follower.wait_for_one("its next start", runs_at(3));
        assert_ne!(again.run, stopped.run);
    }

    let before = follower.wait_for_one("the same", runs_at(3));
    engine.docker_ok("restart c1");
    let restarted = |workload: &Workload| runs_at(3)(workload) && workload.run != before.run;
    follower.wait_for_one("its restart", restarted);

    engine.docker_ok("pause c1");
    engine.docker_ok("rename c1 c2");
    let paused = follower.wait_for_one("its other name", |workload| workload.name == "c2");
    assert!(runs_at(3)(&paused), "{paused:?}");
    engine.docker_ok("unpause c2");

    engine.docker_ok("rm --force c2");
    follower.wait("its removal", <[_]>::is_empty);
}

#[test]
fn a_container_that_ends_by_itself_and_is_started_by_docker_is_another_run() {
    let lan = Lan::new();
    let engine = engine(&lan);
    let mut follower = Follower::new(&engine);
    let options = "--detach --label fip.address=192.168.99.200";
    let id = engine.docker_ok(&format!("run {options} --name c1 --restart always {IMAGE}"));
    let first = follower.wait_for_one("its start", runs_at(2));

    let pid = engine.inspect("container c1")["State"]["Pid"].to_string();
    engine.machine().bash("kill -KILL $1", &[&pid]);
    let again = |workload: &Workload| runs_at(2)(workload) && workload.run != first.run;
    assert_eq!(follower.wait_for_one("its next start", again).id, id);

    engine.docker_ok("rm --force c1");
    engine.docker_ok(&format!("run {options} --name c1 --rm {IMAGE}"));
    let next = follower.wait_for_one("one that was made anew", |workload| workload.id != id);
    follower.wait_for_one("its start", runs_at(2));
    engine.docker_ok("stop c1");
    follower.wait("its removal", |workloads| workloads.iter().all(|w| w.id != next.id));
}

#[test]
fn many_at_once_are_all_seen() {
    const ALL: usize = 8;
    let lan = Lan::new();
    let engine = engine(&lan);
    let mut follower = Follower::new(&engine);
    let names: Vec<String> = (0..ALL).map(|number| format!("c{number}")).collect();
    let commands = names.iter().map(|name| {
        let label = "--label fip.address=192.168.99.200";
        let command = format!("run --detach {label} --name {name} {IMAGE}");
        engine.spawn(&command.split_whitespace().collect::<Vec<_>>())
    });
    let commands: Vec<_> = commands.collect();
    follower.wait("all of them", |workloads| {
        workloads.len() == ALL && workloads.iter().all(|workload| running(workload).is_some())
    });
    commands.into_iter().for_each(|command| _ = command.finish(crate::docker::PATIENCE));
    engine.docker_ok(&format!("rm --force {}", names.join(" ")));
    follower.wait("none of them", <[_]>::is_empty);
}
