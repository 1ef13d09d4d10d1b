//! The pictures and tables of this group.

use crate::harness::{Group, Table};
use crate::plot::{Lines, Plot, Series, Who};

use super::{ASKS, BUILT_IN, OPERATIONS};

pub(crate) fn plots(group: &Group) -> Vec<(String, Plot)> {
    let metric = OPERATIONS[0].begin.0;
    let counts = group.counts(metric);
    let series = group.cases(metric).into_iter().map(|case| Series {
        name: case.to_owned(),
        who: if case == BUILT_IN { Who::Docker } else { Who::Fip },
        dashed: case != BUILT_IN && case != ASKS,
        points: counts
            .iter()
            .filter_map(|&count| Some((count, group.spread(case, Some(count), metric)?)))
            .collect(),
    });
    let lines = Lines {
        title: "Connecting a container to a network, by the driver of the network".to_owned(),
        x: "floating addresses present on the host".to_owned(),
        y: "docker network connect by the API, ms".to_owned(),
        series: series.collect(),
    };
    if lines.series.is_empty() { Vec::new() } else { vec![picture("plugin-connect.svg", lines)] }
}

fn picture(name: &str, lines: Lines) -> (String, Plot) {
    (name.to_owned(), Plot::Lines(lines))
}

pub(crate) fn tables(group: &Group) -> Vec<Table> {
    let metrics = OPERATIONS.iter().flat_map(|operation| [operation.begin.0, operation.end.0]);
    let table = |metric| {
        let title = format!("docker {metric}, by the addresses present");
        Table::over_present(&title, group, metric, BUILT_IN)
    };
    metrics.filter(|metric| !group.cases(metric).is_empty()).map(table).collect()
}
