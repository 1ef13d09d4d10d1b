use std::collections::BTreeMap;

use proptest::collection;
use proptest::prelude::*;

use super::*;
use crate::binding::Binding;
use crate::nat::tests::{any_elements, any_skeleton, family};
use crate::nat::{self, Note};

fn any_pass() -> impl Strategy<Value = Pass> {
    let before = proptest::option::of(1..9u64);
    prop_oneof![
        before.clone().prop_map(|before| Pass::Absent { before }),
        (1..9u64).prop_map(|handle| Pass::There { handle }),
        (collection::vec(1..9u64, 1..3), before)
            .prop_map(|(handles, before)| Pass::Misplaced { handles, before }),
    ]
}

/// A ruleset that can be: elements only in a table.
fn any_ruleset() -> impl Strategy<Value = Ruleset> {
    let table = proptest::option::weighted(0.8, (any_skeleton(), any_elements()));
    (table, collection::btree_map(family(), any_pass(), 0..3)).prop_map(|(table, passes)| {
        let (skeleton, elements) = table.unzip();
        Ruleset { skeleton, elements: elements.unwrap_or_default(), passes }
    })
}

/// A ruleset, and one that is desired in its place: about the same chains of others, and with
/// some of the same elements.
fn two_rulesets() -> impl Strategy<Value = (Ruleset, Ruleset)> {
    let keep = collection::vec(any::<bool>(), 40);
    (any_ruleset(), any_ruleset(), keep, any::<bool>(), any::<bool>()).prop_map(
        |(current, mut desired, keep, same_table, pass)| {
            if same_table {
                desired.skeleton = current.skeleton.clone();
            }
            if desired.skeleton.is_none() {
                desired.elements.clear();
            } else {
                let kept = current.elements.iter().zip(keep).filter(|(_, keep)| *keep);
                let kept = kept.map(|((key, value), _)| (key.clone(), value.clone()));
                desired.elements.extend(kept);
            }
            let passes = current.passes.keys().map(|family| match pass {
                true => (*family, Pass::There { handle: 0 }),
                false => (*family, Pass::Absent { before: None }),
            });
            desired.passes = passes.collect();
            (current, desired)
        },
    )
}

proptest! {
    #[test]
    fn what_was_desired_is_what_comes_out((current, desired) in two_rulesets()) {
        let mut ruleset = current.clone();
        diff(&desired, &current).apply(&mut ruleset);
        prop_assert_eq!(ruleset, desired);
    }

    #[test]
    fn nothing_is_to_be_done_twice((current, desired) in two_rulesets()) {
        let mut ruleset = current;
        diff(&desired, &ruleset).apply(&mut ruleset);
        prop_assert!(diff(&desired, &ruleset).is_empty());
    }

    #[test]
    fn the_same_is_no_change(mut ruleset in any_ruleset()) {
        ruleset.passes.retain(|_, pass| !matches!(pass, Pass::Misplaced { .. }));
        let changes = diff(&ruleset, &ruleset);
        prop_assert!(changes.is_empty(), "{}", changes);
        prop_assert_eq!(changes.to_string(), "");
    }

    #[test]
    fn what_is_the_same_is_not_touched((current, desired) in two_rulesets()) {
        let changes = diff(&desired, &current);
        prop_assume!(changes.table.is_none());
        for (key, value) in changes.remove.iter().chain(&changes.add) {
            let same = current.elements.get(key) == desired.elements.get(key);
            prop_assert!(!same, "{} : {:?}", key, value);
        }
        let changed = current.elements.iter().filter(|(k, v)| desired.elements.get(k) != Some(v));
        prop_assert_eq!(changes.remove.len(), changed.count());
    }

    #[test]
    fn the_order_of_the_elements_means_nothing((current, desired) in two_rulesets()) {
        let mut changes = diff(&desired, &current);
        changes.remove.reverse();
        changes.add.reverse();
        changes.passes.reverse();
        let mut ruleset = current;
        changes.apply(&mut ruleset);
        prop_assert_eq!(ruleset, desired);
    }

    #[test]
    fn every_change_is_printed((current, desired) in two_rulesets()) {
        let changes = diff(&desired, &current);
        let tables = match &changes.table {
            None => 0,
            Some(TableChange::Replace(_)) => 2,
            Some(_) => 1,
        };
        let passes: usize =
            changes.passes.iter().map(|pass| pass.remove.len() + usize::from(pass.add.is_some())).sum();
        let lines = changes.lines();
        prop_assert_eq!(lines.len(), tables + changes.remove.len() + changes.add.len() + passes);
        prop_assert_eq!(changes.to_string(), lines.iter().map(|l| format!("{l}\n")).collect::<String>());
    }
}

