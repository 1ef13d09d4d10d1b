//! Random sequences of binding, unbinding and reconciling by several owners, in two processes at
//! once, leave exactly the bindings that a simple model predicts.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use fip_core::claim::{Claim, RivalPolicy};
use fip_core::fip::BindOptions;
use fip_core::kernel::Rtnl;
use fip_core::kernel::fake::FakeKernel;
use fip_core::nat::Family;
use fip_core::{Binding, FloatingIps, Options, Owner, PortForward, Protocol};
use proptest::prelude::*;
use proptest::{collection, sample};

type Port = (Protocol, u16);

/// What a floating address, or a port of it, leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    fixed: IpAddr,
    /// The port inside, for a port.
    port: Option<u16>,
    /// For a whole address.
    egress: bool,
    owner: Owner,
}

/// All targets; those of whole addresses have no port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Model(BTreeMap<(IpAddr, Option<Port>), Target>);

#[derive(Debug)]
struct Conflict;

impl Model {
    fn of(bindings: impl IntoIterator<Item = Binding>) -> Self {
        let mut this = Self::default();
        bindings.into_iter().for_each(|binding| this.0.extend(targets(&binding)));
        this
    }

    fn of_address(&self, floating: IpAddr) -> impl Iterator<Item = (&Option<Port>, &Target)> {
        let of_it = self.0.iter().filter(move |((address, _), _)| *address == floating);
        of_it.map(|((_, port), target)| (port, target))
    }

    fn owned_by_another(&self, floating: IpAddr, owner: &Owner) -> bool {
        self.of_address(floating).any(|(_, target)| target.owner != *owner)
    }

    fn bind(&mut self, binding: &Binding, replace: bool) -> Result<(), Conflict> {
        let (floating, mut next) = (binding.floating(), self.clone());
        if self.owned_by_another(floating, binding.owner()) {
            return Err(Conflict);
        }
        for (key, target) in targets(binding) {
            let same = |old: &Target| (old.fixed, old.port) == (target.fixed, target.port);
            if !replace && self.0.get(&key).is_some_and(|old| !same(old)) {
                return Err(Conflict);
            }
            next.0.insert(key, target);
        }
        next.accepted().map(|()| *self = next)
    }

    fn unbind(&mut self, floating: IpAddr, ports: &[Port], owner: &Owner) -> Result<(), Conflict> {
        let hit = |port: &Option<Port>| {
            ports.is_empty() || port.is_some_and(|port| ports.contains(&port))
        };
        let theirs = |(port, target): (&Option<Port>, &Target)| hit(port) && target.owner != *owner;
        if self.of_address(floating).any(theirs) {
            return Err(Conflict);
        }
        self.0.retain(|(address, port), _| *address != floating || !hit(port));
        Ok(())
    }

    fn reconcile(&mut self, owner: &Owner, desired: &[Binding]) -> Result<(), Conflict> {
        let mut next = self.clone();
        next.0.retain(|_, target| target.owner != *owner);
        for binding in desired {
            if self.owned_by_another(binding.floating(), owner) {
                return Err(Conflict);
            }
            for (key, target) in targets(&binding.clone().owned_by(owner.clone())) {
                if next.0.insert(key, target).is_some() {
                    return Err(Conflict);
                }
            }
        }
        next.accepted().map(|()| *self = next)
    }

    /// A workload sends from one floating address only.
    fn accepted(&self) -> Result<(), Conflict> {
        let mut senders = BTreeSet::new();
        let mut sending = self.0.values().filter(|target| target.egress);
        match sending.all(|target| senders.insert(target.fixed)) {
            true => Ok(()),
            false => Err(Conflict),
        }
    }
}

fn targets(binding: &Binding) -> Vec<((IpAddr, Option<Port>), Target)> {
    let target = |port, egress| Target {
        fixed: binding.fixed(),
        port,
        egress,
        owner: binding.owner().clone(),
    };
    if binding.is_whole_address() {
        return vec![((binding.floating(), None), target(None, binding.egress()))];
    }
    let ports = binding.ports().iter();
    let targets = ports.map(|&PortForward { protocol, port, fixed_port }| {
        ((binding.floating(), Some((protocol, port))), target(Some(fixed_port), false))
    });
    targets.collect()
}

#[derive(Debug, Clone)]
enum Step {
    Bind(Binding, bool),
    Unbind(Binding),
    Reconcile(Owner, Vec<Binding>),
}

