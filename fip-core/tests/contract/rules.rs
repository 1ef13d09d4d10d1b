//! The ruleset: transactions, generations, and the rule in the chain for users' rules.

use fip_core::diff::{Changes, PassChange, PassRule, TableChange, diff};
use fip_core::kernel::{Commit, Nft};
use fip_core::nat::{Elements, Family, Key, Mark, Note, Pass, Ruleset, Skeleton, Value, elements};
use fip_core::{Binding, BridgeRules, Error};

use super::scene::{Scene, name};

pub(super) fn binding(floating: &str, fixed: &str) -> Binding {
    Binding::new(floating.parse().unwrap(), fixed.parse().unwrap()).unwrap()
}

/// Elements of every kind, of both families.
pub(super) fn some_elements() -> Elements {
    let port = |text: &str| text.parse().unwrap();
    let longest_name = name("a-link-name-15c");
    let mut all = Elements::new();
    for (floating, fixed, network) in [
        ("192.0.2.20", "172.18.0.2", "172.18.0.0/16"),
        ("192.0.2.22", "172.19.0.2", "172.19.0.0/31"),
        ("2001:db8::20", "2001:db8:18::2", "2001:db8:18::/64"),
        ("2001:db8::22", "2001:db8:19::2", "2001:db8:19::/127"),
    ] {
        let whole = binding(floating, fixed).owned_by("a".repeat(80).parse().unwrap());
        all.extend(elements(&whole, &longest_name, Some(network.parse().unwrap())));
    }
    for (floating, fixed) in [("192.0.2.21", "172.18.0.2"), ("2001:db8::21", "2001:db8:18::2")] {
        let ports = binding(floating, fixed).port(port("tcp:80:8080")).port(port("udp:53"));
        all.extend(elements(&ports.port(port("sctp:65535:1")), &name("eth0"), None));
    }
    let outlets = ["eth0", "a-link-name-15c"].map(name).into();
    let open = BridgeRules { outlets, masquerade: true, ..BridgeRules::new(name("br0")) };
    let internal = BridgeRules { internal: true, ..BridgeRules::new(longest_name) };
    all.extend([open, internal].iter().flat_map(BridgeRules::elements));
    all
}

pub(super) fn table(elements: Elements) -> Ruleset {
    let skeleton = Some(Skeleton::new(Mark::default()));
    Ruleset { skeleton, elements, ..Ruleset::default() }
}

/// Commits to the present ruleset.
fn commit(kernel: &mut impl Nft, changes: &Changes) -> fip_core::Result<Commit> {
    let generation = kernel.generation().unwrap();
    kernel.commit(changes, generation)
}

/// Makes the ruleset so.
pub(super) fn make(kernel: &mut impl Nft, desired: &Ruleset) -> Changes {
    let snapshot = kernel.snapshot().unwrap();
    let changes = diff(desired, &snapshot.ruleset);
    assert_eq!(kernel.commit(&changes, snapshot.generation).unwrap(), Commit::Done);
    changes
}

fn errno(result: fip_core::Result<Commit>) -> i32 {
    match result.unwrap_err() {
        Error::Kernel { source, .. } => source.raw_os_error().unwrap(),
        other => panic!("{other}"),
    }
}

pub(crate) fn what_is_committed_is_read_back(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let empty = kernel.snapshot().unwrap();
    assert_eq!(empty.ruleset, Ruleset::default());
    let desired = table(some_elements());
    make(kernel, &desired);
    let snapshot = kernel.snapshot().unwrap();
    assert_eq!(snapshot.ruleset, desired);
    assert_eq!(snapshot.generation, empty.generation + 1);
    assert_eq!(scene.open().snapshot().unwrap(), snapshot);

    let mut fewer = desired.clone();
    let mut places = 0..;
    fewer.elements.retain(|_, _| places.next().is_some_and(|place| place % 2 == 0));
    make(kernel, &fewer);
    assert_eq!(kernel.snapshot().unwrap().ruleset, fewer);
    make(kernel, &desired);
    assert_eq!(kernel.snapshot().unwrap().ruleset, desired);
    make(kernel, &Ruleset::default());
    assert_eq!(kernel.snapshot().unwrap().ruleset, Ruleset::default());
}

pub(crate) fn a_stale_transaction_does_nothing(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let changes = diff(&table(some_elements()), &Ruleset::default());
    let generation = kernel.generation().unwrap();
    scene.touch_ruleset();
    assert_eq!(kernel.commit(&changes, generation).unwrap(), Commit::Stale);
    assert_eq!(kernel.snapshot().unwrap().ruleset, Ruleset::default());
    assert_eq!(kernel.commit(&changes, generation + 1).unwrap(), Commit::Done);
    assert_eq!(kernel.commit(&changes, generation + 3).unwrap(), Commit::Stale, "from the future");
}

