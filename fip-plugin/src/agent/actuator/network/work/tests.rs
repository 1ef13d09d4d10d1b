use super::super::stage::{FakeDocker, clearing, refused, spec};
use super::*;

const A: &str = "192.0.2.1";

/// Docker with the network and a container `c`.
fn docker() -> (FakeDocker, NetworkInfo) {
    let docker = FakeDocker::default();
    let network = super::super::ensure::ensure(&docker, &spec()).unwrap();
    docker.run("c");
    docker.change(|world| world.calls.clear());
    (docker, network)
}

fn task(job: Job) -> Task {
    Task { container: "c".to_owned(), name: "web".to_owned(), job }
}

fn connect(docker: &FakeDocker, network: &NetworkInfo) -> Outcome {
    work(docker, network, &task(Job::Connect(A.to_owned())))
}

#[test]
fn a_container_is_connected_looked_at_and_disconnected() {
    let (docker, network) = docker();
    let ask = || work(&docker, &network, &task(Job::Ask("ep".to_owned())));
    assert!(matches!(ask(), Outcome::Passed(_)));
    assert_eq!(connect(&docker, &network), Outcome::Done);
    assert_eq!(docker.address("c").as_deref(), Some(A));
    let ours = Whose::Ours(crate::options::parse_floating(A).unwrap());
    assert_eq!(ask(), Outcome::Knows(ours));
    assert_eq!(work(&docker, &network, &task(Job::Disconnect)), Outcome::Done);
    assert_eq!(docker.options("c"), None);
    docker.connect_by_hand("c", &[("fip.address", A)]);
    assert_eq!(ask(), Outcome::Knows(Whose::Users));
}

#[test]
fn a_connection_that_was_refused_leaves_nothing() {
    let (docker, network) = docker();
    docker.change(|world| _ = world.refused.insert(A.to_owned(), "it is mine".to_owned()));
    assert_eq!(connect(&docker, &network), Outcome::Failed("it is mine".to_owned()));
    let dock = docker.world().containers["c"].clone();
    assert!(dock.left.is_none() && dock.connected.is_none(), "{dock:?}");
    let mut calls = vec![format!("connect c {A}")];
    calls.extend(clearing("c"));
    assert_eq!(docker.world().calls, calls);
}

#[test]
fn what_others_did_meanwhile_is_no_failure() {
    let (docker, network) = docker();
    docker.connect_by_hand("c", &[]);
    assert!(matches!(connect(&docker, &network), Outcome::Passed(_)));
    assert_eq!(docker.options("c"), Some(BTreeMap::new()), "the user's endpoint is there");
    docker.change(|world| world.containers.clear());
    assert!(matches!(connect(&docker, &network), Outcome::Passed(_)));
    for text in [
        "network 7f07 not found",
        "Container 834d is not running",
        "Container 834d is marked for removal and cannot be connected or disconnected",
    ] {
        assert!(is_past(&refused(500, text)), "{text}");
    }
    for text in ["remote: boom", "plugin \"fip\" not found", "network is not known"] {
        assert!(!is_past(&refused(404, text)), "{text}");
    }
}
