//! The state for people: `fip-agent status`.

use std::fmt::Display;
use std::io::{self, Write};
use std::path;
use std::time::Duration;

use super::place::Place;
use super::report::{Move, Report, Workload};
use crate::ask::{Address, Answer, AskError, Client, Limits, shown};

/// Longer than others may keep the agent from answering.
const TIME: Duration = Duration::from_secs(15);
/// Bytes of a report, at most: tens of thousands of workloads fit.
const SIZE: u64 = 64 << 20;
/// How many moves are shown.
const MOVES: usize = 10;
/// Characters of a foreign text in a column that another one follows, at most.
const WIDTH: usize = 48;

/// Why the state cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// Nobody answers.
    #[error("no agent answers at {place}")]
    Silent {
        /// Where it was asked.
        place: String,
        /// What came instead.
        #[source]
        source: io::Error,
    },
    /// Somebody answers.
    #[error("what answers at {place} is no fip-agent of this version: {what}")]
    Nonsense {
        /// Where it was asked.
        place: String,
        /// What is wrong with the answer.
        what: String,
    },
    /// The state cannot be written.
    #[error("cannot write")]
    Output(#[source] io::Error),
}

impl StatusError {
    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        let Self::Silent { source, .. } = self else { return None };
        let hint = match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                "start it: systemctl start fip-agent (or ask it where it listens: --listen)"
            }
            io::ErrorKind::PermissionDenied => "the socket is its owner's: ask as root",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// Asks the agent that listens there, and writes its state: a table for people, or [`Report`] as
/// JSON. Whether it is healthy.
///
/// # Errors
/// [`StatusError`]
pub fn print(place: &Place, json: bool, to: &mut impl Write) -> Result<bool, StatusError> {
    let report = ask(place)?;
    let text = match json {
        true => serde_json::to_string(&report).map(|json| json + "\n").map_err(io::Error::from),
        false => Ok(text(&report)),
    };
    let written = text.and_then(|text| to.write_all(text.as_bytes())).and_then(|()| to.flush());
    written.map_err(StatusError::Output)?;
    Ok(report.healthy)
}

fn ask(place: &Place) -> Result<Report, StatusError> {
    let silent = |source| StatusError::Silent { place: place.to_string(), source };
    let nonsense = |what: &dyn Display| StatusError::Nonsense {
        place: place.to_string(),
        what: shown(&what.to_string()),
    };
    let client = Client::new(address(place).map_err(silent)?);
    let answer = client.get("/status", &Limits { time: TIME, size: SIZE });
    let Answer { status, body, .. } = answer.map_err(|error| match error {
        AskError::Unreachable { source, .. } => silent(source),
        AskError::Nonsense { what, .. } => nonsense(&what),
    })?;
    if status != 200 {
        let text = shown(&String::from_utf8_lossy(&body));
        return Err(nonsense(&format!("HTTP status {status}, {text:?}")));
    }
    serde_json::from_slice(&body).map_err(|error| nonsense(&error))
}

fn address(place: &Place) -> io::Result<Address> {
    let address = match place {
        Place::Unix(path) => Address::unix(&format!("unix://{}", path::absolute(path)?.display())),
        Place::Tcp(address) => Address::tcp(&format!("tcp://{address}")),
    };
    address.map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// Who is asked at a port may be anybody: what it says is cleaned once more.
fn text(report: &Report) -> String {
    let mut text = summary(report);
    for problem in &report.problems {
        text += &format!("  {}\n", shown(&problem.what));
        let hint = problem.hint.iter();
        hint.for_each(|hint| text += &format!("  {}\n", shown(hint)));
    }
    if !report.workloads.is_empty() {
        let titles = ["NAME", "ADDRESSES", "STATE", "WHY"].map(str::to_owned);
        text += &table(titles, report.workloads.iter().map(workload));
    }
    if !report.moves.is_empty() {
        let titles = ["TIME", "ADDRESS", "MOVE", "PHASES"].map(str::to_owned);
        let last = report.moves.iter().skip(report.moves.len().saturating_sub(MOVES));
        text += &format!("\n{}", table(titles, last.map(moved)));
    }
    text
}

fn summary(report: &Report) -> String {
    let source = &report.source;
    let health = if report.healthy { "healthy" } else { "NOT HEALTHY" };
    let answered = match source.age_seconds {
        Some(age) => format!("answered {} ago", span(age)),
        None => "has not answered".to_owned(),
    };
    let s = if source.workloads == 1 { "" } else { "s" };
    format!(
        "fip-agent {}: {health}; source {}, {answered}, {} workload{s}; attach {}\n",
        shown(&report.version),
        shown(&source.name),
        source.workloads,
        shown(&report.attach),
    )
}

fn workload(workload: &Workload) -> [String; 4] {
    let addresses = match workload.floating.as_slice() {
        [] => format!("{:?}", narrow(&workload.asks)),
        floating => narrow(&floating.join(" ")),
    };
    let why = workload.why.as_deref().unwrap_or("-");
    [narrow(&workload.name), addresses, narrow(&workload.state), shown(why)]
}

fn moved(moved: &Move) -> [String; 4] {
    let listed = moved.listed_ms.map(|ms| format!("listed in {ms:.1} ms"));
    let bound = moved.bound_ms.map(|ms| format!("bound in {ms:.1} ms"));
    let rival = moved.rival.as_ref().map(|rival| format!("to {}", shown(rival)));
    let phases: Vec<String> = [listed, bound, rival].into_iter().flatten().collect();
    let phases = if phases.is_empty() { "-".to_owned() } else { phases.join(", ") };
    [narrow(&moved.at), moved.address.to_string(), narrow(&moved.event), phases]
}

/// Columns as wide as they must be; the last one as it is.
fn table(titles: [String; 4], rows: impl Iterator<Item = [String; 4]>) -> String {
    let rows: Vec<[String; 4]> = [titles].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let [name, addresses, state] = [0, 1, 2].map(|column| width(column).unwrap_or_default());
    let line = |[a, b, c, d]: &[String; 4]| format!("{a:name$}  {b:addresses$}  {c:state$}  {d}\n");
    rows.iter().map(line).collect()
}

/// As much as a column takes.
fn narrow(text: &str) -> String {
    let text = shown(text);
    match text.char_indices().nth(WIDTH) {
        Some(_) => text.chars().take(WIDTH - 1).chain(['…']).collect(),
        None => text,
    }
}

/// A span of time, as people say it.
fn span(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0 => format!("{:.0} ms", seconds * 1e3),
        1..120 => format!("{whole} s"),
        120..7200 => format!("{} min", whole / 60),
        7200..172_800 => format!("{} h", whole / 3600),
        _ => format!("{} days", whole / 86_400),
    }
}

#[cfg(test)]
mod tests;
