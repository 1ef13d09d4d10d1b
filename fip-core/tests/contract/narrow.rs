//! A first call reads only what it is about. Its plan must be the one that is made with all known.

use std::net::IpAddr;

use fip_core::claim::RivalPolicy;
use fip_core::error::Chain;
use fip_core::fip::{BindOptions, Plan};
use fip_core::kernel::{Hold, LinkChange, NewLink, Nft, Rtnl};
use fip_core::nat::{About, Family, Key, Value};
use fip_core::{Binding, FloatingIps, Options, Owner};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed};

use super::bindings::{bind, options, ports, unbind, whole};
use super::random::{Step, facts, step, step_with, take};
use super::scene::{FakeScene, HostScene, Scene, link, name};

/// The ways that may be asked for to hold an address.
const HOLDS: [Option<Hold>; 3] = [None, Some(Hold::Address), Some(Hold::Route)];

fn holding<S: Scene>(scene: &S, hold: Option<Hold>) -> FloatingIps<S::Kernel> {
    FloatingIps::new(scene.open(), Options { hold, ..Options::default() })
}

/// A process that has done something before, and so reads all.
fn experienced<S: Scene>(scene: &S, hold: Option<Hold>) -> FloatingIps<S::Kernel> {
    let mut fips = holding(scene, hold);
    let nobodys = "192.0.2.99".parse().unwrap();
    for _ in 0..2 {
        fips.unbind(nobodys, &[], &Owner::default()).unwrap();
    }
    fips
}

fn plan<S: Scene>(fips: &mut FloatingIps<S::Kernel>, step: &Step) -> String {
    let told = |plan: fip_core::Result<Plan>| match plan {
        Ok(plan) => format!("{plan:#?}"),
        Err(error) => Chain(&error).to_string(),
    };
    match step {
        Step::Bind(binding, replace) => told(fips.plan_bind(binding, *replace)),
        Step::Unbind(binding) => {
            let ports: Vec<_> = binding.ports().iter().map(|p| (p.protocol, p.port)).collect();
            told(fips.plan_unbind(binding.floating(), &ports, binding.owner()))
        }
        _ => String::new(),
    }
}

fn plans_agree<S: Scene>(scene: &S, steps: &[(Step, usize)]) -> Result<(), TestCaseError> {
    let mut experienced = HOLDS.map(|hold| experienced(scene, hold));
    let mut fips = scene.fips();
    for (step, hold) in steps {
        let narrow = plan::<S>(&mut holding(scene, HOLDS[*hold]), step);
        prop_assert_eq!(narrow, plan::<S>(&mut experienced[*hold], step), "{:?}", step);
        take(scene, &mut fips, step);
        for status in fips.list().unwrap() {
            let gone = Step::Unbind(status.binding);
            let narrow = plan::<S>(&mut scene.fips(), &gone);
            prop_assert_eq!(narrow, plan::<S>(&mut experienced[0], &gone), "{:?}", gone);
        }
    }
    Ok(())
}

/// Takes each step on two hosts: here in a process of its own, there in one that goes on.
fn deeds_agree<S: Scene>(hosts: [&S; 2], steps: &[(Step, usize)]) -> Result<(), TestCaseError> {
    let [here, there] = hosts;
    let mut experienced = HOLDS.map(|hold| experienced(there, hold));
    for (step, hold) in steps {
        let first = take(here, &mut holding(here, HOLDS[*hold]), step);
        prop_assert_eq!(first, take(there, &mut experienced[*hold], step), "{:?}", step);
        prop_assert_eq!(facts(here), facts(there), "after {:?}", step);
    }
    Ok(())
}

/// The same each time.
fn config(cases: u32) -> Config {
    let rng_seed = RngSeed::Fixed(1);
    Config { cases, rng_seed, failure_persistence: None, ..Config::default() }
}

/// Steps, each by a process that holds addresses in one of the ways.
fn steps_with(step: impl Strategy<Value = Step>) -> impl Strategy<Value = Vec<(Step, usize)>> {
    prop::collection::vec((step, 0..HOLDS.len()), 1..30)
}

