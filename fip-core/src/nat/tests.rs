use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use ipnetwork::IpNetwork;
use proptest::prelude::*;
use proptest::{collection, option, sample};

use super::skeleton::Hook;
use super::*;
use crate::binding::{Binding, LinkName, Owner, PortForward, Protocol};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn name(text: &str) -> LinkName {
    text.parse().unwrap()
}

fn binding(floating: &str, fixed: &str) -> Binding {
    Binding::new(ip(floating), ip(fixed)).unwrap()
}

/// An address that may float, of a few, so that they meet.
fn floating(family: Family) -> impl Strategy<Value = IpAddr> {
    (1..=9u8).prop_map(move |last| match family {
        Family::V4 => [192, 0, 2, last].into(),
        Family::V6 => [0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last)].into(),
    })
}

fn fixed(family: Family) -> impl Strategy<Value = IpAddr> {
    any::<u16>().prop_map(move |last| match family {
        Family::V4 => [172, 18, (last >> 8) as u8, last as u8].into(),
        Family::V6 => [0x2001, 0xdb8, 0x18, 0, 0, 0, 0, last].into(),
    })
}

pub(crate) fn family() -> impl Strategy<Value = Family> {
    sample::select(Family::ALL.to_vec())
}

pub(crate) fn link_name() -> impl Strategy<Value = LinkName> {
    "[!#-.0-9;-~]{1,15}".prop_filter_map("a name", |text| text.parse().ok())
}

pub(crate) fn owner() -> impl Strategy<Value = Owner> {
    prop_oneof![
        sample::select(vec!["cli", "agent", "plugin:net"]).prop_map(str::to_owned),
        "[A-Za-z0-9._:/@+-]{1,80}",
    ]
    .prop_map(|text| text.parse().unwrap())
}

fn protocol() -> impl Strategy<Value = Protocol> {
    sample::select(Protocol::ALL.to_vec())
}

fn note() -> impl Strategy<Value = Note> {
    (owner(), option::of(link_name())).prop_map(|(owner, uplink)| Note { owner, uplink })
}

pub(crate) fn network(family: Family) -> impl Strategy<Value = IpNetwork> {
    (fixed(family), 1..=family.bits()).prop_map(|(address, prefix)| {
        let network = IpNetwork::new(address, prefix).unwrap();
        IpNetwork::new(network.network(), prefix).unwrap()
    })
}

/// An element of any map.
pub(crate) fn element() -> impl Strategy<Value = (Key, Value)> {
    family().prop_flat_map(|family| {
        let dnat = (floating(family), fixed(family), note())
            .prop_map(|(floating, fixed, note)| (Key::Dnat(floating), Value::Dnat(fixed, note)));
        let port = (floating(family), protocol(), 1..=3u16, fixed(family), 1u16.., note())
            .prop_map(|(floating, protocol, port, fixed, fixed_port, note)| {
                (Key::Port(floating, protocol, port), Value::Port(fixed, fixed_port, note))
            });
        let snat = (link_name(), fixed(family), floating(family))
            .prop_map(|(link, fixed, floating)| (Key::Snat(link, fixed), Value::Snat(floating)));
        let hairpin = network(family).prop_map(|network| (Key::Hairpin(network), Value::Member));
        prop_oneof![dnat, port, snat, hairpin, bridge_key().prop_map(|key| (key, Value::Member))]
    })
}

fn bridge_key() -> impl Strategy<Value = Key> {
    // Few, so that they meet.
    let name = || sample::select(vec!["br0", "br1", "eth0", "a-link-name-15c"]).prop_map(name);
    prop_oneof![
        (name(), name()).prop_map(|(bridge, link)| Key::Through(bridge, link)),
        (name(), name()).prop_map(|(bridge, link)| Key::Masquerade(bridge, link)),
        name().prop_map(Key::Internal),
        link_name().prop_map(Key::Internal),
    ]
}

fn bridge_rules_of(
    bridge: &str,
    outlets: &[&str],
    masquerade: bool,
    internal: bool,
) -> BridgeRules {
    let outlets = outlets.iter().map(|link| name(link)).collect();
    BridgeRules { bridge: name(bridge), outlets, masquerade, internal }
}

fn any_bridge_rules() -> impl Strategy<Value = BridgeRules> {
    let bridge = sample::select(vec!["br0", "br1", "br2"]);
    let outlets = sample::subsequence(vec!["br0", "eth0", "eth1"], 0..=3);
    (bridge, outlets, any::<bool>(), any::<bool>()).prop_map(
        |(bridge, outlets, masquerade, internal)| {
            bridge_rules_of(bridge, &outlets, masquerade, internal)
        },
    )
}

pub(crate) fn any_elements() -> impl Strategy<Value = Elements> {
    collection::vec(element(), 0..40).prop_map(|list| list.into_iter().collect())
}

