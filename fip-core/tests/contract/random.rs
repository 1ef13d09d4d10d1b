//! The same random events on both kernels, which must lead to the same steps and the same state.

use fip_core::claim::RivalPolicy;
use fip_core::error::Chain;
use fip_core::fip::{BindOptions, Report};
use fip_core::kernel::{Nft, Rtnl};
use fip_core::nat::{Family, Skeleton};
use fip_core::{Binding, BridgeRules, FloatingIps, LinkName, Owner};
use proptest::prelude::*;
use proptest::test_runner::Config;

use super::bindings::{lines, options, state};
use super::scene::{FakeScene, HostScene, Scene, link, name};

#[derive(Debug, Clone)]
pub(super) enum Step {
    Bind(Binding, bool),
    Unbind(Binding),
    Reconcile(Owner, Vec<Binding>),
    SetBridge(BridgeRules),
    RemoveBridge(LinkName),
    Flush,
    DeleteTable,
    DamageTable,
    UserRule(Family),
    LinkDown,
    LinkUp,
    Plug(bool),
    RemoveAddress(Binding),
    Subnet(&'static str, bool),
}

/// Subnets that are within those of the host, and the other way round.
const SUBNETS: [&str; 3] = ["172.18.0.129/30", "172.16.0.1/12", "2001:db8:18::1:1/112"];

fn binding() -> impl Strategy<Value = Binding> {
    let ports = prop::collection::btree_set(0..3usize, 0..3);
    let link = prop::sample::select(vec![None, None, Some("eth0"), Some("br0"), Some("eth9")]);
    let owner = prop::sample::select(vec!["cli", "agent"]);
    let fixed = prop::sample::select(vec![2, 3, 130]);
    (any::<bool>(), 20..23u8, fixed, ports, link, owner, any::<bool>()).prop_map(
        |(v4, floating, fixed, ports, link, owner, egress)| {
            let (floating, fixed) = match v4 {
                true => (format!("192.0.2.{floating}"), format!("172.18.0.{fixed}")),
                false => (format!("2001:db8::{floating}"), format!("2001:db8:18::{fixed}")),
            };
            let new = Binding::new(floating.parse().unwrap(), fixed.parse().unwrap()).unwrap();
            let all = ["tcp:80", "tcp:80:8080", "udp:53"];
            let ports = ports.into_iter().map(|place| all[place].parse().unwrap());
            let new = new.with_ports(ports).owned_by(owner.parse().unwrap()).with_egress(egress);
            link.map_or(new.clone(), |link| new.on(name(link)))
        },
    )
}

fn bridge() -> impl Strategy<Value = LinkName> {
    prop::sample::select(vec!["br0", "br1"]).prop_map(name)
}

fn bridge_rules() -> impl Strategy<Value = BridgeRules> {
    let outlets = prop::sample::subsequence(vec!["eth0", "br0", "br1"], 0..=2);
    (bridge(), outlets, any::<bool>(), any::<bool>()).prop_map(
        |(bridge, outlets, masquerade, internal)| {
            let outlets = outlets.into_iter().map(name).collect();
            BridgeRules { bridge, outlets, masquerade, internal }
        },
    )
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    step_with(binding().boxed())
}

/// A step that is about such bindings.
pub(super) fn step_with(binding: BoxedStrategy<Binding>) -> impl Strategy<Value = Step> {
    let binding = || binding.clone();
    let owner = prop::sample::select(vec!["cli", "agent"]).prop_map(|text| text.parse().unwrap());
    prop_oneof![
        8 => (binding(), any::<bool>()).prop_map(|(binding, replace)| Step::Bind(binding, replace)),
        4 => binding().prop_map(Step::Unbind),
        3 => (owner, prop::collection::vec(binding(), 0..4))
            .prop_map(|(owner, list)| Step::Reconcile(owner, list)),
        3 => bridge_rules().prop_map(Step::SetBridge),
        2 => bridge().prop_map(Step::RemoveBridge),
        1 => Just(Step::Flush),
        1 => Just(Step::DeleteTable),
        1 => Just(Step::DamageTable),
        1 => any::<bool>().prop_map(|v4| Step::UserRule(if v4 { Family::V4 } else { Family::V6 })),
        1 => Just(Step::LinkDown),
        1 => Just(Step::LinkUp),
        1 => any::<bool>().prop_map(Step::Plug),
        1 => binding().prop_map(Step::RemoveAddress),
        1 => (prop::sample::select(SUBNETS.to_vec()), any::<bool>())
            .prop_map(|(subnet, add)| Step::Subnet(subnet, add)),
    ]
}

/// Takes the step; what came of it, as text.
pub(super) fn take<S: Scene>(
    scene: &S,
    fips: &mut FloatingIps<S::Kernel>,
    step: &Step,
) -> Vec<String> {
    let told = |result: fip_core::Result<Report>| match result {
        Ok(mut report) => {
            let warnings = std::mem::take(&mut report.warnings);
            [lines(report), warnings].concat()
        }
        Err(error) => vec![Chain(&error).to_string()],
    };
    let quick = options(RivalPolicy::TakeOver);
    match step {
        Step::Bind(binding, replace) => {
            told(fips.bind_with(binding, &BindOptions { replace: *replace, ..quick }))
        }
        Step::Unbind(binding) => {
            let ports: Vec<_> = binding.ports().iter().map(|p| (p.protocol, p.port)).collect();
            told(fips.unbind(binding.floating(), &ports, binding.owner()))
        }
        Step::Reconcile(owner, list) => told(fips.reconcile(owner, list, &quick)),
        Step::SetBridge(rules) => told(fips.set_bridge_rules(rules)),
        Step::RemoveBridge(bridge) => told(fips.remove_bridge_rules(bridge)),
        other => {
            meddle(scene, other);
            Vec::new()
        }
    }
}

/// Does what others do, where it can be done.
fn meddle<S: Scene>(scene: &S, step: &Step) {
    let mut kernel = scene.open();
    let ruleset = kernel.snapshot().unwrap().ruleset;
    match step {
        Step::Flush => scene.flush_ruleset(),
        Step::DeleteTable if ruleset.skeleton.is_some() => scene.delete_table(),
        Step::DamageTable if ruleset.skeleton.is_some() => scene.damage_table(),
        Step::UserRule(family) => {
            if !ruleset.passes.contains_key(family) {
                scene.add_user_chain(*family);
            }
            scene.add_user_rule(*family);
        }
        Step::LinkDown => scene.set_up("eth0", false),
        Step::LinkUp => scene.set_up("eth0", true),
        Step::Plug(plugged) => scene.plug(*plugged),
        Step::RemoveAddress(binding) => {
            let is_it = |address: &&fip_core::kernel::Address| {
                address.ours && address.network.ip() == binding.floating()
            };
            let addresses = kernel.addresses().unwrap();
            for address in addresses.iter().filter(is_it) {
                let links = kernel.links().unwrap();
                let link = links.iter().find(|link| link.index == address.link).unwrap();
                scene.remove_address(link.name.as_str(), &address.network.to_string());
            }
        }
        Step::Subnet(subnet, add) => {
            let br0 = link(&mut kernel, "br0").index;
            let network = subnet.parse().unwrap();
            let mut addresses = kernel.addresses().unwrap().into_iter();
            match (addresses.any(|a| a.link == br0 && a.network == network), add) {
                (true, false) => scene.remove_address("br0", subnet),
                (false, true) => scene.add_address("br0", subnet),
                _ => {}
            }
        }
        _ => {}
    }
}

/// What is on the links and in the packet filter.
pub(super) fn facts(scene: &impl Scene) -> (Vec<String>, fip_core::nat::Ruleset, Vec<String>) {
    let mut kernel = scene.open();
    let links = kernel.links().unwrap();
    let name = |index| links.iter().find(|link| link.index == index).unwrap().name.to_string();
    let ours = kernel.addresses().unwrap().into_iter().filter(|address| address.ours);
    let mut ours: Vec<String> =
        ours.map(|address| format!("{} on {}", address.network, name(address.link))).collect();
    ours.sort();
    let mut ruleset = kernel.snapshot().unwrap().ruleset;
    // The order in which a damaged table is listed means nothing.
    ruleset.skeleton = ruleset.skeleton.map(Skeleton::normalized);
    (state(scene), ruleset, ours)
}

#[test]
fn both_kernels_agree() {
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    proptest!(config, |(steps in prop::collection::vec(step(), 1..20))| {
        let (fake, host) = (FakeScene::new(), HostScene::new());
        let (fips, real) = (&mut fake.fips(), &mut host.fips());
        for step in &steps {
            prop_assert_eq!(take(&fake, fips, step), take(&host, real, step), "at {:?}", step);
            prop_assert_eq!(facts(&fake), facts(&host), "after {:?}", step);
        }
    });
}
