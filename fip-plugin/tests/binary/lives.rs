//! How it begins and how it ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use fip_core::netns::NetNs;
use fip_core::{FloatingIps, Options};
use serde_json::json;

use crate::daemon::{Place, endpoint, join, network};
use crate::lab::{Family, lan};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn its_files_are_its_owners_alone() {
    let place = Place::new();
    let plugin = place.serve();
    plugin.call_ok("CreateNetwork", &network("n1"));
    assert_eq!(mode(&place.socket()), 0o600);
    assert_eq!(mode(&place.state().join("networks/n1.json")), 0o600);
    assert_eq!(mode(&place.state().join("lock")), 0o600);
}

#[test]
fn a_second_one_is_refused_and_does_no_harm() {
    let place = Place::new();
    let plugin = place.serve();
    plugin.call_ok("CreateNetwork", &network("n1"));
    let before = place.network();

    let args = place.arguments(&[]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let second = place.run(&args);
    let socket = place.socket().display().to_string();
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert!(second.stderr.contains(&socket), "{}", second.stderr);
    plugin.assert_alive();

    // Another socket, but the same state.
    let other = place.socket().with_file_name("other.sock");
    let other_text = other.display().to_string();
    let args: Vec<&str> =
        args.iter().map(|word| if *word == socket { other_text.as_str() } else { word }).collect();
    let second = place.run(&args);
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert!(second.stderr.contains("in use by another fip-plugin"), "{}", second.stderr);
    assert!(!other.exists(), "its socket");

    plugin.assert_alive();
    assert_eq!(place.network(), before);
}

#[test]
fn it_ends_when_it_is_asked_to_and_bindings_stay() {
    let place = Place::new();
    let floating = lan(Family::V4, 200);
    let bound = || {
        let netns: NetNs = place.host.path().display().to_string().parse().unwrap();
        let mut fips = FloatingIps::open_in(&netns, Options::default()).unwrap();
        let list = fips.list().unwrap();
        list.iter().any(|status| status.binding.floating() == floating)
    };
    let mut plugin = place.serve();
    plugin.call_ok("CreateNetwork", &network("n1"));
    let options = json!({"fip.address": floating.to_string()});
    plugin.call_ok("CreateEndpoint", &endpoint("n1", "e1", &options));
    plugin.call_ok("Join", &join("n1", "e1"));
    assert!(bound());
    let with = place.network();

    for signal in ["TERM", "INT", "KILL"] {
        let done = plugin.end(signal);
        // Who is killed clears nothing away: the next one replaces the socket.
        assert_eq!(done.code, (signal != "KILL").then_some(0), "{}", done.stderr);
        assert_eq!(place.socket().exists(), signal == "KILL", "{signal}");
        assert!(bound(), "{signal}");
        assert_eq!(place.network(), with, "{signal}");

        plugin = place.serve();
        plugin.assert_alive();
        assert!(bound(), "after {signal}");
        assert_eq!(place.network(), with, "after {signal}");
    }
    plugin.call_ok("Leave", &json!({"NetworkID": "n1", "EndpointID": "e1"}));
    assert!(!bound());
    assert!(!place.network().contains(&format!("eth0 inet {floating}/32")));
}