pub(crate) fn a_transaction_is_made_whole_or_not_at_all(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let mut elements = some_elements();
    let (key, value) = elements.pop_first().unwrap();
    let desired = table(elements.clone());
    make(kernel, &desired);
    let generation = kernel.generation().unwrap();
    for (present, other) in &elements {
        let changes = Changes {
            add: vec![(key.clone(), value.clone()), (present.clone(), other.clone())],
            ..Changes::default()
        };
        assert_eq!(errno(commit(kernel, &changes)), libc::EEXIST, "{present}");
        let changes = Changes {
            remove: vec![(present.clone(), other.clone()), (key.clone(), value.clone())],
            ..Changes::default()
        };
        assert_eq!(errno(commit(kernel, &changes)), libc::ENOENT, "{present}");
    }
    assert_eq!(kernel.generation().unwrap(), generation);
    assert_eq!(kernel.snapshot().unwrap().ruleset, desired);
}

pub(crate) fn a_table_is_created_and_deleted_once(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let skeleton = Skeleton::new(Mark::new(0x40).unwrap());
    let change = |table| Changes { table: Some(table), ..Changes::default() };
    let create = change(TableChange::Create(skeleton.clone()));
    let replace = change(TableChange::Replace(skeleton.clone()));
    let delete = change(TableChange::Delete);
    let add = Changes { add: some_elements().into_iter().collect(), ..Changes::default() };
    for missing in [&replace, &delete, &add] {
        assert_eq!(errno(commit(kernel, missing)), libc::ENOENT, "{missing}");
    }
    assert_eq!(commit(kernel, &create).unwrap(), Commit::Done);
    assert_eq!(errno(commit(kernel, &create)), libc::EEXIST);
    assert_eq!(commit(kernel, &add).unwrap(), Commit::Done);
    assert_eq!(commit(kernel, &replace).unwrap(), Commit::Done);
    let ruleset = kernel.snapshot().unwrap().ruleset;
    assert_eq!(ruleset, Ruleset { skeleton: Some(skeleton), ..Ruleset::default() });
    assert_eq!(commit(kernel, &delete).unwrap(), Commit::Done);
    assert_eq!(errno(commit(kernel, &delete)), libc::ENOENT);
}

pub(crate) fn elements_may_change_within_a_transaction(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let mut desired = table(some_elements());
    make(kernel, &desired);
    let note = Note { owner: "other".parse().unwrap(), uplink: Some(name("eth1")) };
    for (key, value) in &mut desired.elements {
        match value {
            Value::Dnat(_, n) | Value::Port(_, _, n) => *n = note.clone(),
            Value::Snat(floating) => *floating = binding("192.0.2.99", "172.18.0.9").floating(),
            Value::Member => assert!(matches!(key, Key::Hairpin(_)) || key.bridge().is_some()),
        }
    }
    desired.elements.retain(|key, _| !matches!(key, Key::Snat(_, fixed) if fixed.is_ipv6()));
    let changes = make(kernel, &desired);
    assert!(!changes.remove.is_empty() && !changes.add.is_empty());
    assert_eq!(kernel.snapshot().unwrap().ruleset, desired);
    // The same key gone and come again, a subnet's too.
    let all: Vec<_> = desired.elements.clone().into_iter().collect();
    let again = Changes { remove: all.clone(), add: all, ..Changes::default() };
    assert_eq!(commit(kernel, &again).unwrap(), Commit::Done);
    assert_eq!(kernel.snapshot().unwrap().ruleset, desired);
}

pub(crate) fn a_subnet_within_another_is_refused(scene: &impl Scene) {
    let kernel = &mut scene.open();
    make(kernel, &table(Elements::new()));
    let hairpin = |text: &str| (Key::Hairpin(text.parse().unwrap()), Value::Member);
    let add = |networks: &[&str]| Changes {
        add: networks.iter().map(|text| hairpin(text)).collect(),
        ..Changes::default()
    };
    for (inner, outer) in [("172.18.4.0/24", "172.18.0.0/16"), ("2001:db8:1::/64", "2001:db8::/32")]
    {
        assert_eq!(errno(commit(kernel, &add(&[outer, inner]))), libc::EEXIST);
        assert_eq!(commit(kernel, &add(&[inner])).unwrap(), Commit::Done);
        assert_eq!(commit(kernel, &add(&[outer])).unwrap(), Commit::Done);
        assert_eq!(errno(commit(kernel, &add(&[inner]))), libc::EEXIST);
    }
    // What goes in the same transaction is not in the way.
    let changes = Changes { remove: vec![hairpin("172.18.0.0/16")], ..add(&["172.18.0.0/17"]) };
    assert_eq!(commit(kernel, &changes).unwrap(), Commit::Done);
}

