//! All that is in the packet filter: ours, and what matters of the others'.

use std::collections::{BTreeMap, BTreeSet};

use super::{Elements, Family, Skeleton};
use crate::binding::LinkName;

/// All that we keep in the kernel's packet filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    /// The table's shape; none if there is no such table.
    pub skeleton: Option<Skeleton>,
    /// The elements of its maps.
    pub elements: Elements,
    /// The rule that lets our connections through, by the family of the chain (`DOCKER-USER` of
    /// the table `filter`) that is the place for it. A family without such a chain is not there.
    pub passes: BTreeMap<Family, Pass>,
}

impl Ruleset {
    /// The ruleset with these elements, where it has a use for packets of these families, and
    /// foreign `chains` for our rule. No use, no table: else it has the shape of `skeleton`.
    pub fn desired(
        elements: Elements,
        families: &BTreeSet<Family>,
        skeleton: Skeleton,
        chains: impl Iterator<Item = Family>,
    ) -> Self {
        let passes = chains
            .map(|family| match families.contains(&family) {
                true => (family, Pass::There { handle: 0 }),
                false => (family, Pass::Absent { before: None }),
            })
            .collect();
        let skeleton = (!families.is_empty()).then_some(skeleton);
        Self { skeleton, elements, passes }
    }
}

/// Our rule in a foreign chain, with what is needed to change that.
#[derive(Debug, Clone)]
pub enum Pass {
    /// The chain has it not.
    Absent {
        /// The handle of the rule before which it belongs; the end of the chain if none.
        before: Option<u64>,
    },
    /// The chain has it, once, after the user's own rules.
    There {
        /// The handle of our rule.
        handle: u64,
    },
    /// The chain has it more than once, before a rule of the user's, or with another mark.
    Misplaced {
        /// The handles of our rules.
        handles: Vec<u64>,
        /// The handle of the rule before which it belongs; the end of the chain if none.
        before: Option<u64>,
    },
}

impl PartialEq for Pass {
    /// Equal in effect; handles are names only.
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}
impl Eq for Pass {}

/// The packet filter as it is: our part and what matters of the others', of one generation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The generation of all this (`NFTA_GEN_ID`).
    pub generation: u32,
    /// Our part.
    pub ruleset: Ruleset,
    /// The others'.
    pub foreign: Foreign,
}

/// What of other people's rulesets decides whether our packets pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Foreign {
    /// Base chains that drop what is forwarded unless a rule accepts it, and have no chain for
    /// users' rules, as `inet filter forward`; with the families that they see.
    pub dropping: Vec<(String, Vec<Family>)>,
    /// Links whose forwarded packets Docker's nftables backend drops unless they are published.
    pub guarded: BTreeSet<(Family, LinkName)>,
}
