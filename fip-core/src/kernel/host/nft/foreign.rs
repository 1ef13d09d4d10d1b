//! What other people's rulesets do to forwarded packets.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::binding::LinkName;
use crate::nat::expr::{Expr, Meta, Verdict};
use crate::nat::skeleton::Rule;
use crate::nat::{Family, Foreign, Mark, Pass, TABLE};

use super::NftSocket;
use super::table::{self, AnyChain, AnyRule, INET, USER_CHAIN, msg};
use super::wire;

/// `NF_INET_FORWARD`
const FORWARD: u32 = 2;
/// Docker's nftables backend: its table, and the start of the names of the chains that drop what is
/// not published, each followed by the name of the bridge. `--bridge-accept-fwmark` puts a rule
/// into each.
const DOCKER_TABLE: &str = "docker-bridges";
const DOCKER_GUARD: &str = "filter-forward-in__";
/// The names of the expressions `reject` and `log`.
const REJECT: &str = "reject";
const LOG: &str = "log";

impl NftSocket {
    /// Our rules in foreign chains, and what foreign chains drop.
    pub(super) fn foreign(
        &mut self,
        chains: &[AnyChain],
        mark: Mark,
    ) -> io::Result<(BTreeMap<Family, Pass>, Foreign)> {
        let mut passes = BTreeMap::new();
        for family in Family::ALL {
            if has(chains, family, USER_CHAIN.0, USER_CHAIN.1) {
                let rules = self.rules(family.nfproto(), USER_CHAIN.0, USER_CHAIN.1)?;
                passes.insert(family, pass(&rules, mark));
            }
        }
        let mut dropping = Vec::new();
        for chain in chains.iter().filter(|chain| sees_forwarded(chain)) {
            let rules = self.rules(chain.family, &chain.table, &chain.name)?;
            if drops(chain, &rules, mark) {
                let families = families(chain);
                let nft = match chain.family {
                    INET => "inet",
                    _ => families.first().map_or("inet", |family| family.nft()),
                };
                dropping.push((format!("{nft} {} {}", chain.table, chain.name), families));
            }
        }
        let guarded = self.guarded(chains, mark)?;
        Ok((passes, Foreign { dropping, guarded }))
    }

    fn guarded(
        &mut self,
        chains: &[AnyChain],
        mark: Mark,
    ) -> io::Result<BTreeSet<(Family, LinkName)>> {
        let mut guarded = BTreeSet::new();
        for chain in chains.iter().filter(|chain| chain.table == DOCKER_TABLE) {
            let family = Family::ALL.into_iter().find(|f| f.nfproto() == chain.family);
            let link = chain.name.strip_prefix(DOCKER_GUARD).and_then(|link| link.parse().ok());
            if let (Some(family), Some(link)) = (family, link)
                && !self.accepts(chain.family, DOCKER_TABLE, &chain.name, mark)?
            {
                guarded.insert((family, link));
            }
        }
        Ok(guarded)
    }

    /// Whether a rule of the chain itself accepts our mark.
    fn accepts(&mut self, family: u8, table: &str, chain: &str, mark: Mark) -> io::Result<bool> {
        let rules = self.rules(family, table, chain)?;
        Ok(rules.iter().any(|any| accepts_mark(&any.rule, mark)))
    }

    fn rules(&mut self, family: u8, table: &str, chain: &str) -> io::Result<Vec<AnyRule>> {
        let request = table::message(msg::GETRULE, family, table).with(|w| _ = w.text(2, chain));
        let rules = self.socket.dump(&request, |reply| table::read_rule(&reply))?;
        // The kernel may list the whole table.
        Ok(rules.into_iter().filter(|any| any.chain == chain).collect())
    }
}

fn has(chains: &[AnyChain], family: Family, table: &str, name: &str) -> bool {
    chains
        .iter()
        .any(|chain| chain.family == family.nfproto() && chain.table == table && chain.name == name)
}

/// Whether forwarded packets pass this base chain of somebody else.
fn sees_forwarded(chain: &AnyChain) -> bool {
    let families = [INET, Family::V4.nfproto(), Family::V6.nfproto()];
    let forward = chain.hook.as_ref().is_some_and(|(number, ..)| *number == FORWARD);
    let ours = chain.family == INET && chain.table == TABLE;
    forward && !ours && families.contains(&chain.family)
}

