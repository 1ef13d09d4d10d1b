//! Networks, and what is connected to them.

use std::collections::BTreeMap;
use std::thread;

use fip_plugin::docker::{Docker, DockerError, NewNetwork};
use serde_json::{Value, json};

use super::liar::{Asked, Daemon, PATIENT, SHORT, raw};
use super::{NETWORK, labels, network};

fn new_network(subnets: &[&str]) -> NewNetwork {
    NewNetwork {
        name: "fip".to_owned(),
        driver: "fip".to_owned(),
        subnets: subnets.iter().map(|subnet| subnet.parse().unwrap()).collect(),
        options: labels(&[("a", "b")]),
        labels: labels(&[("io.fip.by", "agent")]),
    }
}

/// What was sent with a question, and how it was asked.
fn sent(asked: &Asked) -> (String, Value) {
    (format!("{} {}", asked.method, asked.url), serde_json::from_str(&asked.body).unwrap())
}

#[test]
fn a_network_is_known_by_its_name_or_its_id() {
    let daemon = Daemon::new(|_| (200, network("{}")));
    let docker = daemon.docker();
    let known = docker.network("fipnet").unwrap().unwrap();
    assert_eq!((known.id.as_str(), known.driver.as_str()), (NETWORK, "fip"));
    assert_eq!(docker.network(NETWORK).unwrap(), Some(known));
    assert_eq!(docker.network(&NETWORK[..12]).unwrap(), None, "it is only called so");
    docker.network("../containers/x").unwrap();
    assert_eq!(daemon.asked()[3].url, "/networks/..%2Fcontainers%2Fx");
}

