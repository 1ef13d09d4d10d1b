//! What the service knows, and how it tells it.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Fault;

const VERSIONS: [&str; 4] = ["2015-07-25", "2015-12-19", "2016-07-29", "latest"];

pub(super) struct World {
    /// None while it has no data.
    pub(super) version: Option<String>,
    pub(super) containers: Value,
    /// What is loaded once the containers have been told.
    pub(super) next: Option<Value>,
    pub(super) hosts: Vec<Value>,
    /// The names of the hosts that ask from these addresses, and of the one that all others are.
    pub(super) seats: BTreeMap<IpAddr, String>,
    pub(super) default: String,
    pub(super) faults: BTreeMap<String, Fault>,
    pub(super) frozen: bool,
    pub(super) restless: bool,
    pub(super) tick: Option<Duration>,
    /// The versions that the polls which wait know already.
    pub(super) polls: Vec<String>,
    started: Instant,
    /// New with each load.
    order: RandomState,
}

/// What there is at a path, before it is written as text or JSON.
pub(super) enum Found {
    Value(Value),
    NoVersion,
    Nothing,
}

impl World {
    pub(super) fn recorded() -> Self {
        let mut world = Self {
            version: None,
            containers: json!([]),
            next: None,
            hosts: recorded_hosts(),
            seats: BTreeMap::new(),
            default: "node-a".to_owned(),
            faults: BTreeMap::new(),
            frozen: false,
            restless: false,
            tick: Some(Duration::from_millis(50)),
            polls: Vec::new(),
            started: Instant::now(),
            order: RandomState::new(),
        };
        world.load();
        world
    }

    /// What a load does: another version, another order.
    pub(super) fn load(&mut self) {
        self.order = RandomState::new();
        if !self.frozen || self.version.is_none() {
            self.version = Some(format!("{:016x}-0483", self.order.hash_one("version")));
        }
    }

    /// What is at `/VERSION/path` for who asks from that address.
    pub(super) fn find(&mut self, version: &str, path: &str, from: IpAddr) -> Found {
        if !VERSIONS.contains(&version) || (self.version.is_none() && version != "latest") {
            return Found::NoVersion;
        }
        if self.version.is_none() {
            return Found::Nothing;
        }
        if path == "version" && self.restless {
            self.load();
        }
        match path {
            "version" => Found::Value(json!(self.version)),
            "self/host" => {
                let name = self.seats.get(&from).unwrap_or(&self.default);
                let host = self.hosts.iter().find(|host| host["name"] == **name);
                host.map_or(Found::Nothing, |host| Found::Value(host.clone()))
            }
            "hosts" => Found::Value(json!(self.hosts)),
            "containers" => {
                let containers = self.containers(version);
                if let Some(next) = self.next.take() {
                    self.containers = next;
                    self.load();
                }
                Found::Value(containers)
            }
            _ => Found::Nothing,
        }
    }

    /// In an order of this load and version; newer ones have small letters only.
    fn containers(&self, version: &str) -> Value {
        let Value::Array(mut all) = self.containers.clone() else { return Value::Null };
        if all.is_empty() {
            return Value::Null;
        }
        all.sort_by_cached_key(|container| self.order.hash_one((version, container.to_string())));
        if !version.starts_with("2015") {
            for container in &mut all {
                for field in ["name", "service_name", "stack_name"] {
                    if let Some(text) = container[field].as_str() {
                        container[field] = json!(text.to_lowercase());
                    }
                }
            }
        }
        Value::Array(all)
    }

    /// When a poll that begins now is over; none if never.
    pub(super) fn deadline(&self, most: Option<&str>) -> Option<Instant> {
        let tick = self.tick?;
        let seconds: u64 = match most.and_then(|text| text.parse::<i64>().ok()) {
            None | Some(0) => 60,
            Some(seconds) => seconds.clamp(0, 120).unsigned_abs(),
        };
        if seconds == 0 {
            return Some(Instant::now());
        }
        let least = self.started.elapsed() + Duration::from_secs(seconds);
        let ticks = least.div_duration_f64(tick).ceil();
        Some(self.started + tick.mul_f64(ticks))
    }
}

pub(super) fn recorded_hosts() -> Vec<Value> {
    serde_json::from_str(include_str!("../../fixtures/rancher/latest.hosts.json")).unwrap()
}

/// As it is written for who does not ask for JSON.
pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(all) => {
            let names = all.iter().map(|one| as_text(&one["name"]).replace(' ', "+"));
            names.enumerate().map(|(index, name)| format!("{index}={name}\n")).collect()
        }
        Value::Object(fields) => fields.keys().map(|field| format!("{field}\n")).collect(),
        other => other.to_string(),
    }
}
