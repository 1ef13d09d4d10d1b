use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const LABEL: &str = "io.rancher.container.floating.ip";

fn here() -> Host {
    host(br#"{"uuid":"here","agent_ip":"192.168.100.11"}"#).unwrap()
}

fn entries(all: &Value) -> Result<Vec<Entry>, String> {
    containers(all.to_string().as_bytes())
}

/// What is found, if these were found before.
fn found_after(known: &Known, all: &Value) -> Result<Vec<Workload>, String> {
    workloads(&entries(all)?, &here(), &[LABEL.to_owned()], known)
}

fn found(all: &Value) -> Result<Vec<Workload>, String> {
    found_after(&Known::new(), all)
}

/// A container that runs here, and what is different about it.
fn container(different: &Value) -> Value {
    let mut container = json!({
        "uuid": "u1", "name": "web", "external_id": "e1", "host_uuid": "here", "state": "running",
        "labels": {LABEL: "203.0.113.1"}, "primary_ip": "10.42.0.1",
        "network_from_container_uuid": null, "create_index": 5, "start_count": 2
    });
    for (field, value) in different.as_object().unwrap() {
        container[field] = value.clone();
    }
    container
}

fn one(different: &Value) -> Workload {
    let [workload] = found(&json!([container(different)])).unwrap().try_into().unwrap();
    workload
}

fn presence(different: &Value) -> Presence {
    one(different).presence
}

fn running(address: &str) -> Presence {
    Presence::Running(vec![address.parse().unwrap()])
}

fn known() -> Known {
    Known::from([("u1".to_owned(), one(&json!({})))])
}

#[test]
fn a_container_is_all_that_is_told_of_it() {
    let expected = Workload {
        id: "u1".to_owned(),
        name: "web".to_owned(),
        container: Some("e1".to_owned()),
        asks: "203.0.113.1".to_owned(),
        age: 5,
        run: 2,
        presence: running("10.42.0.1"),
    };
    assert_eq!(one(&json!({})), expected);
}

#[test]
fn what_is_missing_is_made_up_for_where_it_can_be() {
    let odd = [json!(null), json!({}), json!(""), json!([1]), json!(-1), json!(1.5), json!("x")];
    for value in odd {
        let workload = one(&json!({"create_index": value, "start_count": value}));
        assert_eq!((workload.age, workload.run), (u64::MAX, 0), "{value}");
    }
    let workload = one(&json!({"create_index": "7", "start_count": "8"}));
    assert_eq!((workload.age, workload.run), (7, 8));
    let workload = one(&json!({"name": null, "external_id": ""}));
    assert_eq!((workload.name.as_str(), workload.container), ("u1", None));
    let workload = one(&json!({"name": "a\n\u{1b}[31mb"}));
    assert!(!workload.name.contains(char::is_control), "{:?}", workload.name);
}

#[test]
fn an_address_is_found_where_it_is() {
    let label = |text: &str| json!({LABEL: "203.0.113.1", ADDRESS_LABEL: text});
    for (different, expected) in [
        (json!({"primary_ip": "10.42.0.9/16"}), running("10.42.0.9")),
        (json!({"primary_ip": "2001:db8::9"}), running("2001:db8::9")),
        (json!({"primary_ip": null, "labels": label("10.42.0.8/16")}), running("10.42.0.8")),
        (json!({"primary_ip": "", "labels": label("10.42.0.8")}), running("10.42.0.8")),
        (json!({"primary_ip": 5, "labels": label("10.42.0.8")}), running("10.42.0.8")),
        (json!({"labels": label("10.42.0.8")}), running("10.42.0.1")),
        // It has none, or none of its own.
        (json!({"primary_ip": null}), Presence::Running(vec![])),
        (json!({"primary_ip": "", "labels": label("")}), Presence::Running(vec![])),
        (json!({"primary_ip": "192.168.100.11"}), Presence::Running(vec![])),
        (json!({"network_from_container_uuid": "u2"}), Presence::Running(vec![])),
        // Nobody knows.
        (json!({"primary_ip": "10.42"}), Presence::Unknown),
        (json!({"primary_ip": 5}), Presence::Unknown),
        (json!({"primary_ip": null, "labels": label("soon")}), Presence::Unknown),
    ] {
        assert_eq!(presence(&different), expected, "{different}");
    }
}

#[test]
fn only_two_words_are_sure() {
    for state in ["running", "updating-running"] {
        assert_eq!(presence(&json!({"state": state})), running("10.42.0.1"), "{state}");
    }
    for state in ["stopped", "updating-stopped", "removed", "purging", "purged"] {
        assert_eq!(presence(&json!({"state": state})), Presence::Stopped, "{state}");
    }
    let words = ["requested", "creating", "starting", "stopping", "restarting", "migrating"];
    for state in words.into_iter().chain(["removing", "error", "erroring", "RUNNING", ""]) {
        assert_eq!(presence(&json!({"state": state})), Presence::Unknown, "{state}");
    }
    for state in [json!(null), json!(1), json!(["running"])] {
        assert_eq!(presence(&json!({"state": state})), Presence::Unknown, "{state}");
    }
}

#[test]
fn who_is_elsewhere_or_asks_for_nothing_is_not_listed() {
    for different in [
        json!({"host_uuid": "there"}),
        // Whatever else is wrong with it.
        json!({"host_uuid": "there", "uuid": null, "labels": 5, "state": []}),
        json!({"host_uuid": null}),
        json!({"host_uuid": ""}),
        json!({"labels": null}),
        json!({"labels": {}}),
        json!({"labels": {"other": 5}}),
        json!({"labels": {LABEL: null}}),
    ] {
        assert_eq!(found(&json!([container(&different)])), Ok(vec![]), "{different}");
    }
}

#[test]
fn who_might_be_here_is_a_doubt() {
    for (different, doubt) in [
        (json!({"uuid": null}), "container web has no uuid"),
        (json!({"uuid": "", "name": ""}), "container without a name has no uuid"),
        (json!({"host_uuid": 5}), "container web is on no host"),
        (json!({"labels": "none"}), "the labels of container web are missing"),
        (json!({"labels": []}), "the labels of container web are missing"),
        (json!({"labels": {LABEL: 5}}), "floating.ip of container web is no text"),
    ] {
        let all = json!([container(&json!({"uuid": "u0", "name": "good"})), container(&different)]);
        let error = found(&all).unwrap_err();
        assert!(error.contains(doubt), "{different}: {error}");
    }
}

#[test]
fn the_same_container_twice_is_one_if_nothing_differs() {
    let [same, other] = [json!({}), json!({"primary_ip": "10.42.0.2"})].map(|d| container(&d));
    let elsewhere = container(&json!({"host_uuid": "there"}));
    assert_eq!(found(&json!([same, same])).unwrap().len(), 1);
    assert_eq!(found(&json!([elsewhere, elsewhere])), Ok(vec![]));
    let unknown = Workload { presence: Presence::Unknown, ..one(&json!({})) };
    for pair in [json!([same, other]), json!([same, elsewhere]), json!([elsewhere, same, same])] {
        let error = found(&pair).unwrap_err();
        assert!(error.contains("container web is there twice"), "{error}");
        assert_eq!(found_after(&known(), &pair), Ok(vec![unknown.clone()]));
    }
}

#[test]
fn answers_of_another_shape_are_refused() {
    for body in ["", "[", "null", "[]", "{}", "5", "[5]", "[null]", "[[]]", "[[\"u1\"]]", "a=b\n"] {
        assert!(containers(body.as_bytes()).is_err(), "{body}");
    }
    for body in ["", "null", "[]", "[\"u\"]", "{}", "{\"uuid\":null}", "{\"uuid\":\"\"}", "\"u\""] {
        assert!(host(body.as_bytes()).is_err(), "{body}");
    }
    for body in ["", "null", "[]", "{}", "true", "a-b"] {
        assert!(version(body.as_bytes()).is_err(), "{body}");
    }
    assert!(version(format!("{:?}", "v".repeat(257)).as_bytes()).is_err());
    assert_eq!(version(b"\"65e52440-9589\""), Ok("65e52440-9589".to_owned()));
    assert_eq!(version(b"1452"), Ok("1452".to_owned()));
}

#[test]
fn depth_is_no_way_to_the_end_of_the_stack() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(containers(deep.as_bytes()).is_err());
    assert!(containers(format!("[{{\"labels\":{deep}}}]").as_bytes()).is_err());
}

