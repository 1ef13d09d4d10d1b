//! The format, as its description has it: <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use crate::agent::actuator::{Failure, Signal};
use crate::agent::board::Board;
use crate::agent::model::State;
use crate::agent::source::SourceError;
use crate::agent::status::tests::{HOSTILE, entry};

/// The samples of a text, by name with labels; panics wherever the format is not kept.
fn parse(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with('\n') && !text.contains("\n\n"), "{text}");
    let mut samples = BTreeMap::new();
    let mut families = BTreeSet::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (name, help) = line.strip_prefix("# HELP ").unwrap().split_once(' ').unwrap();
        assert!(is_name(name) && help.ends_with('.'), "{line}");
        assert!(families.insert(name.to_owned()), "{name} comes twice");
        let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
        assert!(["counter", "gauge", "histogram"].contains(&kind), "{kind}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
        let mut own = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            assert!(value >= 0.0 && value.is_finite(), "{line}");
            own.push((check_series(name, kind, series), value));
            assert!(samples.insert(series.to_owned(), value).is_none(), "{series} comes twice");
        }
        assert!(!own.is_empty(), "{name} has no sample");
        if kind == "histogram" {
            check_histogram(name, &own, &samples);
        }
    }
    samples
}

fn is_name(text: &str) -> bool {
    let all = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':');
    all && !text.starts_with(|c: char| c.is_ascii_digit()) && !text.is_empty()
}

/// Returns the labels.
fn check_series<'t>(family: &str, kind: &str, series: &'t str) -> &'t str {
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, rest.strip_suffix('}').unwrap()),
        None => (series, ""),
    };
    let suffix = name.strip_prefix(family).unwrap();
    match kind {
        "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{series}"),
        _ => assert_eq!(suffix, "", "{series}"),
    }
    let mut rest = labels;
    while !rest.is_empty() {
        let (label, value) = rest.split_once("=\"").unwrap();
        assert!(is_name(label) && !label.contains(':'), "{series}");
        let end = quoted_length(value);
        rest = match &value[end + 1..] {
            "" => "",
            more => more.strip_prefix(',').unwrap(),
        };
    }
    labels
}

/// The length of a value, up to its closing quote.
fn quoted_length(value: &str) -> usize {
    let mut bytes = value.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return at,
            b'\\' => assert!(matches!(bytes.next().unwrap().1, b'\\' | b'"' | b'n'), "{value}"),
            _ => {}
        }
    }
    panic!("{value:?} has no end");
}

fn check_histogram(name: &str, own: &[(&str, f64)], samples: &BTreeMap<String, f64>) {
    let buckets: Vec<_> = own.iter().filter(|(labels, _)| labels.starts_with("le=")).collect();
    let bound = |labels: &str| -> f64 {
        labels.strip_prefix("le=\"").unwrap().strip_suffix('"').unwrap().parse().unwrap()
    };
    for two in buckets.windows(2) {
        assert!(bound(two[0].0) < bound(two[1].0) && two[0].1 <= two[1].1, "{two:?}");
    }
    let (last, all) = buckets.last().unwrap();
    assert_eq!((*last, *all), ("le=\"+Inf\"", samples[&format!("{name}_count")]));
    assert!(samples.contains_key(&format!("{name}_sum")));
}