/// A table as we make it, or one that somebody altered.
pub(crate) fn any_skeleton() -> impl Strategy<Value = Skeleton> {
    static ALL: LazyLock<Vec<Skeleton>> =
        LazyLock::new(|| (0..32).map(|bit| Skeleton::new(Mark::new(1 << bit).unwrap())).collect());
    (0..32usize, option::weighted(0.3, 0..7usize)).prop_map(|(bit, altered)| {
        let mut skeleton = ALL[bit].clone();
        if let Some(place) = altered {
            Arc::make_mut(&mut skeleton.chains)[place].rules.pop();
        }
        skeleton
    })
}

#[test]
fn a_whole_address_is_three_elements() {
    let elements = elements(
        &binding("192.0.2.20", "172.18.0.2"),
        &name("eth0"),
        Some("172.18.0.0/16".parse().unwrap()),
    );
    let note = Note { owner: Owner::default(), uplink: Some(name("eth0")) };
    let expected = [
        (Key::Dnat(ip("192.0.2.20")), Value::Dnat(ip("172.18.0.2"), note)),
        (Key::Snat(name("eth0"), ip("172.18.0.2")), Value::Snat(ip("192.0.2.20"))),
        (Key::Hairpin("172.18.0.0/16".parse().unwrap()), Value::Member),
    ];
    assert_eq!(elements, expected.into());
}

#[test]
fn without_egress_there_is_no_source_translation() {
    let whole = binding("2001:db8::20", "2001:db8:18::2").with_egress(false);
    let ports = binding("2001:db8::20", "2001:db8:18::2").port("udp:53".parse().unwrap());
    for binding in [whole, ports] {
        let elements = elements(&binding, &name("eth0"), None);
        assert!(!elements.keys().any(|key| matches!(key, Key::Snat(..))), "{elements:?}");
        assert_eq!(elements.len(), 1);
    }
}

#[test]
fn keys_are_written_as_nft_does() {
    for (key, text, map) in [
        (Key::Dnat(ip("192.0.2.1")), "192.0.2.1", "dnat4"),
        (Key::Dnat(ip("2001:db8::1")), "2001:db8::1", "dnat6"),
        (Key::Port(ip("192.0.2.1"), Protocol::Udp, 53), "192.0.2.1 . udp . 53", "port4"),
        (Key::Snat(name("eth0"), ip("172.18.0.2")), "\"eth0\" . 172.18.0.2", "snat4"),
        (
            Key::Hairpin("2001:db8:18::/64".parse().unwrap()),
            "2001:db8:18::/64 . 2001:db8:18::/64",
            "hairpin6",
        ),
        (Key::Through(name("br0"), name("eth0")), "\"br0\" . \"eth0\"", "through"),
        (Key::Masquerade(name("br0"), name("eth0")), "\"br0\" . \"eth0\"", "masqueraded"),
        (Key::Internal(name("br0")), "\"br0\"", "internal"),
    ] {
        assert_eq!((key.to_string().as_str(), key.map()), (text, map));
    }
}

#[test]
fn ports_of_one_workload_are_one_binding() {
    let ports = |fixed, list: &[&str]| {
        binding("192.0.2.20", fixed).with_ports(list.iter().map(|port| port.parse().unwrap()))
    };
    let (one, other) =
        (ports("172.18.0.2", &["tcp:80", "udp:53"]), ports("172.18.0.3", &["tcp:22"]));
    let whole = binding("192.0.2.20", "172.18.0.2");
    let list = [&one, &other, &whole].map(|binding| elements(binding, &name("eth0"), None));
    let found = bindings(&list.into_iter().flatten().collect());
    let on_eth0 = [whole, one, other].map(|binding| binding.on(name("eth0")));
    let read: Vec<_> = found.iter().map(|bound| bound.binding.clone()).collect();
    assert_eq!(read, on_eth0);
    assert_eq!(found.iter().map(|bound| bound.keys.len()).collect::<Vec<_>>(), [1, 2, 1]);
}

#[test]
fn elements_that_are_no_binding_are_passed_over() {
    let note = Note::read("");
    let all = [
        (Key::Snat(name("eth0"), ip("172.18.0.2")), Value::Snat(ip("192.0.2.1"))),
        (Key::Hairpin("172.18.0.0/16".parse().unwrap()), Value::Member),
        (Key::Dnat(ip("192.0.2.2")), Value::Dnat(ip("127.0.0.1"), note.clone())),
        (Key::Dnat(ip("192.0.2.3")), Value::Dnat(ip("192.0.2.3"), note.clone())),
        (Key::Dnat(ip("192.0.2.4")), Value::Port(ip("172.18.0.2"), 80, note)),
        (Key::Through(name("br0"), name("br0")), Value::Member),
        (Key::Internal(name("br0")), Value::Member),
    ];
    let found = bindings(&all.into());
    let shown: Vec<_> = found.iter().map(|bound| bound.binding.to_string()).collect();
    assert_eq!(shown, ["192.0.2.4 -> 172.18.0.2"]);
}

