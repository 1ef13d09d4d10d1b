//! Other hosts that ask for an address that a watch holds.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use fip_core::fip::{Event, OnRival, Watch};
use fip_core::kernel::{Kernel, Mac, Wire};

use super::bindings::whole;
use super::holding::{is_quiet, of, short, watch};
use super::monitor::{late, repair};
use super::scene::{Scene, link};

const HELD: [&str; 2] = ["192.0.2.20", "2001:db8::20"];

fn holding<S: Scene>(scene: &S) -> Watch<S::Kernel> {
    let fixed = ["172.18.0.2", "2001:db8:18::2"];
    let desired = HELD.iter().zip(fixed).map(|(held, fixed)| of("one", whole(held, fixed)));
    let mut watch = watch(scene, &["one"], desired.collect());
    while !is_quiet(&mut watch) {}
    watch
}

/// The next challenge: which address, on which link, by whom.
fn challenge<K: Kernel>(watch: &mut Watch<K>) -> (IpAddr, String, Mac) {
    match watch.next(late()).unwrap().expect("a challenge") {
        Event::Challenged { address, link, mac } => (address, link.to_string(), mac),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn who_asks_for_an_address_that_is_held_is_told(scene: &impl Scene) {
    let mut watch = holding(scene);
    let before = short(scene);
    for held in HELD {
        let mac = scene.probe(held);
        assert_eq!(challenge(&mut watch), (held.parse().unwrap(), "eth0".to_owned(), mac));
    }
    assert_eq!(short(scene), before, "it is told, and no more");
}

/// Another host asks; whether that is told within a moment.
fn is_told_soon<S: Scene>(scene: &S, watch: &mut Watch<S::Kernel>) -> bool {
    scene.probe(HELD[0]);
    let soon = Some(Instant::now() + Duration::from_millis(5));
    match watch.next(soon).unwrap() {
        Some(Event::Challenged { .. }) => true,
        Some(other) => panic!("{other:?}"),
        None => false,
    }
}

pub(crate) fn a_challenge_is_told_at_most_once_a_second(scene: &impl Scene) {
    let mut watch = holding(scene);
    // The first is told after `begun`, and the second before `told`.
    let mut begun = Instant::now();
    while !is_told_soon(scene, &mut watch) {
        begun = Instant::now();
    }
    // One does not keep another from being told.
    scene.probe(HELD[1]);
    assert_eq!(challenge(&mut watch).0.to_string(), HELD[1]);
    while !is_told_soon(scene, &mut watch) {}
    let told = Instant::now();
    assert!(told - begun >= Duration::from_secs(1), "{:?}", told - begun);
}

pub(crate) fn what_is_not_held_is_nobodys_challenge(scene: &impl Scene) {
    let mut watch = holding(scene);
    scene.probe("192.0.2.21");
    scene.probe("192.0.2.10");
    // A claim by another program of this host.
    let mut own = scene.open();
    let card = link(&mut own, "eth0");
    own.probe(&card, &[HELD[0].parse().unwrap()]).unwrap();
    assert!(is_quiet(&mut watch));
}

pub(crate) fn an_address_is_given_up_until_it_is_desired_anew(scene: &impl Scene) {
    let mut watch = holding(scene);
    let address: IpAddr = HELD[0].parse().unwrap();
    let mac = scene.probe(HELD[0]);
    challenge(&mut watch);
    watch.yield_to(address, mac);
    let other = "one: 2001:db8::20 -> 2001:db8:18::2";
    assert_eq!(short(scene), [other]);
    match watch.next(late()).unwrap() {
        Some(Event::Rival { address: told, link, mac: by, done: OnRival::Yield }) => {
            assert_eq!((told, link.as_str(), by), (address, "eth0", mac));
        }
        told => panic!("{told:?}"),
    }
    // It stays so, whatever happens.
    scene.flush_ruleset();
    while !repair(&mut watch).iter().any(|line| line.starts_with("table inet fip {")) {}
    watch.yield_to(address, mac);
    watch.yield_to("192.0.2.99".parse().unwrap(), mac);
    assert!(is_quiet(&mut watch), "there is nothing more to give up");
    assert_eq!(short(scene), [other]);
    let both = || {
        vec![of("one", whole(HELD[0], "172.18.0.2")), of("one", whole(HELD[1], "2001:db8:18::2"))]
    };
    watch.set_desired(both());
    assert_eq!(short(scene), [other]);
    watch.set_desired(both().split_off(1));
    watch.set_desired(both());
    assert_eq!(short(scene).len(), 2);
}