/// Whether the chain drops all that its rules do not accept, by its policy or by a rule without
/// conditions, and none of the rules before that lets our packets pass.
fn drops(chain: &AnyChain, rules: &[AnyRule], mark: Mark) -> bool {
    let end = rules.iter().position(|any| drops_all(&any.rule));
    if end.is_none() && !chain.drops {
        return false;
    }
    let asked = &rules[..end.unwrap_or(rules.len())];
    // Where there is a chain for users' rules, one of ours accepts our packets there.
    let has_users = chain.family != INET && chain.table == USER_CHAIN.0;
    let passes = |any: &AnyRule| {
        accepts_mark(&any.rule, mark) || (has_users && jumps(&any.rule, USER_CHAIN.1))
    };
    !asked.iter().any(passes)
}

fn families(chain: &AnyChain) -> Vec<Family> {
    let sees = |family: &Family| chain.family == INET || chain.family == family.nfproto();
    Family::ALL.into_iter().filter(sees).collect()
}

/// Where our rule is in a chain for users' rules: it belongs after all of theirs, but before the
/// `RETURN` with which older Docker engines end the chain.
fn pass(rules: &[AnyRule], mark: Mark) -> Pass {
    let ours: Vec<&AnyRule> = rules.iter().filter(|any| is_ours(any)).collect();
    let last = rules.iter().rfind(|any| !is_ours(any));
    let closing = last.filter(|any| returns(&any.rule)).map(|any| any.handle);
    let place = rules.len().checked_sub(1 + usize::from(closing.is_some()));
    match ours.as_slice() {
        [] => Pass::Absent { before: closing },
        [one]
            if accepts_mark(&one.rule, mark)
                && place.map(|at| rules[at].handle) == Some(one.handle) =>
        {
            Pass::There { handle: one.handle }
        }
        _ => Pass::Misplaced {
            handles: ours.iter().map(|any| any.handle).collect(),
            before: closing,
        },
    }
}

/// Our rule bears the table's name as its comment, also after `iptables-save` and
/// `iptables-restore`, which turn it into a match.
fn is_ours(any: &AnyRule) -> bool {
    let matched = Expr::Foreign(wire::matched_comment(TABLE));
    any.comment.as_deref() == Some(TABLE) || any.rule.exprs.contains(&matched)
}

fn returns(rule: &Rule) -> bool {
    unconditional(rule) == Some(&Expr::Verdict(Verdict::Return))
}

fn jumps(rule: &Rule, chain: &str) -> bool {
    matches!(unconditional(rule), Some(Expr::Verdict(Verdict::Jump(to))) if to == chain)
}

fn drops_all(rule: &Rule) -> bool {
    match unconditional(rule) {
        Some(Expr::Verdict(verdict)) => *verdict == Verdict::Drop,
        Some(Expr::Foreign(name)) => [REJECT, wire::REJECT_TARGET].contains(&name.as_str()),
        _ => false,
    }
}

/// What the rule does to every packet; none if it asks anything of the packet first.
fn unconditional(rule: &Rule) -> Option<&Expr> {
    let notes = |expr: &&Expr| match expr {
        Expr::Counter => true,
        Expr::Foreign(name) => name == LOG || name.starts_with(&wire::matched_comment("")),
        _ => false,
    };
    let mut exprs = rule.exprs.iter().filter(|expr| !notes(expr));
    exprs.next().filter(|_| exprs.next().is_none())
}

/// `meta mark & MARK == MARK accept`, however else it counts or comments.
fn accepts_mark(rule: &Rule, mark: Mark) -> bool {
    let m = mark.bits();
    let accepts = rule.exprs.last() == Some(&Expr::Verdict(Verdict::Accept));
    let reads = rule.exprs.first() == Some(&Expr::Meta { key: Meta::Mark, slot: 0 });
    let mask = rule.exprs.iter().find_map(|expr| match expr {
        Expr::Bitwise { mask, xor: 0, .. } => Some(*mask),
        _ => None,
    });
    let value = rule.exprs.iter().find_map(|expr| match expr {
        Expr::Compare { equal: true, value, .. } => value.as_slice().try_into().ok(),
        _ => None,
    });
    accepts && reads && value == Some(m.to_ne_bytes()) && mask.unwrap_or(m) & m == m
}
