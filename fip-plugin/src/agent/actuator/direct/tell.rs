//! What the log and the loop are told.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use fip_core::Binding;
use fip_core::fip::Report;

use super::ledger::{Order, Trouble};
use super::wanted::Want;
use crate::agent::actuator::{Bell, Signal};
use crate::ask::shown;

/// How an order went.
pub(super) enum Outcome {
    Done,
    Failed { trouble: Trouble, news: bool },
}

/// An address cannot be had by whoever wants it.
pub(super) fn failed(address: IpAddr, wanted: &[Want], trouble: &Trouble) {
    let then = if trouble.lasting { "refused" } else { "tried again later" };
    let names: Vec<String> = wanted.iter().map(|want| shown(want.name())).collect();
    let who = if names.is_empty() { String::new() } else { names.join(" and ") + ": " };
    log::warn!("{who}{address} is {then}: {}", trouble.why);
}

/// A workload gets nothing of what it asks for.
pub(super) fn refused(name: &str, why: &str) {
    log::warn!("{}: {}", shown(name), shown(why));
}

/// Orders were carried out, or not, in one step that began then.
pub(super) fn made(
    bell: &Bell,
    outcomes: &[(Order, Outcome)],
    began: Instant,
    report: Option<&Report>,
) {
    let now = Instant::now();
    for (order, outcome) in outcomes {
        match outcome {
            Outcome::Failed { trouble, news: true } => {
                failed(order.address, &order.wanted, trouble);
            }
            Outcome::Failed { .. } => {}
            Outcome::Done if order.wanted.is_empty() => left(bell, order, now - began),
            Outcome::Done => came(bell, order, began, now),
        }
    }
    for warning in report.iter().flat_map(|report| &report.warnings) {
        log::info!("{warning}");
    }
    for change in report.iter().flat_map(|report| &report.changes) {
        log::debug!("{change}");
    }
}

fn came(bell: &Bell, order: &Order, began: Instant, now: Instant) {
    let address = order.address;
    let took = now.saturating_duration_since(order.asked);
    let claimed = milliseconds(began.saturating_duration_since(order.asked));
    let (bound, all) = (milliseconds(now - began), milliseconds(took));
    let names: Vec<String> = order
        .wanted
        .iter()
        .map(|want| format!("{} ({})", lead(&want.binding), shown(want.name())))
        .collect();
    let names = names.join(" and ");
    if order.before.is_empty() {
        log::info!("{address} -> {names}: claimed in {claimed}, bound in {bound}, {all} in all");
    } else {
        let before: Vec<String> = order.before.iter().map(lead).collect();
        let before = before.join(" and ");
        log::info!("{address} -> {names}, no longer {before}: {bound}, {all} in all");
    }
    bell.ring(Signal::Came { address, took });
}

fn left(bell: &Bell, order: &Order, took: Duration) {
    let address = order.address;
    let before: BTreeSet<String> = order.before.iter().map(lead).collect();
    if before.is_empty() {
        return; // It was another host's by then.
    }
    let before = before.into_iter().collect::<Vec<_>>().join(" and ");
    log::info!("{address} -> {before}: released in {}", milliseconds(took));
    bell.ring(Signal::Left { address });
}

/// Where it leads: `172.18.0.2 tcp:80`.
fn lead(binding: &Binding) -> String {
    let mut text = binding.fixed().to_string();
    for port in binding.ports() {
        text.push(' ');
        text.push_str(&port.to_string());
    }
    text
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
