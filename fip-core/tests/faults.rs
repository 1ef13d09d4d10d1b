//! What is interrupted between any two steps attracts no packets, and is finished by calling
//! again: in the same process, or after a crash in another one.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::IpAddr;
use std::time::{Duration, Instant};

use fip_core::claim::{Claim, RivalPolicy};
use fip_core::fip::{BindOptions, OnRival, Report};
use fip_core::kernel::fake::FakeKernel;
use fip_core::kernel::{Flows, Hold, Rtnl};
use fip_core::nat::{Family, Key, Pass, Ruleset};
use fip_core::{Binding, BridgeRules, FloatingIps, Options, Owner, Result};

type Fips = FloatingIps<FakeKernel>;

/// What is done, and what was there before.
struct Case {
    name: &'static str,
    before: fn(&mut Fips),
    act: fn(&mut Fips) -> Result<Report>,
}

fn whole(floating: &str, fixed: &str) -> Binding {
    Binding::new(floating.parse().unwrap(), fixed.parse().unwrap()).unwrap()
}

fn ports(floating: &str, fixed: &str, ports: &[&str]) -> Binding {
    whole(floating, fixed).with_ports(ports.iter().map(|port| port.parse().unwrap()))
}

fn options(replace: bool) -> BindOptions {
    let claim = Claim { policy: RivalPolicy::Refuse, ..Claim::default() };
    BindOptions { replace, claim, ..BindOptions::default() }
}

fn bind(fips: &mut Fips, binding: Binding) -> Result<Report> {
    fips.bind_with(&binding, &options(true))
}

fn unbind(fips: &mut Fips, floating: &str) -> Result<Report> {
    fips.unbind(floating.parse().unwrap(), &[], &Owner::default())
}

fn reconcile(fips: &mut Fips, desired: &[Binding]) -> Result<Report> {
    fips.reconcile(&Owner::default(), desired, &options(false))
}

fn nothing(_: &mut Fips) {}

fn some(fips: &mut Fips) {
    bind(fips, whole("192.0.2.20", "172.18.0.2")).unwrap();
    bind(fips, ports("192.0.2.21", "172.18.0.3", &["tcp:80", "udp:53"])).unwrap();
    bind(fips, whole("2001:db8::20", "2001:db8:18::2")).unwrap();
    let agents = whole("192.0.2.30", "172.18.0.9").owned_by("agent".parse().unwrap());
    bind(fips, agents).unwrap();
}

fn bridge_rules(bridge: &str, outlet: &str) -> BridgeRules {
    let outlets = [outlet.parse().unwrap()].into();
    BridgeRules { outlets, masquerade: true, ..BridgeRules::new(bridge.parse().unwrap()) }
}

