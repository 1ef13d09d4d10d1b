//! What is answered.

use std::sync::Arc;

use super::*;
use crate::agent::actuator::Failure;
use crate::agent::board::Entry;
use crate::agent::model::{Presence, State, Wish, Workload};
use crate::agent::source::SourceError;
use crate::options::parse_floating;

/// A workload as hostile as a source can make it.
pub(super) const HOSTILE: &str =
    "\u{1b}[2J\u{9b}31m\u{7}\"}\\\n# HELP x\nfip_agent_bindings{state=\"bound\"} 9\r\t\u{0}é\u{7f}";

pub(super) fn entry(name: &str, asks: &str, state: State) -> Entry {
    let workload = Arc::new(Workload {
        id: format!("id of {name}"),
        name: name.to_owned(),
        container: None,
        asks: asks.to_owned(),
        age: 0,
        run: 0,
        presence: Presence::Running(vec!["172.17.0.2".parse().unwrap()]),
    });
    match parse_floating(asks) {
        Ok(floating) => Entry::wished(Wish { workload, floating }, state),
        Err(error) => Entry::refused(workload, error.to_string()),
    }
}

fn ask(board: &Board, target: &str) -> (u16, &'static str, String) {
    let response = answer(board, target);
    (response.status, response.content_type, String::from_utf8(response.body).unwrap())
}

fn health(board: &Board) -> (u16, String) {
    let (status, _, text) = ask(board, "/healthz");
    (status, text)
}

#[test]
fn the_agent_is_healthy_if_source_and_actuator_are() {
    let board = Board::new("docker", "direct");
    assert_eq!(health(&board), (503, "source: it has not answered yet\n".to_owned()));
    let gone = SourceError { what: "connection\nrefused".to_owned(), hint: None };
    board.source_failed(&gone);
    let never = "source: connection refused; it has never answered\n".to_owned();
    assert_eq!(health(&board), (503, never));
    board.listed(2);
    board.set_states(vec![
        entry("web", "192.0.2.1 192.0.2.2", State::Bound),
        entry("typo", "192.0.2", State::Bound),
        entry("late", "192.0.2.3", State::Waiting("in use".to_owned())),
    ]);
    assert_eq!(health(&board), (200, "ok\n".to_owned()));
    board.source_failed(&gone);
    let (status, text) = health(&board);
    let since = text.strip_prefix("source: connection refused; holding 2 bindings since ");
    let since = since.unwrap_or_else(|| panic!("{text:?}"));
    assert_eq!((status, since.len(), since.ends_with("Z\n")), (503, 25, true), "{text:?}");
    board.actuator_failed(&Failure { what: "no table".to_owned(), hint: None });
    let (status, text) = health(&board);
    assert!(status == 503 && text.ends_with("Z\nactuator: no table\n"), "{text:?}");
    board.listed(2);
    assert_eq!(health(&board), (503, "actuator: no table\n".to_owned()));
    board.actuator_ok();
    assert_eq!(health(&board), (200, "ok\n".to_owned()));
}

#[test]
fn all_else_is_not_found() {
    let board = Board::new("docker", "direct");
    for target in ["/", "", "*", "/metrics/", "/Status", "/../status", "/status%00", "//status"] {
        assert_eq!(ask(&board, target).0, 404, "{target:?}");
    }
    for (target, content_type) in [
        ("/healthz?x", TEXT),
        ("/metrics?x=y", "text/plain; version=0.0.4; charset=utf-8"),
        ("/status?", "application/json"),
    ] {
        let (status, found, _) = ask(&board, target);
        assert_eq!((status == 404, found), (false, content_type), "{target:?}");
    }
}

#[test]
fn the_report_has_the_names_that_are_documented() {
    let board = Board::new("docker", "network fip");
    board.listed(1);
    board.set_states(vec![entry("web", "[2001:db8::5]:tcp:80", State::Waiting("in use".into()))]);
    let address = "192.0.2.1".parse().unwrap();
    let took = Duration::from_micros(1500);
    let signal = crate::agent::actuator::Signal::Came { address, took };
    board.signal(&signal, Some(Duration::from_micros(250)));
    let mut report: serde_json::Value = serde_json::from_str(&ask(&board, "/status").2).unwrap();
    // What differs each time.
    for (place, is_there) in [
        ("/source/age_seconds", report["source"]["age_seconds"].is_f64()),
        ("/moves/0/at", report["moves"][0]["at"].is_string()),
        ("/version", report["version"] == env!("CARGO_PKG_VERSION")),
    ] {
        assert!(is_there, "{place}: {report}");
        *report.pointer_mut(place).unwrap() = "*".into();
    }
    let expected = serde_json::json!({
        "version": "*",
        "healthy": true,
        "problems": [],
        "source": { "name": "docker", "up": true, "age_seconds": "*", "workloads": 1 },
        "attach": "network fip",
        "workloads": [{
            "id": "id of web",
            "name": "web",
            "asks": "[2001:db8::5]:tcp:80",
            "floating": ["[2001:db8::5]:tcp:80"],
            "fixed": ["172.17.0.2"],
            "state": "waiting",
            "why": "in use",
        }],
        "moves": [{
            "at": "*",
            "address": "192.0.2.1",
            "event": "came",
            "rival": null,
            "listed_ms": 0.25,
            "bound_ms": 1.5,
        }],
        "counters": {
            "came": 1,
            "left": 0,
            "repairs": 0,
            "rivals": 0,
            "challenges": 0,
            "source_failures": 0,
            "reconciles": 0,
            "reconcile_seconds": 0.0,
        },
    });
    assert_eq!(report, expected);
}

#[test]
fn foreign_texts_are_cut_and_cleaned() {
    let board = Board::new(HOSTILE, HOSTILE);
    let hostile = SourceError { what: HOSTILE.to_owned(), hint: Some(HOSTILE.to_owned()) };
    let failure = Failure { what: HOSTILE.to_owned(), hint: Some(HOSTILE.to_owned()) };
    let long = "é".repeat(10_000);
    board.set_states(vec![
        entry(HOSTILE, HOSTILE, State::Bound),
        entry(&long, &long, State::Bound),
        entry("name", "192.0.2.1", State::Yielded(HOSTILE.repeat(1000))),
    ]);
    let small = |text: &str| {
        assert!(text.len() < 10_000, "{} bytes", text.len());
        assert!(text.trim_end_matches('\n').chars().all(|c| !c.is_control()), "{text:?}");
    };
    board.source_failed(&hostile);
    small(&health(&board).1);
    board.actuator_failed(&failure);
    let (_, _, json) = ask(&board, "/status");
    small(&json);
    let report: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(report.workloads[1].asks, "é".repeat(300));
    assert_eq!(report.problems.len(), 2);
    assert!(report.workloads[0].name.contains("# HELP x"), "{:?}", report.workloads[0]);
}
