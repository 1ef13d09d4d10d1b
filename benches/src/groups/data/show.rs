//! Tables and pictures of the data plane.

use super::{DOCKER, FIP, HOST, IPTABLES, NFT, ROUTED};
use crate::harness::{Group, Spread, Table, amount, cell, ratio};
use crate::plot::{Bar, Bars, Lines, Plot, Series, Who};

pub(super) const RATE: &str = "connections 1/s";
pub(super) const CONNECT: &str = "connect p50 us";
pub(super) const CONNECT_99: &str = "connect p99 us";
pub(super) const UDP: &str = "udp p50 us";
pub(super) const UDP_99: &str = "udp p99 us";
pub(super) const ICMP: &str = "icmp p50 us";
pub(super) const STREAM: &str = "throughput Gbit/s";
pub(super) const FAILED: &str = "failed";
pub(super) const LOST: &str = "lost";

/// As they are called and coloured in pictures.
/// Dashed is what has no workload behind it.
const SHOWN: [(&str, Who, bool); 6] = [
    (ROUTED, Who::Limit, false),
    (HOST, Who::Limit, true),
    (FIP, Who::Fip, false),
    (NFT, Who::Nft, false),
    (IPTABLES, Who::Iptables, false),
    (DOCKER, Who::Docker, false),
];

pub(crate) fn plots(group: &Group) -> Vec<(String, Plot)> {
    let lines = |title: &str, metric: &str, y: &str| {
        let series = SHOWN.iter().map(|shown| series(group, shown, metric));
        Plot::Lines(Lines {
            title: title.to_owned(),
            x: "floating addresses of the host".to_owned(),
            y: y.to_owned(),
            series: series.filter(|series| !series.points.is_empty()).collect(),
        })
    };
    vec![
        (
            "data-rate.svg".to_owned(),
            lines(
                "New TCP connections per second, by number of floating addresses",
                RATE,
                "new TCP connections per second",
            ),
        ),
        (
            "data-connect.svg".to_owned(),
            lines(
                "Time to connect, by number of floating addresses",
                CONNECT,
                "microseconds until connected, median",
            ),
        ),
        ("data-throughput.svg".to_owned(), throughput(group)),
    ]
}

/// What does not depend on their number is a line across all of them.
fn series(group: &Group, &(name, who, dashed): &(&str, Who, bool), metric: &str) -> Series {
    let everywhere = group.spread(name, None, metric);
    let at = |count| {
        let spread = everywhere.or_else(|| group.spread(name, Some(count), metric))?;
        Some((count, spread))
    };
    let points = group.counts(metric).into_iter().filter_map(at).collect();
    Series { name: name.to_owned(), who, dashed, points }
}

fn throughput(group: &Group) -> Plot {
    let bar = |(name, present, value): (&str, Option<u64>, Spread)| {
        let who =
            SHOWN.iter().find(|(shown, ..)| *shown == name).map_or(Who::Shell, |shown| shown.1);
        Bar { name: label(name, present), who, value }
    };
    Plot::Bars(Bars {
        title: "Throughput of one TCP flow".to_owned(),
        x: "Gbit/s".to_owned(),
        logarithmic: false,
        bars: values(group, STREAM).into_iter().map(bar).collect(),
    })
}

/// All values of the metric, in the order of the run.
fn values<'a>(group: &'a Group, metric: &str) -> Vec<(&'a str, Option<u64>, Spread)> {
    let rows = group.rows.iter().filter(|row| row.metric == metric);
    rows.map(|row| (row.case.as_str(), row.present, row.spread())).collect()
}

fn label(name: &str, present: Option<u64>) -> String {
    match present {
        Some(count) => format!("{name}, N = {}", amount(count as i64)),
        None => name.to_owned(),
    }
}

pub(crate) fn tables(group: &Group) -> Vec<Table> {
    vec![
        table(group, "New TCP connections: median (quartiles)", &[RATE, CONNECT, CONNECT_99]),
        table(group, "Established flows: median (quartiles)", &[UDP, UDP_99, ICMP, STREAM]),
        losses(group),
    ]
}

/// A row for each way, a column for each metric and for its ratio to the limit.
fn table(group: &Group, title: &str, metrics: &[&str]) -> Table {
    let mut table = Table::new(title, &[""]);
    for metric in metrics {
        table.head.extend([(*metric).to_owned(), "÷ routed".to_owned()]);
    }
    for (name, present, _) in values(group, metrics[0]) {
        let mut row = vec![label(name, present)];
        for metric in metrics {
            let value = group.spread(name, present, metric);
            row.extend([cell(value), ratio(value, group.spread(ROUTED, None, metric))]);
        }
        table.rows.push(row);
    }
    table
}

/// What was not answered, in all rounds.
fn losses(group: &Group) -> Table {
    let mut table =
        Table::new("Connections that failed, datagrams that were lost, in all rounds", &[""]);
    table.head.extend([FAILED, LOST].map(str::to_owned));
    for (name, present, _) in values(group, FAILED) {
        let sum = |metric| {
            let row = group.row(name, present, metric);
            row.map_or(0, |row| row.values.iter().sum::<f64>() as i64)
        };
        table.rows.push(vec![label(name, present), amount(sum(FAILED)), amount(sum(LOST))]);
    }
    table
}
