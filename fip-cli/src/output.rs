//! What is printed: for people a table or lines, for programs JSON.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::net::IpAddr;
use std::time::Duration;

use fip_core::LinkName;
use fip_core::fip::{Report, Status};
use serde::Serialize;

use crate::failure::{Failure, warn};

/// The changes of a command.
#[derive(Debug, Serialize)]
struct Changes<'a> {
    changes: &'a [String],
    waited_ms: f64,
    committed_ms: f64,
}

/// A binding of `fip list`, or a floating address that is on a link without any.
#[derive(Debug, Serialize)]
struct Row<'a> {
    floating: String,
    fixed: Option<String>,
    interface: Option<&'a str>,
    hold: Option<String>,
    owner: Option<&'a str>,
    ports: Vec<Port>,
    egress: bool,
    state: &'static str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    problems: Cow<'a, [String]>,
    packets: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Port {
    protocol: String,
    port: u16,
    fixed_port: u16,
}

/// Milliseconds, to the microsecond.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// So many of a thing.
pub(crate) fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Tells what a command that changes bindings has done.
pub(crate) fn report(report: &Report, json: bool) -> Result<(), Failure> {
    report.warnings.iter().for_each(|warning| warn(warning));
    if json {
        return print_json(&Changes {
            changes: &report.changes,
            waited_ms: milliseconds(report.waited),
            committed_ms: milliseconds(report.committed),
        });
    }
    if !io::stdout().is_terminal() {
        return Ok(());
    }
    let committed = milliseconds(report.committed);
    let line = match report.changes.len() {
        0 => "nothing to do: it is so already".to_owned(),
        n if report.waited.is_zero() => format!("{} in {committed} ms", count(n, "change")),
        n => {
            let (changes, waited) = (count(n, "change"), milliseconds(report.waited));
            format!("{changes} in {committed} ms, after {waited} ms of asking the neighbours")
        }
    };
    print(&format!("{line}\n"))
}

/// Prints what would be done.
pub(crate) fn plan(lines: &[String], warnings: &[String], json: bool) -> Result<(), Failure> {
    warnings.iter().for_each(|warning| warn(warning));
    if json {
        return print_json(&Changes { changes: lines, waited_ms: 0.0, committed_ms: 0.0 });
    }
    print(&joined(lines))
}

/// Prints the bindings, and the addresses without one.
pub(crate) fn list(
    statuses: &[Status],
    strays: &[(IpAddr, LinkName)],
    json: bool,
) -> Result<(), Failure> {
    let rows: Vec<Row<'_>> = statuses.iter().map(row).chain(strays.iter().map(stray)).collect();
    if json { print_json(&rows) } else { print(&table(&rows)) }
}

/// Prints what was changed about a bridge.
pub(crate) fn bridge(changes: &[String], json: bool) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Changes<'a> {
        changes: &'a [String],
    }
    match json {
        true => print_json(&Changes { changes }),
        false if io::stdout().is_terminal() => print(&joined(changes)),
        false => Ok(()),
    }
}

fn row(status: &Status) -> Row<'_> {
    let binding = &status.binding;
    Row {
        floating: binding.floating().to_string(),
        fixed: Some(binding.fixed().to_string()),
        interface: binding.uplink().map(|link| link.as_str()),
        hold: status.hold.map(|hold| hold.to_string()),
        owner: Some(binding.owner().as_str()),
        ports: binding
            .ports()
            .iter()
            .map(|port| Port {
                protocol: port.protocol.to_string(),
                port: port.port,
                fixed_port: port.fixed_port,
            })
            .collect(),
        egress: binding.egress(),
        state: if status.problems.is_empty() { "active" } else { "degraded" },
        problems: status.problems.as_slice().into(),
        packets: status.packets,
        bytes: status.bytes,
    }
}

fn stray((floating, link): &(IpAddr, LinkName)) -> Row<'_> {
    Row {
        floating: floating.to_string(),
        fixed: None,
        interface: Some(link.as_str()),
        hold: None,
        owner: None,
        ports: Vec::new(),
        egress: false,
        state: "degraded",
        problems: vec![format!("not bound: `fip unbind {floating}` removes it")].into(),
        packets: 0,
        bytes: 0,
    }
}

const TITLES: [&str; 9] =
    ["FLOATING", "FIXED", "INTERFACE", "OWNER", "PORTS", "EGRESS", "STATE", "PACKETS", "BYTES"];

/// Columns as wide as they must be. What is wrong with a binding stands below it.
fn table(rows: &[Row<'_>]) -> String {
    let lines: Vec<[String; 9]> = rows.iter().map(cells).collect();
    let titles = TITLES.map(str::to_owned);
    let width = |column: usize| {
        let cells = lines.iter().chain([&titles]).map(|line| line[column].len());
        cells.max().unwrap_or_default()
    };
    let widths: [usize; 9] = std::array::from_fn(width);
    let mut text = aligned(&titles, &widths);
    for (row, line) in rows.iter().zip(&lines) {
        text.push_str(&aligned(line, &widths));
        row.problems.iter().for_each(|problem| text.push_str(&format!("  {problem}\n")));
    }
    text
}

fn cells(row: &Row<'_>) -> [String; 9] {
    let ports: Vec<String> = row.ports.iter().map(Port::text).collect();
    let or_none = |text: Option<&str>| text.unwrap_or("-").to_owned();
    [
        row.floating.clone(),
        or_none(row.fixed.as_deref()),
        or_none(row.interface),
        or_none(row.owner),
        match ports.as_slice() {
            [] if row.fixed.is_none() => or_none(None),
            [] => "all".to_owned(),
            ports => ports.join(","),
        },
        if row.egress { "yes" } else { "no" }.to_owned(),
        row.state.to_owned(),
        row.packets.to_string(),
        row.bytes.to_string(),
    ]
}

impl Port {
    fn text(&self) -> String {
        if self.port == self.fixed_port {
            format!("{}:{}", self.protocol, self.port)
        } else {
            format!("{}:{}:{}", self.protocol, self.port, self.fixed_port)
        }
    }
}

fn aligned(cells: &[String; 9], widths: &[usize; 9]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(&format!("{cell:width$}  "));
    }
    format!("{}\n", line.trim_end())
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Prints JSON and a line end.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string(value).map_err(|error| Failure::Output(error.into()))?;
    text.push('\n');
    print(&text)
}

/// Prints, and does not keep anything back.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(Failure::Output)
}

#[cfg(test)]
mod tests;
