//! Wrong answers: nothing is ever lost by one, and the next right one counts.

use serde_json::{Value, json};

use super::*;
use crate::lab::wait_for;
use crate::metadata::{Fault, uuid_of, with};

/// A good list of others' containers, but for its size.
fn too_large() -> String {
    format!(r#"[{{"uuid":"x","host_uuid":"there"}}{}]"#, " ".repeat(17 << 20))
}

fn says(body: &str) -> Fault {
    Fault::Says(body.to_owned())
}

/// The faults that no answer can have.
fn faults() -> Vec<Fault> {
    let mut all = vec![
        Fault::Hang,
        Fault::Gone,
        Fault::Cut,
        Fault::HalfJson,
        Fault::Status(404),
        Fault::Status(500),
        Fault::Status(203),
        Fault::Redirect,
        Fault::Says(too_large()),
    ];
    let bodies = ["", "null", "[]", "{}", "[null]", "[{}]", "[[]]", "<html>", "0=web-web-3\n"];
    all.extend(bodies.map(says));
    all
}

/// A source that has listed all finds this fault, and then the service healed: what it says both
/// times.
fn meets(question: &str, fault: &Fault) -> Result<(), String> {
    let scene = Scene::new(two());
    let timeout = if *fault == Fault::Hang { SHORT } else { PATIENT };
    let [mut old, mut new] = [(); 2].map(|()| scene.source_with(|c| c.timeout = timeout));
    // A busy machine may need more than the short time.
    wait_for("a listing", || scene.next(&mut old).ok());
    scene.service.fault(question, fault.clone());
    scene.service.reload();
    for source in [&mut old, &mut new] {
        if let Ok(listing) = scene.next(source) {
            return Err(format!("listed {:?}", names(&listing.workloads)));
        }
    }
    scene.service.heal();
    for mut source in [old, new] {
        let listing = (0..10).find_map(|_| scene.next(&mut source).ok());
        let workloads = listing.ok_or("did not recover")?.workloads;
        if names(&workloads) != ["a", "b"] {
            return Err(format!("then listed {:?}", names(&workloads)));
        }
    }
    let elsewhere = scene.service.count("elsewhere");
    if elsewhere == 0 { Ok(()) } else { Err("went elsewhere".to_owned()) }
}

fn every_fault_of(question: &str) {
    for fault in faults() {
        let shown: String = format!("{fault:?}").chars().take(40).collect();
        meets(question, &fault).unwrap_or_else(|error| panic!("{question}, {shown}: {error}"));
    }
}

#[test]
fn every_fault_of_the_version() {
    every_fault_of("version");
}

#[test]
fn every_fault_of_the_host() {
    every_fault_of("self/host");
    for body in [r#"{"uuid":null}"#, r#"{"uuid":""}"#, r#"{"uuid":7}"#, r#"{"name":"node-a"}"#] {
        meets("self/host", &says(body)).unwrap_or_else(|error| panic!("{body}: {error}"));
    }
}

#[test]
fn every_fault_of_the_containers() {
    every_fault_of("containers");
}

#[test]
fn every_fault_of_everything() {
    every_fault_of("*");
}

#[test]
fn after_a_poll_that_failed_nothing_is_waited_for() {
    for fault in faults().into_iter().filter(|fault| *fault != Fault::Hang) {
        let scene = Scene::new(two());
        let mut source = scene.source();
        scene.listed(&mut source);
        scene.service.fault("poll", fault.clone());
        let error = scene.next(&mut source).unwrap_err();
        assert!(error.hint.is_some(), "{error}");
        // The fault is still there.
        assert_eq!(names(&scene.listed(&mut source)), ["a", "b"]);
        scene.next(&mut source).unwrap_err();
    }
}

#[test]
fn a_lost_file_is_no_answer_until_another_is_published() {
    for version in Version::ALL {
        let scene = Scene::new(two());
        let mut source = scene.source_with(|config| config.version = version);
        scene.listed(&mut source);
        scene.service.wipe();
        for _ in 0..2 {
            let error = scene.next(&mut source).unwrap_err();
            assert!(error.what.contains("HTTP status 404"), "{error}");
        }
        scene.service.publish(two());
        assert_eq!(names(&scene.listed(&mut source)), ["a", "b"], "{version}");
    }
}

#[test]
fn a_list_of_nothing_is_no_answer() {
    let scene = Scene::new(two());
    let mut source = scene.source();
    scene.listed(&mut source);
    scene.service.publish(Vec::new());
    for _ in 0..2 {
        let error = scene.next(&mut source).unwrap_err();
        assert!(error.what.contains("no containers at all"), "{error}");
    }
    // A list of others' is one.
    let others = two().into_iter().map(|c| with(c, "host_uuid", uuid_of("node-b")));
    scene.service.publish(others.collect());
    assert_eq!(scene.listed(&mut source), []);
}

#[test]
fn who_is_suddenly_another_host_is_not_believed() {
    let scene = Scene::new(two());
    let mut source = scene.source();
    scene.listed(&mut source);
    scene.service.default_host("node-b");
    scene.service.reload();
    let error = scene.next(&mut source).unwrap_err();
    assert!(error.what.contains(&uuid_of("node-a")), "{error}");
    assert!(error.hint.unwrap().contains("restart the agent"));
    // Who has just come knows no better.
    assert_eq!(scene.listed(&mut scene.source()), []);
    scene.service.default_host("node-a");
    assert_eq!(names(&scene.listed(&mut source)), ["a", "b"]);
}

/// What becomes of `a` when its field is changed to this.
fn after(changes: &[(&str, Value)]) -> Result<Vec<Presence>, SourceError> {
    let scene = Scene::new(two());
    let mut source = scene.source();
    scene.listed(&mut source);
    let [mut a, b] = two().try_into().unwrap();
    let mut presences = Vec::new();
    for (field, value) in changes {
        a = with(a, field, value.clone());
        scene.service.publish(vec![a.clone(), b.clone()]);
        let listed = scene.next(&mut source)?.workloads;
        // Its neighbour never minds.
        let [others @ .., neighbour] = listed.as_slice() else { panic!("{listed:?}") };
        assert_eq!((neighbour.name.as_str(), &neighbour.presence), ("b", &running("10.42.0.2")));
        presences.extend(others.iter().map(|a| {
            assert_eq!((a.id.as_str(), a.asks.as_str()), ("uuid-a", "203.0.113.1"));
            a.presence.clone()
        }));
    }
    Ok(presences)
}

#[test]
fn a_container_that_was_understood_before_keeps_what_it_has() {
    for change in [
        ("host_uuid", json!(null)),
        ("host_uuid", json!("")),
        ("host_uuid", json!(7)),
        ("labels", json!(null)),
        ("labels", json!("none")),
        ("labels", json!({LABEL: 7})),
        ("state", json!(null)),
        ("state", json!("stopping")),
        ("primary_ip", json!(null)),
        ("primary_ip", json!("10.42")),
        ("primary_ip", json!(["10.42.0.9"])),
    ] {
        // Also when it is looked at again, and when more is missing then.
        let presences = after(&[change.clone(), change.clone(), ("state", json!("error"))]);
        let expected = [Presence::Unknown, Presence::Unknown, Presence::Unknown];
        assert_eq!(presences.unwrap(), expected, "{change:?}");
        let back = after(&[change.clone(), ("", json!(null))]);
        assert_eq!(back.unwrap().len(), 2, "{change:?}");
    }
    assert_eq!(
        after(&[
            ("state", json!("stopping")),
            ("primary_ip", json!(null)),
            ("state", json!("running"))
        ])
        .unwrap(),
        [Presence::Unknown, Presence::Unknown, Presence::Unknown],
    );
}

#[test]
fn a_container_that_is_clearly_gone_is_gone() {
    for change in [("labels", json!({"other": "label"})), ("host_uuid", json!(uuid_of("node-b")))] {
        assert_eq!(after(std::slice::from_ref(&change)).unwrap(), [], "{change:?}");
    }
    assert_eq!(after(&[("state", json!("stopped"))]).unwrap(), [Presence::Stopped]);
    assert_eq!(after(&[("primary_ip", json!("10.42.0.9/16"))]).unwrap(), [running("10.42.0.9")]);
    assert_eq!(
        after(&[("network_from_container_uuid", json!("uuid-b"))]).unwrap(),
        [Presence::Running(vec![])]
    );
}

#[test]
fn without_its_uuid_it_might_be_any() {
    let error = after(&[("uuid", json!(null))]).unwrap_err();
    assert!(error.what.contains("container a has no uuid"), "{error}");
}
