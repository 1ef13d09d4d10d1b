//! What is asked of Docker, against daemons that answer as Docker does and against daemons that lie.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod changes;
mod containers;
mod events;
mod followed;
mod liar;
mod lies;
mod networks;
mod scripted;
mod source;
mod tls;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::TcpListener;
use std::thread;

use fip_plugin::docker::{Docker, DockerError};

use liar::{Daemon, PATIENT};

const NETWORK: &str = "9db007b6c164154c92dee7b62a2f03f174b6d47ec4543aecf266df34fd675616";
const ENDPOINT: &str = "e1592e71e4ff4a8193300684f1e1985211a9eac20b6f7138163915242be22be0";
const CONTAINER: &str = "27a09d360f84472c0cbf0ed7e79414f4ffdeb6db335f88b9d7f97f565025c9d4";

/// `GET /networks/ID` of Docker 20.10 with these containers.
fn network(containers: &str) -> String {
    format!(
        r#"{{"Name":"fipnet","Id":"{NETWORK}","Created":"2026-11-22T15:44:16.486384Z",
        "Scope":"local","Driver":"fip","EnableIPv6":false,"IPAM":{{"Driver":"default","Options":{{}},
        "Config":[{{"Subnet":"172.18.0.0/16"}}]}},"Internal":false,"Attachable":false,
        "Ingress":false,"ConfigFrom":{{"Network":""}},"ConfigOnly":false,"Containers":{containers},
        "Options":{{}},"Labels":{{}}}}"#
    )
}

fn attached(key: &str, name: &str, endpoint: &str) -> String {
    format!(
        r#""{key}":{{"Name":"{name}","EndpointID":"{endpoint}","MacAddress":"02:42:ac:12:00:02",
        "IPv4Address":"172.18.0.2/16","IPv6Address":""}}"#
    )
}

/// An element of `GET /containers/json`, as Docker 20.10 tells it while the container joins.
fn container(names: &str, labels: &str) -> String {
    format!(
        r#"{{"Id":"{CONTAINER}","Names":{names},"Image":"bb:1","Command":"sleep 1000",
        "Created":1795343956,"Ports":[],"Labels":{labels},"State":"created","Status":"Created",
        "HostConfig":{{"NetworkMode":"fipnet"}},"NetworkSettings":{{"Networks":{{"fipnet":{{
        "IPAMConfig":null,"Links":null,"Aliases":null,"NetworkID":"","EndpointID":"","Gateway":"",
        "IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"","GlobalIPv6Address":"",
        "GlobalIPv6PrefixLen":0,"MacAddress":"","DriverOpts":null}}}}}},"Mounts":[]}}"#
    )
}

/// A daemon with one container in its network, under this key.
fn daemon(key: &str, name: &str, containers: String) -> Daemon {
    let network = network(&format!("{{{}}}", attached(key, name, ENDPOINT)));
    Daemon::new(move |url| match url.starts_with("/networks/") {
        true => (200, network.clone()),
        false => (200, containers.clone()),
    })
}

