//! What is listed.

use super::*;
use crate::lab::{Family, Lan, lan};
use crate::metadata::{recorded, uuid_of, with};

fn workload([id, name, external]: [&str; 3], asks: &str, age: u64, presence: Presence) -> Workload {
    let container = Some(external.to_owned());
    let (id, name, asks) = (id.to_owned(), name.to_owned(), asks.to_owned());
    Workload { id, name, container, asks, age, run: 1, presence }
}

#[test]
fn the_recorded_containers_of_each_host_in_each_version() {
    let api = [
        "b3944787-91eb-5aa4-b00d-678ced1073f6",
        "api-api-1",
        "3bba64d7e0f12fa1a3c3b7d32e8d8919947c13f1ef5dc9d698c33e036acc2b1d",
    ];
    let balancer = [
        "977fcccd-1a31-5145-b43b-646dd3658dad",
        "lb-frontend-1",
        "c6b108a27bd4e510b81cc9c7182fccc331e67d5f7985bb65c71868b0f86ade38",
    ];
    let web = [
        "f859aa21-da14-500b-ab15-11cf917ba794",
        "web-web-1",
        "74f8fd4173018722cadb71c3e741d00133dcd5b3080bdb918f3c2bedd9d3cdf5",
    ];
    let expected = [
        workload(balancer, "203.0.113.16", 8, running("10.42.10.18")),
        workload(api, "203.0.113.13", 5, running("10.42.10.15")),
        workload(web, "203.0.113.10", 1, running("10.42.10.11")),
    ];
    let scene = Scene::new(recorded());
    for version in Version::ALL {
        let mut source = scene.source_with(|config| config.version = version);
        // The order of the answers is another one each time.
        for _ in 0..3 {
            assert_eq!(scene.listed(&mut source), expected, "{version}");
            scene.service.reload();
        }
        assert!(scene.service.count(&format!("/{version}/containers")) > 0);
    }
    for (host, expected) in [
        ("node-b", [("api-api-2", Presence::Stopped), ("web-web-2", running("10.42.20.12"))]),
        ("node-c", [("web-web-3", running("10.42.30.13")), ("db-db-1", Presence::Unknown)]),
    ] {
        scene.service.default_host(host);
        let listed = scene.listed(&mut scene.source());
        let listed: Vec<_> = listed.iter().map(|w| (w.name.as_str(), w.presence.clone())).collect();
        assert_eq!(listed, expected, "{host}");
    }
}

#[test]
fn questions_are_put_as_the_service_wants_them() {
    let scene = Scene::new(two());
    let mut source = scene.source();
    scene.listed(&mut source);
    scene.service.reload();
    scene.listed(&mut source);
    let asked = scene.service.asked();
    assert!(asked.iter().all(|a| a.method == "GET" && a.accept == "application/json"), "{asked:?}");
    let paths: Vec<_> = asked.iter().map(|a| a.target.split('?').next().unwrap()).collect();
    let [version, host, containers] =
        ["/latest/version", "/latest/self/host", "/latest/containers"];
    assert_eq!(paths, [version, host, containers, version, host, containers]);
    let poll = &asked[3].target;
    assert!(poll.contains("wait=true&value=") && !poll.contains('"'), "{poll}");
    assert!(poll.ends_with("&maxWait=1"), "{poll}");
}

#[test]
fn each_host_sees_its_own() {
    let lan_ = Lan::new();
    let (a, b) = (lan_.machine("host-a", 11), lan_.machine("host-b", 12));
    let server = lan_.machine("server", 50);
    let service = Metadata::start(&server);
    service.seat(lan(Family::V4, 12), "node-b");
    let [one, two] = two().try_into().unwrap();
    service.publish(vec![one, with(two, "host_uuid", uuid_of("node-b"))]);
    for (host, family, expected) in
        [(&a, Family::V4, "a"), (&b, Family::V4, "b"), (&a, Family::V6, "a")]
    {
        let mut config = RancherConfig::new(vec![LABEL.to_owned()]);
        config.url = service.url(lan(family, 50));
        config.timeout = PATIENT;
        let listed = host.run(|| RancherSource::new(config).unwrap().next()).unwrap().workloads;
        assert_eq!(names(&listed), [expected]);
    }
}

#[test]
fn several_labels_are_one_wish() {
    let scene = Scene::new(vec![
        with(container("both", "", ""), "labels", serde_json::json!({"y": "2", LABEL: "1"})),
        with(container("other", "", ""), "labels", serde_json::json!({"y": "3"})),
        container("blank", "", "10.42.0.1"),
    ]);
    let labels = vec![LABEL.to_owned(), "y".to_owned()];
    let listed = scene.listed(&mut scene.source_with(|config| config.labels = labels));
    let asks: Vec<_> = listed.iter().map(|w| (w.name.as_str(), w.asks.as_str())).collect();
    assert_eq!(asks, [("blank", ""), ("both", "1, 2"), ("other", "3")]);
}

#[test]
fn what_cannot_be_meant_is_refused_at_once() {
    let refused = |url: &str, labels: &[&str]| {
        let labels = labels.iter().map(ToString::to_string).collect();
        let config = RancherConfig { url: url.to_owned(), ..RancherConfig::new(labels) };
        RancherSource::new(config).unwrap_err()
    };
    for url in ["", "rancher-metadata", "ftp://x", "http://", "http://x/?y", "unix:///x"] {
        let error = refused(url, &[LABEL]);
        assert!(error.what.contains("is not an address of a metadata service"), "{error}");
        assert!(error.hint.unwrap().contains("http://rancher-metadata"), "{url}");
    }
    let error = refused("http://rancher-metadata", &[]);
    assert!(error.what.contains("no label"), "{error}");
    let error = "2015".parse::<Version>().unwrap_err();
    assert!(error.hint.unwrap().contains("2015-07-25, 2015-12-19, 2016-07-29, latest"));
}
