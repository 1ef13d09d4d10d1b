//! `/metrics`: the Prometheus text format 0.0.4.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use super::report::{STATES, state};
use crate::agent::board::{Facts, Histogram};

pub(super) const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics.
pub(super) fn text(facts: &Facts) -> String {
    let mut text = Text::default();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    text.family("build_info", "gauge", "The agent that answers.", [(&version[..], 1)]);
    bindings(&mut text, facts);
    source(&mut text, facts);
    let up = i32::from(facts.failure.is_none());
    text.gauge("actuator_up", "Whether the actuator works.", up);
    moves(&mut text, facts);
    text.counter("repairs_total", "Changes that undid what others had done.", facts.repairs);
    text.counter("rivals_total", "Floating addresses yielded to another host.", facts.rivals);
    let help = "Times that another host asked for a floating address that is bound here.";
    text.counter("challenges_total", help, facts.challenges);
    let help = "How long the actuator took to be told what should be.";
    text.histogram("reconcile_seconds", help, &facts.reconciles);
    text.0
}

fn bindings(text: &mut Text, facts: &Facts) {
    let mut counts = BTreeMap::from(STATES.map(|state| (state, 0)));
    for entry in facts.entries.iter() {
        *counts.entry(state(&entry.state).0).or_default() += entry.floating.len().max(1);
    }
    let help = "Floating addresses that workloads ask for, by what has become of them. What cannot \
                be read counts as one.";
    let labels = STATES.map(|state| [("state", state)]);
    let samples = labels.iter().map(|label| (&label[..], counts[label[0].1]));
    text.family("bindings", "gauge", help, samples);
}

fn source(text: &mut Text, facts: &Facts) {
    let source = &facts.source;
    let up = i32::from(source.is_up());
    text.gauge("source_up", "Whether the last answer of the source was good.", up);
    let help = "Time since the last good answer of the source, or since the start if there was \
                none. A source that has nothing new to say may be silent.";
    text.gauge("source_age_seconds", help, source.age().as_secs_f64());
    let help = "Workloads that ask for floating addresses in the last good answer of the source.";
    text.gauge("source_workloads", help, source.answer.map_or(0, |answer| answer.workloads));
    let help = "Answers of the source that were none.";
    text.counter("source_failures_total", help, source.failures);
}

fn moves(text: &mut Text, facts: &Facts) {
    let (came, left) = ([("direction", "in")], [("direction", "out")]);
    let samples = [(&came[..], facts.came), (&left[..], facts.left)];
    let help = "Floating addresses that came to this host, and that left it.";
    text.family("moves_total", "counter", help, samples);
}

/// A label and its value.
type Label<'t> = (&'t str, &'t str);

#[derive(Default)]
struct Text(String);

impl Text {
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help, [(&[][..], value)]);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help, [(&[][..], value)]);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.buckets() {
            self.sample(&bucket, &[("le", &bound.to_string())], count);
        }
        self.sample(&bucket, &[("le", "+Inf")], histogram.count());
        self.sample(&format!("{name}_sum"), &[], histogram.sum.as_secs_f64());
        self.sample(&format!("{name}_count"), &[], histogram.count());
    }

    fn family<'t, V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (&'t [Label<'t>], V)>,
    ) {
        self.head(name, kind, help);
        samples.into_iter().for_each(|(labels, value)| self.sample(name, labels, value));
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        self.line(format_args!("# HELP fip_agent_{name} {help}"));
        self.line(format_args!("# TYPE fip_agent_{name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        let labels = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
        match labels.collect::<Vec<_>>().join(",") {
            none if none.is_empty() => self.line(format_args!("fip_agent_{name} {value}")),
            labels => self.line(format_args!("fip_agent_{name}{{{labels}}} {value}")),
        }
    }

    fn line(&mut self, line: impl Display) {
        // A string takes everything.
        let _ = writeln!(self.0, "{line}");
    }
}

/// A label's value, as it may stand in quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests;
