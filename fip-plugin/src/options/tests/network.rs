use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The options as they arrive with these given by `-o`.
fn generic(options: Value) -> Map<String, Value> {
    let mut all = object(r#"{"com.docker.network.enable_ipv6":false}"#);
    all.insert("com.docker.network.generic".to_owned(), options);
    all
}

fn refused(options: &Map<String, Value>) -> String {
    let error = NetworkOptions::parse(options).unwrap_err();
    assert!(error.is_usage(), "{error}");
    error.to_string()
}

#[test]
fn a_network_without_options_has_the_defaults() {
    for json in [
        "{}",
        r#"{"com.docker.network.enable_ipv6":false,"com.docker.network.generic":{}}"#,
        r#"{"com.docker.network.enable_ipv6":false,"com.docker.network.generic":null}"#,
        r#"{"com.docker.network.enable_ipv4":true,"com.docker.network.enable_ipv6":false,
            "com.docker.network.generic":{"key":"val","fipper":"x","com.example.label":""}}"#,
    ] {
        let options = NetworkOptions::parse(&object(json)).unwrap();
        assert_eq!(options, NetworkOptions::default(), "{json}");
    }
    let NetworkOptions { bridge, mtu, internal, masquerade, uplink, allow } =
        NetworkOptions::default();
    assert!(masquerade && !internal);
    assert_eq!((bridge, mtu, uplink, allow), (None, None, None, None));
}

#[test]
fn every_option_is_read() {
    let options = object(
        r#"{"com.docker.network.enable_ipv6":true,"com.docker.network.internal":true,
            "com.docker.network.generic":{
                "com.docker.network.bridge.name":"fip0",
                "com.docker.network.bridge.enable_ip_masquerade":"false",
                "com.docker.network.driver.mtu":"1400",
                "fip.uplink":"eth1",
                "fip.allow":"192.168.99.200-192.168.99.220, 2001:db8::/64"}}"#,
    );
    let expected = NetworkOptions {
        bridge: Some("fip0".parse().unwrap()),
        mtu: Some(1400),
        internal: true,
        masquerade: false,
        uplink: Some("eth1".parse().unwrap()),
        allow: Some("192.168.99.200-192.168.99.220,2001:db8::/64".parse().unwrap()),
    };
    assert_eq!(NetworkOptions::parse(&options).unwrap(), expected);

    let stored = serde_json::to_string(&expected).unwrap();
    assert_eq!(serde_json::from_str::<NetworkOptions>(&stored).unwrap(), expected);
}