fn whole(floating: &str, fixed: &str) -> Elements {
    let binding = Binding::new(floating.parse().unwrap(), fixed.parse().unwrap()).unwrap();
    nat::elements(&binding, &"eth0".parse().unwrap(), None)
}

fn table(elements: Elements) -> Ruleset {
    let skeleton = Some(Skeleton::new(Mark::default()));
    Ruleset { skeleton, elements, passes: BTreeMap::new() }
}

#[test]
fn a_retargeted_address_is_replaced_in_its_place() {
    let current = table(whole("192.0.2.20", "172.18.0.2"));
    let desired = table(whole("192.0.2.20", "172.18.0.3"));
    assert_eq!(
        diff(&desired, &current).lines(),
        [
            "delete element inet fip dnat4 { 192.0.2.20 }",
            "delete element inet fip snat4 { \"eth0\" . 172.18.0.2 }",
            "add element inet fip dnat4 { 192.0.2.20 comment \"owner=cli uplink=eth0\" : 172.18.0.3 }",
            "add element inet fip snat4 { \"eth0\" . 172.18.0.3 : 192.0.2.20 }",
        ]
    );
}

#[test]
fn a_table_that_goes_takes_its_elements() {
    let current = table(whole("192.0.2.20", "172.18.0.2"));
    assert_eq!(diff(&Ruleset::default(), &current).lines(), ["delete table inet fip"]);
}

#[test]
fn an_altered_table_is_made_anew_with_all_elements() {
    let desired = table(whole("192.0.2.20", "172.18.0.2"));
    let mut current = desired.clone();
    current.skeleton = Some(Skeleton::new(Mark::new(1).unwrap()));
    let lines = diff(&desired, &current).lines();
    assert_eq!(lines[0], "delete table inet fip");
    assert!(lines[1].starts_with("table inet fip {\n"));
    assert_eq!(lines.len(), 2 + desired.elements.len());
}

#[test]
fn another_owner_is_another_element() {
    let current = table(whole("192.0.2.20", "172.18.0.2"));
    let mut desired = current.clone();
    for value in desired.elements.values_mut() {
        if let Value::Dnat(_, note) = value {
            *note = Note { owner: "agent".parse().unwrap(), uplink: note.uplink.clone() };
        }
    }
    let changes = diff(&desired, &current);
    assert_eq!((changes.remove.len(), changes.add.len()), (1, 1));
}

#[test]
fn rules_in_foreign_chains_are_named_by_their_handles() {
    let current = Ruleset {
        passes: [
            (Family::V4, Pass::Misplaced { handles: vec![7, 9], before: Some(8) }),
            (Family::V6, Pass::Absent { before: None }),
        ]
        .into(),
        ..table(Elements::new())
    };
    let passes = |v4, v6| [(Family::V4, v4), (Family::V6, v6)].into();
    let there = || Pass::There { handle: 0 };
    let desired = Ruleset { passes: passes(there(), there()), ..current.clone() };
    const RULE: &str = "meta mark & 0x00001000 == 0x00001000 counter accept comment \"fip\"";
    assert_eq!(
        diff(&desired, &current).lines(),
        [
            "delete rule ip filter DOCKER-USER handle 7".to_owned(),
            "delete rule ip filter DOCKER-USER handle 9".to_owned(),
            format!("insert rule ip filter DOCKER-USER position 8 {RULE}"),
            format!("add rule ip6 filter DOCKER-USER {RULE}"),
        ]
    );
    let absent = || Pass::Absent { before: None };
    let desired = Ruleset { passes: passes(absent(), absent()), ..current.clone() };
    assert_eq!(diff(&desired, &current).lines().len(), 2);
}