#[test]
fn a_board_without_news_is_good_text() {
    let samples = parse(&text(&Board::new(HOSTILE, HOSTILE).look()));
    assert_eq!(samples["fip_agent_source_up"], 0.0);
    assert_eq!(samples["fip_agent_actuator_up"], 1.0);
    assert_eq!(samples["fip_agent_bindings{state=\"yielded\"}"], 0.0);
    let version = concat!("fip_agent_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
    assert_eq!(samples[version], 1.0);
}

#[test]
fn every_fact_has_its_sample() {
    let board = Board::new("docker", "direct");
    let (address, mac) = ("192.0.2.1".parse().unwrap(), "02:00:5e:10:00:01".parse().unwrap());
    let took = Duration::from_millis(2);
    for signal in [
        Signal::Came { address, took },
        Signal::Came { address, took },
        Signal::Came { address, took },
        Signal::Left { address },
        Signal::Rival { address, mac },
        Signal::Repaired(5),
        Signal::Challenged { address, mac },
    ] {
        board.signal(&signal, None);
    }
    board.source_failed(&SourceError { what: "gone".to_owned(), hint: None });
    board.listed(7);
    board.actuator_failed(&Failure { what: "gone".to_owned(), hint: None });
    board.reconciled(took);
    board.reconciled(Duration::from_millis(1500));
    board.set_states(vec![
        entry("a", "192.0.2.1 192.0.2.2", State::Bound),
        entry("b", "192.0.2.3", State::Bound),
        entry("c", "nonsense", State::Bound),
        entry("d", "192.0.2.4", State::Waiting("x".to_owned())),
        entry("e", "192.0.2.5", State::Yielded("x".to_owned())),
        entry("f", "192.0.2.6", State::Stopped),
        entry("g", "192.0.2.7", State::Pending),
    ]);
    let samples = parse(&text(&board.look()));
    for (name, value) in [
        ("bindings{state=\"bound\"}", 3.0),
        ("bindings{state=\"refused\"}", 1.0),
        ("bindings{state=\"waiting\"}", 1.0),
        ("bindings{state=\"yielded\"}", 1.0),
        ("bindings{state=\"stopped\"}", 1.0),
        ("bindings{state=\"pending\"}", 1.0),
        ("source_up", 1.0),
        ("source_workloads", 7.0),
        ("source_failures_total", 1.0),
        ("actuator_up", 0.0),
        ("moves_total{direction=\"in\"}", 3.0),
        ("moves_total{direction=\"out\"}", 2.0),
        ("repairs_total", 5.0),
        ("rivals_total", 1.0),
        ("challenges_total", 1.0),
        ("reconcile_seconds_count", 2.0),
        ("reconcile_seconds_sum", 1.502),
        ("reconcile_seconds_bucket{le=\"0.001\"}", 0.0),
        ("reconcile_seconds_bucket{le=\"0.0025\"}", 1.0),
        ("reconcile_seconds_bucket{le=\"1\"}", 1.0),
        ("reconcile_seconds_bucket{le=\"5\"}", 2.0),
    ] {
        assert_eq!(samples[&format!("fip_agent_{name}")], value, "{name}");
    }
    assert!(samples["fip_agent_source_age_seconds"] < 3600.0);
}

#[test]
fn workloads_bring_neither_series_nor_texts() {
    let board = Board::new("docker", "direct");
    let before = parse(&text(&board.look()));
    let states = [State::Bound, State::Refused(HOSTILE.to_owned()), State::Stopped];
    let hostile = |(number, state)| entry(&format!("{HOSTILE}{number}"), HOSTILE, state);
    board.set_states((0..1000).zip(states.into_iter().cycle()).map(hostile).collect::<Vec<_>>());
    let text = text(&board.look());
    let after = parse(&text);
    assert!(before.keys().eq(after.keys()), "{after:?}");
    assert!(!text.contains("HELP x") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn values_of_labels_cannot_leave_their_quotes() {
    let mut text = Text::default();
    let value = "a\"} 1\nb{\\";
    text.family("x", "gauge", "Back\\slash\nand line.", [(&[("l", value), ("m", "é")][..], 2)]);
    let expected = "# HELP fip_agent_x Back\\\\slash\\nand line.\n# TYPE fip_agent_x gauge\n\
                    fip_agent_x{l=\"a\\\"} 1\\nb{\\\\\",m=\"é\"} 2\n";
    assert_eq!(text.0, expected);
    assert_eq!(parse(&text.0).len(), 1);
}
