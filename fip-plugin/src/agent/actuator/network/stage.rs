//! A Docker daemon that exists in memory only, and an actuator that works with it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::engine::Engine;
use super::{ADDRESS, MARKER, NetworkActuator, NetworkSpec};
use crate::agent::actuator::{Actuator, Bell, Signal};
use crate::agent::model::{Presence, State, Wish, Workload};
use crate::ask::Switch;
use crate::docker::{Attachment, Container, DockerError, NetworkInfo, NewNetwork};
use crate::options::{NO_ADDRESS, parse_floating};

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

type Options = BTreeMap<String, String>;

/// A container that Docker has.
#[derive(Debug, Clone, Default)]
pub(super) struct Dock {
    pub(super) stopped: bool,
    pub(super) shares: bool,
    /// Its endpoint's id and options.
    pub(super) connected: Option<(String, Options)>,
    /// Those of an endpoint that the driver has refused: Docker 20.10 keeps them, lists them, tries
    /// them again at the next start, and does not disconnect them.
    pub(super) left: Option<Options>,
}

/// What Docker has, and how it is today.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) network: Option<NetworkInfo>,
    pub(super) containers: BTreeMap<String, Dock>,
    /// What the driver says to these addresses.
    pub(super) refused: BTreeMap<String, String>,
    /// What Docker says to whoever wants a network.
    pub(super) no_network: Option<String>,
    pub(super) deaf: bool,
    /// It says yes, and connects nothing.
    pub(super) idle: bool,
    /// Connecting these does not end.
    pub(super) held_up: BTreeSet<String>,
    pub(super) at_work: BTreeSet<String>,
    pub(super) most_at_work: usize,
    /// All that was asked to change anything.
    pub(super) calls: Vec<String>,
    endpoints: u64,
}

#[derive(Debug, Default)]
pub(super) struct Fake {
    world: Mutex<World>,
    changed: Condvar,
}

#[derive(Debug, Clone, Default)]
pub(super) struct FakeDocker(pub(super) Arc<Fake>);

impl FakeDocker {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap()
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut self.world());
        self.0.changed.notify_all();
        result
    }

    /// A container that runs.
    pub(super) fn run(&self, id: &str) {
        self.change(|world| _ = world.containers.insert(id.to_owned(), Dock::default()));
    }

    /// Ends it, as `docker stop` does.
    pub(super) fn stop(&self, id: &str) {
        self.change(|world| {
            let dock = world.containers.get_mut(id).unwrap();
            dock.stopped = true;
            let kept = dock.left.take().or(dock.connected.take().map(|(_, options)| options));
            dock.connected = kept.map(|options| (String::new(), options));
        });
    }

    /// The options of its endpoint.
    pub(super) fn options(&self, id: &str) -> Option<Options> {
        self.world().containers[id].connected.clone().map(|(_, options)| options)
    }

    /// For what it is connected.
    pub(super) fn address(&self, id: &str) -> Option<String> {
        self.options(id)?.remove(ADDRESS)
    }

    /// Connects it, as the user does.
    pub(super) fn connect_by_hand(&self, id: &str, options: &[(&str, &str)]) {
        let options = options.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        self.change(|world| world.connect(id, options)).unwrap();
    }

    #[track_caller]
    pub(super) fn wait_until(&self, what: &str, done: impl Fn(&World) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut world = self.world();
        while !done(&world) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain until {what}: {world:?}");
            world = self.0.changed.wait_timeout(world, left).unwrap().0;
        }
    }

    fn ask(&self) -> Result<MutexGuard<'_, World>, DockerError> {
        let world = self.world();
        if world.deaf {
            let source = io::ErrorKind::ConnectionRefused.into();
            return Err(DockerError::Unreachable { host: "here".to_owned(), source });
        }
        Ok(world)
    }
}