const CASES: &[Case] = &[
    Case {
        name: "the first binding",
        before: nothing,
        act: |fips| bind(fips, whole("192.0.2.20", "172.18.0.2")),
    },
    Case {
        name: "the first of IPv6",
        before: nothing,
        act: |fips| bind(fips, whole("2001:db8::20", "2001:db8:18::2")),
    },
    Case {
        name: "another binding",
        before: some,
        act: |fips| bind(fips, whole("192.0.2.22", "172.18.0.4")),
    },
    Case {
        name: "the same again",
        before: some,
        act: |fips| bind(fips, whole("192.0.2.20", "172.18.0.2")),
    },
    Case {
        name: "another workload",
        before: some,
        act: |fips| bind(fips, whole("192.0.2.20", "172.18.0.7")),
    },
    Case {
        name: "another link",
        before: some,
        act: |fips| bind(fips, whole("192.0.2.20", "172.18.0.2").on("br0".parse().unwrap())),
    },
    Case {
        name: "ports",
        before: some,
        act: |fips| bind(fips, ports("192.0.2.22", "172.18.0.3", &["tcp:80:8080", "sctp:7"])),
    },
    Case {
        name: "other ports",
        before: some,
        act: |fips| bind(fips, ports("192.0.2.21", "172.18.0.4", &["tcp:80"])),
    },
    Case {
        name: "the first bridge",
        before: nothing,
        act: |fips| fips.set_bridge_rules(&bridge_rules("br0", "eth0")),
    },
    Case {
        name: "a bridge with other rules",
        before: |fips| {
            some(fips);
            fips.set_bridge_rules(&bridge_rules("br0", "eth0")).unwrap();
        },
        act: |fips| fips.set_bridge_rules(&bridge_rules("br0", "eth1")),
    },
    Case {
        name: "the last bridge goes",
        before: |fips| _ = fips.set_bridge_rules(&bridge_rules("br0", "eth0")).unwrap(),
        act: |fips| fips.remove_bridge_rules(&"br0".parse().unwrap()),
    },
    Case { name: "unbind", before: some, act: |fips| unbind(fips, "192.0.2.20") },
    Case { name: "unbind IPv6", before: some, act: |fips| unbind(fips, "2001:db8::20") },
    Case {
        name: "unbind a port",
        before: some,
        act: |fips| {
            let port = [(fip_core::Protocol::Tcp, 80)];
            fips.unbind("192.0.2.21".parse().unwrap(), &port, &Owner::default())
        },
    },
    Case {
        name: "unbind the last",
        before: |fips| _ = bind(fips, whole("192.0.2.20", "172.18.0.2")).unwrap(),
        act: |fips| unbind(fips, "192.0.2.20"),
    },
    Case {
        name: "reconcile",
        before: some,
        act: |fips| {
            let desired = [
                whole("192.0.2.20", "172.18.0.7"),
                whole("192.0.2.21", "172.18.0.3"),
                ports("192.0.2.22", "172.18.0.4", &["udp:53"]),
                whole("192.0.2.23", "172.18.0.5"),
            ];
            reconcile(fips, &desired)
        },
    },
    Case { name: "reconcile to nothing", before: some, act: |fips| reconcile(fips, &[]) },
    Case {
        name: "reconcile after a flush",
        before: |fips| {
            some(fips);
            fips.kernel().flush_ruleset();
            add_user_chains(fips.kernel());
        },
        act: |fips| {
            let desired = [
                whole("192.0.2.20", "172.18.0.2"),
                ports("192.0.2.21", "172.18.0.3", &["tcp:80", "udp:53"]),
                whole("2001:db8::20", "2001:db8:18::7"),
            ];
            reconcile(fips, &desired)
        },
    },
    Case {
        name: "bind in a damaged table",
        before: |fips| {
            some(fips);
            fips.kernel().damage_table();
        },
        act: |fips| bind(fips, whole("192.0.2.22", "172.18.0.4")),
    },
];

fn add_user_chains(host: &FakeKernel) {
    for family in Family::ALL {
        host.add_user_chain(family);
        host.add_user_rule(family);
        host.add_user_return(family);
    }
}

/// A host, before the case.
fn host(case: &Case) -> (FakeKernel, Fips) {
    let host = FakeKernel::new();
    add_user_chains(&host);
    let mut fips = FloatingIps::new(host.clone(), Options::default());
    (case.before)(&mut fips);
    (host, fips)
}

/// All that the steps are about.
#[derive(Debug, PartialEq)]
struct State {
    ruleset: Ruleset,
    ours: Vec<(u32, IpAddr)>,
    forwarding: [Option<String>; 2],
}

fn state(host: &FakeKernel) -> State {
    let mut kernel = host.clone();
    let addresses = kernel.addresses().unwrap();
    let mut ours: Vec<_> =
        addresses.iter().filter(|a| a.ours).map(|a| (a.link, a.network.ip())).collect();
    ours.sort();
    let forwarding = ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"]
        .map(|path| kernel.sysctl(path).unwrap());
    State { ruleset: host.ruleset(), ours, forwarding }
}

/// The addresses that are on a link without the rules that translate them, or without forwarding.
fn bare(state: &State) -> Vec<IpAddr> {
    let is_bare = |address: &IpAddr| {
        let family = Family::of(*address);
        let translated = state.ruleset.elements.keys().any(|key| match key {
            Key::Dnat(floating) | Key::Port(floating, ..) => floating == address,
            _ => false,
        });
        let passes = matches!(state.ruleset.passes[&family], Pass::There { .. });
        let forwarded = state.forwarding[usize::from(family == Family::V6)].as_deref();
        !(translated && passes && state.ruleset.skeleton.is_some() && forwarded == Some("1"))
    };
    state.ours.iter().map(|(_, address)| *address).filter(is_bare).collect()
}

/// Interrupts the case after every number of steps, and hands over what is left to `finish`.
fn interrupt(case: &Case, finish: impl Fn(&FakeKernel, Fips, &str)) {
    for steps in 0.. {
        let (host, mut fips) = host(case);
        let bare_before = bare(&state(&host));
        host.fail_after(steps);
        let result = (case.act)(&mut fips);
        let what = format!("{} after {steps} steps", case.name);
        if !host.recover() {
            result.unwrap();
            assert!(steps > 0 || case.name == "the same again", "{what}: no step was taken");
            return;
        }
        let error = result.expect_err(&what);
        assert!(std::error::Error::source(&error).is_some(), "{what}: {error}");
        let bare_now = bare(&state(&host));
        let fewer = bare_now.iter().all(|address| bare_before.contains(address));
        assert!(fewer, "{what}: {bare_now:?} attract packets that nobody translates");
        finish(&host, fips, &what);
    }
}

