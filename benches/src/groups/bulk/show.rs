//! Tables and pictures of many at once.

use super::{LIMIT, LIMIT_INSIDE};
use crate::harness::{Group, Table, amount, cell, ratio};
use crate::plot::{Bar, Bars, Plot, Who};

/// What is shown of each metric: its title, and the case that others are compared with.
const METRICS: [(&str, &str, &str); 5] = [
    ("new ms", "All from nothing, rules and addresses, ms", LIMIT),
    ("one changed ms", "One of all changes, ms", LIMIT_INSIDE),
    (
        "reconcile, one changed ms",
        "One of all changes, found by reconcile, ms",
        "library in a process",
    ),
    ("nothing changed ms", "Nothing changes, ms", "fip apply"),
    ("list ms", "All are listed, ms", "fip list"),
];

pub(crate) fn plots(group: &Group) -> Vec<(String, Plot)> {
    let count = group.settings.get("bindings").and_then(|count| count.parse().ok());
    let count = amount(count.unwrap_or_default());
    let bars = |title: String, metric: &str| {
        let bar = |case: &str| {
            let value = group.spread(case, None, metric)?;
            Some(Bar { name: case.to_owned(), who: who(case), value })
        };
        let mut bars: Vec<Bar> = group.cases(metric).into_iter().filter_map(bar).collect();
        bars.sort_by(|a, b| b.value.median.total_cmp(&a.value.median));
        Plot::Bars(Bars { title, x: "milliseconds".to_owned(), logarithmic: true, bars })
    };
    vec![
        (
            "bulk-new.svg".to_owned(),
            bars(format!("{count} floating addresses from nothing, rules and addresses"), "new ms"),
        ),
        (
            "bulk-one.svg".to_owned(),
            bars(
                format!("Another workload for one of {count} floating addresses"),
                "one changed ms",
            ),
        ),
    ]
}

pub(crate) fn tables(group: &Group) -> Vec<Table> {
    let mut tables: Vec<Table> =
        METRICS.iter().map(|&(metric, title, base)| table(group, metric, title, base)).collect();
    tables.insert(1, parts(group));
    tables
}

fn table(group: &Group, metric: &str, title: &str, base: &str) -> Table {
    let head = ["", "median (quartiles)", &format!("÷ {base}")];
    let mut table = Table::new(title, &head);
    for case in group.cases(metric) {
        let [spread, base] = [case, base].map(|case| group.spread(case, None, metric));
        table.rows.push(vec![case.to_owned(), cell(spread), ratio(spread, base)]);
    }
    table
}

/// What the first table is the sum of, where the two can be told apart.
fn parts(group: &Group) -> Table {
    let head = ["", "rules ms", "addresses or local routes ms"];
    let mut table = Table::new("Of these: the rules, and what makes the host answer", &head);
    for case in group.cases("rules ms") {
        let parts = ["rules ms", "addresses ms"].map(|part| cell(group.spread(case, None, part)));
        table.rows.push([vec![case.to_owned()], parts.to_vec()].concat());
    }
    table
}

fn who(case: &str) -> Who {
    match case {
        _ if case.starts_with("fip") || case.starts_with("library") => Who::Fip,
        _ if case.starts_with("limit") => Who::Limit,
        _ if case.starts_with("nft") => Who::Nft,
        _ if case.starts_with("ip ") => Who::Shell,
        _ => Who::Iptables,
    }
}
