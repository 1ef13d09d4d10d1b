use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fip_core::{Binding, Error, LinkName, Owner};
use serde_json::json;

use super::*;

fn parse(options: Value) -> EndpointOptions {
    EndpointOptions::parse(options.as_object().unwrap()).unwrap()
}

fn refused(options: Value) -> String {
    let error = EndpointOptions::parse(options.as_object().unwrap()).unwrap_err();
    assert!(error.is_usage(), "{error}");
    error.to_string()
}

/// What the options make of a container with both fixed addresses.
fn bind(options: Value) -> Result<Vec<Binding>, Error> {
    bind_to(options, Some(Ipv4Addr::new(172, 18, 0, 2)), Some("2001:db8:18::2".parse().unwrap()))
}

fn bind_to(
    options: Value,
    fixed4: Option<Ipv4Addr>,
    fixed6: Option<Ipv6Addr>,
) -> Result<Vec<Binding>, Error> {
    let owner: Owner = "plugin:2f7a".parse().unwrap();
    parse(options).bindings(&Endpoint { fixed4, fixed6, owner: &owner, uplink: None })
}

#[test]
fn an_endpoint_without_options_has_the_defaults() {
    let recorded = object(
        r#"{"com.docker.network.endpoint.exposedports":[{"Proto":6,"Port":80}],
            "com.docker.network.endpoint.macaddress":"AkLerb7v",
            "com.docker.network.portmap":[{"Proto":6,"IP":"","Port":80,"HostIP":"",
                "HostPort":8080,"HostPortEnd":8080}]}"#,
    );
    for options in [recorded, object("{}"), object(r#"{"com.example.fip":null}"#)] {
        assert_eq!(EndpointOptions::parse(&options).unwrap(), EndpointOptions::default());
    }
    let EndpointOptions { floating, label, egress, ports } = EndpointOptions::default();
    assert!(floating.is_empty() && label && egress && ports.is_empty());
}

#[test]
fn an_endpoint_without_address_has_none_by_label_either() {
    let options = parse(json!({ "fip.address": "none" }));
    assert_eq!(options, EndpointOptions { label: false, ..EndpointOptions::default() });
    assert!(parse(json!({ "fip.address": "192.168.99.200" })).label);
    assert_eq!(bind(json!({ "fip.address": "none" })).unwrap(), []);
    refused(json!({ "fip.address": "none, 192.168.99.200" }));
}

#[test]
fn every_option_is_read() {
    let options = parse(json!({
        "com.docker.network.portmap": [],
        "fip.address": "192.168.99.200, 2001:db8::5",
        "fip.egress": "false",
        "fip.ports": "tcp:80 udp:53:5353",
    }));
    assert_eq!(options.floating, parse_floating("192.168.99.200 2001:db8::5").unwrap());
    assert!(!options.egress);
    let ports: Vec<String> = options.ports.iter().map(ToString::to_string).collect();
    assert_eq!(ports, ["tcp:80", "udp:53:5353"]);

    let stored = serde_json::to_string(&options).unwrap();
    assert_eq!(serde_json::from_str::<EndpointOptions>(&stored).unwrap(), options);
}

#[test]
fn an_unknown_option_of_ours_is_named_with_the_known_ones() {
    let error = refused(json!({ "fip.adress": "192.168.99.200" }));
    assert!(error.contains("fip.address, fip.egress, fip.ports"), "{error}");
    assert!(error.ends_with("did you mean fip.address?"), "{error}");
    let error = refused(json!({ "fip.allow": "192.168.99.200" }));
    assert!(error.ends_with("it is one of a network"), "{error}");
}

#[test]
fn a_bad_value_is_named_with_its_option() {
    for (key, value, why) in [
        ("fip.address", json!(""), "an address"),
        ("fip.address", json!("192.168.99.200/24"), "leave out the mask"),
        ("fip.address", json!("192.168.99.200,192.168.99.200"), "there twice"),
        ("fip.address", json!(["192.168.99.200"]), "text"),
        ("fip.address", json!(7), "an IPv4 or IPv6 address"),
        ("fip.address", json!("1".repeat(5000)), "at most 4096"),
        ("fip.egress", json!("yes"), "true or false"),
        ("fip.egress", json!(1.0), "true or false"),
        ("fip.ports", json!(""), "a port"),
        ("fip.ports", json!("80"), "a protocol"),
        ("fip.ports", json!("tcp:80,tcp:80:81"), "there twice"),
        ("fip.ports", json!("tcp:0"), "a port forward"),
    ] {
        let error = refused(json!({ key: value }));
        assert!(error.contains(&format!("(option {key})")) && error.contains(why), "{error}");
    }
    let ports: String = (1..300).map(|port| format!("tcp:{port} ")).collect();
    assert!(refused(json!({ "fip.ports": ports })).contains("at most 256 ports: it has 299"));
}

