use std::net::IpAddr;

use super::*;
use crate::docker::Attachment;

const WEB: &str = "4f5a1c2d3e4f5a1c2d3e4f5a1c2d3e4f5a1c2d3e4f5a1c2d3e4f5a1c2d3e4f5a";
const DATA: &str = "4f5a1c2d3e4f0000000000000000000000000000000000000000000000000000";

fn container(id: &str, name: &str, running: bool) -> Container {
    let v4 = running.then(|| "172.16.0.2".parse().unwrap());
    let networks = [("bridge".to_owned(), Attachment { v4, ..Attachment::default() })].into();
    let (id, name) = (id.to_owned(), name.to_owned());
    Container { id, name, running, networks, ..Container::default() }
}

fn entry(place: u64, floating: &str, target: &str) -> Entry {
    Entry { place, floating: floating.to_owned(), target: target.parse().unwrap() }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn entries_of_one_workload_are_one() {
    let containers = [container(WEB, "web", true), container(DATA, "data", false)];
    let starts = [(WEB.to_owned(), 7)].into();
    let entries = [
        entry(1, "203.0.113.1", "172.16.0.9"),
        entry(2, "203.0.113.2", "web"),
        entry(4, "203.0.113.3:tcp:80", &WEB[..13]),
        entry(5, "203.0.113.4", "data"),
        entry(6, "203.0.113.5", "172.16.0.9"),
        entry(7, "203.0.113.6", WEB),
    ];
    let fixed = Workload {
        id: "fixed:172.16.0.9".to_owned(),
        name: "172.16.0.9".to_owned(),
        container: None,
        asks: "203.0.113.1, 203.0.113.5".to_owned(),
        age: 1,
        run: 0,
        presence: Presence::Running(vec![address("172.16.0.9")]),
    };
    let web = Workload {
        id: WEB.to_owned(),
        name: "web".to_owned(),
        container: Some(WEB.to_owned()),
        asks: "203.0.113.2, 203.0.113.3:tcp:80, 203.0.113.6".to_owned(),
        age: 2,
        run: 7,
        presence: Presence::Running(vec![address("172.16.0.2")]),
    };
    let data = Workload {
        id: DATA.to_owned(),
        name: "data".to_owned(),
        container: Some(DATA.to_owned()),
        asks: "203.0.113.4".to_owned(),
        age: 5,
        run: 0,
        presence: Presence::Stopped,
    };
    assert_eq!(workloads(&entries, &Known::new(&containers, true, &starts)), [fixed, web, data]);
}

#[test]
fn who_is_not_known_does_not_run_and_goes_by_its_name() {
    let containers = [container(WEB, "web", true), container(DATA, "data", true)];
    let none = BTreeMap::new();
    let known = Known::new(&containers, true, &none);
    // No name, the beginning of two ids, one too short to be meant.
    for text in ["we", &WEB[..12], &WEB[..13].to_uppercase(), &WEB[..11], "0"] {
        let workload = &workloads(&[entry(1, "203.0.113.1", text)], &known)[0];
        assert_eq!((&*workload.id, &*workload.name), (text, text));
        assert_eq!((&workload.container, &workload.presence), (&None, &Presence::Stopped));
    }
}

#[test]
fn a_name_comes_before_the_beginning_of_an_id() {
    let containers = [container(WEB, "web", true), container(DATA, &WEB[..20], true)];
    let none = BTreeMap::new();
    let known = Known::new(&containers, true, &none);
    let found = &workloads(&[entry(1, "203.0.113.1", &WEB[..20])], &known)[0];
    assert_eq!(found.id, DATA);
}

#[test]
fn while_docker_does_not_answer_its_containers_are_unknown_and_keep_their_ids() {
    let containers = [container(WEB, "web", true)];
    let none = BTreeMap::new();
    let known = Known::new(&containers, false, &none);
    let entries = [
        entry(1, "203.0.113.1", "web"),
        entry(2, "203.0.113.2", "other"),
        entry(3, "203.0.113.3", "172.16.0.9"),
    ];
    let found = workloads(&entries, &known);
    let ids: Vec<_> = found.iter().map(|workload| &*workload.id).collect();
    assert_eq!(ids, [WEB, "other", "fixed:172.16.0.9"]);
    assert_eq!([&found[0].presence, &found[1].presence], [&Presence::Unknown; 2]);
    assert_eq!(found[2].presence, Presence::Running(vec![address("172.16.0.9")]));
}