#[test]
fn the_owner_of_what_cannot_be_read_is_unknown() {
    for (comment, owner, uplink) in [
        ("owner=cli uplink=eth0", "cli", Some("eth0")),
        ("uplink=eth0 owner=a", "a", Some("eth0")),
        ("owner=plugin:net x=y", "plugin:net", None),
        ("owner=a=b", "unknown", None),
        ("", "unknown", None),
        ("owner", "unknown", None),
        ("owner= uplink=", "unknown", None),
        ("owner=cli uplink=../../x", "cli", None),
        ("web server", "unknown", None),
        ("  owner=cli  ", "cli", None),
        ("owner=ä", "unknown", None),
    ] {
        let note = Note::read(comment);
        let read = (note.owner.as_str(), note.uplink.as_ref().map(LinkName::as_str));
        assert_eq!(read, (owner, uplink), "{comment:?}");
    }
}

#[test]
fn a_note_fits_a_comment() {
    let note = Note {
        owner: "o".repeat(crate::binding::OWNER_MAX).parse().unwrap(),
        uplink: Some(name("a-link-name-15c")),
    };
    // With the NUL; nft's comments have at most 128 bytes (`NFTNL_UDATA_COMMENT_MAXLEN`).
    assert!(note.to_string().len() < 128);
    assert_eq!(Note::read(&note.to_string()), note);
}

#[test]
fn a_mark_is_one_bit() {
    for (text, bits) in [("0x1000", 0x1000), ("4096", 0x1000), ("0x80000000", 1 << 31), ("1", 1)] {
        let mark: Mark = text.parse().unwrap();
        assert_eq!(mark.bits(), bits);
        assert_eq!(mark.to_string().parse::<Mark>().unwrap(), mark);
    }
    for bad in ["", "0", "3", "0x", "0x3000", "-1", "0x100000000", "mark", "0X1000", " 1"] {
        assert!(bad.parse::<Mark>().unwrap_err().is_usage(), "{bad:?}");
    }
}

#[test]
fn a_skeleton_knows_its_mark() {
    let all: Vec<Skeleton> =
        (0..32).map(|bit| Skeleton::new(Mark::new(1 << bit).unwrap())).collect();
    for (bit, skeleton) in all.iter().enumerate() {
        assert_eq!(skeleton.mark().unwrap().bits(), 1 << bit);
        assert_eq!(all.iter().filter(|other| *other == skeleton).count(), 1);
    }
}

#[test]
fn every_lookup_has_its_set() {
    let skeleton = Skeleton::new(Mark::default());
    let rules = skeleton.chains.iter().flat_map(|chain| &chain.rules);
    for expr in rules.flat_map(|rule| &rule.exprs) {
        if let expr::Expr::Lookup { set, result, .. } = expr {
            let found = skeleton.sets.iter().find(|found| found.name == *set).unwrap();
            assert!(result.is_none() || !found.data.is_empty(), "{set} leads to nothing");
        }
    }
    let maps: BTreeSet<&str> = skeleton.sets.iter().map(|set| set.name.as_str()).collect();
    assert_eq!(maps.len(), 11);
}

/// The rules of the chain of that name.
fn text_of(chain: &str) -> Vec<String> {
    let skeleton = Skeleton::new(Mark::default());
    let chain = skeleton.chains.iter().find(|found| found.name == chain).unwrap();
    chain.rules.iter().map(|rule| rule.text.clone()).collect()
}

#[test]
fn bridges_are_let_pass_and_shut_off_where_packets_are_forwarded() {
    let mark = "meta mark set meta mark | 0x00001000";
    assert_eq!(
        text_of("forward"),
        [
            "ct state new jump leaving",
            "meta mark & 0x00001000 == 0x00000000 jump bridges",
            "iifname @internal jump within",
            "oifname @internal drop",
        ]
    );
    assert_eq!(
        text_of("bridges"),
        [
            format!("iifname . oifname @through {mark}"),
            format!("ct state established,related oifname . iifname @through {mark}"),
        ]
    );
    assert_eq!(text_of("within"), ["iifname . oifname @through accept", "drop"]);
    // Last of all: what has a floating source address has it by then.
    let last = text_of("postrouting").pop();
    assert_eq!(last.as_deref(), Some("iifname . oifname @masqueraded masquerade"));
    let text = Skeleton::new(Mark::default()).to_string();
    for set in ["through", "masqueraded"] {
        assert!(text.contains(&format!("\tset {set} {{ type ifname . ifname; }}\n")), "{text}");
    }
    assert!(text.contains("\tset internal { type ifname; }\n"), "{text}");
}

