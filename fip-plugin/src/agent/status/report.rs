//! What `/status` says, and whether that is good.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::agent::board::{self, Entry, Facts, Happened};
use crate::agent::model::State;
use crate::ask::shown;

/// The state of the agent. Foreign texts in it are cut, and have no control characters.
///
/// Field names stay; new ones may be added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The agent's version.
    pub version: String,
    /// Whether the source's last answer was good and the actuator works.
    pub healthy: bool,
    /// What is wrong, if it is not healthy.
    pub problems: Vec<Problem>,
    /// Who says what should be.
    pub source: Source,
    /// How workloads are attached: `network fip`, `direct`.
    pub attach: String,
    /// All workloads that ask for floating addresses.
    pub workloads: Vec<Workload>,
    /// The last hundred times that an address came or went, the newest last.
    pub moves: Vec<Move>,
    /// What has happened since the agent began.
    pub counters: Counters,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Of what, and what it is; one line.
    pub what: String,
    /// The way out, where there is one.
    pub hint: Option<String>,
}

/// What is known of the source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// What it is.
    pub name: String,
    /// Whether its last answer was good.
    pub up: bool,
    /// Time since its last good answer; none if there was none.
    pub age_seconds: Option<f64>,
    /// How many workloads that ask for addresses there were in it.
    pub workloads: usize,
}

/// A workload that asks for floating addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it asks for, as it was written.
    pub asks: String,
    /// What was read of it: addresses, with their ports as in `192.0.2.1:tcp:80`.
    pub floating: Vec<String>,
    /// Its fixed addresses, where they are known.
    pub fixed: Vec<IpAddr>,
    /// `bound`, `pending`, `stopped`, `waiting`, `refused` or `yielded`; see [`State`].
    pub state: String,
    /// The reason, with the last three.
    pub why: Option<String>,
}

/// An address that came or went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// When: RFC 3339, UTC.
    pub at: String,
    /// The floating address.
    pub address: IpAddr,
    /// `came`; `left`; `yielded`, to a rival.
    pub event: String,
    /// The other host's hardware address, if it was yielded.
    pub rival: Option<String>,
    /// If it came: time from the source's notice until the actuator was asked, where it is known.
    pub listed_ms: Option<f64>,
    /// If it came: time from then until it was bound.
    pub bound_ms: Option<f64>,
}

/// What has happened since the agent began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// Addresses that came.
    pub came: u64,
    /// Addresses that went, also to rivals.
    pub left: u64,
    /// Changes that undid what others had done.
    pub repairs: u64,
    /// Addresses that were yielded to a rival.
    pub rivals: u64,
    /// Times that another host asked for an address that is bound here.
    pub challenges: u64,
    /// Answers of the source that were none.
    pub source_failures: u64,
    /// Times that the actuator was told what should be.
    pub reconciles: u64,
    /// Time that this took, all together.
    pub reconcile_seconds: f64,
}

impl Report {
    pub(super) fn of(facts: &Facts) -> Self {
        let problems = problems(facts);
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            healthy: problems.is_empty(),
            problems,
            source: Source::of(&facts.source),
            attach: shown(&facts.attach),
            workloads: facts.entries.iter().map(Workload::of).collect(),
            moves: facts.moves.iter().map(Move::of).collect(),
            counters: Counters::of(facts),
        }
    }
}

impl Source {
    fn of(source: &board::Source) -> Self {
        Self {
            name: shown(&source.name),
            up: source.is_up(),
            age_seconds: source.answer.map(|_| source.age().as_secs_f64()),
            workloads: source.answer.map_or(0, |answer| answer.workloads),
        }
    }
}

impl Workload {
    fn of(entry: &Entry) -> Self {
        let (state, why) = state(&entry.state);
        Self {
            id: shown(&entry.workload.id),
            name: shown(&entry.workload.name),
            asks: shown(&entry.workload.asks),
            floating: entry.floating.iter().map(ToString::to_string).collect(),
            fixed: entry.fixed().to_vec(),
            state: state.to_owned(),
            why: why.map(shown),
        }
    }
}