#[test]
fn a_first_plan_in_memory_is_the_same() {
    proptest!(config(150), |(steps in steps_with(step()))| {
        plans_agree(&FakeScene::new(), &steps)?;
    });
}

#[test]
fn a_first_plan_is_the_same() {
    proptest!(config(8), |(steps in steps_with(step()))| {
        plans_agree(&HostScene::new(), &steps)?;
    });
}

/// What a host has with several cards and bridges, beside what the scene has.
const LINKS: [(&str, [&str; 2]); 3] = [
    ("eth1", ["198.51.100.10/24", "2001:db8:51::10/64"]),
    ("br1", ["172.19.0.1/16", "2001:db8:19::1/64"]),
    ("br2", ["172.20.0.1/24", "2001:db8:20::1/64"]),
];

fn widened<S: Scene>(scene: S) -> S {
    let mut kernel = scene.open();
    for (text, networks) in LINKS {
        kernel.create_link(&NewLink::Bridge { name: name(text), mtu: 1500 }).unwrap();
        let index = link(&mut kernel, text).index;
        kernel.change_link(index, &LinkChange::Up(true)).unwrap();
        networks.into_iter().for_each(|network| scene.add_address(text, network));
    }
    scene
}

/// A binding of one of several networks outside, some of no card, to one of several inside, some of
/// no bridge.
fn wide_binding() -> impl Strategy<Value = Binding> {
    let outside = select(vec![
        ("192.0.2.", "2001:db8::"),
        ("198.51.100.", "2001:db8:51::"),
        ("203.0.113.", "2001:db8:52::"),
    ]);
    let inside = select(vec![
        ("172.18.0.", "2001:db8:18::"),
        ("172.19.0.", "2001:db8:19::"),
        ("172.20.0.", "2001:db8:20::"),
        ("172.21.0.", "2001:db8:21::"),
    ]);
    let uplink = select(vec![None, None, None, Some("eth0"), Some("eth1"), Some("br2")]);
    let owner = select(vec!["cli", "agent", "plugin:net"]);
    let ports = prop::collection::btree_set(0..3usize, 0..3);
    (any::<bool>(), (outside, 20..22u8), (inside, 2..4u8), ports, uplink, owner, any::<bool>())
        .prop_map(|(v4, outside, inside, ports, uplink, owner, egress)| {
            let pick = |((four, six), number)| format!("{}{number}", if v4 { four } else { six });
            let all = ["tcp:80", "tcp:81:80", "udp:53"];
            let ports = ports.into_iter().map(|place| all[place].parse().unwrap());
            let new = whole(&pick(outside), &pick(inside)).with_ports(ports).with_egress(egress);
            let new = new.owned_by(owner.parse().unwrap());
            uplink.map_or(new.clone(), |uplink| new.on(name(uplink)))
        })
}

#[test]
fn a_first_plan_on_a_wide_host_in_memory_is_the_same() {
    proptest!(config(150), |(steps in steps_with(step_with(wide_binding().boxed())))| {
        plans_agree(&widened(FakeScene::new()), &steps)?;
    });
}

#[test]
fn a_first_plan_on_a_wide_host_is_the_same() {
    proptest!(config(6), |(steps in steps_with(step_with(wide_binding().boxed())))| {
        plans_agree(&widened(HostScene::new()), &steps)?;
    });
}

#[test]
fn a_first_deed_leaves_the_same_behind() {
    let wide = || widened(FakeScene::new());
    proptest!(config(100), |(steps in steps_with(step_with(wide_binding().boxed())))| {
        deeds_agree([&wide(), &wide()], &steps)?;
    });
}

