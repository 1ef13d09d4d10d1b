//! What the metadata service can do wrong: while it does, nothing changes.

use serde_json::json;

use super::steady::Steady;
use super::*;
use crate::lab::wait_for;
use crate::metadata::{Fault, Metadata};

const FAMILY: Family = Family::V4;

/// How the service goes wrong, and tells the agent to look.
type Break = fn(&Metadata);

fn all(service: &Metadata, fault: Fault) {
    service.fault("*", fault);
    service.reload();
}

const FAULTS: [(&str, Break); 15] = [
    ("connection refused", Metadata::kill),
    ("hangs", |s| all(s, Fault::Hang)),
    ("ends the connection", |s| all(s, Fault::Gone)),
    ("404", |s| all(s, Fault::Status(404))),
    ("500", |s| all(s, Fault::Status(500))),
    ("truncated JSON", |s| all(s, Fault::HalfJson)),
    ("truncated answer", |s| all(s, Fault::Cut)),
    ("redirect", |s| all(s, Fault::Redirect)),
    ("empty 200", |s| all(s, Fault::Says(String::new()))),
    ("null containers", |s| {
        s.fault("containers", Fault::Says("null".to_owned()));
        s.reload();
    }),
    ("no containers", |s| s.publish(Vec::new())),
    ("only the containers hang", |s| {
        s.fault("containers", Fault::Hang);
        s.reload();
    }),
    ("started again without its data", |s| {
        s.wipe();
        s.kill();
        s.heal();
    }),
    ("host uuid missing", |s| {
        s.set_host("A", "uuid", json!(null));
        s.reload();
    }),
    ("another host", |s| {
        s.default_host("node-b");
        s.reload();
    }),
];

/// How often the agent has begun to look without waiting for anything, as it does after an error.
fn looks(service: &Metadata) -> usize {
    service.asked().iter().filter(|asked| asked.target.ends_with("/version")).count()
}

#[test]
fn nothing_changes_as_long_as_the_service_is_wrong() {
    let mut scene = Scene::new(Kind::Rancher);
    let old = scene.begin(FAMILY);
    let job = old.job(&scene.a, floating(FAMILY));
    let a = &scene.a;
    let (service, agent) = (a.teller.service(), a.agent());
    let before = a.made();
    let steady = Steady::start(&scene.client, floating(FAMILY));
    for (what, break_it) in FAULTS {
        println!("{what}");
        let failures = agent.report().counters.source_failures;
        // Of a poll that nobody answers it would notice nothing for a minute.
        service.wait_for_poll();
        break_it(service);
        let report = agent.wait_for_source(false);
        // Also when it was tried again.
        agent.wait_until("more failures", |r| r.counters.source_failures >= failures + 3);
        let health = agent.ask("/healthz");
        assert_eq!(health.status, 503, "{what}");
        let text = String::from_utf8(health.body).unwrap();
        assert!(text.contains("holding 1 binding since"), "{what}: {text}");
        assert_eq!(report.workloads.len(), 1, "{what}");
        agent.wait_for_state(floating(FAMILY), "bound");
        assert_eq!(a.made(), before, "{what}");
        steady.go_on();

        service.default_host("A");
        service.set_host("A", "uuid", json!(super::teller::uuid("A")));
        a.teller.tell(std::slice::from_ref(&job));
        service.heal();
        // The first time that it looks, all is well again; it may be just looking.
        let looked = looks(service);
        agent.wait_for_source(true);
        assert!(looks(service) <= looked + 1, "{what}");
        assert_eq!(agent.ask("/healthz").status, 200, "{what}");
        assert_eq!(a.made(), before, "{what}");
    }
    // It still listens.
    a.teller.tell(&[]);
    agent.wait_until("nothing to do", |report| report.workloads.is_empty());
    drop(steady);
    wait_for("A to let go", || (!a.has(floating(FAMILY))).then_some(()));
}

/// With `--hold-for` doubt ends.
#[test]
fn what_is_held_no_longer_goes() {
    let mut scene = Scene::new(Kind::Rancher);
    let old = scene.a.run("old", 2);
    let job = old.job(&scene.a, floating(FAMILY));
    scene.a.teller.tell(std::slice::from_ref(&job));
    scene.a.start("--hold-for 1s");
    let agent = scene.a.agent();
    agent.wait_for_state(floating(FAMILY), "bound");
    scene.a.teller.service().kill();
    agent.wait_until("nothing to do", |report| report.workloads.is_empty());
    wait_for("A to let go", || (!scene.a.has(floating(FAMILY))).then_some(()));
    scene.a.teller.service().heal();
    agent.wait_for_state(floating(FAMILY), "bound");
}