#[test]
fn a_network_is_made_as_it_is_described() {
    let daemon = Daemon::new(|_| (201, r#"{"Id":"n1","Warning":""}"#.to_owned()));
    let id = daemon.docker().create_network(&new_network(&["172.18.0.0/16", "2001:db8::/64"]));
    assert_eq!(id.unwrap(), "n1");
    daemon.docker().create_network(&new_network(&[])).unwrap();
    let asked = daemon.asked();
    let (question, body) = sent(&asked[0]);
    assert_eq!(question, "POST /networks/create");
    let expected = json!({
        "Name": "fip", "CheckDuplicate": true, "Driver": "fip", "EnableIPv6": true,
        "IPAM": {"Config": [{"Subnet": "172.18.0.0/16"}, {"Subnet": "2001:db8::/64"}]},
        "Options": {"a": "b"}, "Labels": {"io.fip.by": "agent"},
    });
    assert_eq!(body, expected);
    assert_eq!(sent(&asked[1]).1["EnableIPv6"], false);
}

#[test]
fn only_a_made_network_has_an_id() {
    for (status, body) in
        [(201, "{}"), (201, r#"{"Id":""}"#), (201, ""), (204, ""), (500, "{}"), (301, "{}")]
    {
        let daemon = Daemon::new(move |_| (status, body.to_owned()));
        let error = daemon.docker().create_network(&new_network(&[])).unwrap_err();
        assert!(matches!(error, DockerError::Nonsense { .. }), "{status} {body}: {error}");
        assert!(error.to_string().contains("POST /networks/create"), "{error}");
    }
    let taken = r#"{"message":"network with name fip already exists"}"#;
    let daemon = Daemon::new(move |_| (409, taken.to_owned()));
    let error = daemon.docker().create_network(&new_network(&[])).unwrap_err();
    assert!(matches!(error, DockerError::Refused { status: 409, .. }), "{error}");
}

#[test]
fn connecting_tells_the_driver() {
    let daemon = Daemon::new(|_| (200, String::new()));
    let options = labels(&[("fip.address", "192.168.99.200")]);
    daemon.docker().connect("n1", "c1", &options, PATIENT).unwrap();
    daemon.docker().disconnect("n1", "c1", PATIENT).unwrap();
    let asked = daemon.asked();
    let expected = json!({
        "Container": "c1", "EndpointConfig": {"DriverOpts": {"fip.address": "192.168.99.200"}},
    });
    assert_eq!(sent(&asked[0]), ("POST /networks/n1/connect".to_owned(), expected));
    let expected = json!({"Container": "c1", "Force": false});
    assert_eq!(sent(&asked[1]), ("POST /networks/n1/disconnect".to_owned(), expected));
}

type Deed = fn(&Docker) -> Result<(), DockerError>;

const CONNECT: Deed = |docker| docker.connect("n1", "c1", &BTreeMap::new(), PATIENT);
const DISCONNECT: Deed = |docker| docker.disconnect("n1", "c1", PATIENT);
const REMOVE: Deed = |docker| docker.remove_network("n1");

#[test]
fn what_is_undone_already_is_fine() {
    for (deed, status, message, fine) in [
        (DISCONNECT, 404, "No such container: c1", true),
        (DISCONNECT, 404, "network n1 not found", true),
        (DISCONNECT, 500, "container c1 is not connected to network fip", true),
        (DISCONNECT, 404, "page not found", false),
        (DISCONNECT, 500, "the driver of n1 failed for c1", false),
        (REMOVE, 404, "network n1 not found", true),
        (REMOVE, 404, "page not found", false),
        (
            REMOVE,
            403,
            "error while removing network: network fip id n1 has active endpoints",
            false,
        ),
        (CONNECT, 404, "No such container: c1", false),
        (CONNECT, 403, "endpoint with name c1 already exists in network fip", false),
    ] {
        let daemon = Daemon::new(move |_| (status, format!(r#"{{"message":"{message}"}}"#)));
        let result = deed(&daemon.docker());
        assert_eq!(result.is_ok(), fine, "{status} {message}");
        if let Err(error) = result {
            let DockerError::Refused { message: told, .. } = &error else { panic!("{error}") };
            assert_eq!(told, message);
        }
    }
    let daemon = Daemon::new(|_| (204, String::new()));
    REMOVE(&daemon.docker()).unwrap();
    assert_eq!(daemon.asked()[0].method, "DELETE");
}

#[test]
fn a_deed_takes_as_long_as_is_said() {
    let silent = raw(|_| thread::sleep(PATIENT * 10));
    let docker = silent.docker(PATIENT);
    let error = docker.connect("n1", "c1", &BTreeMap::new(), SHORT).unwrap_err();
    assert!(matches!(error, DockerError::Unreachable { .. }), "{error}");
    assert!(docker.disconnect("n1", "c1", SHORT).is_err());
}

#[test]
fn the_options_of_an_endpoint_are_told() {
    let inspected = |networks: &str| format!(r#"{{"NetworkSettings":{{"Networks":{networks}}}}}"#);
    let of = |options: &str| {
        inspected(&format!(r#"{{"fip":{{"NetworkID":"n1","DriverOpts":{options}}}}}"#))
    };
    let expected = labels(&[("fip.address", "192.168.99.200")]);
    for (body, network, found) in [
        (of(r#"{"fip.address":"192.168.99.200"}"#), "n1", Some(expected.clone())),
        (of(r#"{"fip.address":"192.168.99.200"}"#), "fip", Some(expected)),
        (of("null"), "n1", Some(BTreeMap::new())),
        (of("{}"), "n2", None),
        (inspected("null"), "n1", None),
    ] {
        let daemon = Daemon::new(move |_| (200, body.clone()));
        assert_eq!(daemon.docker().endpoint_options("c1", network).unwrap(), found);
        assert_eq!(daemon.asked()[0].url, "/containers/c1/json");
    }
    let daemon = Daemon::new(|_| (404, r#"{"message":"No such container: c1"}"#.to_owned()));
    assert_eq!(daemon.docker().endpoint_options("c1", "n1").unwrap(), None);
    for body in ["", "{}", "null", &inspected("[]"), &of(r#"["a"]"#), &of(r#"{"a":5}"#)] {
        let body = body.to_owned();
        let daemon = Daemon::new(move |_| (200, body.clone()));
        let error = daemon.docker().endpoint_options("c1", "n1").unwrap_err();
        assert!(matches!(error, DockerError::Nonsense { .. }), "{error}");
    }
}
