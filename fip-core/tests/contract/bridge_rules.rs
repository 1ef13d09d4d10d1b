//! What the workloads of bridges may do that are not bound: the same rules on both kernels.

use fip_core::fip::Report;
use fip_core::kernel::{Kernel, Nft, Rtnl};
use fip_core::nat::{Family, Mark, Pass};
use fip_core::{BridgeRules, FloatingIps, Options};

use super::bindings::{bind, is_empty, lines, state, unbind, whole};
use super::scene::{Scene, name};

pub(super) fn rules(bridge: &str, outlets: &[&str]) -> BridgeRules {
    let outlets = outlets.iter().map(|link| name(link)).collect();
    BridgeRules { outlets, ..BridgeRules::new(name(bridge)) }
}

fn masqueraded(bridge: &str, outlets: &[&str]) -> BridgeRules {
    BridgeRules { masquerade: true, ..rules(bridge, outlets) }
}

fn set<K: Kernel>(fips: &mut FloatingIps<K>, rules: &BridgeRules) -> Vec<String> {
    lines(fips.set_bridge_rules(rules).unwrap())
}

fn remove<K: Kernel>(fips: &mut FloatingIps<K>, bridge: &str) -> Vec<String> {
    lines(fips.remove_bridge_rules(&name(bridge)).unwrap())
}

pub(crate) fn rules_of_a_bridge_come_and_go(scene: &impl Scene) {
    let fips = &mut scene.fips();
    let open = masqueraded("br0", &["eth0", "br0"]);
    assert_eq!(
        set(fips, &open),
        [
            "sysctl net.ipv4.ip_forward=1",
            "sysctl net.ipv6.conf.all.forwarding=1",
            "table inet fip",
            "add element inet fip through { \"br0\" . \"br0\" }",
            "add element inet fip through { \"br0\" . \"eth0\" }",
            "add element inet fip masqueraded { \"br0\" . \"eth0\" }",
        ]
    );
    assert_eq!(set(fips, &open), [""; 0]);
    assert_eq!(set(&mut scene.fips(), &open), [""; 0]);
    assert_eq!(fips.bridge_rules().unwrap(), [open.normalized()]);
    assert_eq!(remove(fips, "br0"), ["delete table inet fip"]);
    assert_eq!(remove(fips, "br0"), [""; 0]);
    assert_eq!(fips.bridge_rules().unwrap(), []);
    assert!(is_empty(scene));
}

pub(crate) fn rules_of_a_bridge_are_exactly_those_given(scene: &impl Scene) {
    let fips = &mut scene.fips();
    let other = masqueraded("br1", &["eth0"]);
    set(fips, &other);
    set(fips, &masqueraded("br0", &["eth0", "eth1"]));
    assert_eq!(
        set(fips, &masqueraded("br0", &["eth2", "eth1"])),
        [
            "delete element inet fip through { \"br0\" . \"eth0\" }",
            "delete element inet fip masqueraded { \"br0\" . \"eth0\" }",
            "add element inet fip through { \"br0\" . \"eth2\" }",
            "add element inet fip masqueraded { \"br0\" . \"eth2\" }",
        ]
    );
    assert_eq!(
        set(fips, &rules("br0", &["eth1"])),
        [
            "delete element inet fip through { \"br0\" . \"eth2\" }",
            "delete element inet fip masqueraded { \"br0\" . \"eth1\" }",
            "delete element inet fip masqueraded { \"br0\" . \"eth2\" }",
        ]
    );
    let internal = BridgeRules { internal: true, ..masqueraded("br0", &["eth1"]) };
    assert_eq!(
        set(fips, &internal),
        [
            "delete element inet fip through { \"br0\" . \"eth1\" }",
            "add element inet fip internal { \"br0\" }",
        ]
    );
    let found = scene.fips().bridge_rules().unwrap();
    assert_eq!(found, [internal.normalized(), other.clone()]);
    assert_eq!(
        remove(fips, "br0"),
        [
            "delete element inet fip through { \"br0\" . \"br0\" }",
            "delete element inet fip internal { \"br0\" }",
        ]
    );
    assert_eq!(scene.fips().bridge_rules().unwrap(), [other]);
}

/// What only keeps to itself needs no host that forwards.
pub(crate) fn a_bridge_without_outlets_needs_no_forwarding(scene: &impl Scene) {
    let fips = &mut scene.fips();
    for closed in [rules("br0", &[]), BridgeRules { internal: true, ..rules("br0", &["eth0"]) }] {
        let done = set(fips, &closed);
        assert!(!done.iter().any(|line| line.starts_with("sysctl")), "{done:?}");
    }
    // A bridge that does not exist yet has no addresses to forward for.
    set(fips, &rules("br7", &["eth0"]));
    assert_eq!(scene.open().sysctl("net/ipv4/ip_forward").unwrap().as_deref(), Some("0"));
}

