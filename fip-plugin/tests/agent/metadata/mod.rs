//! A metadata service that answers as Rancher's does, including its faults.
//!
//! It has what was published last: `/VERSION/version`, `/VERSION/self/host`, `/VERSION/hosts` and
//! `/VERSION/containers`, as JSON for whoever asks literally for it, with long polls. Who asks is
//! told apart by the address from which he asks.

// Each test program uses its part of it.
#![allow(dead_code)]

mod door;
mod world;

use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::{Ns, wait_for};
use door::Door;
use world::World;

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    /// There is none, ever.
    Hang,
    /// The connection ends without any.
    Gone,
    /// It ends in its middle.
    Cut,
    /// Its JSON does.
    HalfJson,
    /// It is 200 with this.
    Says(String),
    /// It has this status, and is right otherwise.
    Status(u16),
    /// It is elsewhere, and there is nothing of this host.
    Redirect,
}

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// `GET`
    pub(crate) method: String,
    /// `/latest/containers`, with the query.
    pub(crate) target: String,
    pub(crate) accept: String,
}

/// The service, until it is dropped.
pub(crate) struct Metadata {
    ns: Ns,
    port: u16,
    shared: Arc<Shared>,
    door: Mutex<Option<Door>>,
}

/// What all questions see.
struct Shared {
    world: Mutex<World>,
    changed: Condvar,
    asked: Mutex<Vec<Asked>>,
}

impl Metadata {
    /// Listens in the namespace, at all its addresses. It knows the recorded hosts `node-a`,
    /// `node-b` and `node-c`, takes everybody for `node-a`, and has no containers.
    pub(crate) fn start(ns: &Ns) -> Self {
        Self::start_at(ns, 80)
    }

    /// At that port.
    pub(crate) fn start_at(ns: &Ns, port: u16) -> Self {
        let shared = Arc::new(Shared {
            world: Mutex::new(World::recorded()),
            changed: Condvar::new(),
            asked: Mutex::default(),
        });
        let ns = Ns::of(ns.name(), &ns.path());
        let service = Self { ns, port, shared, door: Mutex::default() };
        service.open();
        service
    }

    /// Its URL for who reaches it at that address.
    pub(crate) fn url(&self, address: IpAddr) -> String {
        match address {
            IpAddr::V4(_) => format!("http://{address}:{}", self.port),
            IpAddr::V6(_) => format!("http://[{address}]:{}", self.port),
        }
    }

    /// Its URL inside its namespace.
    pub(crate) fn local(&self) -> String {
        self.url(IpAddr::from([127, 0, 0, 1]))
    }

    /// Another file is there, with these containers, and has been loaded.
    pub(crate) fn publish(&self, containers: Vec<Value>) {
        self.change(|world| {
            world.containers = json!(containers);
            world.load();
        });
    }

    /// The same, but only once the containers have been asked for again: just after that answer.
    pub(crate) fn publish_after_an_answer(&self, containers: Vec<Value>) {
        self.change(|world| world.next = Some(json!(containers)));
    }

    /// The same is loaded again: there is a new version, and nothing else.
    pub(crate) fn reload(&self) {
        self.change(World::load);
    }

    /// The version of what it has.
    pub(crate) fn version(&self) -> String {
        self.shared.world().version.clone().unwrap()
    }

    /// The file was lost, and nothing loaded: until the next [`Metadata::publish`].
    pub(crate) fn wipe(&self) {
        self.change(|world| world.version = None);
    }

    /// One more host.
    pub(crate) fn add_host(&self, name: &str, uuid: &str, agent_ip: IpAddr) {
        let host = json!({"name": name, "uuid": uuid, "agent_ip": agent_ip, "state": "active"});
        self.change(|world| world.hosts.push(host));
    }

    /// Whoever asks from that address is the host of this name.
    pub(crate) fn seat(&self, address: IpAddr, host: &str) {
        self.change(|world| _ = world.seats.insert(address, host.to_owned()));
    }

    /// The host that all others are.
    pub(crate) fn default_host(&self, host: &str) {
        self.change(|world| host.clone_into(&mut world.default));
    }

    /// Changes a field of that host.
    pub(crate) fn set_host(&self, host: &str, field: &str, value: Value) {
        self.change(|world| {
            let host = world.hosts.iter_mut().find(|h| h["name"] == host).unwrap();
            host[field] = value;
        });
    }

    /// From now on all answers to this question (`version`, `self/host`, `containers`) are wrong in
    /// this way; to every question if it is `*`, to polls of the version if it is `poll`.
    pub(crate) fn fault(&self, question: &str, fault: Fault) {
        self.change(|world| _ = world.faults.insert(question.to_owned(), fault));
    }

    /// Answers are right again, also for polls that wait.
    pub(crate) fn heal(&self) {
        self.change(|world| {
            world.faults.clear();
            world.frozen = false;
            world.restless = false;
        });
        self.open();
    }

    /// What is published gets no new version.
    pub(crate) fn freeze(&self) {
        self.change(|world| world.frozen = true);
    }

    /// Every question for the version gets a new one.
    pub(crate) fn never_rest(&self) {
        self.change(|world| world.restless = true);
    }

    /// How often polls are looked after: they end at such a time. Never is what old services do.
    pub(crate) fn tick(&self, tick: Option<Duration>) {
        self.change(|world| world.tick = tick);
    }

    /// Ends all connections, and takes no new ones until [`Metadata::heal`].
    pub(crate) fn kill(&self) {
        *self.door.lock().unwrap() = None;
    }

    /// All that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Waits until somebody who knows the newest version waits for another one. A poll that comes
    /// later than a fault may meet it before it is told of anything.
    #[track_caller]
    pub(crate) fn wait_for_poll(&self) {
        wait_for("a poll of the newest version", || {
            let world = self.shared.world();
            let newest = world.version.as_ref();
            world.polls.iter().any(|known| Some(known) == newest).then_some(())
        });
    }

    /// How often a target with this in it was asked for so far.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.asked().iter().filter(|asked| asked.target.contains(part)).count()
    }

    fn open(&self) {
        let mut door = self.door.lock().unwrap();
        if door.is_none() {
            *door = Some(Door::open(&self.ns, self.port, self.shared.clone()));
        }
    }

    fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.shared.world());
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }
}

/// The recorded containers of three hosts.
pub(crate) fn recorded() -> Vec<Value> {
    serde_json::from_str(include_str!("../../fixtures/rancher/latest.containers.json")).unwrap()
}

/// A running container of the recorded host `node-a`; [`with`] changes it.
pub(crate) fn container(name: &str, asks: &str, fixed: &str) -> Value {
    json!({
        "name": name, "uuid": format!("uuid-{name}"), "external_id": format!("id-{name}"),
        "host_uuid": uuid_of("node-a"), "primary_ip": fixed, "state": "running",
        "labels": {"io.rancher.container.floating.ip": asks}, "create_index": 1, "start_count": 1,
        "network_from_container_uuid": null, "metadata_kind": "container"
    })
}

/// The container with another value in that field.
pub(crate) fn with(mut container: Value, field: &str, value: impl Into<Value>) -> Value {
    container[field] = value.into();
    container
}

/// The uuid of a recorded host.
pub(crate) fn uuid_of(host: &str) -> String {
    let hosts = world::recorded_hosts();
    hosts.iter().find(|h| h["name"] == host).unwrap()["uuid"].as_str().unwrap().to_owned()
}