impl World {
    fn connect(&mut self, id: &str, options: Options) -> Result<(), DockerError> {
        self.network.as_ref().ok_or_else(|| refused(404, "network 7f not found"))?;
        let text = options.get(ADDRESS).and_then(|address| self.refused.get(address)).cloned();
        let endpoint = format!("endpoint-{}", self.endpoints);
        let dock = self.containers.get_mut(id);
        let dock = dock.ok_or_else(|| refused(404, &format!("No such container: {id}")))?;
        if dock.shares {
            return Err(refused(403, "container sharing network namespace"));
        }
        if dock.connected.is_some() {
            return Err(refused(
                403,
                &format!("endpoint with name {id} already exists in network"),
            ));
        }
        if dock.stopped {
            dock.connected = Some((String::new(), options));
            return Ok(());
        }
        if let Some(text) = text {
            dock.left.get_or_insert(options);
            return Err(refused(500, &format!("remote: {text}")));
        }
        dock.left = None;
        dock.connected = Some((endpoint, options));
        self.endpoints += 1;
        Ok(())
    }
}

pub(super) fn refused(status: u16, message: &str) -> DockerError {
    DockerError::Refused {
        host: "here".to_owned(),
        question: "POST /networks".to_owned(),
        status,
        message: message.to_owned(),
    }
}

impl Engine for FakeDocker {
    fn network(&self, name: &str) -> Result<Option<NetworkInfo>, DockerError> {
        Ok(self.ask()?.network.clone().filter(|network| network.name == name))
    }

    fn create(&self, new: &NewNetwork) -> Result<String, DockerError> {
        let mut world = self.ask()?;
        world.calls.push("create".to_owned());
        if let Some(text) = &world.no_network {
            return Err(refused(404, text));
        }
        let NewNetwork { name, driver, labels, .. } = new.clone();
        let id = format!("id-{}", world.calls.len());
        world.network = Some(NetworkInfo { id: id.clone(), name, driver, labels });
        Ok(id)
    }

    fn remove(&self, id: &str) -> Result<(), DockerError> {
        let mut world = self.ask()?;
        world.calls.push("remove".to_owned());
        world.network.take_if(|network| network.id == id);
        Ok(())
    }

    fn containers(&self) -> Result<Vec<Container>, DockerError> {
        let world = self.ask()?;
        let attachment = |(endpoint_id, _): (String, Options)| {
            let name = world.network.as_ref().map_or("fip", |network| &network.name);
            (name.to_owned(), Attachment { endpoint_id, ..Attachment::default() })
        };
        let container = |(id, dock): (&String, &Dock)| {
            let left = dock.left.clone().map(|options| ("refused".to_owned(), options));
            Container {
                id: id.clone(),
                name: id.clone(),
                running: !dock.stopped,
                shares: dock.shares,
                networks: left.or(dock.connected.clone()).map(attachment).into_iter().collect(),
                ..Container::default()
            }
        };
        Ok(world.containers.iter().map(container).collect())
    }

    fn endpoints(&self, id: &str) -> Result<Option<BTreeSet<String>>, DockerError> {
        let world = self.ask()?;
        let docks = world.containers.values().filter(|dock| !dock.stopped);
        let endpoints = docks.filter_map(|dock| Some(dock.connected.clone()?.0)).collect();
        Ok(world.network.as_ref().filter(|network| network.id == id).map(|_| endpoints))
    }

    fn options(&self, id: &str, _: &str) -> Result<Option<Options>, DockerError> {
        let world = self.ask()?;
        let Some(dock) = world.containers.get(id) else { return Ok(None) };
        let connected = dock.connected.clone().map(|(_, options)| options);
        Ok(dock.left.clone().or(connected))
    }

    fn connect(&self, network: &str, id: &str, options: &Options) -> Result<(), DockerError> {
        let mut world = self.ask()?;
        assert_eq!(world.network.as_ref().map(|network| &*network.id), Some(network));
        assert_eq!(options[MARKER.0], MARKER.1);
        world.calls.push(format!("connect {id} {}", options[ADDRESS]));
        assert!(world.at_work.insert(id.to_owned()), "two are at work for {id}");
        world.most_at_work = world.most_at_work.max(world.at_work.len());
        self.0.changed.notify_all();
        while world.held_up.contains(id) {
            world = self.0.changed.wait(world).unwrap();
        }
        world.at_work.remove(id);
        let done = if world.idle { Ok(()) } else { world.connect(id, options.clone()) };
        self.0.changed.notify_all();
        done
    }

