//! Clients that mean no good.

use std::io::Write;

use serde_json::{Value, json};

use crate::daemon::{Daemon, Place, endpoint, join, network, receive};
use crate::lab::wait_for;

const MIB: usize = 1 << 20;

/// How many connections are served at a time.
const PLACES: usize = 64;

/// Ids that would lead elsewhere, or nowhere, as the name of a file or of a link.
fn hostile_ids() -> Vec<String> {
    let up = ["../canary", "../../canary", "../../../canary", "..", ".", "/", "", "a/b", "a/../b"];
    let odd = ["a\0b", "a\nb", "\u{1b}[2J", "..\\canary", "%2e%2e%2fcanary", "a b", "\u{e9}", "%d"];
    let absolute = std::env::temp_dir().join("canary").display().to_string();
    let long = [65, 255, 4096, 100_000].map(|length| "a".repeat(length));
    up.into_iter().chain(odd).map(str::to_owned).chain([absolute]).chain(long).collect()
}

#[test]
fn ids_lead_nowhere_but_into_the_state_directory() {
    let place = Place::new();
    let files = place.foreign_files();
    let plugin = place.serve();
    plugin.call_ok("CreateNetwork", &network("n1"));
    plugin.call_ok("CreateEndpoint", &endpoint("n1", "e1", &json!({})));
    let before = place.network();
    for id in hostile_ids() {
        let both = json!({"NetworkID": id, "EndpointID": id});
        for (method, body) in [
            ("CreateNetwork", network(&id)),
            ("DeleteNetwork", both.clone()),
            ("CreateEndpoint", endpoint("n1", &id, &json!({}))),
            ("CreateEndpoint", endpoint(&id, "e2", &json!({}))),
            ("EndpointOperInfo", both.clone()),
            ("Join", join("n1", &id)),
            ("Join", join(&id, "e1")),
            ("Leave", both.clone()),
            ("DeleteEndpoint", json!({"NetworkID": "n1", "EndpointID": id})),
            ("DeleteEndpoint", both.clone()),
            ("FreeNetwork", both.clone()),
        ] {
            let (status, answer) = plugin.call(method, &body);
            assert_eq!(status, 400, "{method} {id:?}: {answer}");
            assert!(answer.contains("\"Err\"") && answer.len() < 1000, "{method} {id:?}: {answer}");
        }
    }
    plugin.assert_alive();
    assert_eq!(place.foreign_files(), files);
    assert_eq!(place.network(), before);
    let known = std::fs::read_dir(place.state().join("endpoints")).unwrap();
    assert_eq!(known.count(), 1);
}

