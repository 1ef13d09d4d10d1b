//! A watch that holds the bindings of several owners, and rules of bridges.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use fip_core::claim::RivalPolicy;
use fip_core::fip::{Event, OnRival, Watch};
use fip_core::kernel::{Kernel, Nft};
use fip_core::{Binding, BridgeRules};

use super::bindings::{bind, options, owner, ports, state, whole};
use super::bridge_rules::rules;
use super::monitor::{late, repair};
use super::scene::Scene;

pub(super) fn of(name: &str, binding: Binding) -> Binding {
    binding.owned_by(owner(name))
}

pub(super) fn watch<S: Scene>(
    scene: &S,
    owners: &[&str],
    desired: Vec<Binding>,
) -> Watch<S::Kernel> {
    let owners: Vec<_> = owners.iter().map(|name| owner(name)).collect();
    scene.fips().watch(owners, desired, options(RivalPolicy::Wait), OnRival::Yield).unwrap()
}

fn hold<K: Kernel>(watch: &mut Watch<K>, bindings: &[Binding]) -> fip_core::Result<()> {
    watch.hold(bindings, &options(RivalPolicy::Wait)).map(drop)
}

fn release<K: Kernel>(watch: &mut Watch<K>, name: &str, floating: &[&str], fixed: &[&str]) {
    let parse = |texts: &[&str]| -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    };
    watch.release(&owner(name), &parse(floating), &parse(fixed)).unwrap();
}

/// Whose, what is bound to whom.
pub(super) fn short(scene: &impl Scene) -> Vec<String> {
    let words = |line: String| line.split(" on eth0").next().unwrap().to_owned();
    state(scene).into_iter().map(words).collect()
}

