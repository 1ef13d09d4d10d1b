//! Any calls to the driver, a line each: the path, a space, the body. A line `restart` ends the
//! driver and starts it again. What is true of every answer must be true of these; and when all is
//! deleted, nothing is left.
#![no_main]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/dockerd/host.rs"]
mod host;

use std::fs;

use fip_plugin::protocol::Method;
use host::Host;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|input: &[u8]| {
    let mut host = Host::new();
    let before = host.footprint();
    for line in input.split(|byte| *byte == b'\n') {
        if line == b"restart" {
            host.restart_driver();
            continue;
        }
        let (path, body) =
            line.split_at(line.iter().position(|b| *b == b' ').unwrap_or(line.len()));
        let Ok(path) = str::from_utf8(path) else { continue };
        host.call(path, body.trim_ascii_start());
    }
    delete_all(&host);
    assert_eq!(host.footprint().since(&before), Vec::<String>::new());
});

/// Deletes the endpoints, then the networks.
fn delete_all(host: &Host) {
    let records: Vec<Value> = host
        .state_files()
        .iter()
        .map(|file| serde_json::from_slice(&fs::read(file).unwrap()).unwrap())
        .collect();
    for record in records.iter().filter(|record| !record["network"].is_null()) {
        let ids = json!({"NetworkID": record["network"], "EndpointID": record["id"]});
        delete(host, Method::DeleteEndpoint, &ids);
    }
    for record in records.iter().filter(|record| record["network"].is_null()) {
        delete(host, Method::DeleteNetwork, &json!({"NetworkID": record["id"]}));
    }
}

fn delete(host: &Host, method: Method, ids: &Value) {
    let answer = host.call(method.path(), ids.to_string().as_bytes());
    assert_eq!(answer.error(), None, "{method} {ids}");
}
