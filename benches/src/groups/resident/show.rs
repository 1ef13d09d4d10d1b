//! The pictures and tables of this group.

use crate::harness::{Group, Table, amount, cell};
use crate::plot::{Bar, Bars, Plot, Who};

use super::METRICS;

const CHANGES: [&str; 2] = ["RSS after changes MiB", "each change ms"];
const FIRST: &str = "start event to first answer ms";

/// Each case with each of its numbers of bindings.
fn all(group: &Group) -> Vec<(&str, u64)> {
    let counts = group.counts(METRICS[0]);
    let cases = group.cases(METRICS[0]).into_iter();
    let each = cases.flat_map(|case| counts.iter().map(move |&count| (case, count)));
    each.filter(|(case, count)| group.row(case, Some(*count), METRICS[0]).is_some()).collect()
}

pub(crate) fn plots(group: &Group) -> Vec<(String, Plot)> {
    let bars = all(group).into_iter().filter_map(|(case, count)| {
        let who = match case {
            _ if case.starts_with("fip") => Who::Fip,
            _ if case.starts_with("keepalived") => Who::Keepalived,
            _ => Who::Docker,
        };
        let name = format!("{case}, {}", amount(count as i64));
        Some(Bar { name, who, value: group.spread(case, Some(count), METRICS[0])? })
    });
    let bars = Bars {
        title: "Resident memory of daemons, by number of bindings".to_owned(),
        x: "MiB; the number beside the name is that of bindings".to_owned(),
        logarithmic: false,
        bars: bars.collect(),
    };
    if bars.bars.is_empty() {
        return Vec::new();
    }
    vec![("resident-memory.svg".to_owned(), Plot::Bars(bars))]
}

pub(crate) fn tables(group: &Group) -> Vec<Table> {
    vec![at_rest(group), changes(group), first(group)]
        .into_iter()
        .filter(|table| !table.rows.is_empty())
        .collect()
}

fn at_rest(group: &Group) -> Table {
    let mut table = Table::new("Daemons at rest", &["", "bindings"]);
    table.head.extend(METRICS.map(str::to_owned));
    for (case, count) in all(group) {
        let mut row = vec![case.to_owned(), amount(count as i64)];
        row.extend(METRICS.map(|metric| {
            group
                .row(case, Some(count), metric)
                .map_or_else(String::new, |row| crate::harness::shown(row.median()))
        }));
        table.rows.push(row);
    }
    table
}

fn changes(group: &Group) -> Table {
    let mut table = Table::new("An address that comes and goes", &["changes"]);
    table.head.extend(CHANGES.map(str::to_owned));
    for count in group.counts(CHANGES[0]) {
        let shown = |metric| {
            let case = group.cases(metric)[0];
            let row = group.row(case, Some(count), metric);
            row.map_or_else(String::new, |row| crate::harness::shown(row.median()))
        };
        let mut row = vec![amount(count as i64)];
        row.extend(CHANGES.map(shown));
        table.rows.push(row);
    }
    table
}

fn first(group: &Group) -> Table {
    let mut table = Table::new("A labelled container, with the probe of 100 ms", &["", FIRST]);
    for case in group.cases(FIRST) {
        table.rows.push(vec![case.to_owned(), cell(group.spread(case, None, FIRST))]);
    }
    table
}