    fn disconnect(&self, _: &str, id: &str) -> Result<(), DockerError> {
        let mut world = self.ask()?;
        assert!(!world.at_work.contains(id), "two are at work for {id}");
        world.calls.push(format!("disconnect {id}"));
        if let Some(dock) = world.containers.get_mut(id) {
            dock.connected = None;
        }
        self.0.changed.notify_all();
        Ok(())
    }
}

/// An actuator at work.
pub(super) struct Stage {
    pub(super) docker: FakeDocker,
    pub(super) actuator: NetworkActuator,
    pub(super) signals: Receiver<Signal>,
    /// Those that are not mere progress, as `+ADDRESS` and `-ADDRESS`.
    heard: Vec<String>,
}

pub(super) fn spec() -> NetworkSpec {
    NetworkSpec {
        name: "fip".to_owned(),
        driver: "fip".to_owned(),
        subnets: vec!["172.18.0.0/16".parse().unwrap()],
        options: BTreeMap::new(),
    }
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::with(FakeDocker::default())
    }

    pub(super) fn with(docker: FakeDocker) -> Self {
        let (heard, signals) = channel();
        let bell = Bell::new(move |signal| _ = heard.send(signal));
        let engine = Box::new(docker.clone());
        let actuator = NetworkActuator::with_engine(engine, spec(), bell, Switch::default());
        Self { docker, actuator: actuator.unwrap(), signals, heard: Vec::new() }
    }

    /// Pursues the wishes, and goes on whenever there is progress, until each one has come to this.
    #[track_caller]
    pub(super) fn pursue_until(&mut self, wishes: &[Wish], expected: &[State]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let states = self.actuator.pursue(wishes).states;
            let states: Vec<_> = wishes.iter().map(|wish| &states[&wish.workload.id]).collect();
            if states.iter().copied().eq(expected) {
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{expected:?} is {states:?}: {:?}", self.docker.world());
            while let Ok(signal) = self.signals.recv_timeout(left) {
                if signal == Signal::Progress {
                    break;
                }
                self.heard.push(shown(&signal));
            }
        }
    }

    /// Pursues the wishes until all is done that can be done.
    #[track_caller]
    pub(super) fn pursue(&mut self, wishes: &[Wish]) -> Vec<State> {
        self.actuator.pursue(wishes);
        self.actuator.settle();
        let states = self.actuator.pursue(wishes).states;
        self.actuator.settle();
        wishes.iter().map(|wish| states[&wish.workload.id].clone()).collect()
    }

    /// Which addresses have come and left.
    pub(super) fn heard(&mut self) -> Vec<String> {
        let others = self.signals.try_iter().filter(|signal| *signal != Signal::Progress);
        self.heard.extend(others.map(|signal| shown(&signal)));
        std::mem::take(&mut self.heard)
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.docker.world().calls.clone()
    }
}

fn shown(signal: &Signal) -> String {
    match signal {
        Signal::Came { address, .. } => format!("+{address}"),
        Signal::Left { address } => format!("-{address}"),
        other => panic!("{other:?}"),
    }
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The wish of a container that runs.
pub(super) fn wish(container: &str, asks: &str) -> Wish {
    let workload = Workload {
        id: format!("w-{container}"),
        name: container.to_owned(),
        container: Some(container.to_owned()),
        asks: asks.to_owned(),
        age: 0,
        run: 1,
        presence: Presence::Running(Vec::new()),
    };
    Wish { workload: workload.into(), floating: parse_floating(asks).unwrap() }
}

impl Wish {
    pub(super) fn present(mut self, presence: Presence) -> Self {
        Arc::make_mut(&mut self.workload).presence = presence;
        self
    }
}

/// What clears away the rest of a connection that was refused.
pub(super) fn clearing(id: &str) -> [String; 3] {
    let disconnect = || format!("disconnect {id}");
    [disconnect(), format!("connect {id} {NO_ADDRESS}"), disconnect()]
}
