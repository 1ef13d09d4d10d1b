//! The text of changes is true: what it says to nft is what netlink does, and the other way round.
//! nft(8) is the witness, on the real kernel.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lab;

use fip_core::claim::{Claim, RivalPolicy};
use fip_core::diff::{Changes, TableChange, diff};
use fip_core::fip::{BindOptions, Report};
use fip_core::kernel::host::Host;
use fip_core::kernel::{Commit, Nft};
use fip_core::nat::{self, Elements, Family, Mark, Pass, Ruleset, Skeleton};
use fip_core::{Binding, BridgeRules, FloatingIps, LinkName, Options, Owner};
use lab::Ns;

fn open(ns: &Ns) -> Host {
    Host::open_in(&ns.path().to_str().unwrap().parse().unwrap()).unwrap()
}

fn skeleton() -> Skeleton {
    Skeleton::new(Mark::default())
}

fn whole(floating: &str, fixed: &str) -> Binding {
    Binding::new(floating.parse().unwrap(), fixed.parse().unwrap()).unwrap()
}

/// Elements of every kind, of both families.
fn some_elements() -> Elements {
    let uplinks: [LinkName; 2] = ["eth0", "a-link-name-15c"].map(|name| name.parse().unwrap());
    let ports = |binding: Binding| {
        ["tcp:80:8080", "udp:53", "sctp:65535:1"]
            .iter()
            .fold(binding, |binding, port| binding.port(port.parse().unwrap()))
    };
    let owner: Owner = "plugin:a.b_c/d@e+f-0123456789".parse().unwrap();
    let mut all = Elements::new();
    for (binding, network) in [
        (whole("192.0.2.20", "172.18.0.2"), Some("172.18.0.0/16")),
        (ports(whole("192.0.2.21", "172.18.0.2")), None),
        (whole("192.0.2.22", "172.19.0.2").owned_by(owner), Some("172.19.0.2/31")),
        (whole("2001:db8::20", "2001:db8:18::2"), Some("2001:db8:18::/64")),
        (ports(whole("2001:db8::21", "2001:db8:18::2")), None),
        (whole("2001:db8::22", "2001:db8:19::2"), Some("2001:db8:19::/127")),
    ] {
        let uplink = &uplinks[usize::from(binding.owner() != &Owner::default())];
        all.extend(nat::elements(&binding, uplink, network.map(|text| text.parse().unwrap())));
    }
    let bridge = BridgeRules::new("br0".parse().unwrap());
    let open = BridgeRules { outlets: uplinks.into(), masquerade: true, ..bridge };
    let internal = BridgeRules::new("br-0123456789ab".parse().unwrap());
    all.extend(open.elements());
    all.extend(BridgeRules { internal: true, ..internal }.elements());
    all
}

fn commit(kernel: &mut Host, changes: &Changes) {
    let generation = kernel.generation().unwrap();
    assert_eq!(kernel.commit(changes, generation).unwrap(), Commit::Done);
}

/// What makes the ruleset so.
fn changes_to(desired: &Ruleset, kernel: &mut Host) -> Changes {
    diff(desired, &kernel.snapshot().unwrap().ruleset)
}