#[test]
fn what_is_no_request_is_refused() {
    let place = Place::new();
    let plugin = place.serve();
    let post = |headers: &str, body: &str| {
        format!("POST /NetworkDriver.Join HTTP/1.1\r\n{headers}\r\n\r\n{body}").into_bytes()
    };
    for (bytes, status) in [
        (b"P".to_vec(), 400),
        (b"POST /NetworkDriver.Join HTTP/1.1\r\nHost: ".to_vec(), 400),
        (post("Content-Length: 5", "{"), 400),
        (post("Transfer-Encoding: chunked", "5\r\n{"), 400),
        (post("Content-Length: -1", "{}"), 400),
        (post(&format!("A: {}", "b".repeat(10 * MIB)), ""), 431),
        (post(&"A: b\r\n".repeat(100_000), ""), 431),
        (post("Content-Length: 10485760", &" ".repeat(10 * MIB)), 413),
        (post("Transfer-Encoding: chunked", &format!("{:x}\r\n", u64::MAX)), 413),
        (post("Transfer-Encoding: gzip", "{}"), 501),
        (b"GET /Plugin.Activate HTTP/1.1\r\n\r\n".to_vec(), 405),
        (b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03".to_vec(), 400),
        (vec![0; 100_000], 400),
        (Vec::new(), 0),
    ] {
        let (answered, text) = plugin.send(&bytes);
        let shown = bytes[..bytes.len().min(80)].escape_ascii();
        assert_eq!(answered, status, "{shown}: {text}");
    }
    let (status, answer) = plugin.post("/NetworkDriver.Nonsense", b"{}");
    assert_eq!(status, 404, "{answer}");
    plugin.assert_alive();
}

#[test]
fn what_is_no_call_is_refused() {
    let place = Place::new();
    let plugin = place.serve();
    plugin.call_ok("CreateNetwork", &network("n1"));
    let before = place.network();
    let deep = "[".repeat(MIB / 2) + &"]".repeat(MIB / 2);
    let bodies = [
        "",
        " ",
        "{",
        "[]",
        "null",
        "true",
        "0",
        "\"\"",
        "nonsense",
        "\u{feff}{}",
        "{}}",
        r#"{"NetworkID":7}"#,
        r#"{"NetworkID":null}"#,
        r#"{"NetworkID":["n1"]}"#,
        r#"{"NetworkID":{"NetworkID":"n1"}}"#,
        r#"{"networkid":"n1","EndpointID":7}"#,
    ];
    let bytes = bodies.map(|text| text.as_bytes().to_vec()).into_iter();
    let bodies = bytes.chain([deep.into_bytes(), b"\xff\xfe{\0}\0".to_vec(), vec![0; MIB]]);
    for body in bodies {
        for method in [
            "CreateNetwork",
            "DeleteNetwork",
            "CreateEndpoint",
            "EndpointOperInfo",
            "DeleteEndpoint",
            "Join",
            "Leave",
            "ProgramExternalConnectivity",
            "RevokeExternalConnectivity",
            "AllocateNetwork",
            "FreeNetwork",
        ] {
            let (status, answer) = plugin.post(&format!("/NetworkDriver.{method}"), &body);
            let shown = body[..body.len().min(60)].escape_ascii();
            assert_eq!(status, 400, "{method} {shown}: {answer}");
            assert!(answer.contains("\"Err\"") && answer.len() < 1000, "{method} {shown}");
        }
    }
    plugin.assert_alive();
    assert_eq!(place.network(), before);
}

#[test]
fn wrong_values_are_refused_in_words() {
    let place = Place::new();
    let plugin = place.serve();
    let before = place.network();
    let with = |key: &str, value: Value| {
        let mut call = network("n1");
        call[key] = value;
        call
    };
    let pool = |pool: &str, gateway: &str| json!([{"Pool": pool, "Gateway": gateway}]);
    for call in [
        with("IPv4Data", pool("172.18.0.0/33", "172.18.0.1/33")),
        with("IPv4Data", pool("172.18.0.0/16", "elsewhere")),
        with("IPv4Data", pool("172.18.0.0/16", "")),
        with("IPv4Data", pool("127.0.0.0/8", "127.0.0.1/8")),
        with("IPv4Data", pool("224.0.0.0/8", "224.0.0.1/8")),
        with("IPv4Data", pool("0.0.0.0/0", "1.2.3.4/0")),
        with("IPv4Data", json!("172.18.0.0/16")),
        with("Options", json!({"com.docker.network.generic": "x"})),
        with("Options", json!({"com.docker.network.generic": {"fip.allow": [1, 2]}})),
        with("Options", json!({"com.docker.network.internal": "perhaps"})),
    ] {
        let (status, answer) = plugin.call("CreateNetwork", &call);
        assert!(answer.contains("\"Err\""), "{call}: {status} {answer}");
        assert_eq!(place.network(), before, "{call}");
    }
    plugin.call_ok("CreateNetwork", &network("n1"));
}

/// Takes so many places, or all, with requests that never end, until each has lost its place.
fn be_slow(plugin: &Daemon, clients: usize) {
    let places = clients.min(PLACES);
    let mut slow: Vec<_> = (0..clients).map(|_| plugin.connect()).collect();
    for stream in &mut slow {
        let beginning = b"POST /NetworkDriver.Join HTTP/1.1\r\nContent-Length: 9\r\n\r\n{";
        stream.write_all(beginning).unwrap();
    }
    wait_for("the places to be taken", || (plugin.served() >= places).then_some(()));
    assert_eq!(plugin.served(), places);
    plugin.assert_alive();
    for stream in slow {
        assert_eq!(receive(stream).0, 408);
    }
    wait_for("all places to be free", || (plugin.served() == 0).then_some(()));
}

#[test]
fn who_is_slow_loses_his_place_and_no_other_waits_for_ever() {
    let place = Place::new();
    let plugin = place.serve();
    be_slow(&plugin, 2 * PLACES);
    // Not before: it listens before it has opened all that it keeps.
    let files = plugin.usage().files;
    be_slow(&plugin, PLACES / 2);
    wait_for("all files to be closed", || (plugin.usage().files <= files).then_some(()));
}