/// What there is in the end, when nothing goes wrong.
fn expected(case: &Case) -> (State, Vec<Flows>) {
    let (host, mut fips) = host(case);
    let before = host.forgotten().len();
    (case.act)(&mut fips).unwrap();
    (state(&host), host.forgotten().split_off(before))
}

fn finish_by_calling_again(case: &Case, again: impl Fn(&FakeKernel, Fips) -> Fips) {
    let (end, flows) = expected(case);
    interrupt(case, |host, fips, what| {
        let sweeps = host.sweeps();
        let mut fips = again(host, fips);
        (case.act)(&mut fips).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(state(host), end, "{what}");
        let forgotten = host.forgotten();
        let all = flows.iter().all(|flows| forgotten.contains(flows));
        assert!(all || host.sweeps() > sweeps, "{what}: flows were not forgotten");
        let report = (case.act)(&mut fips).unwrap();
        assert!(report.changes.is_empty(), "{what}: {:?}", report.changes);
    });
}

#[test]
fn calling_again_finishes() {
    for case in CASES {
        finish_by_calling_again(case, |_, fips| fips);
    }
}

#[test]
fn calling_again_in_another_process_finishes() {
    for case in CASES {
        finish_by_calling_again(case, |host, _| FloatingIps::new(host.clone(), Options::default()));
    }
}

/// Whatever was interrupted, reconciling leads everywhere, and unbinding all leaves nothing.
#[test]
fn nothing_leaks() {
    for case in CASES {
        interrupt(case, |host, _, what| {
            let mut fips = FloatingIps::new(host.clone(), Options::default());
            for owner in ["cli", "agent"] {
                let owner = owner.parse().unwrap();
                fips.reconcile(&owner, &[], &options(false)).unwrap();
            }
            for floating in ["192.0.2.20", "192.0.2.21", "192.0.2.30", "2001:db8::20"] {
                unbind(&mut fips, floating).unwrap();
            }
            fips.remove_bridge_rules(&"br0".parse().unwrap()).unwrap();
            let State { ruleset, ours, .. } = state(host);
            assert_eq!((ruleset.skeleton, ours.as_slice()), (None, &[][..]), "{what}");
            let absent = |pass: &Pass| matches!(pass, Pass::Absent { .. });
            assert!(ruleset.elements.is_empty() && ruleset.passes.values().all(absent), "{what}");
        });
    }
}

/// A workload that cannot be held for whatever reason is not held: nothing of it stays.
#[test]
fn what_a_watch_fails_to_hold_goes() {
    let new = [whole("192.0.2.22", "172.18.0.4"), whole("2001:db8::22", "2001:db8:18::4")];
    for steps in 0.. {
        let host = FakeKernel::new();
        add_user_chains(&host);
        let fips = FloatingIps::new(host.clone(), Options::default());
        let desired = vec![whole("192.0.2.20", "172.18.0.2")];
        let mut watch =
            fips.watch([Owner::default()], desired, options(false), OnRival::Yield).unwrap();
        let before = state(&host);
        host.fail_after(steps);
        let result = watch.hold(&new, &options(false));
        if !host.recover() {
            result.unwrap();
            assert!(steps > 2, "{steps} steps");
            assert_ne!(state(&host), before);
            return;
        }
        result.unwrap_err();
        let deadline = Instant::now() + Duration::from_secs(30);
        // Forwarding stays on, which is no harm.
        while (state(&host).ruleset, state(&host).ours)
            != (before.ruleset.clone(), before.ours.clone())
        {
            assert!(Instant::now() < deadline, "after {steps} steps: {:?}", state(&host));
            watch.next(Some(Instant::now() + Duration::from_millis(5))).unwrap();
        }
    }
}

/// Addresses that were put on a link by a step that was told to have failed are taken for done.
#[test]
fn a_failed_answer_to_a_made_change_is_no_obstacle() {
    let (host, mut fips) = host(&CASES[0]);
    host.fail_after(0);
    assert!((CASES[0].act)(&mut fips).is_err());
    host.recover();
    let link = host.link(&"eth0".parse().unwrap()).unwrap().index;
    let added =
        fip_core::address::floating_address(link, "192.0.2.20".parse().unwrap(), Hold::Route);
    let results = host.clone().change_addresses(&[fip_core::kernel::AddressChange::Add(added)]);
    assert!(results.unwrap()[0].is_ok());
    (CASES[0].act)(&mut fips).unwrap();
    assert_eq!(state(&host).ours, expected(&CASES[0]).0.ours);
}
