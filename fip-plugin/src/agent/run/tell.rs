//! What the loop tells in the log: each thing once, until it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fip_core::kernel::Mac;

use crate::agent::actuator::Failure;
use crate::agent::model::Workload;
use crate::agent::sift::Refusal;
use crate::agent::source::SourceError;
use crate::ask::shown;

/// What has been told.
#[derive(Debug, Default)]
pub(super) struct Told {
    source: Option<String>,
    actuator: Option<String>,
    /// By the workload's id.
    refusals: BTreeMap<String, String>,
    contested: BTreeSet<(IpAddr, Mac)>,
    /// How long it took from the notice to the listing in which a workload was new, by its id and
    /// its start.
    listed: BTreeMap<(String, u64), Duration>,
}

impl Told {
    pub(super) fn source_failed(&mut self, error: &SourceError) {
        let text = with_hint(&error.what, error.hint.as_deref());
        if self.source.as_ref() != Some(&text) {
            log::warn!("the source fails: {text}; what is bound stays bound");
        }
        self.source = Some(text);
    }

    /// Whether the last thing that was told of the source is that it fails.
    pub(super) fn source_fails(&self) -> bool {
        self.source.is_some()
    }

    pub(super) fn source_answers(&mut self) {
        if self.source.take().is_some() {
            log::info!("the source answers again");
        }
    }

    pub(super) fn actuator_failed(&mut self, failure: &Failure) {
        let text = with_hint(&failure.what, failure.hint.as_deref());
        if self.actuator.as_ref() != Some(&text) {
            log::warn!("{text}");
        }
        self.actuator = Some(text);
    }

    pub(super) fn actuator_works(&mut self) {
        self.actuator = None;
    }

    pub(super) fn refused(&mut self, refusals: &[Refusal]) {
        let mut now = BTreeMap::new();
        for Refusal { workload, why } in refusals {
            if self.refusals.get(&workload.id) != Some(why) {
                log::warn!("{}: {}", shown(&workload.name), shown(why));
            }
            now.insert(workload.id.clone(), why.clone());
        }
        self.refusals = now;
    }

    /// Another host wants what a workload of this host has.
    pub(super) fn contested(&mut self, address: IpAddr, mac: Mac, name: &str) {
        if self.contested.insert((address, mac)) {
            let name = shown(name);
            log::warn!("{mac} wants {address}, but {name} of this host has it, and runs");
        }
    }

    pub(super) fn listed(&mut self, workloads: &[Arc<Workload>], noticed: Instant) {
        let took = noticed.elapsed();
        let keys = workloads.iter().map(|workload| (workload.id.clone(), workload.run));
        let known = |key: (String, u64)| {
            let before = self.listed.get(&key).copied();
            (key, before.unwrap_or(took))
        };
        self.listed = keys.map(known).collect();
    }

    /// An address leads to the workload now: how long its listing took before.
    pub(super) fn came(
        &self,
        address: IpAddr,
        workload: &Workload,
        took: Duration,
    ) -> Option<Duration> {
        let listed = self.listed.get(&(workload.id.clone(), workload.run)).copied();
        let name = shown(&workload.name);
        log::info!(
            "{address} -> {name}: noticed and listed in {}, bound in {}",
            milliseconds(listed.unwrap_or_default()),
            milliseconds(took)
        );
        listed
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn with_hint(what: &str, hint: Option<&str>) -> String {
    hint.map_or_else(|| what.to_owned(), |hint| format!("{what}; {hint}"))
}
