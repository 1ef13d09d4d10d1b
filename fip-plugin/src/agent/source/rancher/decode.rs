//! What the answers mean.
//!
//! Any field may be missing or null. A container of this host that asks for addresses must be
//! understood: if it is not, nothing changes for it if it was there before, else there is no listing.
//! What is odd about all others is nobody's concern.

mod entry;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::agent::model::{Presence, Workload};
pub(super) use entry::Entry;
use entry::{Object, is_missing, number, text};

/// Bytes of a version, at most: it comes back in a URL.
const VERSION_MAX: usize = 256;
/// The label by which older versions of Rancher tell the address, mostly with its mask.
const ADDRESS_LABEL: &str = "io.rancher.container.ip";

/// The host that asks.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) uuid: String,
    /// The address of the host itself, and so of the containers that share its network.
    agent: Option<IpAddr>,
}

/// Containers by their uuids, with the last presence that was known.
pub(super) type Known = BTreeMap<String, Workload>;

/// The version of everything: text of any kind, a number where the file has one.
pub(super) fn version(body: &[u8]) -> Result<String, String> {
    let version = match parsed(body)? {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => return Err("a version is a text".to_owned()),
    };
    if version.len() > VERSION_MAX {
        return Err(format!("a version of {} bytes", version.len()));
    }
    Ok(version)
}

/// The host that asks.
pub(super) fn host(body: &[u8]) -> Result<Host, String> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        uuid: Value,
        #[serde(default)]
        agent_ip: Value,
    }
    let Object(host): Object<Answer> = parsed(body)?;
    let uuid = text(&host.uuid).ok_or("the host has no uuid")?.to_owned();
    Ok(Host { uuid, agent: text(&host.agent_ip).and_then(address) })
}

/// All containers. None at all is what a service says that has lost its data: it is a container
/// itself.
pub(super) fn containers(body: &[u8]) -> Result<Vec<Entry>, String> {
    let all: Option<Vec<Object<Entry>>> = parsed(body)?;
    let all = all.filter(|all| !all.is_empty()).ok_or("no containers at all")?;
    Ok(all.into_iter().map(|Object(entry)| entry).collect())
}

/// The containers of the host that ask for addresses with one of the labels, in the order of their
/// uuids. `known` are those that were there before, as they were when they were last understood.
pub(super) fn workloads(
    entries: &[Entry],
    host: &Host,
    labels: &[String],
    known: &Known,
) -> Result<Vec<Workload>, String> {
    let reader = Reader { host, labels, known };
    let mut all = BTreeMap::new();
    for entry in entries {
        let found = reader.read(entry)?;
        let Some(uuid) = text(&entry.uuid) else { continue };
        let found = match all.remove(uuid) {
            Some(other) if other != found => {
                let what = format!("container {} is there twice, and not the same", entry.shown());
                Some(reader.as_before(entry, what)?)
            }
            _ => found,
        };
        all.insert(uuid, found);
    }
    Ok(all.into_values().flatten().collect())
}

/// Whose the containers are, and what is looked for.
struct Reader<'a> {
    host: &'a Host,
    labels: &'a [String],
    known: &'a Known,
}

impl Reader<'_> {
    /// `None` if it is another host's, or asks for nothing.
    fn read(&self, entry: &Entry) -> Result<Option<Workload>, String> {
        self.understand(entry).or_else(|what| self.as_before(entry, what).map(Some))
    }

    /// A container about which nothing is sure but that it was there.
    fn as_before(&self, entry: &Entry, what: String) -> Result<Workload, String> {
        let before = self.before(entry).ok_or_else(|| what.clone())?;
        log::debug!("nothing changes for it: {what}");
        Ok(Workload { presence: Presence::Unknown, ..before.clone() })
    }

    fn before(&self, entry: &Entry) -> Option<&Workload> {
        self.known.get(text(&entry.uuid)?)
    }

    fn understand(&self, entry: &Entry) -> Result<Option<Workload>, String> {
        if text(&entry.host_uuid).is_some_and(|uuid| uuid != self.host.uuid) {
            return Ok(None);
        }
        let name = entry.shown();
        let uuid = text(&entry.uuid).ok_or_else(|| format!("container {name} has no uuid"))?;
        let Some(asks) = self.asks(entry)? else { return Ok(None) };
        if text(&entry.host_uuid).is_none() {
            // It may be here; but one that nobody runs yet is on no host.
            return if is_missing(&entry.host_uuid) && self.before(entry).is_none() {
                Ok(None)
            } else {
                Err(format!("container {name} is on no host"))
            };
        }
        Ok(Some(Workload {
            id: uuid.to_owned(),
            name,
            container: text(&entry.external_id).map(str::to_owned),
            asks,
            age: number(&entry.create_index).unwrap_or(u64::MAX),
            run: number(&entry.start_count).unwrap_or(0),
            presence: self.presence(entry),
        }))
    }

    /// The texts of its labels that matter; `None` if there are none. Rancher's labels are texts:
    /// anything else is no user's mistake.
    fn asks(&self, entry: &Entry) -> Result<Option<String>, String> {
        let labels = match &entry.labels {
            Value::Object(labels) => labels,
            Value::Null if self.before(entry).is_none() => return Ok(None),
            _ => return Err(format!("the labels of container {} are missing", entry.shown())),
        };
        let mut texts = Vec::new();
        for label in self.labels {
            match labels.get(label) {
                Some(Value::String(text)) => texts.push(text.as_str()),
                None | Some(Value::Null) => {}
                Some(_) => {
                    let name = entry.shown();
                    return Err(format!("the label {label} of container {name} is no text"));
                }
            }
        }
        Ok((!texts.is_empty()).then(|| texts.join(", ")))
    }

    fn presence(&self, entry: &Entry) -> Presence {
        match text(&entry.state) {
            Some("running" | "updating-running") => self.running(entry),
            Some("stopped" | "updating-stopped" | "removed" | "purging" | "purged") => {
                Presence::Stopped
            }
            _ => Presence::Unknown,
        }
    }

    /// Where it runs: its own address, none if it has none of its own.
    fn running(&self, entry: &Entry) -> Presence {
        if text(&entry.network_from_container_uuid).is_some() {
            return Presence::Running(Vec::new());
        }
        match entry.address() {
            Some(address) if Some(address) == self.host.agent => Presence::Running(Vec::new()),
            Some(address) => Presence::Running(vec![address]),
            None if entry.has_bad_address() || self.had_address(entry) => Presence::Unknown,
            None => Presence::Running(Vec::new()),
        }
    }

    fn had_address(&self, entry: &Entry) -> bool {
        let presence = self.before(entry).map(|before| &before.presence);
        matches!(presence, Some(Presence::Running(fixed)) if !fixed.is_empty())
    }
}

/// An address, with its mask or without.
fn address(text: &str) -> Option<IpAddr> {
    text.split('/').next()?.trim().parse().ok()
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
