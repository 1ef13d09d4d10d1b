//! Many bindings that come and go in one step, each on its own.

use std::net::IpAddr;

use fip_core::claim::RivalPolicy;
use fip_core::fip::{Event, Watch};
use fip_core::kernel::{Kernel, Nft};
use fip_core::{Binding, Error};

use super::bindings::{bind, options, owner, ports, whole};
use super::holding::{is_quiet, of, short, watch};
use super::monitor::{late, repair};
use super::scene::Scene;

fn one(floating: &str, fixed: &str) -> Binding {
    of("one", whole(floating, fixed))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Holds these, found free before; the errors of the others.
fn hold_each<K: Kernel>(watch: &mut Watch<K>, bindings: &[Binding]) -> Vec<(IpAddr, Error)> {
    let claimed = options(RivalPolicy::TakeOver);
    watch.hold_each(&owner("one"), bindings, &claimed).unwrap().refused
}

pub(crate) fn each_is_held_on_its_own_in_one_step(scene: &impl Scene) {
    bind(&mut scene.fips(), &whole("192.0.2.19", "172.18.0.9"));
    let mut watch = watch(scene, &["one"], vec![]);
    while !is_quiet(&mut watch) {}
    let before = scene.open().generation().unwrap();
    let good = (20..220).map(|n| one(&format!("192.0.2.{n}"), &format!("172.18.1.{n}")));
    let bad = [
        one("192.0.2.10", "172.18.0.2"), // the host's own
        one("192.0.2.1", "172.18.0.3"),  // its gateway
        one("192.0.2.19", "172.18.0.4"), // another owner's
        one("192.0.2.18", "172.18.0.9"), // another owner's egress
        of("one", one("192.0.2.17", "172.18.0.5").on("none0".parse().unwrap())),
    ];
    let all: Vec<Binding> = bad.iter().cloned().chain(good).collect();
    let mut refused: Vec<String> =
        hold_each(&mut watch, &all).iter().map(|(address, _)| address.to_string()).collect();
    refused.sort();
    assert_eq!(refused, ["192.0.2.1", "192.0.2.10", "192.0.2.17", "192.0.2.18", "192.0.2.19"]);
    assert_eq!(scene.open().generation().unwrap(), before + 1);
    assert_eq!(short(scene).len(), 201);
    // They are held, and the others are not.
    scene.flush_ruleset();
    loop {
        match watch.next(late()).unwrap().expect("a repair") {
            Event::Repaired(_) => break,
            Event::Warning(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(short(scene).len(), 200);
}

pub(crate) fn workloads_are_exchanged_without_touching_the_address(scene: &impl Scene) {
    let mut watch = watch(scene, &[], vec![]);
    let before = [one("192.0.2.20", "172.18.0.2"), one("192.0.2.21", "172.18.0.3")];
    hold_each(&mut watch, &before);
    let floating = [ip("192.0.2.20"), ip("192.0.2.21"), ip("192.0.2.22")];
    // Two swap their workloads, with the egress of each.
    let swapped = [one("192.0.2.20", "172.18.0.3"), one("192.0.2.21", "172.18.0.2")];
    let generation = scene.open().generation().unwrap();
    let report = watch.exchange(&owner("one"), &floating, &swapped).unwrap();
    assert!(report.refused.is_empty(), "{report:?}");
    let of_address = |line: &String| line.contains(" address ") || line.contains(" local route ");
    assert!(!report.changes.iter().any(of_address), "{report:?}");
    assert_eq!(scene.open().generation().unwrap(), generation + 1);
    let [a, b] = ["one: 192.0.2.20 -> 172.18.0.3", "one: 192.0.2.21 -> 172.18.0.2"];
    assert_eq!(short(scene), [a, b]);
    // A port instead of the whole address; and one that goes.
    let port = of("one", ports("192.0.2.20", "172.18.0.3", &["tcp:80"]));
    watch.exchange(&owner("one"), &floating, &[port]).unwrap();
    assert_eq!(short(scene), ["one: 192.0.2.20 -> 172.18.0.3 tcp:80"]);
    scene.remove_address("eth0", "192.0.2.20/32");
    repair(&mut watch);
    assert_eq!(short(scene), ["one: 192.0.2.20 -> 172.18.0.3 tcp:80"]);
    watch.exchange(&owner("one"), &floating, &[]).unwrap();
    assert_eq!(short(scene), [""; 0]);
    assert!(scene.fips().strays().unwrap().is_empty());
}

pub(crate) fn what_is_refused_leaves_nothing_behind(scene: &impl Scene) {
    bind(&mut scene.fips(), &whole("192.0.2.19", "172.18.0.9"));
    let mut watch = watch(scene, &[], vec![]);
    hold_each(&mut watch, &[one("192.0.2.20", "172.18.0.2")]);
    // The new workload's egress is another owner's.
    let moved = one("192.0.2.20", "172.18.0.9");
    let report = watch.exchange(&owner("one"), &[ip("192.0.2.20")], &[moved]).unwrap();
    assert_eq!(report.refused.len(), 1);
    assert_eq!(short(scene), ["cli: 192.0.2.19 -> 172.18.0.9"], "not with the old workload");
    assert!(scene.fips().strays().unwrap().is_empty());
}

pub(crate) fn an_exchange_does_not_take_back_what_was_yielded(scene: &impl Scene) {
    let mut watch = watch(scene, &[], vec![]);
    let held = one("192.0.2.20", "172.18.0.2");
    hold_each(&mut watch, std::slice::from_ref(&held));
    scene.claim("192.0.2.20");
    while !matches!(watch.next(late()).unwrap().expect("a rival"), Event::Rival { .. }) {}
    let moved = one("192.0.2.20", "172.18.0.3");
    watch.exchange(&owner("one"), &[ip("192.0.2.20")], std::slice::from_ref(&moved)).unwrap();
    assert_eq!(short(scene), [""; 0]);
    hold_each(&mut watch, &[moved]);
    assert_eq!(short(scene), ["one: 192.0.2.20 -> 172.18.0.3"]);
    while !is_quiet(&mut watch) {}
}
