//! From the entries of a map to workloads: each container once, by whichever of its names.

use std::collections::BTreeMap;

use super::map::{Entry, Target};
use crate::agent::model::{Presence, Workload};
use crate::docker::Container;

/// An id is known by this many of its characters at least: so many are what `docker ps` shows.
const ID_SHOWN: usize = 12;

/// Docker's containers, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Known<'a> {
    /// Whether Docker says so now, or said so once.
    current: bool,
    by_id: BTreeMap<&'a str, &'a Container>,
    by_name: BTreeMap<&'a str, &'a Container>,
    run_of: Option<&'a BTreeMap<String, u64>>,
}

impl<'a> Known<'a> {
    /// `run_of` has the numbers of the containers' runs, by their ids.
    pub(super) fn new(
        containers: &'a [Container],
        current: bool,
        run_of: &'a BTreeMap<String, u64>,
    ) -> Self {
        let by_id = containers.iter().map(|container| (container.id.as_str(), container));
        let by_name = containers.iter().map(|container| (container.name.as_str(), container));
        Self { current, by_id: by_id.collect(), by_name: by_name.collect(), run_of: Some(run_of) }
    }

    /// The order is Docker's own (`GetContainer` of moby's daemon): id, name, the beginning of one
    /// id alone. A beginning shorter than what is shown to people is not meant.
    fn find(&self, text: &str) -> Option<&'a Container> {
        let whole = self.by_id.get(text).or_else(|| self.by_name.get(text));
        if whole.is_some() || text.len() < ID_SHOWN {
            return whole.copied();
        }
        let mut from = self.by_id.range(text..).take_while(|(id, _)| id.starts_with(text));
        match (from.next(), from.next()) {
            (Some((_, container)), None) => Some(container),
            _ => None,
        }
    }

    fn presence(&self, container: Option<&Container>) -> Presence {
        match container {
            _ if !self.current => Presence::Unknown,
            Some(container) if container.running => Presence::Running(container.fixed()),
            _ => Presence::Stopped,
        }
    }

    /// What the entry makes of a workload that no entry has named before.
    fn workload(&self, entry: &Entry) -> Workload {
        let base = Workload {
            id: String::new(),
            name: String::new(),
            container: None,
            asks: entry.floating.clone(),
            age: entry.place,
            run: 0,
            presence: Presence::Stopped,
        };
        match &entry.target {
            Target::Fixed(address) => Workload {
                id: format!("fixed:{address}"),
                name: address.to_string(),
                presence: Presence::Running(vec![*address]),
                ..base
            },
            Target::Container(text) => {
                let found = self.find(text);
                let (id, name) = found.map_or((text, text), |found| (&found.id, &found.name));
                Workload {
                    id: id.clone(),
                    name: name.clone(),
                    container: found.map(|found| found.id.clone()),
                    run: self.run_of.and_then(|runs| runs.get(id)).copied().unwrap_or_default(),
                    presence: self.presence(found),
                    ..base
                }
            }
        }
    }
}

/// The workloads that the entries name, in their order.
///
/// A container that Docker does not know goes by the name that the map gives it, and does not run.
pub(super) fn workloads(entries: &[Entry], known: &Known<'_>) -> Vec<Workload> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut workloads: Vec<Workload> = Vec::new();
    for entry in entries {
        let new = known.workload(entry);
        match places.get(&new.id) {
            Some(place) => {
                let asks = &mut workloads[*place].asks;
                asks.push_str(", ");
                asks.push_str(&new.asks);
            }
            None => {
                places.insert(new.id.clone(), workloads.len());
                workloads.push(new);
            }
        }
    }
    workloads
}

#[cfg(test)]
mod tests;
