//! What floating addresses have received.

use fip_core::Protocol;
use fip_core::kernel::{Counter, Nft};
use fip_core::nat::{Family, Key, Value, elements};

use super::bindings::{bind, ports, whole};
use super::rules::{binding, make, some_elements, table};
use super::scene::{Scene, name, packet};
use crate::lab;

/// What is counted, in order.
fn counted(mut counters: Vec<Counter>) -> Vec<Counter> {
    counters.sort_by(|a, b| a.key.cmp(&b.key));
    counters
}

pub(crate) fn every_translation_counts(scene: &impl Scene) {
    let kernel = &mut scene.open();
    assert_eq!(kernel.counters().unwrap(), []);
    let elements = some_elements();
    make(kernel, &table(elements.clone()));
    let translations = elements.iter().filter(|(_, value)| value.fixed().is_some());
    let expected: Vec<Counter> =
        translations.map(|(key, _)| Counter { key: key.clone(), packets: 0, bytes: 0 }).collect();
    assert_eq!(counted(kernel.counters().unwrap()), expected);
}

pub(crate) fn counters_are_read_with_the_elements(scene: &impl Scene) {
    let kernel = &mut scene.open();
    assert_eq!(kernel.snapshot_counted().unwrap(), (kernel.snapshot().unwrap(), vec![]));
    // So many that the kernel tells of them in several messages.
    let mut all = some_elements();
    for n in 0..600u16 {
        let [high, low] = n.to_be_bytes();
        let many = binding(&format!("172.28.{high}.{low}"), &format!("172.18.{high}.{low}"));
        all.extend(elements(&many.with_egress(false), &name("eth0"), None));
    }
    make(kernel, &table(all));
    let fips = &mut scene.fips();
    bind(fips, &whole("192.0.2.30", "172.18.0.30"));
    bind(fips, &whole("2001:db8::30", "2001:db8:18::30"));
    bind(fips, &ports("192.0.2.31", "172.18.0.31", &["udp:53"]));
    let port = Key::Port("192.0.2.31".parse().unwrap(), Protocol::Udp, 53);
    let [v4, v6] = ["192.0.2.30", "2001:db8::30"].map(|text| Key::Dnat(text.parse().unwrap()));
    let received = [(v4, 3, Family::V4), (v6, 2, Family::V6), (port, 1, Family::V4)];
    received.iter().for_each(|(key, packets, _)| scene.receive(key, *packets));
    lab::wait_for("the packets to be counted", || {
        let all = kernel.counters().unwrap().iter().map(|counter| counter.packets).sum::<u64>();
        (all == 6).then_some(())
    });
    let (snapshot, counters) = kernel.snapshot_counted().unwrap();
    assert_eq!(snapshot, kernel.snapshot().unwrap());
    assert_eq!(counted(counters.clone()), counted(kernel.counters().unwrap()));
    let of_one = |(key, value): (&Key, &Value)| {
        let found = received.iter().find(|(other, ..)| other == key);
        let (packets, bytes) =
            found.map_or((0, 0), |(_, packets, family)| (*packets, packets * packet(*family)));
        value.fixed().map(|_| Counter { key: key.clone(), packets, bytes })
    };
    let expected: Vec<Counter> = snapshot.ruleset.elements.iter().filter_map(of_one).collect();
    assert_eq!(counted(counters), expected);
    scene.delete_table();
    assert_eq!(kernel.snapshot_counted().unwrap(), (kernel.snapshot().unwrap(), vec![]));
}