fn labels(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_container_that_joins_is_found_by_its_endpoint() {
    let list = format!("[{}]", container(r#"["/c1"]"#, r#"{"fip.address":"192.0.2.77","a":""}"#));
    let daemon = daemon(&format!("ep-{ENDPOINT}"), "c1", list);
    let found = daemon.docker().labels(NETWORK, ENDPOINT).unwrap();
    assert_eq!(found, Some(labels(&[("a", ""), ("fip.address", "192.0.2.77")])));
    let asked = daemon.asked();
    let urls: Vec<_> = asked.iter().map(|a| a.url.as_str()).collect();
    let filters = "%7B%22name%22%3A%5B%22%5E%2Fc1%24%22%5D%7D";
    assert_eq!(
        urls,
        [format!("/networks/{NETWORK}"), format!("/containers/json?all=1&filters={filters}")]
    );
    assert!(asked.iter().all(|a| a.method == "GET" && a.host == "docker"), "{asked:?}");
}

#[test]
fn a_container_that_has_joined_is_found_too() {
    let list = format!("[{}]", container(r#"["/other/alias","/c1"]"#, "null"));
    let daemon = daemon(CONTAINER, "c1", list);
    assert_eq!(daemon.docker().labels(NETWORK, ENDPOINT).unwrap(), Some(BTreeMap::new()));
}

#[test]
fn another_container_is_not_taken_for_it() {
    let others = [r#"["/c10"]"#, r#"["/x/c1"]"#, r#"["c1"]"#, r#"["/C1"]"#, "null"];
    let list = others.map(|names| container(names, r#"{"fip.address":"192.0.2.78"}"#)).join(",");
    let daemon = daemon(&format!("ep-{ENDPOINT}"), "c1", format!("[{list}]"));
    assert_eq!(daemon.docker().labels(NETWORK, ENDPOINT).unwrap(), None);
}

#[test]
fn a_name_is_asked_for_as_it_is() {
    let list = format!("[{}]", container(r#"["/a.b-c_d"]"#, r#"{"k":"v"}"#));
    let daemon = daemon(&format!("ep-{ENDPOINT}"), "a.b-c_d", list);
    let found = daemon.docker().labels(NETWORK, ENDPOINT).unwrap();
    assert_eq!(found, Some(labels(&[("k", "v")])));
    // {"name":["^/a\\.b-c_d$"]}: the backslash of the pattern, escaped for JSON.
    let filters = "%7B%22name%22%3A%5B%22%5E%2Fa%5C%5C.b-c_d%24%22%5D%7D";
    assert_eq!(daemon.asked()[1].url, format!("/containers/json?all=1&filters={filters}"));
}

#[test]
fn an_endpoint_that_docker_does_not_know_has_no_labels() {
    let daemon = daemon(&format!("ep-{ENDPOINT}"), "c1", "[]".to_owned());
    assert_eq!(daemon.docker().labels(NETWORK, "e2").unwrap(), None);
    assert_eq!(daemon.asked().len(), 1, "there is no container to ask for");
    assert_eq!(daemon.docker().labels(NETWORK, ENDPOINT).unwrap(), None, "its container has gone");
}

#[test]
fn the_endpoints_are_all_of_the_network() {
    let set = |ids: &[&str]| Some(ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>());
    let two = format!("{{{},{}}}", attached("ep-e1", "c1", "e1"), attached(CONTAINER, "c2", "e2"));
    for (containers, expected) in
        [(two.as_str(), set(&["e1", "e2"])), ("{}", set(&[])), ("null", set(&[]))]
    {
        let body = network(containers);
        let daemon = Daemon::new(move |_| (200, body.clone()));
        assert_eq!(daemon.docker().endpoints(NETWORK).unwrap(), expected, "{containers}");
    }
}

#[test]
fn a_network_that_docker_does_not_know_is_none() {
    for message in ["network 9db007 not found", "No such network: 9db007"] {
        let daemon = Daemon::new(move |_| (404, format!(r#"{{"message":"{message}"}}"#)));
        assert_eq!(daemon.docker().endpoints("9db007").unwrap(), None);
        assert_eq!(daemon.docker().labels("9db007", ENDPOINT).unwrap(), None);
    }
}

#[test]
fn a_network_that_is_only_called_so_is_another() {
    let daemon = Daemon::new(|_| (200, network("{}")));
    assert_eq!(daemon.docker().endpoints(&NETWORK[..12]).unwrap(), None);
    assert_eq!(daemon.docker().endpoints("fipnet").unwrap(), None);
}

#[test]
fn not_found_by_somebody_else_is_no_answer() {
    let html = "<html>\n<b>404</b> \u{1b}[31mNot Found</html>";
    for body in [r#"{"message":"page not found"}"#, r#"{"error":"9db007"}"#, "9db007", "", html] {
        let daemon = Daemon::new(move |_| (404, body.to_owned()));
        let error = daemon.docker().endpoints("9db007").unwrap_err();
        assert!(error.to_string().contains("404"), "{error}");
        assert!(!error.to_string().contains(['\n', '\u{1b}']), "{error}");
    }
}

#[test]
fn a_network_id_cannot_lead_elsewhere() {
    let daemon = Daemon::new(|_| (404, r#"{"message":"page not found"}"#.to_owned()));
    daemon.docker().endpoints("../containers/x?y#z\r\nA: b").unwrap_err();
    assert_eq!(daemon.asked()[0].url, "/networks/..%2Fcontainers%2Fx%3Fy%23z%0D%0AA%3A%20b");
}

#[test]
fn a_refusal_tells_dockers_reason() {
    let long = "x".repeat(10_000);
    for (message, shown) in
        [(r"something\nwent\u001b[2J wrong", "something went [2J wrong"), (&long, &long[..300])]
    {
        let body = format!(r#"{{"message":"{message}"}}"#);
        let daemon = Daemon::new(move |_| (500, body.clone()));
        let error = daemon.docker().endpoints("n1").unwrap_err();
        let expected = format!("refused GET /networks/n1: {shown} (HTTP status 500)");
        assert!(error.to_string().ends_with(&expected), "{error}");
        assert!(matches!(error, DockerError::Refused { status: 500, .. }));
        assert!(daemon.docker().labels("n1", "e1").is_err());
    }
}

#[test]
fn many_ask_at_once() {
    let list = format!("[{}]", container(r#"["/c1"]"#, r#"{"k":"v"}"#));
    let daemon = daemon(CONTAINER, "c1", list);
    let docker = daemon.docker();
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let found = docker.labels(NETWORK, ENDPOINT).unwrap();
                assert_eq!(found, Some(labels(&[("k", "v")])));
            });
        }
    });
    assert_eq!(daemon.asked().len(), 32);
}

#[test]
fn docker_may_listen_on_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let body = network(&format!("{{{}}}", attached(CONTAINER, "c1", "e1")));
    let server = thread::spawn(move || {
        let server = tiny_http::Server::from_listener(listener, None).unwrap();
        let request = server.recv().unwrap();
        let host =
            request.headers().iter().find(|h| h.field.equiv("Host")).unwrap().value.to_string();
        let mut writer = request.into_writer();
        write!(writer, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        host
    });
    let docker = Docker::new(&format!("tcp://{address}"), PATIENT).unwrap();
    assert_eq!(docker.endpoints(NETWORK).unwrap(), Some(BTreeSet::from(["e1".to_owned()])));
    assert_eq!(server.join().unwrap(), address.to_string());
    let error = docker.endpoints(NETWORK).unwrap_err();
    assert!(matches!(error, DockerError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&format!("tcp://{address}")), "{error}");
}