/// What is read does not grow with the bindings of others; what is of use because of them is known.
pub(crate) fn a_part_of_the_elements_is_read(scene: &impl Scene) {
    let options = BindOptions { announcements: 0, ..options(RivalPolicy::TakeOver) };
    let others = (1..=60).map(|n| whole(&format!("192.0.2.{}", 100 + n), &format!("172.18.1.{n}")));
    let owner: Owner = "others".parse().unwrap();
    scene.fips().reconcile(&owner, &others.collect::<Vec<_>>(), &options).unwrap();
    let mut fips = scene.fips();
    bind(&mut fips, &whole("192.0.2.20", "172.18.0.2"));
    bind(&mut fips, &ports("192.0.2.21", "172.18.0.3", &["tcp:80"]));
    bind(&mut fips, &ports("192.0.2.22", "172.18.0.3", &["tcp:80"]));
    let floating = |text: &str| -> IpAddr { text.parse().unwrap() };
    let network = "172.18.0.0/16".parse().unwrap();
    let mut about = About { subnets: vec![network], ..About::default() };
    about.floating.extend([floating("192.0.2.20"), floating("192.0.2.21")]);
    let elements = scene.open().snapshot_about(&about).unwrap().ruleset.elements;
    let (own, others): (Vec<_>, Vec<_>) = elements.into_iter().partition(|(key, _)| {
        !matches!(key, Key::Dnat(other) | Key::Port(other, ..) if !about.floating.contains(other))
    });
    let own: Vec<String> = own.iter().map(|(key, _)| key.to_string()).collect();
    assert_eq!(
        own,
        [
            "192.0.2.20",
            "192.0.2.21 . tcp . 80",
            "\"eth0\" . 172.18.0.2",
            "172.18.0.0/16 . 172.18.0.0/16"
        ]
    );
    let [(_, Value::Dnat(fixed, _))] = others.as_slice() else { panic!("{others:?}") };
    assert!(Family::of(*fixed) == Family::V4 && network.contains(*fixed), "{fixed}");
}

/// What a process that begins plans, which is what one plans that knows all.
fn agreed<S: Scene>(scene: &S, step: &Step) -> String {
    let narrow = plan::<S>(&mut scene.fips(), step);
    assert_eq!(narrow, plan::<S>(&mut experienced(scene, None), step));
    narrow
}

pub(crate) fn networks_that_came_and_went_since_are_known(scene: &impl Scene) {
    let gone = |floating, fixed| Step::Unbind(whole(floating, fixed));
    for (floating, fixed) in [
        ("192.0.2.20", "172.18.0.2"),
        ("192.0.2.21", "172.18.0.3"),
        ("192.0.2.22", "172.19.0.2"),
        ("192.0.2.23", "172.19.0.3"),
    ] {
        bind(&mut scene.fips(), &whole(floating, fixed));
    }
    scene.remove_address("br0", "172.18.0.1/16");
    scene.add_address("br0", "172.19.0.1/16");
    let kept = agreed(scene, &gone("192.0.2.20", "172.18.0.2"));
    assert!(!kept.contains("Hairpin"), "another is in it: {kept}");
    let came = agreed(scene, &gone("192.0.2.22", "172.19.0.2"));
    assert!(came.contains("Hairpin"), "another is in it, and it is new: {came}");
    bind(&mut scene.fips(), &whole("192.0.2.23", "172.19.0.3"));
    assert!(!agreed(scene, &gone("192.0.2.22", "172.19.0.2")).contains("Hairpin"));
    unbind(&mut scene.fips(), "192.0.2.20");
    let last = agreed(scene, &gone("192.0.2.21", "172.18.0.3"));
    assert!(last.contains("Hairpin"), "nobody else is in it: {last}");
}

pub(crate) fn whose_egress_it_is_is_known(scene: &impl Scene) {
    let theirs: Owner = "agent".parse().unwrap();
    for n in 1..=20 {
        bind(&mut scene.fips(), &whole(&format!("192.0.2.{}", 20 + n), &format!("172.18.1.{n}")));
    }
    let holder = whole("192.0.2.60", "172.18.0.2").owned_by(theirs);
    bind(&mut scene.fips(), &holder);
    let second = whole("192.0.2.61", "172.18.0.2");
    let refused = agreed(scene, &Step::Bind(second.clone(), true));
    assert!(refused.contains("the egress of 172.18.0.2"), "{refused}");
    assert!(refused.contains("192.0.2.60 by agent"), "{refused}");
    let without = agreed(scene, &Step::Bind(second.with_egress(false), true));
    assert!(without.starts_with("Plan"), "{without}");
}
