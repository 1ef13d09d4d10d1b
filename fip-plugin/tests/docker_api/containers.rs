//! Lists of containers.

use fip_plugin::docker::{Attachment, Container, DockerError, Filter};

use super::labels;
use super::liar::Daemon;

/// An endpoint as Docker 20.10 lists it.
fn endpoint(network: &str, v4: &str, v6: &str, gateways: [&str; 2], more: &str) -> String {
    let [gateway, gateway6] = gateways;
    format!(
        r#"{{"IPAMConfig":null,"Links":null,"Aliases":null,"NetworkID":"{network}",
        "EndpointID":"e-{network}","Gateway":"{gateway}","IPAddress":"{v4}","IPPrefixLen":16,
        "IPv6Gateway":"{gateway6}","GlobalIPv6Address":"{v6}","GlobalIPv6PrefixLen":0,
        "MacAddress":"02:42:ac:11:00:02","DriverOpts":null{more}}}"#
    )
}

/// A container as Docker 20.10 lists it.
fn container(state: &str, mode: &str, networks: &str) -> String {
    format!(
        r#"{{"Id":"c","Names":["/o/alias","/c1"],"Image":"lab","ImageID":"sha256:x",
        "Command":"/serve","Created":1795376122,"Ports":[],"Labels":{{"a":"b"}},"State":"{state}",
        "Status":"Up 1 second","HostConfig":{{"NetworkMode":"{mode}"}},
        "NetworkSettings":{{"Networks":{networks}}},"Mounts":[]}}"#
    )
}

/// The answer to `/containers/json` alone; `internal` is an internal network, the others are not.
fn daemon(containers: String) -> Daemon {
    Daemon::new(move |url| match url.split('?').next() {
        Some("/containers/json") => (200, containers.clone()),
        Some("/networks") => (
            200,
            r#"[{"Name":"a","Id":"internal","Internal":true},{"Id":"n","Internal":false}]"#.into(),
        ),
        _ => (404, String::new()),
    })
}

fn listed(containers: String) -> Result<Vec<Container>, DockerError> {
    daemon(containers).docker().containers(&Filter::All)
}

fn one(container: &str) -> Container {
    listed(format!("[{container}]")).unwrap().remove(0)
}

