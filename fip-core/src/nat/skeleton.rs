//! The constant part of the table: maps, chains and rules. No packet meets more rules because
//! there are more bindings.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::expr::Expr;
use super::{Mark, TABLE, rules};

/// The shape of the table, without the elements of its sets. Cheap to clone, and to compare with
/// a clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skeleton {
    /// The sets and maps.
    pub sets: Arc<Vec<Set>>,
    /// The chains, in the order of their creation.
    pub chains: Arc<Vec<Chain>>,
}

/// A set or map of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// What a key is made of.
    pub key: Vec<Field>,
    /// What a key leads to; nothing for a set.
    pub data: Vec<Field>,
    /// Keys are ranges.
    pub interval: bool,
    /// Each element counts the packets that found it.
    pub counter: bool,
}

/// A part of a key or of data, by nft's name of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `ipv4_addr`
    Ipv4,
    /// `ipv6_addr`
    Ipv6,
    /// `inet_proto`
    Protocol,
    /// `inet_service`
    Port,
    /// `ifname`
    LinkName,
}

impl Field {
    /// The size in bytes.
    pub fn size(self) -> usize {
        match self {
            Self::Ipv4 => 4,
            Self::Ipv6 | Self::LinkName => 16,
            Self::Protocol => 1,
            Self::Port => 2,
        }
    }

    /// nft's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4_addr",
            Self::Ipv6 => "ipv6_addr",
            Self::Protocol => "inet_proto",
            Self::Port => "inet_service",
            Self::LinkName => "ifname",
        }
    }
}

/// A chain with its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Where packets enter it, if it is a base chain. The policy is always accept.
    pub hook: Option<Hook>,
    /// The rules, in order.
    pub rules: Vec<Rule>,
}

/// Where a base chain hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// A `nat` chain; otherwise `filter`.
    pub nat: bool,
    /// The hook.
    pub point: HookPoint,
    /// The priority: lower comes first.
    pub priority: i32,
}

/// The netfilter hooks that matter here (`NF_INET_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookPoint {
    /// All that arrives.
    Prerouting,
    /// What is passed on.
    Forward,
    /// What this host sends.
    Output,
    /// All that leaves.
    Postrouting,
}

/// A rule: its meaning, and how nft writes it.
#[derive(Debug, Clone)]
pub struct Rule {
    /// nft's text; empty for a rule that was read from the kernel.
    pub text: String,
    /// The expressions.
    pub exprs: Vec<Expr>,
}

impl PartialEq for Rule {
    /// Rules are equal if they do the same, however written.
    fn eq(&self, other: &Self) -> bool {
        self.exprs == other.exprs
    }
}
impl Eq for Rule {}

impl Skeleton {
    /// The table's shape, with this mark for connections that it translated.
    pub fn new(mark: Mark) -> Self {
        // A host has one; it is the very same one each time, so that to compare costs nothing.
        static LAST: Mutex<Option<(Mark, Skeleton)>> = Mutex::new(None);
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((known, skeleton)) if *known == mark => skeleton.clone(),
            _ => {
                let (sets, chains) = (Arc::new(rules::sets()), Arc::new(rules::chains(mark)));
                last.insert((mark, Self { sets, chains })).1.clone()
            }
        }
    }

    /// Whether this has the same sets and chains, in whatever order they are.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let same_length =
            (self.sets.len(), self.chains.len()) == (other.sets.len(), other.chains.len());
        same_length
            && self.sets.iter().all(|set| other.sets.contains(set))
            && self.chains.iter().all(|chain| other.chains.contains(chain))
    }

    /// The mark that this skeleton was made with, if it is one of ours.
    pub fn mark(&self) -> Option<Mark> {
        let chain = self.chains.iter().find(|chain| chain.name == "marks")?;
        chain.rules.first()?.exprs.iter().find_map(|expr| match expr {
            Expr::Bitwise { mask, .. } => Mark::new(*mask).ok(),
            _ => None,
        })
    }

    /// The same, in an order that does not depend on how it was read.
    pub fn normalized(mut self) -> Self {
        Arc::make_mut(&mut self.sets).sort_by(|a, b| a.name.cmp(&b.name));
        Arc::make_mut(&mut self.chains).sort_by(|a, b| a.name.cmp(&b.name));
        self
    }
}

impl fmt::Display for Set {
    /// As nft writes it: `map dnat4 { type ipv4_addr : ipv4_addr; counter; }`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |fields: &[Field]| {
            fields.iter().map(|field| field.name()).collect::<Vec<_>>().join(" . ")
        };
        let kind = if self.data.is_empty() { "set" } else { "map" };
        write!(f, "{kind} {} {{ type {}", self.name, names(&self.key))?;
        if !self.data.is_empty() {
            write!(f, " : {}", names(&self.data))?;
        }
        let flags = if self.interval { " flags interval;" } else { "" };
        let counter = if self.counter { " counter;" } else { "" };
        write!(f, ";{flags}{counter} }}")
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.nat { "nat" } else { "filter" };
        let point = match self.point {
            HookPoint::Prerouting => "prerouting",
            HookPoint::Forward => "forward",
            HookPoint::Output => "output",
            HookPoint::Postrouting => "postrouting",
        };
        write!(f, "type {kind} hook {point} priority {}; policy accept;", self.priority)
    }
}

impl fmt::Display for Skeleton {
    /// As a file for `nft -f`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table inet {TABLE} {{")?;
        for set in self.sets.iter() {
            writeln!(f, "\t{set}")?;
        }
        for chain in self.chains.iter() {
            writeln!(f, "\tchain {} {{", chain.name)?;
            if let Some(hook) = chain.hook {
                writeln!(f, "\t\t{hook}")?;
            }
            for rule in &chain.rules {
                writeln!(f, "\t\t{}", rule.text)?;
            }
            writeln!(f, "\t}}")?;
        }
        write!(f, "}}")
    }
}
