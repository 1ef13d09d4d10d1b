//! One binding comes and goes while 0, 1,000 or 10,000 others are there: whole processes, and in
//! a running one.

mod docker;
mod inside;
mod netavark;
mod process;
mod show;

use crate::harness::{Bench, Group, in_turn};

use super::peers::pairs;
use super::world::World;

pub(crate) use show::{plots, tables};

/// What is bound before that is measured.
const COUNTS: [u64; 3] = [0, 1_000, 10_000];

/// The cases of the limit, with which others are compared.
const LIMIT: &str = "limit, route";

pub(crate) fn run(bench: &Bench) -> Group {
    let mut group = Group::new("control");
    let rounds = bench.of(11, 1);
    group.set("rounds", rounds);
    group.set("samples of a running process in a round", inside::samples(bench));
    group.set("0 present", "the chains are there, and fip's table with one binding in it");
    group.set(
        "fip, library",
        "also forget the connections that are tracked for the address, which no peer does here; \
         none are tracked, but where it is said",
    );
    process::describe(&mut group, bench);
    let mut engine = docker::Docker::start(&mut group);
    for &count in bench.of(&COUNTS[..], &COUNTS[..2]) {
        eprintln!("  {count} present");
        let world = World::new();
        let present = pairs(count);
        let sites = process::Sites::new(&world, &present);
        let inside = inside::Sites::new(&world, &present);
        let netavark = netavark::Site::start(bench, &mut group, &present);
        if let Some(engine) = &mut engine {
            engine.have(&present);
        }
        let mut cases = sites.cases(bench, &world, count);
        cases.extend(inside.cases(bench, &world, &present));
        cases.extend(engine.iter().flat_map(docker::Docker::cases));
        cases.extend(netavark.iter().flat_map(netavark::Site::cases));
        group.rows.extend(in_turn(rounds, bench.of(1, 0), cases));
    }
    group
}
