//! Maps that name containers, of a real Docker and of none.

use std::net::IpAddr;
use std::time::Duration;

use fip_plugin::agent::model::{Presence, Workload};
use fip_plugin::agent::source::file::FileSource;
use fip_plugin::docker::Docker;

use super::stage::{Follower, Stage, at};
use crate::docker::{Engine, Options};
use crate::lab::Lan;

/// Reads on until the first workload is as it should be. The second one, which is no container,
/// always stays as it is.
#[track_caller]
fn until(follower: &Follower, what: &str, probe: impl Fn(&Workload) -> bool) -> Workload {
    for _ in 0..100 {
        let [first, second] = follower.answer().expect("a listing").try_into().unwrap();
        assert_eq!(second, at("172.16.0.2", "203.0.113.2", 2));
        if probe(&first) {
            return first;
        }
    }
    panic!("not {what}");
}

fn runs(workload: &Workload) -> bool {
    matches!(&workload.presence, Presence::Running(fixed) if !fixed.is_empty())
}

#[test]
fn without_docker_its_containers_are_unknown_and_all_else_goes_on() {
    let stage = Stage::new();
    stage.place("203.0.113.1 web\n203.0.113.2 172.16.0.2\n");
    let follower = stage.follow();
    let web = until(&follower, "unknown", |web| web.presence == Presence::Unknown);
    assert_eq!((&*web.id, &*web.name, web.container), ("web", "web", None));
    stage.place("203.0.113.3 web\n203.0.113.2 172.16.0.2\n");
    until(&follower, "another address", |web| web.asks == "203.0.113.3");
}

#[test]
fn containers_are_followed_through_their_lives() {
    let lan = Lan::new();
    let host = lan.host_a();
    let engine = Engine::start(&host, &Options { live_restore: true, ..Options::default() });
    let stage = Stage::new();
    stage.place("203.0.113.1 web\n203.0.113.2 172.16.0.2\n");
    let socket = format!("unix://{}", engine.machine().path("/run/docker.sock").display());
    let docker = Docker::new(&socket, Duration::from_secs(2)).unwrap();
    let follower = Follower::start(FileSource::new(stage.map(), docker));

    let nobody = until(&follower, "nobody", |web| web.presence == Presence::Stopped);
    assert_eq!((&*nobody.id, nobody.container), ("web", None));
    let id = engine.docker_ok("run -d --name web lab");
    let web = until(&follower, "at work", runs);
    assert_eq!((&web.id, &web.container, &*web.name), (&id, &Some(id.clone()), "web"));
    let inside = engine.inspect("container web");
    let address = inside["NetworkSettings"]["Networks"]["bridge"]["IPAddress"].as_str().unwrap();
    assert_eq!(web.presence, Presence::Running(vec![address.parse::<IpAddr>().unwrap()]));

    engine.docker_ok("stop web");
    until(&follower, "stopped", |web| web.presence == Presence::Stopped && web.id == id);
    engine.docker_ok("start web");
    let again = until(&follower, "at work again", runs);
    assert!(again.id == id && again.run != web.run, "{again:?}");

    engine.docker_ok("rename web other");
    until(&follower, "another's name", |web| web.id == "web" && web.container.is_none());
    stage.place(&format!("203.0.113.1 {}\n203.0.113.2 172.16.0.2\n", &id[..12]));
    until(&follower, "known by its id", |web| web.id == id && web.name == "other" && runs(web));

    // What was known of it is not forgotten.
    engine.kill();
    let lost = until(&follower, "unknown", |web| web.presence == Presence::Unknown);
    assert_eq!((&lost.id, &*lost.name, &lost.container), (&id, "other", &Some(id.clone())));
    engine.up();
    until(&follower, "known again", |web| web.id == id && runs(web));
    engine.docker_ok("rm -f other");
    until(&follower, "removed", |web| web.id == id[..12] && web.presence == Presence::Stopped);
}
