//! An address moves from one host to another, under a question each millisecond.

mod agents;
mod keepalived;
mod limit;
mod ours;
mod scene;
mod shell;

use std::time::Duration;

use crate::harness::{Bench, Case, Figures, Group, Table, cell, in_turn};
use crate::lab::Family;
use crate::plot::{Bar, Bars, Plot, Who};
use keepalived::{End, Pace};
use shell::Announced;

/// How long a client may stay in the dark before its run is ended.
const DARK: Duration = Duration::from_secs(45);
/// And while it still gets answers by way of the old host.
const PATIENCE: Duration = Duration::from_secs(8);

/// What the cases are called.
const NONE: &str = "no move";
const WAITING: &str = "fip: B waits, then A unbinds";
const IN_TURN: &str = "fip: A unbinds, then B binds";
const TAKE_OVER: &str = "fip: B takes over, then A unbinds";
const TAKE_OVER_WATCH: &str = "fip: B takes over, A's watch yields";
const DEAD: &str = "fip: A dead, B binds";
const AGENT_WAITING: &str = "fip-agent: starts on B, then stops on A";
const AGENT_IN_TURN: &str = "fip-agent: stops on A, then starts on B";
const AGENT_TAKE_OVER: &str = "fip-agent: B takes over, A yields";
const AGENT_DEAD: &str = "fip-agent: A dead";
const AGENT_CUT_OFF: &str = "fip-agent: A cut off from its source";
const LIMIT: &str = "the limit: B takes it, then A lets go";
const LIMIT_DEAD: &str = "the limit: A dead, B takes it";
const KEEPALIVED_STOP: &str = "keepalived: stopped on A";
const KEEPALIVED_DRAIN: &str = "keepalived: stopped on A, translation removed";
const KEEPALIVED_CRASH: &str = "keepalived, adverts 1 s: A dead";
const KEEPALIVED_FAST: &str = "keepalived, VRRPv3 adverts 0.1 s: A dead";
const SILENT: &str = "ip + nft, no announcement: A up";
const SILENT_DEAD: &str = "ip + nft, no announcement: A dead";
const ARPING: &str = "ip + nft + arping -U: A up";
const ARPING_DEAD: &str = "ip + nft + arping -U: A dead";

/// A case of `fip` itself.
type Ours = fn(&Bench, Family) -> Figures;

const OURS: [(&str, Ours); 10] = [
    (WAITING, ours::waiting),
    (IN_TURN, ours::one_after_the_other),
    (TAKE_OVER, ours::take_over),
    (TAKE_OVER_WATCH, ours::take_over_from_a_watch),
    (DEAD, ours::dead),
    (AGENT_WAITING, agents::started_then_stopped),
    (AGENT_IN_TURN, agents::stopped_then_started),
    (AGENT_TAKE_OVER, agents::take_over),
    (AGENT_DEAD, agents::dead),
    (AGENT_CUT_OFF, agents::cut_off),
];

/// Those of a quick run.
const FEW: [&str; 5] = [WAITING, TAKE_OVER, DEAD, AGENT_TAKE_OVER, AGENT_DEAD];

/// Measures all moves.
pub(crate) fn run(bench: &Bench) -> Group {
    let mut group = Group::new("moves");
    group.set(
        "probes",
        "UDP, one each millisecond, from 1.3 s before the move until B has \
        answered 300 on end",
    );
    group.set("dead", "the port of host A on the switch goes down; B is told at that moment");
    group.set("late", "answered, but after more than 5 ms");
    group.set("fip", "as it comes: --probe 100ms, --rival wait; take-over where it is said");
    group.set("fip-agent", "--source file --attach direct");
    group.set("ip + nft", "maps that exist before; the commands in one sh -c on each host");
    group.uses("fip", &bench.programs.fip);
    group.uses("ip", std::path::Path::new("ip"));
    let mut cases = vec![Case::new(NONE, None, || ours::none(bench))];
    for (name, run) in OURS.into_iter().filter(|(name, _)| !bench.quick || FEW.contains(name)) {
        cases.push(Case::new(name, None, move || run(bench, Family::V4)));
    }
    if bench.quick {
        group.note("--quick: half of the moves of fip, and IPv6, are left out");
    } else {
        cases.extend(OURS.map(|(name, run)| {
            let case = Case::new(&format!("{name} (IPv6)"), None, move || run(bench, Family::V6));
            case.every(3)
        }));
    }
    cases.push(Case::new(LIMIT, None, || limit::planned(bench)));
    cases.push(Case::new(LIMIT_DEAD, None, || limit::dead(bench)));
    cases.extend(of_keepalived(bench, &mut group));
    cases.extend(of_the_shell(bench, &mut group));
    group.rows = in_turn(bench.of(5, 1), 0, cases);
    group
}

