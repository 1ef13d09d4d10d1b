//! dockerd ends and is started again: meanwhile nobody is said to be gone.

use fip_plugin::agent::model::{Presence, Workload};

use super::follower::Follower;
use super::{docker0, running};
use crate::docker::{Engine, IMAGE, Options};
use crate::lab::{Lan, wait_for};

const LABELLED: &str = "--detach --label fip.address=192.168.99.200";

fn named<'a>(workloads: &'a [Workload], name: &str) -> Option<&'a Workload> {
    workloads.iter().find(|workload| workload.name == name)
}

#[test]
fn an_engine_that_takes_its_containers_along_is_followed() {
    let lan = Lan::new();
    let engine = Engine::start(&lan.host_a(), &Options::default());
    engine.docker_ok(&format!("run {LABELLED} --name once {IMAGE}"));
    engine.docker_ok(&format!("run {LABELLED} --name always --restart always {IMAGE}"));
    let mut follower = Follower::new(&engine);
    let both = |workloads: &[Workload]| {
        workloads.len() == 2 && workloads.iter().all(|workload| running(workload).is_some())
    };
    let before = follower.wait_seeing("both", both, |_| ());

    engine.restart();
    let run = named(&before, "always").unwrap().run;
    let right = |workloads: &[Workload]| {
        let once = named(workloads, "once").is_some_and(|w| w.presence == Presence::Stopped);
        let always = named(workloads, "always");
        once && always.is_some_and(|w| running(w).is_some() && w.run != run)
    };
    follower.wait_seeing("one that was started again", right, |answer| {
        assert!(answer.as_ref().map_or(0, Vec::len) == 2 || answer.is_err(), "{answer:?}");
    });
    engine.docker_ok("start once");
    follower.wait("the other one too", both);
}

#[test]
fn what_happens_while_dockerd_is_dead_is_seen_afterwards() {
    let lan = Lan::new();
    let options = Options { live_restore: true, ..Options::default() };
    let engine = Engine::start(&lan.host_a(), &options);
    for name in ["lives", "dies", "returns"] {
        engine.docker_ok(&format!("run {LABELLED} --name {name} {IMAGE}"));
    }
    let pid = |name: &str| engine.inspect(&format!("container {name}"))["State"]["Pid"].to_string();
    let (dies, returns) = (pid("dies"), pid("returns"));
    let mut follower = Follower::new(&engine);
    let before = follower.wait_seeing("all of them", |workloads| workloads.len() == 3, |_| ());
    let run_of = |name: &str| named(&before, name).unwrap().run;

    engine.kill();
    engine.machine().bash("kill -KILL $1 $2", &[&dies, &returns]);
    engine.up();
    // Not --restart always: Docker 20.10 may start it twice then, so that neither succeeds.
    engine.docker_ok("start returns");
    let right = |workloads: &[Workload]| {
        let [lives, dies, returns] = ["lives", "dies", "returns"].map(|n| named(workloads, n));
        lives.is_some_and(|w| running(w) == Some(&[docker0(2)]) && w.run == run_of("lives"))
            && dies.is_some_and(|w| w.presence == Presence::Stopped)
            && returns.is_some_and(|w| running(w).is_some() && w.run != run_of("returns"))
    };
    follower.wait_seeing("one alive, one dead, one started again", right, |answer| {
        let lives =
            |workloads: &Vec<Workload>| running(named(workloads, "lives").unwrap()).is_some();
        assert!(answer.as_ref().map_or(true, lives), "{answer:?}");
    });
}

#[test]
fn containers_that_vanish_unseen_are_gone_in_the_end() {
    let lan = Lan::new();
    let engine = Engine::start(&lan.host_a(), &Options::default());
    let id = engine.docker_ok(&format!("run {LABELLED} --name c1 {IMAGE}"));
    let mut follower = Follower::new(&engine);
    follower.wait_for_one("it", |workload| running(workload).is_some());
    let pid = engine.inspect("container c1")["State"]["Pid"].to_string();
    engine.kill();
    wait_for("the end of dockerd", || (!engine.is_running()).then_some(()));
    // Not one that Docker removes as it starts (--rm): Docker 20.10 may list that for ever.
    engine.machine().bash("kill -KILL $1; rm -r /run/disk/docker/containers/$2", &[&pid, &id]);
    engine.up();
    follower.wait("its removal", <[_]>::is_empty);
}