#[test]
fn rules_of_a_bridge_are_pairs_of_links() {
    let keys = |rules: BridgeRules| -> Vec<String> {
        rules.elements().keys().map(|key| format!("{} {key}", key.map())).collect()
    };
    let own = "through \"br0\" . \"br0\"";
    assert_eq!(keys(BridgeRules::new(name("br0"))), [own]);
    assert_eq!(
        keys(bridge_rules_of("br0", &["eth0", "br0"], true, false)),
        [own, "through \"br0\" . \"eth0\"", "masqueraded \"br0\" . \"eth0\""]
    );
    assert_eq!(
        keys(bridge_rules_of("br0", &["eth0"], false, false)),
        [own, "through \"br0\" . \"eth0\""]
    );
    let internal = bridge_rules_of("br0", &["eth0"], true, true);
    assert_eq!(keys(internal), [own, "internal \"br0\""]);
}

#[test]
fn base_chains_come_before_those_of_docker() {
    let skeleton = Skeleton::new(Mark::default());
    let hook = |name: &str| -> Hook {
        skeleton.chains.iter().find(|chain| chain.name == name).unwrap().hook.unwrap()
    };
    assert!(hook("prerouting").nat && hook("prerouting").priority < -100);
    assert!(hook("output").nat && hook("output").priority < -100);
    assert!(hook("postrouting").nat && hook("postrouting").priority < 100);
    assert!(!hook("marks").nat && hook("marks").priority < hook("prerouting").priority);
    assert!(!hook("forward").nat && hook("forward").priority < 0);
}

#[test]
fn no_translation_no_table() {
    let desired = |families: &[Family]| {
        let families = families.iter().copied().collect();
        let skeleton = Skeleton::new(Mark::default());
        Ruleset::desired(Elements::new(), &families, skeleton, Family::ALL.into_iter())
    };
    assert_eq!(desired(&[]).skeleton, None);
    let v6 = desired(&[Family::V6]);
    assert!(v6.skeleton.is_some());
    assert!(matches!(v6.passes[&Family::V4], Pass::Absent { .. }));
    assert!(matches!(v6.passes[&Family::V6], Pass::There { .. }));
}

/// A binding with all that can be said about it.
fn any_binding() -> impl Strategy<Value = Binding> {
    // Of one port, one forward.
    let ports = || collection::btree_map((protocol(), 1u16..), 1u16.., 0..6);
    family().prop_flat_map(move |family| {
        (floating(family), fixed(family), ports(), any::<bool>(), owner()).prop_map(
            |(floating, fixed, ports, egress, owner)| {
                let ports = ports.into_iter().map(|((protocol, port), fixed_port)| PortForward {
                    protocol,
                    port,
                    fixed_port,
                });
                let ports: Vec<_> = ports.collect();
                let egress = egress || !ports.is_empty();
                let new = Binding::new(floating, fixed).unwrap().with_ports(ports);
                new.with_egress(egress).owned_by(owner)
            },
        )
    })
}

proptest! {
    #[test]
    fn a_binding_is_read_back_from_its_elements(
        binding in any_binding(),
        uplink in link_name(),
        in_subnet in any::<bool>(),
    ) {
        let network = in_subnet.then(|| IpNetwork::from(binding.fixed()));
        let elements = elements(&binding, &uplink, network);
        let found = bindings(&elements);
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(&found[0].binding, &binding.on(uplink));
        let translations = elements.values().filter(|value| value.fixed().is_some()).count();
        prop_assert_eq!(found[0].keys.len(), translations);
    }

    #[test]
    fn a_note_is_read_back(note in note()) {
        prop_assert_eq!(Note::read(&note.to_string()), note);
    }

    #[test]
    fn rules_of_bridges_are_read_back(
        list in collection::vec(any_bridge_rules(), 0..4),
        others in any_elements(),
    ) {
        let mut list: BTreeMap<_, _> =
            list.into_iter().map(|rules| (rules.bridge.clone(), rules)).collect();
        let mut elements: Elements =
            others.into_iter().filter(|(key, _)| key.bridge().is_none()).collect();
        elements.extend(list.values().flat_map(BridgeRules::elements));
        list.values_mut().for_each(|rules| *rules = rules.clone().normalized());
        prop_assert_eq!(bridge_rules(&elements), list.into_values().collect::<Vec<_>>());
    }

    #[test]
    fn any_comment_is_a_note(comment in any::<String>()) {
        let note = Note::read(&comment);
        prop_assert_eq!(Note::read(&note.to_string()), note);
    }
}