fn of_keepalived<'a>(bench: &'a Bench, group: &mut Group) -> Vec<Case<'a>> {
    if group.peer("keepalived").is_none() {
        return Vec::new();
    }
    group.set(
        "keepalived",
        "one VRRP instance, MASTER/BACKUP, priorities 150/100, one virtual address, announcements \
         as they come; a static nft translation on both hosts; adverts each second (the default) \
         or VRRPv3 and each 0.1 s",
    );
    let ends = [
        (KEEPALIVED_FAST, Pace::Fast, End::Crash),
        (KEEPALIVED_CRASH, Pace::Default, End::Crash),
        (KEEPALIVED_STOP, Pace::Default, End::Stop),
        (KEEPALIVED_DRAIN, Pace::Default, End::Drain),
    ];
    let some = if bench.quick { &ends[..1] } else { &ends[..] };
    if bench.quick {
        group.note(
            "--quick: keepalived with adverts each second, and its planned moves, are left out",
        );
    }
    let case = |&(name, pace, end): &(&str, Pace, End)| {
        Case::new(name, None, move || keepalived::run(bench, pace, end)).every(3)
    };
    some.iter().map(case).collect()
}

fn of_the_shell<'a>(bench: &Bench, group: &mut Group) -> Vec<Case<'a>> {
    let mut cases =
        vec![Case::new(SILENT, None, || shell::planned(Announced::No, PATIENCE)).every(3)];
    if bench.quick {
        group.note(
            "--quick: without an announcement a dead host's clients wait up to 45 s: left out",
        );
    } else {
        cases.push(Case::new(SILENT_DEAD, None, || shell::dead(Announced::No, DARK)).every(5));
    }
    if group.peer("arping").is_some() {
        cases.push(Case::new(ARPING, None, || shell::planned(Announced::Yes, PATIENCE)));
        cases.push(Case::new(ARPING_DEAD, None, || shell::dead(Announced::Yes, PATIENCE)));
    }
    cases
}

/// Its pictures.
pub(crate) fn plots(group: &Group) -> Vec<(String, Plot)> {
    let planned = [
        (TAKE_OVER_WATCH, Who::Fip),
        (WAITING, Who::Fip),
        (LIMIT, Who::Limit),
        (ARPING, Who::Shell),
        (KEEPALIVED_DRAIN, Who::Keepalived),
        (SILENT, Who::Shell),
    ];
    let unplanned = [
        (DEAD, Who::Fip),
        (AGENT_DEAD, Who::Fip),
        (LIMIT_DEAD, Who::Limit),
        (ARPING_DEAD, Who::Shell),
        (KEEPALIVED_FAST, Who::Keepalived),
        (KEEPALIVED_CRASH, Who::Keepalived),
        (SILENT_DEAD, Who::Shell),
    ];
    [
        (
            "moves-planned.svg",
            "A planned move, at a probe each millisecond: the longest time without an answer",
            &planned[..],
        ),
        ("moves-dead.svg", "The old host is dead: the longest time without an answer", &unplanned),
    ]
    .into_iter()
    .filter_map(|(file, title, cases)| Some((file.to_owned(), plot(group, title, cases)?)))
    .collect()
}

fn plot(group: &Group, title: &str, cases: &[(&str, Who)]) -> Option<Plot> {
    let bar = |&(name, who): &(&str, Who)| {
        let value = group.spread(name, None, "outage ms")?;
        Some(Bar { name: name.to_owned(), who, value })
    };
    let bars: Vec<Bar> = cases.iter().filter_map(bar).collect();
    let x = "milliseconds".to_owned();
    let bars = Bars { title: title.to_owned(), x, logarithmic: true, bars };
    (!bars.bars.is_empty()).then_some(Plot::Bars(bars))
}

/// Its tables.
pub(crate) fn tables(group: &Group) -> Vec<Table> {
    let metrics = ["lost", "late", "outage ms", "first answer ms"];
    let head = ["move", "lost", "late", "longest outage ms", "first answer from B after ms"];
    let mut table = Table::new("Moves, at a probe each millisecond", &head);
    for case in group.cases("lost") {
        let figures = metrics.map(|metric| cell(group.spread(case, None, metric)));
        table.rows.push(std::iter::once(case.to_owned()).chain(figures).collect());
    }
    vec![table]
}
