//! A first call reads only what it is about. Its plan must be the one that is made with all known.

use std::net::IpAddr;

use fip_core::claim::RivalPolicy;
use fip_core::error::Chain;
use fip_core::fip::{BindOptions, Plan};
use fip_core::kernel::Nft;
use fip_core::nat::{About, Family, Key, Value};
use fip_core::{FloatingIps, Owner};
use proptest::prelude::*;
use proptest::test_runner::Config;

use super::bindings::{bind, options, ports, whole};
use super::random::{Step, step, take};
use super::scene::{FakeScene, HostScene, Scene};

/// A process that has done something before, and so reads all.
fn experienced<S: Scene>(scene: &S) -> FloatingIps<S::Kernel> {
    let mut fips = scene.fips();
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

fn plans_agree<S: Scene>(scene: &S, steps: &[Step]) -> Result<(), TestCaseError> {
    let (mut fips, mut experienced) = (scene.fips(), experienced(scene));
    for step in steps {
        let narrow = plan::<S>(&mut scene.fips(), step);
        prop_assert_eq!(narrow, plan::<S>(&mut experienced, step), "{:?}", step);
        take(scene, &mut fips, step);
    }
    Ok(())
}

fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

#[test]
fn a_first_plan_in_memory_is_the_same() {
    proptest!(config(200), |(steps in prop::collection::vec(step(), 1..30))| {
        plans_agree(&FakeScene::new(), &steps)?;
    });
}

#[test]
fn a_first_plan_is_the_same() {
    proptest!(config(12), |(steps in prop::collection::vec(step(), 1..20))| {
        plans_agree(&HostScene::new(), &steps)?;
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