pub(crate) fn nothing_to_do_is_no_transaction(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let generation = kernel.generation().unwrap();
    assert_eq!(kernel.commit(&Changes::default(), generation).unwrap(), Commit::Done);
    assert_eq!(kernel.generation().unwrap(), generation);
    assert_eq!(kernel.commit(&Changes::default(), generation + 1).unwrap(), Commit::Stale);
}

pub(crate) fn a_generation_counts_the_transactions_of_all(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let generation = kernel.generation().unwrap();
    assert_eq!(kernel.snapshot().unwrap().generation, generation);
    scene.touch_ruleset();
    assert_eq!(kernel.generation().unwrap(), generation + 1);
    make(&mut scene.open(), &table(some_elements()));
    assert_eq!(kernel.generation().unwrap(), generation + 2);
    scene.delete_table();
    assert_eq!(kernel.snapshot().unwrap().generation, generation + 3);
    assert_eq!(kernel.snapshot().unwrap().ruleset, Ruleset::default());
}

fn pass(kernel: &mut impl Nft, family: Family) -> Option<Pass> {
    kernel.snapshot().unwrap().ruleset.passes.get(&family).cloned()
}

/// Adds our rule to this family's chain.
fn let_pass(kernel: &mut impl Nft, families: &[Family]) {
    let current = kernel.snapshot().unwrap().ruleset;
    let desired = Ruleset {
        passes: current
            .passes
            .keys()
            .map(|family| match families.contains(family) {
                true => (*family, Pass::There { handle: 0 }),
                false => (*family, Pass::Absent { before: None }),
            })
            .collect(),
        ..table(current.elements)
    };
    make(kernel, &desired);
    assert_eq!(kernel.snapshot().unwrap().ruleset, desired);
}

pub(crate) fn the_pass_rule_goes_after_the_users_rules(scene: &impl Scene) {
    let kernel = &mut scene.open();
    assert_eq!(kernel.snapshot().unwrap().ruleset.passes.len(), 0);
    for family in Family::ALL {
        scene.add_user_chain(family);
        let absent = pass(kernel, family);
        assert!(matches!(absent, Some(Pass::Absent { before: None })), "{absent:?}");
        scene.add_user_rule(family);
        let absent = pass(kernel, family);
        assert!(matches!(absent, Some(Pass::Absent { before: None })), "{absent:?}");
    }
    scene.add_user_return(Family::V4);
    let absent = pass(kernel, Family::V4);
    assert!(matches!(absent, Some(Pass::Absent { before: Some(_) })), "{absent:?}");
    let_pass(kernel, &Family::ALL);
    let_pass(kernel, &[Family::V6]);
    let_pass(kernel, &[]);
    assert!(matches!(pass(kernel, Family::V4), Some(Pass::Absent { before: Some(_) })));
}

pub(crate) fn a_misplaced_pass_rule_is_put_right(scene: &impl Scene) {
    let kernel = &mut scene.open();
    for family in Family::ALL {
        scene.add_user_chain(family);
    }
    let_pass(kernel, &Family::ALL);
    scene.add_user_rule(Family::V4);
    scene.add_user_return(Family::V6);
    let now = pass(kernel, Family::V4);
    assert!(matches!(now, Some(Pass::Misplaced { before: None, .. })), "{now:?}");
    let now = pass(kernel, Family::V6);
    assert!(matches!(now, Some(Pass::There { .. })), "{now:?}");
    let_pass(kernel, &Family::ALL);
    scene.add_user_rule(Family::V6);
    let now = pass(kernel, Family::V6);
    assert!(matches!(now, Some(Pass::Misplaced { before: None, .. })), "{now:?}");
    let_pass(kernel, &[Family::V4]);
    // With the mark of a table that is no more.
    let other = Ruleset {
        skeleton: Some(Skeleton::new(Mark::new(0x40).unwrap())),
        ..kernel.snapshot().unwrap().ruleset
    };
    make(kernel, &other);
    let now = pass(kernel, Family::V4);
    assert!(matches!(now, Some(Pass::Misplaced { .. })), "{now:?}");
    let_pass(kernel, &Family::ALL);
}

pub(crate) fn foreign_rules_of_unknown_handles_fail(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let (family, mark) = (Family::V4, Mark::default());
    let changes = |remove, before| Changes {
        passes: vec![PassChange { family, remove, add: Some(PassRule { mark, before }) }],
        ..Changes::default()
    };
    assert_eq!(errno(commit(kernel, &changes(vec![], None))), libc::ENOENT, "no chain");
    scene.add_user_chain(family);
    assert_eq!(errno(commit(kernel, &changes(vec![4711], None))), libc::ENOENT);
    assert_eq!(errno(commit(kernel, &changes(vec![], Some(4711)))), libc::ENOENT);
    assert!(matches!(pass(kernel, family), Some(Pass::Absent { .. })));
}