/// The next failure, as text.
fn failure<K: Kernel>(watch: &mut Watch<K>) -> String {
    loop {
        match watch.next(late()).unwrap().expect("a failure") {
            Event::Failed(error) => return error.to_string(),
            Event::Repaired(_) | Event::Warning(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Nothing more is to be told, for a while.
pub(super) fn is_quiet<K: Kernel>(watch: &mut Watch<K>) -> bool {
    watch.next(Some(Instant::now() + Duration::from_millis(50))).unwrap().is_none()
}

pub(crate) fn a_watch_holds_several_owners(scene: &impl Scene) {
    bind(&mut scene.fips(), &whole("192.0.2.19", "172.18.0.9"));
    bind(&mut scene.fips(), &of("one", whole("192.0.2.18", "172.18.0.8")));
    let desired = vec![
        of("one", whole("192.0.2.20", "172.18.0.2")),
        of("two", whole("192.0.2.21", "172.18.0.3")),
        of("three", whole("192.0.2.22", "172.18.0.4")),
        of("one", ports("192.0.2.23", "172.18.0.5", &["tcp:80"])),
        of("two", ports("192.0.2.23", "172.18.0.5", &["tcp:443"])),
    ];
    let mut watch = watch(scene, &["one", "two"], desired);
    let why =
        "192.0.2.22 cannot be bound: its owner three is none of those whose bindings these are";
    let taken = "192.0.2.23 is already bound to 172.18.0.5 by two";
    let mut told = [failure(&mut watch), failure(&mut watch)];
    told.sort();
    assert_eq!(told, [why, taken]);
    let expected = [
        "cli: 192.0.2.19 -> 172.18.0.9",
        "one: 192.0.2.20 -> 172.18.0.2",
        "two: 192.0.2.21 -> 172.18.0.3",
    ];
    assert_eq!(short(scene), expected);
    watch.set_desired(vec![
        of("two", whole("192.0.2.20", "172.18.0.2")),
        of("one", whole("192.0.2.21", "172.18.0.3")),
    ]);
    let expected = [
        "cli: 192.0.2.19 -> 172.18.0.9",
        "two: 192.0.2.20 -> 172.18.0.2",
        "one: 192.0.2.21 -> 172.18.0.3",
    ];
    assert_eq!(short(scene), expected);
}

pub(crate) fn a_watch_keeps_the_rules_of_bridges(scene: &impl Scene) {
    let others = rules("br1", &["eth0"]);
    scene.fips().set_bridge_rules(&others).unwrap();
    let mut watch = watch(scene, &["one"], vec![of("one", whole("192.0.2.20", "172.18.0.2"))]);
    let kept = BridgeRules { masquerade: true, ..rules("br0", &["eth0"]) };
    watch.set_bridges(vec![kept.clone()]);
    let found = || scene.fips().bridge_rules().unwrap();
    assert_eq!(found(), [kept.clone(), others.clone()]);
    // The bindings' repair, and the bridges'.
    (0..2).for_each(|_| _ = repair(&mut watch));
    scene.damage_table();
    repair(&mut watch);
    assert_eq!(found(), [kept.clone(), others]);
    scene.flush_ruleset();
    let changes = repair(&mut watch);
    assert!(changes.iter().any(|line| line.contains("through")), "{changes:?}");
    assert!(changes.iter().any(|line| line.contains("dnat4")), "in one step: {changes:?}");
    assert_eq!(found(), std::slice::from_ref(&kept));
    assert_eq!(short(scene), ["one: 192.0.2.20 -> 172.18.0.2"]);
    // What is no longer kept stays, but is not made anew.
    watch.set_bridges(vec![]);
    assert_eq!(found(), [kept]);
    scene.delete_table();
    repair(&mut watch);
    assert_eq!(found(), []);
}

pub(crate) fn a_watch_holds_one_more_and_lets_go(scene: &impl Scene) {
    let mut watch = watch(scene, &[], vec![]);
    let both = [
        of("one", whole("192.0.2.20", "172.18.0.2")),
        of("one", whole("2001:db8::20", "2001:db8:18::2")),
    ];
    hold(&mut watch, &both).unwrap();
    let bound =
        ["one: 192.0.2.20 -> 172.18.0.2", "one: 2001:db8::20 -> 2001:db8:18::2"].map(str::to_owned);
    assert_eq!(short(scene), bound);
    hold(&mut watch, &both).unwrap();
    assert!(is_quiet(&mut watch));
    scene.flush_ruleset();
    repair(&mut watch);
    assert_eq!(short(scene), bound);

    // Another workload takes a port of it, and then all of it.
    hold(&mut watch, &[of("one", ports("192.0.2.20", "172.18.0.3", &["tcp:80"]))]).unwrap();
    let moved = of("one", whole("192.0.2.20", "172.18.0.4"));
    assert!(hold(&mut watch, std::slice::from_ref(&moved)).unwrap_err().is_conflict());
    let replace = fip_core::fip::BindOptions { replace: true, ..options(RivalPolicy::Wait) };
    watch.hold(&[moved], &replace).unwrap();
    scene.flush_ruleset();
    repair(&mut watch);
    let shared = [
        "one: 192.0.2.20 -> 172.18.0.3 tcp:80",
        "one: 192.0.2.20 -> 172.18.0.4",
        "one: 2001:db8::20 -> 2001:db8:18::2",
    ];
    assert_eq!(short(scene), shared);

    release(&mut watch, "two", &["192.0.2.20"], &["172.18.0.4"]);
    release(&mut watch, "one", &["192.0.2.20"], &["172.18.0.2"]);
    assert_eq!(short(scene), shared, "it is not theirs");
    release(&mut watch, "one", &["192.0.2.20"], &["172.18.0.4"]);
    assert_eq!(short(scene), [shared[0], shared[2]]);
    let rest = ["172.18.0.3", "2001:db8:18::2"];
    release(&mut watch, "one", &["192.0.2.20", "2001:db8::20", "192.0.2.99"], &rest);
    assert_eq!(short(scene), [""; 0]);
    scene.touch_ruleset();
    assert!(is_quiet(&mut watch));
}

pub(crate) fn what_cannot_be_held_leaves_nothing(scene: &impl Scene) {
    bind(&mut scene.fips(), &whole("192.0.2.19", "172.18.0.9"));
    let mut watch = watch(scene, &["one"], vec![of("one", whole("192.0.2.18", "172.18.0.8"))]);
    while !is_quiet(&mut watch) {}
    let before = short(scene);
    scene.rival("192.0.2.21");
    let both = [
        of("one", whole("192.0.2.20", "172.18.0.2")),
        of("one", whole("192.0.2.21", "172.18.0.3")),
    ];
    for policy in [RivalPolicy::Wait, RivalPolicy::Refuse] {
        let error = watch.hold(&both, &options(policy)).unwrap_err();
        assert!(error.is_conflict(), "{error}");
        assert_eq!(short(scene), before, "{policy}");
    }
    // Another owner's address is left alone.
    let with_others = [both[0].clone(), of("one", whole("192.0.2.19", "172.18.0.3"))];
    assert!(hold(&mut watch, &with_others).unwrap_err().is_conflict());
    assert_eq!(short(scene), before);
    scene.flush_ruleset();
    repair(&mut watch);
    assert_eq!(short(scene), ["one: 192.0.2.18 -> 172.18.0.8"]);
    scene.silence("192.0.2.21");
    hold(&mut watch, &both).unwrap();
    assert_eq!(short(scene).len(), 3);
}

pub(crate) fn a_yielded_address_is_claimed_again_when_it_is_held(scene: &impl Scene) {
    let mut watch = watch(scene, &[], vec![]);
    let binding = of("one", whole("192.0.2.20", "172.18.0.2"));
    hold(&mut watch, std::slice::from_ref(&binding)).unwrap();
    // It is listened to its link from then on.
    scene.claim("192.0.2.20");
    loop {
        match watch.next(late()).unwrap() {
            Some(Event::Rival { done: OnRival::Yield, .. }) => break,
            Some(_) => {}
            None => panic!("the rival was not heard"),
        }
    }
    assert_eq!(short(scene), [""; 0]);
    hold(&mut watch, std::slice::from_ref(&binding)).unwrap();
    scene.flush_ruleset();
    repair(&mut watch);
    while !is_quiet(&mut watch) {}
    assert_eq!(short(scene), ["one: 192.0.2.20 -> 172.18.0.2"]);
}

/// To hold one more takes note of what others changed; that is repaired all the same.
pub(crate) fn what_others_destroy_meanwhile_is_repaired(scene: &impl Scene) {
    let mut watch = watch(scene, &["one"], vec![of("one", whole("192.0.2.20", "172.18.0.2"))]);
    watch.set_bridges(vec![rules("br0", &["eth0"])]);
    while !is_quiet(&mut watch) {}
    let before = (state(scene), scene.open().snapshot().unwrap().ruleset);
    for destroy in ["address", "table", "rules"] {
        match destroy {
            "address" => scene.remove_address("eth0", "192.0.2.20/32"),
            "table" => scene.delete_table(),
            _ => _ = scene.fips().remove_bridge_rules(&super::scene::name("br0")).unwrap(),
        }
        hold(&mut watch, &[of("one", whole("192.0.2.21", "172.18.0.3"))]).unwrap();
        repair(&mut watch);
        release(&mut watch, "one", &["192.0.2.21"], &["172.18.0.3"]);
        assert_eq!((state(scene), scene.open().snapshot().unwrap().ruleset), before, "{destroy}");
        while !is_quiet(&mut watch) {}
    }
}
