use super::super::tests::wish;
use super::*;

fn running(name: &str, asks: &str, fixed: &[&str]) -> Wish {
    let fixed = fixed.iter().map(|text| text.parse().unwrap()).collect();
    wish(name, 1, asks, Presence::Running(fixed))
}

fn terms() -> Terms {
    Terms { owner: "agent".parse().unwrap(), uplink: None }
}

fn wanted(wishes: &[Wish]) -> Wanted {
    Wanted::of(wishes, |_| Vec::new(), &terms())
}

/// What is wanted, with those that get the egress.
fn shown(wanted: &Wanted) -> Vec<String> {
    let egress = |b: &Binding| if b.egress() { " egress" } else { "" };
    wanted.bindings().map(|binding| format!("{binding}{}", egress(binding))).collect()
}

#[test]
fn each_leads_to_the_first_fixed_address_of_its_family() {
    let asks = "192.0.2.20 2001:db8::20 192.0.2.21:tcp:80";
    let fixed = ["2001:db8:18::2", "172.18.0.2", "172.19.0.2", "2001:db8:19::2"];
    let wanted = wanted(&[running("web", asks, &fixed)]);
    let expected = [
        "192.0.2.20 -> 172.18.0.2 egress",
        "192.0.2.21 -> 172.18.0.2 tcp:80",
        "2001:db8::20 -> 2001:db8:18::2 egress",
    ];
    assert_eq!(shown(&wanted), expected);
    assert!(wanted.bindings().all(|binding| binding.owner().as_str() == "agent"));
}

#[test]
fn a_workload_without_an_address_gets_none() {
    let wanted = wanted(&[
        running("shares", "192.0.2.20", &[]),
        running("v4", "2001:db8::20 192.0.2.21", &["172.18.0.2"]),
        running("loop", "192.0.2.22", &["127.0.0.1"]),
        running("good", "192.0.2.23", &["172.18.0.3"]),
        wish("stopped", 1, "192.0.2.24", Presence::Stopped),
    ]);
    assert_eq!(shown(&wanted), ["192.0.2.23 -> 172.18.0.3 egress"]);
    let refused: Vec<&str> = wanted.refused.keys().map(String::as_str).collect();
    assert_eq!(refused, ["id-loop", "id-shares", "id-v4"]);
    assert!(wanted.refused["id-shares"].contains("no IPv4 address of its own"));
    assert!(wanted.refused["id-v4"].starts_with("2001:db8::20 cannot be bound: "));
}

#[test]
fn a_fixed_address_has_one_egress_whoever_asks() {
    let fixed = ["172.18.0.2"];
    let wanted = wanted(&[
        running("one", "192.0.2.21 192.0.2.20", &fixed),
        running("two", "192.0.2.22", &fixed),
    ]);
    let expected =
        ["192.0.2.20 -> 172.18.0.2", "192.0.2.21 -> 172.18.0.2 egress", "192.0.2.22 -> 172.18.0.2"];
    assert_eq!(shown(&wanted), expected);
}

#[test]
fn of_whom_nothing_is_known_keeps_its_part_of_an_address() {
    let held = wanted(&[
        running("web", "192.0.2.20:tcp:80", &["172.18.0.2"]),
        running("dns", "192.0.2.20:udp:53", &["172.18.0.3"]),
    ]);
    let held: Vec<Binding> = held.bindings().cloned().collect();
    let unknown = wish("web", 1, "192.0.2.20:tcp:80", Presence::Unknown);
    let wanted = Wanted::of(&[unknown], |_| held.clone(), &terms());
    assert_eq!(shown(&wanted), ["192.0.2.20 -> 172.18.0.2 tcp:80"]);
    assert_eq!(wanted.unknown.len(), 1);
}

#[test]
fn a_link_that_is_not_named_may_be_any() {
    let eth0 = |binding: Binding| binding.on("eth0".parse().unwrap());
    let any = wanted(&[running("web", "192.0.2.20", &["172.18.0.2"])]);
    let any: Vec<Want> = any.addresses.into_values().flatten().collect();
    let mut named = any.clone();
    named[0].binding = eth0(named[0].binding.clone());
    let (here, there) = (vec![named[0].binding.clone()], vec![any[0].binding.clone()]);
    assert!(alike(&here, &any) && alike(&here, &named) && alike(&there, &any));
    assert!(!alike(&there, &named));
    assert!(!alike(&[], &any));
    assert!(!alike(&[there[0].clone().with_egress(false)], &any));
}
