//! From the ruleset that is to the ruleset that shall be, in as few steps as possible.
//!
//! Pure: nothing here talks to a kernel. [`Changes`] are plain data, printed as nft text.

use std::fmt::{self, Write as _};

use crate::nat::{Elements, Family, Key, Mark, Pass, Ruleset, TABLE, Value};
use crate::nat::{Skeleton, pass_rule};

/// What most lines have room in, so that none grows while it is written.
const LINE: usize = 96;

/// What has to be done, in this order, as one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// To the table as a whole.
    pub table: Option<TableChange>,
    /// Elements to delete.
    pub remove: Vec<(Key, Value)>,
    /// Elements to add.
    pub add: Vec<(Key, Value)>,
    /// To foreign chains.
    pub passes: Vec<PassChange>,
}

/// A change of the table as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableChange {
    /// Create it, without elements.
    Create(Skeleton),
    /// Someone changed its shape: delete it and create it anew, without elements.
    Replace(Skeleton),
    /// Delete it with all that is in it.
    Delete,
}

/// A change of the place that a foreign chain has for our rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassChange {
    /// The family of the chain `DOCKER-USER` of the table `filter`.
    pub family: Family,
    /// Handles of our rules to delete.
    pub remove: Vec<u64>,
    /// The rule to add, if one is to be added.
    pub add: Option<PassRule>,
}

/// Our rule for a foreign chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassRule {
    /// The mark that it accepts.
    pub mark: Mark,
    /// The handle of the rule before which it is put; the end of the chain if none.
    pub before: Option<u64>,
}

impl Changes {
    /// Nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.table.is_none()
            && self.remove.is_empty()
            && self.add.is_empty()
            && self.passes.is_empty()
    }

    /// What becomes of the ruleset.
    pub fn apply(&self, ruleset: &mut Ruleset) {
        match &self.table {
            Some(TableChange::Create(skeleton) | TableChange::Replace(skeleton)) => {
                ruleset.skeleton = Some(skeleton.clone());
                ruleset.elements.clear();
            }
            Some(TableChange::Delete) => {
                ruleset.skeleton = None;
                ruleset.elements.clear();
            }
            None => {}
        }
        for (key, _) in &self.remove {
            ruleset.elements.remove(key);
        }
        let add = self.add.iter().cloned();
        match ruleset.elements.is_empty() {
            // In order as they are, that takes a fraction of entering one by one.
            true => ruleset.elements = add.collect(),
            false => ruleset.elements.extend(add),
        }
        for change in &self.passes {
            let pass = match change.add {
                Some(_) => Pass::There { handle: 0 },
                None => Pass::Absent { before: None },
            };
            ruleset.passes.insert(change.family, pass);
        }
    }

    /// One line of nft text for each change.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match &self.table {
            Some(TableChange::Create(skeleton)) => lines.push(skeleton.to_string()),
            Some(TableChange::Replace(skeleton)) => {
                lines.push(format!("delete table inet {TABLE}"));
                lines.push(skeleton.to_string());
            }
            Some(TableChange::Delete) => lines.push(format!("delete table inet {TABLE}")),
            None => {}
        }
        lines.extend(
            self.remove
                .iter()
                .map(|(key, _)| format!("delete element inet {TABLE} {} {{ {key} }}", key.map())),
        );
        lines.extend(self.add.iter().map(|(key, value)| added(key, value)));
        lines.extend(self.passes.iter().flat_map(PassChange::lines));
        lines
    }
}

impl PassChange {
    fn lines(&self) -> Vec<String> {
        let chain = format!("{} filter DOCKER-USER", self.family.nft());
        let remove =
            self.remove.iter().map(|handle| format!("delete rule {chain} handle {handle}"));
        let add = self.add.iter().map(|add| {
            let text = pass_rule(add.mark).text;
            match add.before {
                Some(handle) => {
                    format!("insert rule {chain} position {handle} {text} comment \"{TABLE}\"")
                }
                None => format!("add rule {chain} {text} comment \"{TABLE}\""),
            }
        });
        remove.chain(add).collect()
    }
}

/// The line that adds an element.
fn added(key: &Key, value: &Value) -> String {
    let mut line = String::with_capacity(LINE);
    // A string takes whatever is written to it.
    let _ = write_added(&mut line, key, value);
    line
}

fn write_added(line: &mut String, key: &Key, value: &Value) -> fmt::Result {
    write!(line, "add element inet {TABLE} {} {{ {key}", key.map())?;
    match value {
        Value::Dnat(fixed, note) => write!(line, " comment \"{note}\" : {fixed}")?,
        Value::Port(fixed, port, note) => write!(line, " comment \"{note}\" : {fixed} . {port}")?,
        Value::Snat(floating) => write!(line, " : {floating}")?,
        Value::Member => {}
    }
    line.push_str(" }");
    Ok(())
}

impl fmt::Display for Changes {
    /// A file for `nft -f`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// What turns `current` into `desired`. Elements that are in both alike are not touched.
pub fn diff(desired: &Ruleset, current: &Ruleset) -> Changes {
    changes(desired.clone(), current)
}

/// The same, of what is of no more use.
pub(crate) fn changes(desired: Ruleset, current: &Ruleset) -> Changes {
    let table = table_change(&desired, current);
    let kept = if table.is_some() { &Elements::new() } else { &current.elements };
    let mut changes = Changes { table, ..Changes::default() };
    for (key, value) in kept {
        if desired.elements.get(key) != Some(value) {
            changes.remove.push((key.clone(), value.clone()));
        }
    }
    changes.passes = pass_changes(&desired, current);
    let comes = |(key, value): &(Key, Value)| kept.get(key) != Some(value);
    changes.add = desired.elements.into_iter().filter(comes).collect();
    changes
}

fn table_change(desired: &Ruleset, current: &Ruleset) -> Option<TableChange> {
    match (&desired.skeleton, &current.skeleton) {
        (Some(desired), Some(current)) if desired == current => None,
        (Some(desired), Some(_)) => Some(TableChange::Replace(desired.clone())),
        (Some(desired), None) => Some(TableChange::Create(desired.clone())),
        (None, Some(_)) => Some(TableChange::Delete),
        (None, None) => None,
    }
}

fn pass_changes(desired: &Ruleset, current: &Ruleset) -> Vec<PassChange> {
    let mark = desired.skeleton.as_ref().and_then(Skeleton::mark).unwrap_or_default();
    let mut changes = Vec::new();
    for (&family, now) in &current.passes {
        let wanted = matches!(desired.passes.get(&family), Some(Pass::There { .. }));
        let (remove, before) = match now {
            Pass::Absent { before } if wanted => (Vec::new(), *before),
            Pass::There { handle } if !wanted => (vec![*handle], None),
            Pass::Misplaced { handles, before } => (handles.clone(), *before),
            Pass::Absent { .. } | Pass::There { .. } => continue,
        };
        let add = wanted.then_some(PassRule { mark, before });
        changes.push(PassChange { family, remove, add });
    }
    changes
}

#[cfg(test)]
mod tests;
