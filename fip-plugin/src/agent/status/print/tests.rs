//! What people see.

use super::*;
use crate::agent::status::report::{Counters, Problem, Source};
use crate::agent::status::tests::HOSTILE;

fn workload(name: &str, floating: &[&str], state: &str, why: Option<&str>) -> Workload {
    Workload {
        id: "0123".to_owned(),
        name: name.to_owned(),
        asks: "192.0.2".to_owned(),
        floating: floating.iter().map(ToString::to_string).collect(),
        fixed: Vec::new(),
        state: state.to_owned(),
        why: why.map(str::to_owned),
    }
}

fn moved(event: &str, listed_ms: Option<f64>, bound_ms: Option<f64>, rival: Option<&str>) -> Move {
    Move {
        at: "2026-08-06T12:00:00.123Z".to_owned(),
        address: "192.0.2.1".parse().unwrap(),
        event: event.to_owned(),
        rival: rival.map(str::to_owned),
        listed_ms,
        bound_ms,
    }
}

fn report(workloads: Vec<Workload>, moves: Vec<Move>) -> Report {
    Report {
        version: "0.1.0".to_owned(),
        healthy: true,
        problems: Vec::new(),
        source: Source {
            name: "docker".to_owned(),
            up: true,
            age_seconds: Some(2.9),
            workloads: 1,
        },
        attach: "network fip".to_owned(),
        workloads,
        moves,
        counters: Counters {
            came: 0,
            left: 0,
            repairs: 0,
            rivals: 0,
            challenges: 0,
            source_failures: 0,
            reconciles: 0,
            reconcile_seconds: 0.0,
        },
    }
}

#[test]
fn columns_are_as_wide_as_they_must_be() {
    let workloads = vec![
        workload("web", &["192.168.99.200", "[2001:db8::5]:tcp:80"], "bound", None),
        workload("größer", &[], "refused", Some("\"192.0.2\" is not an address")),
    ];
    let moves = vec![
        moved("came", Some(12.0), Some(103.24), None),
        moved("came", None, Some(5.0), None),
        moved("left", None, None, None),
        moved("yielded", None, None, Some("02:00:5e:10:00:01")),
    ];
    let expected = "\
fip-agent 0.1.0: healthy; source docker, answered 2 s ago, 1 workload; attach network fip
NAME    ADDRESSES                            STATE    WHY
web     192.168.99.200 [2001:db8::5]:tcp:80  bound    -
größer  \"192.0.2\"                            refused  \"192.0.2\" is not an address

TIME                      ADDRESS    MOVE     PHASES
2026-08-06T12:00:00.123Z  192.0.2.1  came     listed in 12.0 ms, bound in 103.2 ms
2026-08-06T12:00:00.123Z  192.0.2.1  came     bound in 5.0 ms
2026-08-06T12:00:00.123Z  192.0.2.1  left     -
2026-08-06T12:00:00.123Z  192.0.2.1  yielded  to 02:00:5e:10:00:01
";
    assert_eq!(text(&report(workloads, moves)), expected);
}

#[test]
fn what_is_wrong_comes_first_with_the_way_out() {
    let mut report = report(Vec::new(), Vec::new());
    report.healthy = false;
    report.source.age_seconds = None;
    report.source.workloads = 0;
    report.problems = vec![
        Problem { what: "source: gone".to_owned(), hint: Some("start it".to_owned()) },
        Problem { what: "actuator: no table".to_owned(), hint: None },
    ];
    let expected = "\
fip-agent 0.1.0: NOT HEALTHY; source docker, has not answered, 0 workloads; attach network fip
  source: gone
  start it
  actuator: no table
";
    assert_eq!(text(&report), expected);
}

#[test]
fn no_text_plays_tricks_on_the_terminal() {
    let mut hostile = workload(HOSTILE, &[], HOSTILE, Some(HOSTILE));
    hostile.asks = HOSTILE.repeat(1000);
    let mut second = workload("x", &[HOSTILE], "bound", None);
    second.floating.extend(vec!["192.0.2.1".to_owned(); 1000]);
    let mut moved = moved(HOSTILE, None, None, Some(HOSTILE));
    moved.at = HOSTILE.repeat(1000);
    let mut report = report(vec![hostile, second], vec![moved]);
    report.problems = vec![Problem { what: HOSTILE.into(), hint: Some(HOSTILE.into()) }];
    report.version = HOSTILE.to_owned();
    report.attach = HOSTILE.to_owned();
    report.source.name = HOSTILE.to_owned();
    let text = text(&report);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    // Not one line more than there are things to tell.
    assert_eq!(text.lines().count(), 9, "{text}");
    assert!(text.lines().all(|line| line.chars().count() < 700), "{text}");
}

#[test]
fn only_the_last_moves_are_shown() {
    let moves = (0..50_u8).map(|last| {
        let address = std::net::IpAddr::from([192, 0, 2, last]);
        Move { address, ..moved("left", None, None, None) }
    });
    let text = text(&report(Vec::new(), moves.collect()));
    assert_eq!(text.lines().count(), 3 + MOVES, "{text}");
    assert!(text.contains("192.0.2.49 ") && !text.contains("192.0.2.39 "), "{text}");
}

#[test]
fn spans_are_said_in_the_unit_that_fits() {
    for (seconds, text) in [
        (0.0, "0 ms"),
        (0.25, "250 ms"),
        (1.9, "1 s"),
        (119.0, "119 s"),
        (120.0, "2 min"),
        (7200.0, "2 h"),
        (172_800.0, "2 days"),
        (-1.0, "-1000 ms"),
        (1e300, "213503982334601 days"),
    ] {
        assert_eq!(span(seconds), text);
    }
}