/// The link-local addresses that every link has are no reason to turn the host into a router.
pub(crate) fn only_what_the_bridge_has_is_forwarded(scene: &impl Scene) {
    scene.remove_address("br0", "2001:db8:18::1/64");
    let done = set(&mut scene.fips(), &rules("br0", &["eth0"]));
    let sysctls: Vec<_> = done.iter().filter(|line| line.starts_with("sysctl")).collect();
    assert_eq!(sysctls, ["sysctl net.ipv4.ip_forward=1"]);
}

pub(crate) fn bindings_and_bridges_share_the_table(scene: &impl Scene) {
    let fips = &mut scene.fips();
    let open = masqueraded("br0", &["eth0"]);
    set(fips, &open);
    let bound = bind(fips, &whole("192.0.2.20", "172.18.0.2"));
    assert!(!bound.contains(&"table inet fip".to_owned()), "{bound:?}");
    assert_eq!(set(fips, &open), [""; 0]);
    let gone = unbind(fips, "192.0.2.20");
    assert!(!gone.contains(&"delete table inet fip".to_owned()), "{gone:?}");
    assert_eq!(fips.bridge_rules().unwrap(), std::slice::from_ref(&open));
    bind(fips, &whole("192.0.2.20", "172.18.0.2"));
    assert_eq!(remove(fips, "br0").len(), 3);
    assert_eq!(state(scene), ["cli: 192.0.2.20 -> 172.18.0.2 on eth0 egress []"]);
    assert_eq!(unbind(fips, "192.0.2.20").last().unwrap(), "delete table inet fip");
    assert!(is_empty(scene));
}

pub(crate) fn rules_of_bridges_outlive_a_damaged_table(scene: &impl Scene) {
    let fips = &mut scene.fips();
    let all = [masqueraded("br0", &["eth0"]), rules("br1", &["eth0"])];
    all.iter().for_each(|rules| _ = set(fips, rules));
    bind(fips, &whole("192.0.2.20", "172.18.0.2"));
    let before = scene.open().snapshot().unwrap().ruleset;
    scene.damage_table();
    let repaired = set(fips, &all[0]);
    assert_eq!(repaired[..2], ["delete table inet fip", "table inet fip"]);
    assert_eq!(scene.open().snapshot().unwrap().ruleset, before);
    scene.damage_table();
    bind(fips, &whole("192.0.2.20", "172.18.0.2"));
    assert_eq!(scene.open().snapshot().unwrap().ruleset, before);
    scene.flush_ruleset();
    bind(fips, &whole("192.0.2.20", "172.18.0.2"));
    assert_eq!(fips.bridge_rules().unwrap(), [], "the kernel is all that remembers");
    all.iter().for_each(|rules| _ = set(fips, rules));
    assert_eq!(scene.open().snapshot().unwrap().ruleset, before);
}

/// The rule for users' chains is there for both families as long as there are rules of bridges.
pub(crate) fn bridges_need_the_rule_in_user_chains(scene: &impl Scene) {
    let fips = &mut scene.fips();
    Family::ALL.into_iter().for_each(|family| scene.add_user_chain(family));
    let there = || {
        let passes = scene.open().snapshot().unwrap().ruleset.passes;
        Family::ALL.map(|family| matches!(passes[&family], Pass::There { .. }))
    };
    bind(fips, &whole("192.0.2.20", "172.18.0.2"));
    assert_eq!(there(), [true, false]);
    set(fips, &rules("br0", &[]));
    assert_eq!(there(), [true, true]);
    unbind(fips, "192.0.2.20");
    assert_eq!(there(), [true, true]);
    bind(fips, &whole("2001:db8::20", "2001:db8:18::2"));
    remove(fips, "br0");
    assert_eq!(there(), [false, true]);
    unbind(fips, "2001:db8::20");
    assert_eq!(there(), [false, false]);
}

/// Two that disagree about the mark would undo each other's table for ever.
pub(crate) fn bridges_keep_their_mark(scene: &impl Scene) {
    let with = |mark: u32| {
        let mark = Some(Mark::new(mark).unwrap());
        FloatingIps::new(scene.open(), Options { mark, ..Options::default() })
    };
    let refused = |result: fip_core::Result<Report>, user: &str| {
        let error = result.unwrap_err().to_string();
        assert_eq!(error, format!("{user} use the mark 0x1000, not 0x40"));
    };
    let (one, two) = (&mut with(0x1000), &mut with(0x40));
    set(one, &rules("br0", &["eth0"]));
    let user = "the rules of the bridge br0";
    refused(two.set_bridge_rules(&rules("br1", &[])), user);
    refused(two.bind(&whole("192.0.2.20", "172.18.0.2")), user);
    bind(one, &whole("192.0.2.20", "172.18.0.2"));
    refused(two.set_bridge_rules(&rules("br0", &[])), "the bindings of cli");
    unbind(one, "192.0.2.20");
    // They are all there is: who sets them says what mark they have.
    assert_eq!(
        set(two, &rules("br0", &["eth0"]))[..2],
        ["delete table inet fip", "table inet fip"]
    );
    let skeleton = scene.open().snapshot().unwrap().ruleset.skeleton;
    assert_eq!(skeleton.unwrap().mark().unwrap().bits(), 0x40);
}