const WORDS: &[&str] =
    &["", "here", "there", "running", "stopped", "u1", "u2", "203.0.113.1", "10.42.0.1/16"];

const FIELDS: &[&str] = &[
    "uuid",
    "name",
    "host_uuid",
    "external_id",
    "state",
    "labels",
    "primary_ip",
    "network_from_container_uuid",
    "create_index",
    "start_count",
];

/// Any JSON, often with words that mean something.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(WORDS).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let keys = prop::sample::select(&[LABEL, ADDRESS_LABEL, "x"][..]).prop_map(str::to_owned);
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(keys, inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

/// A container about which anything can be different.
fn odd_container() -> impl Strategy<Value = Value> {
    let fields = prop::sample::select(FIELDS).prop_map(str::to_owned);
    btree_map(fields, anything(), 0..4).prop_map(|different| container(&json!(different)))
}

proptest! {
    #[test]
    fn no_bytes_are_too_odd(body in vec(any::<u8>(), 0..64), odd in anything()) {
        for body in [&body[..], odd.to_string().as_bytes()] {
            let _ = version(body);
            let _ = host(body);
            let _ = containers(body);
        }
    }

    #[test]
    fn a_cut_answer_is_none(all in vec(odd_container(), 1..4), part in 0.0..1.0) {
        let body = json!(all).to_string();
        let mut end = (body.len() as f64 * part) as usize;
        while !body.is_char_boundary(end) {
            end -= 1;
        }
        prop_assert!(containers(&body.as_bytes()[..end]).is_err());
    }

    #[test]
    fn what_is_odd_elsewhere_is_nobodys_concern(odd in odd_container()) {
        let mut odd = odd;
        odd["host_uuid"] = json!("there");
        odd["uuid"] = json!("u2");
        let all = json!([container(&json!({})), odd]);
        prop_assert_eq!(found(&all), Ok(vec![one(&json!({}))]));
    }

    #[test]
    fn a_known_container_is_not_lost_without_a_clear_word(odd in odd_container()) {
        prop_assume!(odd["uuid"] == "u1");
        let all = json!([odd, container(&json!({"uuid": "u9"}))]);
        let workloads = found_after(&known(), &all).unwrap();
        if workloads.iter().any(|workload| workload.id == "u1") {
            return Ok(());
        }
        let elsewhere = odd["host_uuid"].as_str().is_some_and(|host| !["", "here"].contains(&host));
        let asks = odd["labels"].get(LABEL);
        let silent = odd["labels"].is_object() && asks.is_none_or(Value::is_null);
        prop_assert!(elsewhere || silent, "{odd}");
    }

    #[test]
    fn the_order_means_nothing(all in vec(odd_container(), 1..5), turn in 0_usize..5) {
        let mut turned = all.clone();
        turned.rotate_left(turn % all.len());
        turned.reverse();
        match (found(&json!(all)), found(&json!(turned))) {
            (Ok(one), Ok(other)) => prop_assert_eq!(one, other),
            (one, other) => prop_assert!(one.is_err() && other.is_err()),
        }
    }
}
