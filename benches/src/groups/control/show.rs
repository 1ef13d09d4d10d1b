//! Tables and pictures of the control plane.

use super::LIMIT;
use crate::harness::{Group, Table, ratio};
use crate::plot::{Lines, Plot, Series, Who};

/// Of a whole process; of a running one.
const PROCESS: [(&str, &str); 2] = [("bind ms", "bind"), ("unbind ms", "unbind")];
const RUNNING: [&str; 3] = ["bind us", "unbind us", "retarget us"];

/// A case in a picture: its name there, its colour, and whether its line is dashed.
type Shown = (&'static str, &'static str, Who, bool);

/// The cases of the picture of whole processes.
const SHOWN: [Shown; 8] = [
    ("netavark, one port", "netavark (Podman)", Who::Netavark, false),
    ("docker run -p", "docker run -p", Who::Docker, true),
    ("docker network connect (CLI)", "docker network connect", Who::Docker, false),
    ("sh: ip + 3 × iptables", "sh: ip + 3 × iptables", Who::Iptables, false),
    ("sh: ip + iptables-restore", "sh: ip + iptables-restore", Who::Iptables, true),
    ("sh: ip + nft element", "sh: ip + nft element", Who::Nft, false),
    ("limit, route", "limit: raw netlink", Who::Limit, false),
    ("fip", "fip bind", Who::Fip, false),
];

const RUNNING_SHOWN: [Shown; 4] = [
    ("library, address", "library, --hold address", Who::Fip, true),
    ("limit in a process, address", "limit, as address", Who::Limit, true),
    ("library, route", "library", Who::Fip, false),
    ("limit in a process, route", "limit: raw netlink", Who::Limit, false),
];

pub(crate) fn plots(group: &Group) -> Vec<(String, Plot)> {
    let line = |metric: &str, (case, name, who, dashed): Shown| Series {
        name: name.to_owned(),
        who,
        dashed,
        points: group
            .counts(metric)
            .into_iter()
            .filter_map(|count| Some((count, group.spread(case, Some(count), metric)?)))
            .collect(),
    };
    let lines = |title: &str, metric: &str, y: &str, shown: &[Shown]| {
        let series = shown.iter().map(|&case| line(metric, case));
        Plot::Lines(Lines {
            title: title.to_owned(),
            x: "floating addresses already there".to_owned(),
            y: y.to_owned(),
            series: series.filter(|series| !series.points.is_empty()).collect(),
        })
    };
    let process = lines(
        "One more floating address, by a command",
        "bind ms",
        "milliseconds, whole process",
        &SHOWN,
    );
    let running = lines(
        "One more floating address, by a process that runs already",
        "bind us",
        "microseconds",
        &RUNNING_SHOWN,
    );
    vec![("control-process.svg".to_owned(), process), ("control-running.svg".to_owned(), running)]
}

pub(crate) fn tables(group: &Group) -> Vec<Table> {
    let mut tables: Vec<Table> = PROCESS
        .iter()
        .map(|(metric, what)| {
            let title = format!("One {what}, a whole process, ms: median (quartiles)");
            Table::over_present(&title, group, metric, LIMIT)
        })
        .collect();
    let title = "Processor time of one bind and unbind, ms: median (quartiles)";
    tables.push(Table::over_present(title, group, "cpu ms", LIMIT));
    for metric in RUNNING {
        let what = metric.trim_end_matches(" us");
        let title = format!("One {what} in a running process, µs: median (quartiles)");
        tables.push(Table::over_present(&title, group, metric, "limit in a process, route"));
    }
    tables.push(growth(group));
    tables
}

/// How much more a bind costs with many present than with none.
fn growth(group: &Group) -> Table {
    let counts = group.counts("bind us");
    let mut table =
        Table::new("One bind in a running process, ÷ its own cost with none there", &[""]);
    table.head.extend(
        counts.iter().map(|&count| format!("{} present", crate::harness::amount(count as i64))),
    );
    for case in group.cases("bind us") {
        let spread = |count| group.spread(case, Some(count), "bind us");
        let mut row = vec![case.to_owned()];
        row.extend(counts.iter().map(|&count| ratio(spread(count), spread(0))));
        table.rows.push(row);
    }
    table
}