fn owner() -> impl Strategy<Value = Owner> {
    sample::select(vec!["cli", "agent", "plugin:net"]).prop_map(|name| name.parse().unwrap())
}

fn binding() -> impl Strategy<Value = Binding> {
    let port = (sample::select(Protocol::ALL.to_vec()), 1..3u16);
    let ports = collection::btree_map(port, 1..3u16, 0..3);
    (any::<bool>(), 20..24u8, 2..5u8, ports, any::<bool>(), owner()).prop_map(
        |(v4, floating, fixed, ports, egress, owner)| {
            let (floating, fixed) = match v4 {
                true => (format!("192.0.2.{floating}"), format!("172.18.0.{fixed}")),
                false => (format!("2001:db8::{floating}"), format!("2001:db8:18::{fixed}")),
            };
            let new = Binding::new(floating.parse().unwrap(), fixed.parse().unwrap()).unwrap();
            let ports = ports.into_iter().map(|((protocol, port), fixed_port)| PortForward {
                protocol,
                port,
                fixed_port,
            });
            new.with_ports(ports).with_egress(egress).owned_by(owner)
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (binding(), any::<bool>()).prop_map(|(binding, replace)| Step::Bind(binding, replace)),
        2 => binding().prop_map(Step::Unbind),
        2 => (owner(), collection::vec(binding(), 0..4))
            .prop_map(|(owner, list)| Step::Reconcile(owner, list)),
    ]
}

fn options(replace: bool) -> BindOptions {
    let claim = Claim { policy: RivalPolicy::Refuse, ..Claim::default() };
    BindOptions { replace, claim, ..BindOptions::default() }
}

/// Takes the step in both; whether both took it alike.
fn take(step: &Step, fips: &mut FloatingIps<FakeKernel>, model: &mut Model) -> (bool, bool) {
    let (done, predicted) = match step {
        Step::Bind(binding, replace) => {
            (fips.bind_with(binding, &options(*replace)), model.bind(binding, *replace))
        }
        Step::Unbind(binding) => {
            let (floating, owner) = (binding.floating(), binding.owner());
            let ports: Vec<Port> = binding.ports().iter().map(|p| (p.protocol, p.port)).collect();
            (fips.unbind(floating, &ports, owner), model.unbind(floating, &ports, owner))
        }
        Step::Reconcile(owner, list) => {
            (fips.reconcile(owner, list, &options(false)), model.reconcile(owner, list))
        }
    };
    (done.is_ok(), predicted.is_ok())
}

/// The floating addresses on the links.
fn addresses(host: &FakeKernel) -> Vec<IpAddr> {
    let all = host.clone().addresses().unwrap();
    let mut ours: Vec<_> = all.iter().filter(|a| a.ours).map(|a| a.network.ip()).collect();
    ours.sort();
    ours
}

proptest! {
    #[test]
    fn bindings_are_as_the_model_predicts(
        steps in collection::vec((step(), any::<bool>()), 1..40),
        user_chains in any::<bool>(),
    ) {
        let host = FakeKernel::new();
        for family in Family::ALL.into_iter().filter(|_| user_chains) {
            host.add_user_chain(family);
            host.add_user_return(family);
        }
        let open = || FloatingIps::new(host.clone(), Options::default());
        let (mut one, mut other, mut model) = (open(), open(), Model::default());
        for (step, which) in &steps {
            let fips = if *which { &mut one } else { &mut other };
            let (done, predicted) = take(step, fips, &mut model);
            prop_assert_eq!(done, predicted, "{:?} with {:?}", step, model);
            let list = open().list().unwrap();
            for status in &list {
                prop_assert!(status.problems.is_empty(), "{:?} after {:?}", status, step);
            }
            let found = Model::of(list.into_iter().map(|status| status.binding));
            prop_assert_eq!(&found, &model, "after {:?}", step);
            let held: BTreeSet<IpAddr> = model.0.keys().map(|(floating, _)| *floating).collect();
            prop_assert!(addresses(&host).iter().eq(&held), "after {:?}", step);
        }
        for ((floating, _), target) in model.0 {
            one.unbind(floating, &[], &target.owner).unwrap();
        }
        prop_assert_eq!(addresses(&host), [] as [IpAddr; 0]);
        let left = host.ruleset();
        prop_assert!(left.skeleton.is_none() && left.elements.is_empty(), "{:?}", left);
    }
}