#[test]
fn each_address_goes_to_the_fixed_one_of_its_family() {
    let bindings = bind(json!({ "fip.address": "192.168.99.200 2001:db8::5" })).unwrap();
    let texts: Vec<String> = bindings.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["192.168.99.200 -> 172.18.0.2", "2001:db8::5 -> 2001:db8:18::2"]);
    for binding in &bindings {
        assert_eq!(binding.owner().as_str(), "plugin:2f7a");
        assert!(binding.egress() && binding.is_whole_address());
        assert_eq!(binding.uplink(), None);
    }
    assert_eq!(bind(json!({ "fip.ports": "tcp:80" })).unwrap(), []);
}

#[test]
fn the_first_whole_address_of_each_family_gets_the_egress() {
    let addresses = "192.168.99.1:tcp:80 192.168.99.2 2001:db8::5 192.168.99.3 2001:db8::6";
    let bindings = bind(json!({ "fip.address": addresses })).unwrap();
    let egress: Vec<IpAddr> =
        bindings.iter().filter(|binding| binding.egress()).map(Binding::floating).collect();
    assert_eq!(egress, ["192.168.99.2", "2001:db8::5"].map(|text| text.parse::<IpAddr>().unwrap()));

    let silent = bind(json!({ "fip.address": addresses, "fip.egress": false })).unwrap();
    assert!(silent.iter().all(|binding| !binding.egress()));
}

#[test]
fn ports_apply_to_the_addresses_that_name_none() {
    let bindings = bind(json!({
        "fip.address": "192.168.99.1 192.168.99.2:udp:53 2001:db8::5",
        "fip.ports": "tcp:80:8080,tcp:443",
    }));
    let texts: Vec<String> = bindings.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "192.168.99.1 -> 172.18.0.2 tcp:80:8080 tcp:443",
            "192.168.99.2 -> 172.18.0.2 udp:53",
            "2001:db8::5 -> 2001:db8:18::2 tcp:80:8080 tcp:443",
        ]
    );
}

#[test]
fn the_addresses_of_a_label_have_the_options_of_the_endpoint() {
    let mut options = parse(json!({ "fip.egress": "0", "fip.ports": "tcp:80" }));
    options.floating = parse_floating("192.168.99.200").unwrap();
    let owner = Owner::default();
    let uplink: LinkName = "eth1".parse().unwrap();
    let fixed4 = Some(Ipv4Addr::new(172, 18, 0, 2));
    let endpoint = Endpoint { fixed4, fixed6: None, owner: &owner, uplink: Some(&uplink) };
    let bindings = options.bindings(&endpoint).unwrap();
    assert_eq!(bindings[0].to_string(), "192.168.99.200 -> 172.18.0.2 tcp:80");
    assert_eq!(bindings[0].uplink(), Some(&uplink));
}

#[test]
fn an_address_of_a_family_that_the_container_lacks_is_refused() {
    let v4 = Some(Ipv4Addr::new(172, 18, 0, 2));
    let error = bind_to(json!({ "fip.address": "2001:db8::5" }), v4, None).unwrap_err().to_string();
    assert!(error.starts_with("2001:db8::5 cannot be bound: the container has no IPv6"), "{error}");
    assert!(error.contains("--ipv6") && error.contains("--subnet"), "{error}");

    let v6 = Some("2001:db8:18::2".parse().unwrap());
    let error = bind_to(json!({ "fip.address": "192.0.2.1" }), None, v6).unwrap_err().to_string();
    assert!(error.starts_with("192.0.2.1 cannot be bound: the container has no IPv4"), "{error}");
}

#[test]
fn addresses_that_cannot_float_are_refused() {
    for bad in [
        "127.0.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "169.254.169.254",
        "172.18.0.2",
        "::1",
        "::",
        "ff02::1",
        "fe80::1",
        "::ffff:192.0.2.1",
        "2001:db8:18::2",
    ] {
        let error = bind(json!({ "fip.address": bad })).unwrap_err().to_string();
        assert!(error.contains(bad) && error.contains("cannot be bound"), "{error}");
    }
}

#[test]
fn the_ports_of_all_addresses_together_are_bounded() {
    let ports: String = (1..=64).map(|port| format!("tcp:{port} ")).collect();
    let addresses = |count: usize| (1..=count).map(|n| format!("192.0.2.{n} ")).collect::<String>();
    let bind = |count| bind(json!({ "fip.address": addresses(count), "fip.ports": ports }));
    assert_eq!(bind(4).unwrap().len(), 4);
    let error = bind(5).unwrap_err();
    assert!(error.to_string().contains("320 translated ports"), "{error}");
    assert!(error.hint().unwrap().contains("256"));
}