#[test]
fn all_that_is_needed_is_read() {
    let networks = endpoint("n", "172.17.0.2", "2001:db8::2", ["172.17.0.1", "2001:db8::1"], "");
    let container = one(&container("running", "default", &format!(r#"{{"bridge":{networks}}}"#)));
    let attachment = Attachment {
        network_id: "n".to_owned(),
        endpoint_id: "e-n".to_owned(),
        v4: Some([172, 17, 0, 2].into()),
        v6: Some("2001:db8::2".parse().unwrap()),
        gateways: 2,
        priority: 0,
    };
    let expected = Container {
        id: "c".to_owned(),
        name: "c1".to_owned(),
        created: 1795376122,
        running: true,
        labels: labels(&[("a", "b")]),
        shares: false,
        networks: [("bridge".to_owned(), attachment)].into(),
    };
    assert_eq!(container, expected);
}

#[test]
fn what_runs_and_what_shares_is_told_apart() {
    for (state, runs) in [
        ("running", true),
        ("paused", true),
        ("created", false),
        ("restarting", false),
        ("removing", false),
        ("exited", false),
        ("dead", false),
    ] {
        assert_eq!(one(&container(state, "default", "null")).running, runs, "{state}");
    }
    for (mode, shares) in [
        ("host", true),
        ("container:27a09d360f84", true),
        ("default", false),
        ("bridge", false),
        ("hosts", false),
        ("none", false),
        ("", false),
    ] {
        assert_eq!(one(&container("running", mode, "{}")).shares, shares, "{mode}");
    }
    let dead = r#"{"Id":"c","Names":null,"Created":0,"State":"dead","Labels":null,
        "HostConfig":{},"NetworkSettings":null}"#;
    assert_eq!(one(dead).name, "c");
}

#[test]
fn the_network_of_the_default_gateway_comes_first() {
    let plain = endpoint("n", "172.18.0.2", "", ["172.18.0.1", ""], "");
    let both = endpoint("n", "172.19.0.2", "2001:db8::2", ["172.19.0.1", "2001:db8::1"], "");
    let none = endpoint("n", "172.20.0.2", "", ["", ""], "");
    let internal = endpoint("internal", "172.21.0.2", "", ["172.21.0.1", ""], "");
    let preferred = endpoint("n", "172.22.0.2", "", ["172.22.0.1", ""], r#","GwPriority":1"#);
    for (networks, first) in [
        ([("a", &plain), ("b", &plain)], "172.18.0.2"),
        ([("a", &plain), ("b", &both)], "172.19.0.2"),
        ([("a", &none), ("b", &plain)], "172.18.0.2"),
        ([("a", &internal), ("b", &plain)], "172.18.0.2"),
        ([("a", &both), ("b", &preferred)], "172.22.0.2"),
    ] {
        let networks = networks.map(|(name, endpoint)| format!(r#""{name}":{endpoint}"#));
        let networks = format!("{{{}}}", networks.join(","));
        let container = one(&container("running", "default", &networks));
        assert_eq!(container.fixed()[0].to_string(), first, "{networks}");
        let shared = Container { shares: true, ..container };
        assert!(shared.fixed().is_empty());
    }
}

#[test]
fn a_filter_is_dockers() {
    for (filter, url) in [
        (Filter::All, "/containers/json?all=1"),
        // {"label":["fip.address"]}
        (
            Filter::Label("fip.address".to_owned()),
            "/containers/json?all=1&filters=%7B%22label%22%3A%5B%22fip.address%22%5D%7D",
        ),
        (
            Filter::Network("\"&x".to_owned()),
            "/containers/json?all=1&filters=%7B%22network%22%3A%5B%22%5C%22%26x%22%5D%7D",
        ),
    ] {
        let daemon = daemon("[]".to_owned());
        assert_eq!(daemon.docker().containers(&filter).unwrap(), []);
        assert_eq!(daemon.asked()[0].url, url);
    }
}

#[test]
fn a_list_of_which_anything_is_not_understood_is_nonsense() {
    let good = container("running", "default", "{}");
    assert_eq!(listed(format!("[{good},{good}]")).unwrap().len(), 2);
    let of = |from: &str, to: &str| format!("[{good},{}]", good.replace(from, to));
    let networks = |endpoint: &str| of(r#""Networks":{}"#, &format!(r#""Networks":{endpoint}"#));
    let endpoint = endpoint("n", "172.17.0.2", "", ["", ""], "");
    for body in [
        "null".to_owned(),
        "{}".to_owned(),
        "".to_owned(),
        "[null]".to_owned(),
        format!("[{good}"),
        of(r#""Id":"c""#, r#""Id":"""#),
        of(r#""Id":"c","#, ""),
        of(r#""Names":["/o/alias","/c1"]"#, r#""Names":"/c1""#),
        of(r#""Created":1795376122"#, r#""Created":-1"#),
        of(r#""State":"running","#, ""),
        of(r#""Labels":{"a":"b"}"#, r#""Labels":["a=b"]"#),
        of(r#""NetworkSettings":{"Networks":{}},"#, ""),
        networks("[]"),
        networks(r#"{"n":null}"#),
        networks(r#"{"n":{}}"#),
        networks(&format!(r#"{{"n":{}}}"#, endpoint.replace("172.17.0.2", "172.17.0.2/16"))),
        networks(&format!(r#"{{"n":{}}}"#, endpoint.replace("172.17.0.2", "\u{1b}[2J"))),
        networks(&format!(r#"{{"n":{}}}"#, endpoint.replace(r#""Gateway":"","#, ""))),
    ] {
        let error = listed(body.clone()).unwrap_err();
        assert!(matches!(error, DockerError::Nonsense { .. }), "{body}: {error}");
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }
}

#[test]
fn a_refusal_is_no_empty_list() {
    for status in [204, 301, 400, 404, 500, 503] {
        let daemon = Daemon::new(move |_| (status, r#"{"message":"no"}"#.to_owned()));
        assert!(daemon.docker().containers(&Filter::All).is_err(), "{status}");
    }
}