impl Move {
    fn of(moved: &board::Move) -> Self {
        let (event, rival, listed, took) = match moved.happened {
            Happened::Came { listed, took } => ("came", None, listed, Some(took)),
            Happened::Left => ("left", None, None, None),
            Happened::Yielded(mac) => ("yielded", Some(mac.to_string()), None, None),
        };
        Self {
            at: utc(moved.at),
            address: moved.address,
            event: event.to_owned(),
            rival,
            listed_ms: listed.map(milliseconds),
            bound_ms: took.map(milliseconds),
        }
    }
}

impl Counters {
    fn of(facts: &Facts) -> Self {
        Self {
            came: facts.came,
            left: facts.left,
            repairs: facts.repairs,
            rivals: facts.rivals,
            challenges: facts.challenges,
            source_failures: facts.source.failures,
            reconciles: facts.reconciles.count(),
            reconcile_seconds: facts.reconciles.sum.as_secs_f64(),
        }
    }
}

/// Why the agent is not healthy; none if it is.
pub(super) fn problems(facts: &Facts) -> Vec<Problem> {
    let source = match (&facts.source.error, facts.source.answer) {
        (Some(error), Some(answer)) => {
            let (what, bound, since) = (shown(&error.what), facts.bound(), utc(answer.at));
            let s = if bound == 1 { "" } else { "s" };
            let what = format!("source: {what}; holding {bound} binding{s} since {since}");
            Some(Problem { what, hint: error.hint.as_deref().map(shown) })
        }
        (Some(error), None) => {
            let what = format!("source: {}; it has never answered", shown(&error.what));
            Some(Problem { what, hint: error.hint.as_deref().map(shown) })
        }
        (None, None) => {
            Some(Problem { what: "source: it has not answered yet".to_owned(), hint: None })
        }
        (None, Some(_)) => None,
    };
    let actuator = facts.failure.as_ref().map(|failure| Problem {
        what: format!("actuator: {}", shown(&failure.what)),
        hint: failure.hint.as_deref().map(shown),
    });
    source.into_iter().chain(actuator).collect()
}

/// All that [`state`] may say first.
pub(super) const STATES: [&str; 6] =
    ["bound", "pending", "stopped", "waiting", "refused", "yielded"];

/// The state and its reason.
pub(super) fn state(state: &State) -> (&'static str, Option<&str>) {
    match state {
        State::Bound => ("bound", None),
        State::Pending => ("pending", None),
        State::Stopped => ("stopped", None),
        State::Waiting(why) => ("waiting", Some(why)),
        State::Refused(why) => ("refused", Some(why)),
        State::Yielded(to) => ("yielded", Some(to)),
    }
}

/// To the microsecond.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// RFC 3339, in UTC, to the millisecond.
fn utc(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, ms) = (since.as_secs(), since.subsec_millis());
    let (year, month, day) = date(seconds / 86_400);
    let (h, m, s) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
}

/// The date, so many days after 1970-01-01. The year begins in March here: then the day that some
/// years lack is the last, and months have lengths that repeat every five.
fn date(days: u64) -> (u64, u64, u64) {
    const FROM_MARCH_0000: u64 = 719_468;
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let days = days + FROM_MARCH_0000;
    let (era, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_rfc_3339_has_them() {
        for (seconds, ms, text) in [
            (0, 0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, 999, "2000-02-28T23:59:59.999Z"),
            (951_782_400, 0, "2000-02-29T00:00:00.000Z"),
            (951_868_800, 1, "2000-03-01T00:00:00.001Z"),
            (1_735_689_599, 0, "2024-12-31T23:59:59.000Z"),
            (1_735_689_600, 0, "2025-01-01T00:00:00.000Z"),
            (4_107_542_399, 0, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(utc(UNIX_EPOCH + Duration::new(seconds, ms * 1_000_000)), text);
        }
        assert_eq!(utc(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut last = date(0);
        for days in 1..150_000 {
            let (year, month, day) = date(days);
            let next_day = (year, month, day) == (last.0, last.1, last.2 + 1);
            let next_month = (year, month, day) == (last.0, last.1 + 1, 1) && last.2 >= 28;
            let next_year = (year, month, day) == (last.0 + 1, 1, 1) && last.1 == 12;
            assert!(next_day || next_month || next_year && last.2 == 31, "{last:?}");
            last = (year, month, day);
        }
    }
}
