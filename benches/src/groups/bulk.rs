//! Ten thousand bindings at once; one of them changes; none does; all are listed.

mod fip;
mod peers;
mod show;

use std::net::Ipv4Addr;

use crate::harness::{Bench, Group, in_turn};

use super::peers::{Pair, pairs};
use super::world::World;

pub(crate) use show::{plots, tables};

/// Where the one in the middle leads in each second turn.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(172, 18, 250, 1);

/// The limit, with which others are compared: all from nothing; one of all in a running process.
const LIMIT: &str = "limit: netlink messages alone";
const LIMIT_INSIDE: &str = "limit in a process";

/// All bindings, and the same with another fixed address for the one in the middle.
pub(super) struct Both {
    all: Vec<Pair>,
    changed: Vec<Pair>,
}

impl Both {
    fn new(count: u64) -> Self {
        let all = pairs(count);
        let mut changed = all.clone();
        changed[all.len() / 2].fixed = ELSEWHERE;
        Self { all, changed }
    }

    /// The one that changes, as it is in turn 0, 2, ... and in turn 1, 3, ...
    fn one(&self, turn: usize) -> Pair {
        let index = self.all.len() / 2;
        if turn.is_multiple_of(2) { self.all[index] } else { self.changed[index] }
    }
}

pub(crate) fn run(bench: &Bench) -> Group {
    let mut group = Group::new("bulk");
    let count = bench.of(10_000, 1_000);
    let rounds = bench.of(5, 2);
    group.set("bindings", count);
    group.set("rounds", rounds);
    group.uses("fip", &bench.programs.fip);
    for program in ["ip", "iptables-nft", "nft"] {
        group.peer(program);
    }
    group.set("fip", "fip apply --probe 0 --announce 0: peers neither ask nor announce");
    group.set("tracked connections", "none: fip would look for those that it has to forget");
    group.set("iptables-restore", "three rules for each, in one file; what was there is flushed");
    group.set("nft -f", "two maps, all elements in one transaction");
    group.set("ip -batch", "what makes the host answer for the addresses: fip does that too");
    group.set(
        LIMIT,
        "all elements in one transaction, then local routes, 128 a call; the process is up already",
    );
    let world = World::new();
    let both = Both::new(count);
    let peers = peers::Sites::new(bench, &world, &both);
    let fip = fip::Sites::new(bench, &world, &both);
    let mut cases = peers.cases(bench, &both);
    cases.extend(fip.cases(bench, &both));
    group.rows.extend(in_turn(rounds, 1, cases));
    group
}
