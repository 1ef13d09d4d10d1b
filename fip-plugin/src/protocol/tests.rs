use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

const NETWORK: &str = "2f7a9ce86158b5a85c24bf61c83308d034fa5aa587d245b9eb7d02ec8cac788e";
const ENDPOINT: &str = "0879927263cef25104dd2ee1750517d3afee3582bda2407f860a37321222d8af";

fn read<T: DeserializeOwned>(body: Value) -> T {
    decode(body.to_string().as_bytes()).unwrap()
}

/// The error's text.
fn refused<T: DeserializeOwned + Debug>(body: &Value) -> String {
    decode::<T>(body.to_string().as_bytes()).expect_err(&body.to_string()).to_string()
}

fn written(answer: &impl Serialize) -> Value {
    serde_json::from_slice(&encode(answer)).unwrap()
}

#[test]
fn every_method_is_found_by_its_path() {
    for method in Method::ALL {
        assert_eq!(Method::from_path(method.path()), Some(method));
    }
    assert_eq!(Method::Join.to_string(), "NetworkDriver.Join");
    for path in ["", "/", "NetworkDriver.Join", "/NetworkDriver.Join/", "/networkdriver.join"] {
        assert_eq!(Method::from_path(path), None, "{path}");
    }
}

#[test]
fn a_bodiless_call_is_told_from_a_malformed_one() {
    for body in [&b""[..], b" \r\n", b"null"] {
        assert!(matches!(decode::<NetworkRef>(body), Err(DecodeError::Empty)), "{body:?}");
    }
    for body in [&b"{"[..], b"{}", b"[]", b"\0", b"\xff", b"{}{}", b"\"x\"", b"nul"] {
        let error = decode::<NetworkRef>(body).unwrap_err();
        assert!(matches!(error, DecodeError::Malformed(_)), "{body:?}");
    }
    let deep = "[".repeat(100_000);
    decode::<NetworkRef>(deep.as_bytes()).unwrap_err();
    decode::<Discovery>(format!(r#"{{"DiscoveryType":1,"DiscoveryData":{deep}"#).as_bytes())
        .unwrap_err();
}

#[test]
fn what_is_told_of_a_huge_request_is_short() {
    for letter in ["a", "ä", "\n", "\0"] {
        let text = refused::<NetworkRef>(&json!(letter.repeat(1 << 20)));
        assert!(text.chars().count() < 300 && !text.contains('\n'), "{text}");
        assert!(text.contains("invalid type: string") && text.contains("at line 1"), "{text}");
    }
}

#[test]
fn a_network_of_the_older_engine() {
    let request: CreateNetwork = read(json!({
        "NetworkID": NETWORK,
        "Options": {
            "com.docker.network.enable_ipv6": false,
            "com.docker.network.generic": {"com.example.fip": "yes", "key": "val"},
        },
        "IPv4Data": [{
            "AddressSpace": "LocalDefault", "Gateway": "172.18.0.1/16", "Pool": "172.18.0.0/16",
        }],
        "IPv6Data": [],
    }));
    assert_eq!(request.network.as_str(), NETWORK);
    assert_eq!(request.network.short(), "2f7a9ce86158");
    assert_eq!(request.options["com.docker.network.generic"]["key"], "val");
    let [pool] = request.ipv4.as_slice() else { panic!("{request:?}") };
    assert_eq!(pool.pool.to_string(), "172.18.0.0/16");
    assert_eq!(pool.gateway, Some("172.18.0.1/16".parse().unwrap()));
    assert!(pool.aux_addresses.is_empty() && request.ipv6.is_empty());
}

#[test]
fn a_network_of_the_newer_engine() {
    let request: CreateNetwork = read(json!({
        "NetworkID": NETWORK,
        "Options": {
            "com.docker.network.enable_ipv4": false,
            "com.docker.network.enable_ipv6": true,
            "com.docker.network.internal": true,
        },
        "IPv4Data": null,
        "IPv6Data": [{
            "AddressSpace": "LocalDefault", "AuxAddresses": {"r1": "2001:db8::7/64"},
            "Gateway": "2001:db8::1/64", "Pool": "2001:db8::/64",
        }],
    }));
    assert!(request.ipv4.is_empty());
    assert_eq!(request.ipv6[0].aux_addresses["r1"], "2001:db8::7/64".parse().unwrap());
    let text = serde_json::to_string(&request.ipv6[0]).unwrap();
    assert_eq!(serde_json::from_str::<Pool>(&text).unwrap(), request.ipv6[0]);
}

#[test]
fn a_network_without_anything() {
    for body in [json!({"NetworkID": NETWORK}), json!({"NetworkID": NETWORK, "Options": null})] {
        let request: CreateNetwork = read(body);
        assert!(request.options.is_empty() && request.ipv4.is_empty() && request.ipv6.is_empty());
    }
    let bare = json!({"NetworkID": NETWORK, "IPv4Data": [{"Pool": "172.18.0.0/16"}]});
    assert_eq!(read::<CreateNetwork>(bare).ipv4[0].gateway, None);
}

#[test]
fn a_swarm_allocates_and_frees() {
    let request: AllocateNetwork = read(json!({
        "NetworkID": "mabtkocvj25jdjju6olrmvkjz",
        "Options": {"key": "val"},
        "IPv4Data": [{"AddressSpace": "", "Gateway": "172.28.0.1/16", "Pool": "172.28.0.0/16"}],
        "IPv6Data": null,
    }));
    assert_eq!(request.options["key"], "val");
    assert_eq!(request.ipv4[0].address_space, "");
    let freed: NetworkRef = read(json!({"NetworkID": "mabtkocvj25jdjju6olrmvkjz"}));
    assert_eq!(freed.network, request.network);
    assert_eq!(freed.network.short(), "mabtkocvj25j");
}

#[test]
fn an_endpoint() {
    let request: CreateEndpoint = read(json!({
        "NetworkID": NETWORK, "EndpointID": ENDPOINT,
        "Interface": {
            "Address": "172.18.7.7/16", "AddressIPv6": "", "MacAddress": "02:42:de:ad:be:ef",
        },
        "Options": {
            "com.docker.network.endpoint.exposedports": [{"Proto": 6, "Port": 80}],
            "com.docker.network.endpoint.macaddress": "AkLerb7v",
            "com.docker.network.portmap": [{
                "Proto": 6, "IP": "", "Port": 80,
                "HostIP": "", "HostPort": 8080, "HostPortEnd": 8080,
            }],
            "fip.address": "192.0.2.77",
        },
    }));
    assert_eq!(request.endpoint.short(), "0879927263ce");
    assert_eq!(request.interface.address, Some("172.18.7.7/16".parse().unwrap()));
    assert_eq!(request.interface.address_ipv6, None);
    assert_eq!(request.interface.mac, Some("02:42:de:ad:be:ef".parse().unwrap()));
    assert_eq!(request.options["fip.address"], "192.0.2.77");
    let text = serde_json::to_string(&request.interface).unwrap();
    assert_eq!(serde_json::from_str::<Interface>(&text).unwrap(), request.interface);
}

#[test]
fn an_endpoint_without_addresses() {
    for interface in [json!(null), json!({}), json!({"Address": "", "MacAddress": null})] {
        let body = json!({"NetworkID": NETWORK, "EndpointID": ENDPOINT, "Interface": interface});
        assert_eq!(read::<CreateEndpoint>(body).interface, Interface::default());
    }
}

#[test]
fn joining_and_leaving() {
    let request: Join = read(json!({
        "NetworkID": NETWORK, "EndpointID": ENDPOINT,
        "SandboxKey": "/var/run/docker/netns/6a8481cf87a2",
        "Options": {
            "com.docker.network.endpoint.exposedports": [],
            "com.docker.network.generic": {"ChildEndpoints": null, "ParentEndpoints": null},
            "com.docker.network.portmap": [],
        },
    }));
    assert_eq!(request.sandbox.to_str(), Some("/var/run/docker/netns/6a8481cf87a2"));
    let both = json!({"NetworkID": NETWORK, "EndpointID": ENDPOINT});
    assert_eq!(read::<EndpointRef>(both.clone()).endpoint, request.endpoint);
    assert!(read::<Join>(both.clone()).sandbox.as_os_str().is_empty());
    let after_a_crash = json!({"NetworkID": NETWORK, "EndpointID": ENDPOINT, "Options": {}});
    assert!(read::<ProgramExternalConnectivity>(after_a_crash).options.is_empty());
    assert!(read::<ProgramExternalConnectivity>(both).options.is_empty());
}

#[test]
fn a_node_is_discovered_and_gateways_are_asked_for() {
    let request: Discovery = read(json!({
        "DiscoveryType": 1,
        "DiscoveryData": {
            "Address": "198.51.100.21", "BindAddress": "198.51.100.21", "Self": true,
        },
    }));
    assert_eq!((request.discovery_type, &request.discovery_data["Self"]), (1, &json!(true)));
    let request: GwAllocCheck = read(json!({"Options": {
        "com.docker.network.enable_ipv4": true, "com.docker.network.generic": {"nogw": "1"},
    }}));
    assert_eq!(request.options["com.docker.network.enable_ipv4"], true);
}

#[test]
fn hostile_ids_are_refused() {
    let long = "a".repeat(65);
    let huge = "a".repeat(1 << 20);
    for id in [
        "",
        ".",
        "..",
        "../../etc/passwd",
        "a/b",
        "/",
        "a b",
        "a\0b",
        "a\nb",
        "-a",
        "a_b",
        "ä",
        "２",
        &long,
        &huge,
    ] {
        let text = refused::<NetworkRef>(&json!({"NetworkID": id}));
        assert!(text.contains("is not an id of Docker's"), "{text}");
        assert!(text.len() < 300, "{} bytes", text.len());
        refused::<EndpointRef>(&json!({"NetworkID": NETWORK, "EndpointID": id}));
    }
    for id in [json!(null), json!(1), json!([NETWORK]), json!({"a": 1}), json!(true)] {
        refused::<NetworkRef>(&json!({"NetworkID": id}));
    }
    let twice = format!(r#"{{"NetworkID":"{NETWORK}","NetworkID":"{ENDPOINT}"}}"#);
    decode::<NetworkRef>(twice.as_bytes()).unwrap_err();
    assert!(refused::<EndpointRef>(&json!({"NetworkID": NETWORK})).contains("EndpointID"));
    let short: Id = "a1".parse().unwrap();
    assert_eq!((short.short(), short.to_string().as_str()), ("a1", "a1"));
    assert_eq!("a".repeat(64).parse::<Id>().unwrap().as_str().len(), 64);
}

#[test]
fn rubbish_in_an_interface_is_named() {
    let cases = [
        ("Address", "172.18.0.2"),
        ("Address", "172.18.0.2/33"),
        ("Address", "172.18.0.2/"),
        ("Address", "172.18.0.2/-1"),
        ("Address", "172.18.0.2/255.255.0.0.0"),
        ("Address", "2001:db8::2/64"),
        ("Address", "x"),
        ("AddressIPv6", "172.18.0.2/16"),
        ("AddressIPv6", "2001:db8::2/129"),
        ("AddressIPv6", "2001:db8::2"),
        ("MacAddress", "02:42:ac"),
        ("MacAddress", "AkLerb7v"),
        ("MacAddress", "02:42:de:ad:be:ef:00:01"),
    ];
    for (field, value) in cases {
        let body = json!({
            "NetworkID": NETWORK, "EndpointID": ENDPOINT, "Interface": {field: value},
        });
        let text = refused::<CreateEndpoint>(&body);
        assert!(text.contains(value) && text.contains(field), "{field}={value}: {text}");
    }
    for value in [json!(5), json!([]), json!({}), json!(false)] {
        refused::<CreateEndpoint>(&json!({
            "NetworkID": NETWORK, "EndpointID": ENDPOINT, "Interface": {"Address": value},
        }));
    }
}

#[test]
fn rubbish_in_a_pool_is_named() {
    let create = |list: &str, pool: Value| json!({"NetworkID": NETWORK, list: [pool]});
    let cases = [
        ("IPv4Data", json!({"Pool": "2001:db8::/64"}), "IPv4Data"),
        ("IPv6Data", json!({"Pool": "172.18.0.0/16"}), "IPv6Data"),
        ("IPv4Data", json!({"Pool": "172.18.0.0/16", "Gateway": "2001:db8::1/64"}), "IPv4Data"),
        ("IPv4Data", json!({"Pool": ""}), "Pool"),
        ("IPv4Data", json!({"Gateway": "172.18.0.1/16"}), "Pool"),
        ("IPv4Data", json!({"Pool": "172.18.0.0/16", "Gateway": "172.18.0.1"}), "Gateway"),
        ("IPv4Data", json!({"Pool": "172.18.0.0/16", "AuxAddresses": {"r": ""}}), "AuxAddresses"),
    ];
    for (list, pool, named) in cases {
        let text = refused::<CreateNetwork>(&create(list, pool));
        assert!(text.contains(named), "{text}");
    }
    refused::<CreateNetwork>(&json!({"NetworkID": NETWORK, "IPv4Data": {}}));
    refused::<CreateNetwork>(&json!({"NetworkID": NETWORK, "Options": []}));
    refused::<AllocateNetwork>(&json!({"NetworkID": NETWORK, "Options": {"a": 1}}));
}

#[test]
fn answers_are_written_as_dockerd_reads_them() {
    assert_eq!(written(&Done {}), json!({}));
    assert_eq!(written(&Failure { error: "boom".to_owned() }), json!({"Err": "boom"}));
    assert_eq!(written(&Activated::NETWORK_DRIVER), json!({"Implements": ["NetworkDriver"]}));
    let local = Capabilities {
        scope: Scope::Local,
        connectivity_scope: Scope::Global,
        gw_alloc_checker: false,
    };
    let expected =
        json!({"Scope": "local", "ConnectivityScope": "global", "GwAllocChecker": false});
    assert_eq!(written(&local), expected);
    let skip = GatewaysToSkip { ipv4: true, ipv6: false };
    assert_eq!(written(&skip), json!({"SkipIPv4": true, "SkipIPv6": false}));
    let options = [("a".to_owned(), "b".to_owned())].into();
    assert_eq!(written(&AllocatedNetwork { options }), json!({"Options": {"a": "b"}}));
    assert_eq!(written(&OperationalInfo::default()), json!({"Value": {}}));
}

#[test]
fn an_endpoint_is_answered_with_what_was_chosen_only() {
    assert_eq!(written(&CreatedEndpoint::default()), json!({}));
    let mac = Some("02:42:ac:12:00:02".parse().unwrap());
    let chosen = CreatedEndpoint { interface: Some(Interface { mac, ..Interface::default() }) };
    assert_eq!(written(&chosen), json!({"Interface": {"MacAddress": "02:42:ac:12:00:02"}}));
}

#[test]
fn a_join_is_answered_with_link_gateways_and_routes() {
    let interface_name =
        InterfaceName { src_name: "fc0879927263ce".to_owned(), dst_prefix: "eth".to_owned() };
    let mut joined = Joined {
        interface_name,
        gateway: None,
        gateway_ipv6: None,
        static_routes: Vec::new(),
        disable_gateway_service: false,
    };
    let name = json!({"SrcName": "fc0879927263ce", "DstPrefix": "eth"});
    assert_eq!(written(&joined), json!({"InterfaceName": name}));
    joined.gateway = Some("172.18.0.1".parse().unwrap());
    joined.gateway_ipv6 = Some("2001:db8::1".parse().unwrap());
    joined.disable_gateway_service = true;
    joined.static_routes = vec![
        StaticRoute {
            destination: "198.51.100.0/24".parse().unwrap(),
            next_hop: Some("172.18.0.1".parse().unwrap()),
        },
        StaticRoute { destination: "203.0.113.0/24".parse().unwrap(), next_hop: None },
    ];
    let expected = json!({
        "InterfaceName": name, "Gateway": "172.18.0.1", "GatewayIPv6": "2001:db8::1",
        "StaticRoutes": [
            {"Destination": "198.51.100.0/24", "RouteType": 0, "NextHop": "172.18.0.1"},
            {"Destination": "203.0.113.0/24", "RouteType": 1},
        ],
        "DisableGatewayService": true,
    });
    assert_eq!(written(&joined), expected);
}