/// Words and braces, without the separators that nft sets as it likes, and with numbers in place
/// of the names of priorities.
fn normalized(text: &str) -> String {
    let spaced = text.replace(['\n', '\t', ';'], " ").replace('{', " { ").replace('}', " } ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut out: Vec<String> = Vec::new();
    let mut rest = words.as_slice();
    while let Some((word, next)) = rest.split_first() {
        rest = next;
        let base = match *word {
            "mangle" => -150,
            "dstnat" => -100,
            "filter" if out.last().is_some_and(|last| last == "priority") => 0,
            "srcnat" => 100,
            _ => {
                out.push((*word).to_owned());
                continue;
            }
        };
        let offset = match rest {
            ["-", number, ..] => -number.parse::<i32>().unwrap(),
            ["+", number, ..] => number.parse::<i32>().unwrap(),
            _ => 0,
        };
        rest = &rest[if offset == 0 { 0 } else { 2 }..];
        out.push((base + offset).to_string());
    }
    out.join(" ")
}

#[test]
fn the_table_is_listed_as_it_is_printed() {
    for mark in [Mark::default(), Mark::new(1).unwrap(), Mark::new(1 << 30).unwrap()] {
        let ns = Ns::new("host");
        let skeleton = Skeleton::new(mark);
        let create = TableChange::Create(skeleton.clone());
        commit(&mut open(&ns), &Changes { table: Some(create), ..Changes::default() });
        let listed = ns.nft("-s list table inet fip");
        assert_eq!(normalized(&listed), normalized(&skeleton.to_string()), "{listed}");
    }
}

#[test]
fn text_and_netlink_make_the_same_ruleset() {
    let (by_netlink, by_text) = (Ns::new("netlink"), Ns::new("text"));
    for ns in [&by_netlink, &by_text] {
        for family in ["ip", "ip6"] {
            ns.nft_script(&format!(
                "table {family} filter {{ chain DOCKER-USER {{ tcp dport 25 drop; return; }}; }}"
            ));
        }
    }
    let passes = Family::ALL.map(|family| (family, Pass::There { handle: 0 })).into();
    let full = Ruleset { skeleton: Some(skeleton()), elements: some_elements(), passes };
    let mut fewer = full.clone();
    let mut places = 0..;
    fewer.elements.retain(|_, _| places.next().is_some_and(|place| place % 2 == 0));
    fewer.passes.insert(Family::V6, Pass::Absent { before: None });
    let none = Ruleset {
        passes: Family::ALL.map(|family| (family, Pass::Absent { before: None })).into(),
        ..Ruleset::default()
    };
    for desired in [&full, &fewer, &full, &none, &full] {
        let (mut netlink, mut text) = (open(&by_netlink), open(&by_text));
        let changes = changes_to(desired, &mut netlink);
        commit(&mut netlink, &changes);
        by_text.nft_script(&changes_to(desired, &mut text).to_string());
        assert_eq!(netlink.snapshot().unwrap().ruleset, *desired);
        assert_eq!(text.snapshot().unwrap().ruleset, *desired);
        assert_eq!(by_text.nft("-s list ruleset"), by_netlink.nft("-s list ruleset"));
    }
}

#[test]
fn a_replaced_table_is_replaced_by_its_text_too() {
    let ns = Ns::new("host");
    let mut kernel = open(&ns);
    let altered = Ruleset { skeleton: Some(skeleton()), ..Ruleset::default() };
    commit(&mut kernel, &diff(&altered, &Ruleset::default()));
    ns.nft("add rule inet fip forward drop");
    let desired = Ruleset { elements: some_elements(), ..altered };
    let changes = diff(&desired, &kernel.snapshot().unwrap().ruleset);
    assert!(matches!(changes.table, Some(TableChange::Replace(_))));
    ns.nft_script(&changes.to_string());
    assert_eq!(kernel.snapshot().unwrap().ruleset, desired);
}

#[test]
fn a_saved_ruleset_is_the_same_when_it_is_restored() {
    let (before, after) = (Ns::new("before"), Ns::new("after"));
    before.iptables("-N DOCKER-USER");
    before.iptables("-P FORWARD DROP");
    let mut kernel = open(&before);
    let chains = [(Family::V4, Pass::There { handle: 0 })].into();
    let desired = Ruleset { skeleton: Some(skeleton()), elements: some_elements(), passes: chains };
    let changes = changes_to(&desired, &mut kernel);
    commit(&mut kernel, &changes);
    after.nft_script(&before.nft("list ruleset"));
    let mut restored = open(&after).snapshot().unwrap();
    restored.generation = kernel.generation().unwrap();
    assert_eq!(restored, kernel.snapshot().unwrap());
    assert_eq!(restored.ruleset, desired);
}

/// iptables writes the rule in its own words, with the comment as a match.
#[test]
fn the_rule_in_a_users_chain_survives_iptables() {
    for (family, save, restore) in [
        (Family::V4, "iptables-nft-save", "iptables-nft-restore"),
        (Family::V6, "ip6tables-nft-save", "ip6tables-nft-restore"),
    ] {
        let ns = Ns::new("host");
        ns.iptables("-N DOCKER-USER");
        ns.ip6tables("-N DOCKER-USER");
        let mut kernel = open(&ns);
        let pass = |there: bool| match there {
            true => Pass::There { handle: 0 },
            false => Pass::Absent { before: None },
        };
        let passes = |there| Family::ALL.map(|each| (each, pass(there && each == family))).into();
        let desired = |there| Ruleset {
            skeleton: Some(skeleton()),
            passes: passes(there),
            ..Ruleset::default()
        };
        let changes = changes_to(&desired(true), &mut kernel);
        commit(&mut kernel, &changes);
        let saved = ns.tool(save, &[], "");
        assert!(saved.contains("--comment fip"), "{saved}");
        ns.tool(restore, &[], &saved);
        assert_eq!(ns.tool(save, &[], "").matches("--comment fip").count(), 1);
        assert_eq!(kernel.snapshot().unwrap().ruleset, desired(true));
        let changes = changes_to(&desired(false), &mut kernel);
        commit(&mut kernel, &changes);
        assert!(!ns.tool(save, &[], "").contains("fip"));
    }
}

/// A host with three bindings of two owners.
struct Altered {
    host: Ns,
    fips: FloatingIps<Host>,
    before: Ruleset,
}

fn bind(fips: &mut FloatingIps<Host>, binding: &Binding) -> fip_core::Result<Report> {
    let claim = Claim { policy: RivalPolicy::TakeOver, ..Claim::default() };
    fips.bind_with(binding, &BindOptions { claim, ..BindOptions::default() })
}

impl Altered {
    fn new() -> Self {
        let host = Ns::new("host");
        host.ip_batch(
            "link add eth0 type bridge\nlink set eth0 up\naddr add 192.0.2.10/24 dev eth0\n\
             link add br0 type bridge\nlink set br0 up\naddr add 172.18.0.1/16 dev br0\n",
        );
        let mut fips = FloatingIps::new(open(&host), Options::default());
        for binding in [
            whole("192.0.2.20", "172.18.0.2"),
            whole("192.0.2.21", "172.18.0.3").owned_by("agent".parse().unwrap()),
            whole("192.0.2.22", "172.18.0.4").port("tcp:80".parse().unwrap()),
        ] {
            bind(&mut fips, &binding).unwrap();
        }
        let before = fips.kernel().snapshot().unwrap().ruleset;
        Self { host, fips, before }
    }

    /// Whether every binding is told to be in an altered table.
    fn is_seen(&mut self) -> bool {
        let list = self.fips.list().unwrap();
        let altered = |problems: &[String]| problems.iter().any(|text| text.contains("altered"));
        list.iter().all(|status| altered(&status.problems))
    }

    fn repair(&mut self) {
        let report = bind(&mut self.fips, &whole("192.0.2.20", "172.18.0.2")).unwrap();
        assert_eq!(report.changes[0], "delete table inet fip");
        assert_eq!(self.fips.kernel().snapshot().unwrap().ruleset, self.before);
        let listed = self.host.nft("-s list table inet fip");
        let chains = |text: &str| normalized(text).split_once("chain").unwrap().1.to_owned();
        assert_eq!(chains(&listed), chains(&skeleton().to_string()));
    }
}

#[test]
fn what_others_change_in_the_table_is_seen_and_repaired() {
    for alteration in [
        "add rule inet fip forward drop",
        "insert rule inet fip translate ip daddr 192.0.2.20 tcp dport 22 accept",
        "add rule inet fip sources counter",
        "flush chain inet fip marks",
        "add chain inet fip forward { policy drop; }",
        "add chain inet fip extra",
        "add chain inet fip extra { type filter hook input priority 0; }",
        "add map inet fip extra { type ipv4_addr : ipv4_addr; }",
        "add table inet fip { flags dormant; }",
    ] {
        let mut host = Altered::new();
        host.host.nft_script(alteration);
        assert!(host.is_seen(), "{alteration}");
        host.repair();
        assert!(!host.is_seen(), "{alteration}");
    }
}

#[test]
fn a_removed_rule_is_seen_and_repaired() {
    let plain = ["translate", "sources", "ours", "leaving", "bridges", "within"];
    let base = ["marks", "prerouting", "output", "forward", "postrouting"];
    for chain in plain.into_iter().chain(base) {
        let mut host = Altered::new();
        let listed = host.host.nft(&format!("-a list chain inet fip {chain}"));
        let last = listed.lines().rfind(|line| line.contains("# handle")).unwrap();
        let handle = last.rsplit_once("# handle ").unwrap().1;
        host.host.nft(&format!("delete rule inet fip {chain} handle {handle}"));
        assert!(host.is_seen(), "{chain}: {last}");
        host.repair();
    }
}

#[test]
fn an_element_made_by_hand_is_held_by_nobody_known() {
    let mut host = Altered::new();
    host.host.nft_script("add element inet fip dnat4 { 192.0.2.99 : 172.18.0.9 }");
    let unknown: Owner = "unknown".parse().unwrap();
    let theirs = whole("192.0.2.99", "172.18.0.9").owned_by(unknown.clone()).with_egress(false);
    let by_hand = host.fips.bindings(&unknown).unwrap();
    assert_eq!(by_hand, [theirs]);
    let error = bind(&mut host.fips, &whole("192.0.2.99", "172.18.0.2")).unwrap_err();
    assert_eq!(error.to_string(), "192.0.2.99 is already bound to 172.18.0.9 by unknown");
    // It outlives a repair.
    host.host.nft("flush chain inet fip marks");
    bind(&mut host.fips, &whole("192.0.2.20", "172.18.0.2")).unwrap();
    assert_eq!(host.fips.bindings(&unknown).unwrap(), by_hand);
    host.fips.unbind("192.0.2.99".parse().unwrap(), &[], &unknown).unwrap();
    assert_eq!(host.fips.kernel().snapshot().unwrap().ruleset, host.before);
}

#[test]
fn comments_that_are_not_ours_are_read_without_harm() {
    let mut host = Altered::new();
    for (place, comment) in
        ["owner=", "owner=a b", "uplink=../..", "owner=x uplink=", "\\ = ; # é", ""]
            .iter()
            .enumerate()
    {
        host.host.nft_script(&format!(
            "add element inet fip dnat4 {{ 192.0.2.{} comment \"{comment}\" : 172.18.0.9 }}",
            100 + place
        ));
    }
    let list = host.fips.list().unwrap();
    let owners: Vec<&str> =
        list.iter().skip(3).map(|status| status.binding.owner().as_str()).collect();
    assert_eq!(owners, ["unknown", "a", "unknown", "x", "unknown", "unknown"]);
}