#[test]
fn json_numbers_and_booleans_are_read_as_their_text() {
    let options = generic(json!({
        "com.docker.network.driver.mtu": 1400,
        "com.docker.network.bridge.enable_ip_masquerade": false,
    }));
    let options = NetworkOptions::parse(&options).unwrap();
    assert_eq!((options.mtu, options.masquerade), (Some(1400), false));

    let internal = object(r#"{"com.docker.network.internal":"true"}"#);
    assert!(NetworkOptions::parse(&internal).unwrap().internal);
}

#[test]
fn an_unknown_option_of_ours_is_named_with_the_known_ones() {
    assert_eq!(
        refused(&generic(json!({ "fip.upink": "eth1" }))),
        "\"fip.upink\" is not an option of a network, which are fip.uplink, fip.allow; did you mean \
         fip.uplink?"
    );
    assert_eq!(
        refused(&generic(json!({ "fip.address": "192.168.99.200" }))),
        "\"fip.address\" is not an option of a network, which are fip.uplink, fip.allow; it is one \
         of a container on a network"
    );
    for key in ["fip.", "FIP.uplink", "Fip.x", "fip.uplink.", "fip.ä", "fip.\0"] {
        let error = refused(&generic(json!({ key: "x" })));
        assert!(error.contains("fip.uplink, fip.allow"), "{error}");
    }
    assert!(refused(&generic(json!({ "FIP.UPLINK": "x" }))).contains("mean fip.uplink?"));
    for key in ["fi", "fip", "fıp.x", "fipx", "x.fip.uplink", "ﬁp.x", "ääää"] {
        assert!(NetworkOptions::parse(&generic(json!({ key: "x" }))).is_ok(), "{key}");
    }
}

#[test]
fn a_bad_value_is_named_with_its_option() {
    for (key, value, why) in [
        ("com.docker.network.driver.mtu", json!("67"), "68 to 65535"),
        ("com.docker.network.driver.mtu", json!("65536"), "68 to 65535"),
        ("com.docker.network.driver.mtu", json!("-1400"), "68 to 65535"),
        ("com.docker.network.driver.mtu", json!("1400 "), "68 to 65535"),
        ("com.docker.network.driver.mtu", json!(""), "68 to 65535"),
        ("com.docker.network.driver.mtu", json!(1400.5), "68 to 65535"),
        ("com.docker.network.driver.mtu", json!(1e300), "68 to 65535"),
        ("com.docker.network.driver.mtu", json!(true), "68 to 65535"),
        ("com.docker.network.driver.mtu", json!(null), "text"),
        ("com.docker.network.driver.mtu", json!([1400]), "text"),
        ("com.docker.network.bridge.name", json!("a-name-too-long-"), "a link name"),
        ("com.docker.network.bridge.name", json!("../x"), "a link name"),
        ("com.docker.network.bridge.name", json!(""), "a link name"),
        ("com.docker.network.bridge.name", json!({}), "text"),
        ("com.docker.network.bridge.enable_ip_masquerade", json!("no"), "true or false"),
        ("fip.uplink", json!("eth 0"), "a link name"),
        ("fip.allow", json!(""), "a list of networks"),
        ("fip.allow", json!("192.168.99.7/24"), "host bits"),
        ("fip.allow", json!(192), "a list of networks"),
    ] {
        let error = refused(&generic(json!({ key: value })));
        assert!(error.contains(&format!("(option {key})")) && error.contains(why), "{error}");
    }
}

#[test]
fn ipv6_needs_its_smallest_mtu() {
    let with = |ipv6: bool, mtu: &str| {
        let mut options = generic(json!({ "com.docker.network.driver.mtu": mtu }));
        options.insert("com.docker.network.enable_ipv6".to_owned(), json!(ipv6));
        NetworkOptions::parse(&options).map(|options| options.mtu)
    };
    assert_eq!(with(false, "68").unwrap(), Some(68));
    assert_eq!(with(true, "1280").unwrap(), Some(1280));
    assert_eq!(with(true, "65535").unwrap(), Some(65535));
    let error = with(true, "1279").unwrap_err().to_string();
    assert!(error.contains("1280 to 65535 with IPv6"), "{error}");
}

#[test]
fn options_of_the_wrong_shape_are_refused() {
    for json in [
        r#"{"com.docker.network.generic":[]}"#,
        r#"{"com.docker.network.generic":"x"}"#,
        r#"{"com.docker.network.generic":7}"#,
        r#"{"com.docker.network.internal":"maybe"}"#,
        r#"{"com.docker.network.internal":null}"#,
        r#"{"com.docker.network.enable_ipv6":{}}"#,
    ] {
        refused(&object(json));
    }
}

#[test]
fn long_values_are_refused_in_a_short_error() {
    let long = "192.0.2.1,".repeat(1000);
    let error = refused(&generic(json!({ "fip.allow": long })));
    assert!(error.len() < 250 && error.contains("10000 bytes, at most 4096"), "{error}");
    let error = refused(&generic(json!({ "x".repeat(5): 1, format!("fip.{long}"): "" })));
    assert!(error.len() < 250, "{error}");
    let just = "192.0.2.1 ".repeat(409);
    assert!(NetworkOptions::parse(&generic(json!({ "fip.allow": just }))).is_ok());
}

/// Any JSON value, some levels deep.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Value::from))
}

proptest! {
    #[test]
    fn any_value_of_any_option_is_read_or_refused(
        key in prop::sample::select(vec![
            "com.docker.network.bridge.name",
            "com.docker.network.bridge.enable_ip_masquerade",
            "com.docker.network.driver.mtu",
            "fip.uplink",
            "fip.allow",
        ]),
        value in value(),
        generic_value in value(),
    ) {
        if let Err(error) = NetworkOptions::parse(&generic(json!({ key: value }))) {
            prop_assert!(error.is_usage() && error.to_string().contains(key), "{}", error);
        }
        let _ = NetworkOptions::parse(&generic(generic_value));
    }
}
