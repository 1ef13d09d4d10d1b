//! The packet filter in memory: our table, and what of the others' matters.

use std::collections::BTreeMap;
use std::io;

use crate::diff::{Changes, PassChange, TableChange};
use crate::kernel::{Commit, Counter};
use crate::nat::{Elements, Family, Foreign, Key, Mark, Pass, Ruleset, Skeleton, Snapshot};

use super::world::errno;

/// The ruleset of a namespace.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    pub(super) generation: u32,
    pub(super) skeleton: Option<Skeleton>,
    pub(super) elements: Elements,
    /// What elements have counted: packets and bytes.
    pub(super) counted: BTreeMap<Key, (u64, u64)>,
    /// `DOCKER-USER` of the table `filter`.
    pub(super) user_chains: BTreeMap<Family, Vec<UserRule>>,
    pub(super) foreign: Foreign,
    pub(super) last_handle: u64,
}

/// A rule of the chain for users' rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UserRule {
    handle: u64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Accepts this mark.
    Ours(Mark),
    /// A user's, that decides some packets.
    User,
    /// A `RETURN` of everything.
    Return,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            generation: 1,
            skeleton: None,
            elements: Elements::new(),
            counted: BTreeMap::new(),
            user_chains: BTreeMap::new(),
            foreign: Foreign::default(),
            last_handle: 0,
        }
    }
}

impl Filter {
    /// A transaction took place.
    pub(super) fn next_generation(&mut self) {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let mark = self.skeleton.as_ref().and_then(Skeleton::mark).unwrap_or_default();
        let chains = self.user_chains.iter();
        let ruleset = Ruleset {
            skeleton: self.skeleton.clone(),
            elements: self.elements.clone(),
            passes: chains.map(|(family, rules)| (*family, pass(rules, mark))).collect(),
        };
        Snapshot { generation: self.generation, ruleset, foreign: self.foreign.clone() }
    }

    pub(super) fn counters(&self) -> Vec<Counter> {
        let counts = self.elements.keys().filter(|key| matches!(key, Key::Dnat(_) | Key::Port(..)));
        let counter = |key: &Key| {
            let (packets, bytes) = self.counted.get(key).copied().unwrap_or_default();
            Counter { key: key.clone(), packets, bytes }
        };
        counts.map(counter).collect()
    }

    /// Adds a rule at the end of the chain for users' rules, which is made if there is none.
    pub(super) fn add_user_rule(&mut self, family: Family, kind: Kind) {
        self.last_handle += 1;
        let rule = UserRule { handle: self.last_handle, kind };
        self.user_chains.entry(family).or_default().push(rule);
    }

    pub(super) fn commit(&mut self, changes: &Changes, generation: u32) -> io::Result<Commit> {
        if generation != self.generation {
            return Ok(Commit::Stale);
        }
        if !changes.is_empty() {
            let mut next = self.clone();
            next.apply(changes)?;
            next.next_generation();
            *self = next;
        }
        Ok(Commit::Done)
    }

    fn apply(&mut self, changes: &Changes) -> io::Result<()> {
        if let Some(change) = &changes.table {
            self.apply_table(change)?;
        }
        for (key, _) in &changes.remove {
            self.elements.remove(key).ok_or_else(|| errno(libc::ENOENT))?;
            self.counted.remove(key);
        }
        for (key, value) in &changes.add {
            let sets = self.skeleton.iter().flat_map(|skeleton| skeleton.sets.iter());
            if !sets.into_iter().any(|set| set.name == key.map()) {
                return Err(errno(libc::ENOENT));
            }
            if self.covers(key) {
                return Err(errno(libc::EEXIST));
            }
            self.elements.insert(key.clone(), value.clone());
        }
        changes.passes.iter().try_for_each(|change| self.apply_pass(change))
    }

    /// Whether there is such an element; or for a subnet, one within which it is.
    fn covers(&self, key: &Key) -> bool {
        let within = |other: &Key| match (key, other) {
            (Key::Hairpin(inner), Key::Hairpin(outer)) => {
                inner.prefix() >= outer.prefix() && outer.contains(inner.network())
            }
            _ => false,
        };
        self.elements.contains_key(key)
            || (matches!(key, Key::Hairpin(_)) && self.elements.keys().any(within))
    }

    fn apply_table(&mut self, change: &TableChange) -> io::Result<()> {
        let (must_exist, next) = match change {
            TableChange::Create(skeleton) => (false, Some(skeleton)),
            TableChange::Replace(skeleton) => (true, Some(skeleton)),
            TableChange::Delete => (true, None),
        };
        match (self.skeleton.is_some(), must_exist) {
            (true, false) => return Err(errno(libc::EEXIST)),
            (false, true) => return Err(errno(libc::ENOENT)),
            _ => {}
        }
        self.skeleton = next.cloned();
        self.elements.clear();
        self.counted.clear();
        Ok(())
    }

    fn apply_pass(&mut self, change: &PassChange) -> io::Result<()> {
        let missing = || errno(libc::ENOENT);
        let chain = self.user_chains.get_mut(&change.family).ok_or_else(missing)?;
        let place = |chain: &[UserRule], handle| {
            chain.iter().position(|rule| rule.handle == handle).ok_or_else(missing)
        };
        for handle in &change.remove {
            chain.remove(place(chain, *handle)?);
        }
        if let Some(add) = change.add {
            let at = add.before.map_or(Ok(chain.len()), |handle| place(chain, handle))?;
            self.last_handle += 1;
            chain.insert(at, UserRule { handle: self.last_handle, kind: Kind::Ours(add.mark) });
        }
        Ok(())
    }
}

/// Where our rule is in a chain for users' rules.
fn pass(rules: &[UserRule], mark: Mark) -> Pass {
    let is_ours = |rule: &&UserRule| matches!(rule.kind, Kind::Ours(_));
    let handles: Vec<u64> = rules.iter().filter(is_ours).map(|rule| rule.handle).collect();
    let last = rules.iter().rfind(|rule| !is_ours(rule));
    let before = last.filter(|rule| rule.kind == Kind::Return).map(|rule| rule.handle);
    let place = rules.len().checked_sub(1 + usize::from(before.is_some()));
    let right = place.is_some_and(|at| rules[at].kind == Kind::Ours(mark));
    match handles.as_slice() {
        [] => Pass::Absent { before },
        &[handle] if right => Pass::There { handle },
        _ => Pass::Misplaced { handles, before },
    }
}
