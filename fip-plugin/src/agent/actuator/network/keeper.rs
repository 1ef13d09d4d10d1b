//! The thread that looks what is there, and has workers do what is to be done.
//!
//! It looks anew whenever somebody wishes, whenever a worker has ended, and when the time has come
//! to try again what failed. What Docker says counts, never what was done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::NetworkSpec;
use super::addresses::Addresses;
use super::desk::{self, Asked, Desk, Orders};
use super::engine::Engine;
use super::ensure::{Stuck, ensure};
use super::plan::{Job, Plan, plan, wanted};
use super::sight::{There, Whose, look};
use super::trouble::Trouble;
use super::work::{Outcome, Task, reason, work};
use crate::agent::actuator::{Bell, Signal};
use crate::agent::model::{Presence, State, Wish};
use crate::docker::NetworkInfo;

/// So many containers are at work at the same time, at most.
const WORKERS: usize = 16;

/// What the keeper's thread and the workers share with the actuator.
pub(super) struct Shared {
    pub(super) engine: Box<dyn Engine>,
    pub(super) spec: NetworkSpec,
    pub(super) bell: Bell,
    pub(super) desk: Desk,
}

/// What is remembered from one look to the next.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    /// By the container: an endpoint, and who has made it. That of a container that does not run has
    /// no id, so it is asked for again in each round.
    known: BTreeMap<String, (String, u64, Whose)>,
    /// What has just been done.
    done: BTreeMap<String, Job>,
    /// What is asked for for each container.
    asked: BTreeMap<String, Asked>,
    /// With containers, as long as the same is asked for.
    troubles: BTreeMap<String, (Option<Asked>, Trouble)>,
    /// With the network, or with Docker itself.
    trouble: Trouble,
    addresses: Addresses,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            known: BTreeMap::new(),
            done: BTreeMap::new(),
            asked: BTreeMap::new(),
            troubles: BTreeMap::new(),
            trouble: Trouble::default(),
            addresses: Addresses::default(),
        }
    }

    /// Works until the desk is closed.
    pub(super) fn run(mut self) {
        let mut due = None;
        while let Some(orders) = self.shared.desk.orders(due) {
            due = self.turn(orders);
        }
    }

    /// When to look again, if nothing happens before.
    fn turn(&mut self, mut orders: Orders) -> Option<Instant> {
        self.asked = asked(&orders.wishes);
        let Self { asked, troubles, .. } = self;
        troubles.retain(|container, (before, _)| asked.get(container) == before.as_ref());
        for (task, outcome) in std::mem::take(&mut orders.finished) {
            self.learn(task, outcome, orders.round);
        }
        match self.look(orders.round) {
            Ok((network, there)) => {
                self.trouble = Trouble::default();
                self.pursue(&orders, &network, &there)
            }
            Err(stuck) => self.stuck(&orders, &stuck),
        }
    }

    fn learn(&mut self, task: Task, outcome: Outcome, round: u64) {
        let Task { container, name, job } = task;
        match (outcome, job) {
            (Outcome::Knows(whose), Job::Ask(endpoint)) => {
                self.known.insert(container, (endpoint, round, whose));
            }
            (Outcome::Passed(why), job) => {
                log::debug!("{name}: not {job}: {why}");
                self.fail(&container, None);
            }
            (Outcome::Failed(why), job) => {
                let tell = self.fail(&container, Some(&why));
                log::log!(level(tell), "{name}: not {job}: {why}");
            }
            (Outcome::Done | Outcome::Knows(_), job) => {
                self.known.remove(&container);
                self.done.insert(container, job);
            }
        }
    }

    /// Whether the reason is to be told.
    fn fail(&mut self, container: &str, why: Option<&str>) -> bool {
        let asked = self.asked.get(container).cloned();
        let none = || (asked, Trouble::default());
        let (_, trouble) = self.troubles.entry(container.to_owned()).or_insert_with(none);
        trouble.fail(Instant::now(), why)
    }

    fn look(&mut self, round: u64) -> Result<(NetworkInfo, BTreeMap<String, There>), Stuck> {
        let Shared { engine, spec, .. } = &*self.shared;
        let network = ensure(&**engine, spec)?;
        let there = look(&**engine, &spec.name, Some(&network));
        let mut there = there.map_err(|error| Stuck::Deaf(reason(&error)))?;
        self.known.retain(|container, (endpoint, when, whose)| {
            let attached = there.get_mut(container).and_then(|there| there.attached.as_mut());
            let same = |id: &str| id == endpoint && (!id.is_empty() || *when == round);
            let Some(attached) = attached.filter(|attached| same(&attached.endpoint)) else {
                return false;
            };
            attached.whose = whose.clone();
            true
        });
        Ok((network, there))
    }

    fn pursue(
        &mut self,
        orders: &Orders,
        network: &NetworkInfo,
        there: &BTreeMap<String, There>,
    ) -> Option<Instant> {
        let troubles = self.troubles.iter();
        let refused = troubles.filter(|(_, (_, trouble))| trouble.why().is_some());
        let refused = refused.map(|(container, _)| container.clone()).collect();
        let Plan { mut states, jobs } = plan(&orders.wishes, there, &refused);
        let open =
            |container: &String| jobs.contains_key(container) || orders.at_work.contains(container);
        self.done.retain(|container, _| open(container));
        self.troubles.retain(|container, _| open(container));
        let due = self.start(&jobs, &orders.at_work, network, there);
        for wish in &orders.wishes {
            let trouble = wish.workload.container.as_ref().and_then(|id| self.troubles.get(id));
            let why = trouble.and_then(|(_, trouble)| trouble.why());
            let state = states.get_mut(id(wish)).filter(|state| **state == State::Pending);
            if let (Some(why), Some(state)) = (why, state) {
                *state = State::Waiting(why.to_owned());
            }
        }
        self.publish(orders, there, states);
        due
    }

    /// Nothing can be done for anybody.
    fn stuck(&mut self, orders: &Orders, stuck: &Stuck) -> Option<Instant> {
        let now = Instant::now();
        let why = stuck.why();
        let tell = self.trouble.fail(now, Some(why));
        log::log!(level(tell), "{why}");
        let before = self.shared.desk.lock().states.clone();
        let state = |wish: &Wish| match (stuck, before.get(id(wish)), &wish.workload.presence) {
            // What Docker cannot tell now has not ended.
            (Stuck::Deaf(_), Some(state @ (State::Bound | State::Stopped)), _) => state.clone(),
            (_, _, Presence::Stopped) => State::Stopped,
            _ => State::Waiting(why.to_owned()),
        };
        let states = orders.wishes.iter().map(|wish| (id(wish).clone(), state(wish))).collect();
        match stuck {
            Stuck::Deaf(_) => self.ring(Vec::new(), orders, states),
            Stuck::Barred(_) => self.publish(orders, &BTreeMap::new(), states),
        }
        self.trouble.until(now)
    }

    /// Has workers begin with what may begin now. When to look again for the rest.
    fn start(
        &mut self,
        jobs: &BTreeMap<String, Job>,
        at_work: &BTreeSet<String>,
        network: &NetworkInfo,
        there: &BTreeMap<String, There>,
    ) -> Option<Instant> {
        let now = Instant::now();
        let mut room = WORKERS.saturating_sub(at_work.len());
        let mut due = None;
        for (container, job) in jobs.iter().filter(|(container, _)| !at_work.contains(*container)) {
            // Docker said that it was done, and it was not.
            let again = self.done.remove(container).is_some_and(|done| done == *job);
            if again {
                log::debug!("container {container:.12}: {job}, but nothing has changed");
                self.fail(container, None);
            }
            let trouble = self.troubles.get(container);
            if let Some(until) = trouble.and_then(|(_, trouble)| trouble.until(now)) {
                due = Some(due.map_or(until, |due: Instant| due.min(until)));
            } else if room > 0 {
                room -= 1;
                let name = there.get(container).map_or(container, |there| &there.name).clone();
                let task = Task { container: container.clone(), name, job: job.clone() };
                self.begin(task, network);
            }
        }
        due
    }

    fn begin(&self, task: Task, network: &NetworkInfo) {
        self.shared.desk.lock().at_work.insert(task.container.clone());
        let (shared, network, begun) = (self.shared.clone(), network.clone(), task.clone());
        let thread = thread::Builder::new().name("connect".to_owned()).spawn(move || {
            let outcome = work(&*shared.engine, &network, &begun);
            shared.desk.finish(begun, outcome);
        });
        if let Err(error) = thread {
            let outcome = Outcome::Failed(format!("no thread for it: {error}"));
            self.shared.desk.finish(task, outcome);
        }
    }

    fn publish(
        &mut self,
        orders: &Orders,
        there: &BTreeMap<String, There>,
        states: BTreeMap<String, State>,
    ) {
        let since = self.shared.desk.lock().since.clone();
        let asked = |container: &str, address| {
            let asks = |wish: &&Wish| {
                wish.workload.container.as_deref() == Some(container)
                    && wish.floating.iter().any(|floating| floating.address == address)
            };
            let wish = orders.wishes.iter().find(asks)?;
            since.get(id(wish)).map(|(_, since)| *since)
        };
        let signals = self.addresses.update(there, asked);
        self.ring(signals, orders, states);
    }

    /// What came and left is told before it can be seen in the states.
    fn ring(&self, signals: Vec<Signal>, orders: &Orders, states: BTreeMap<String, State>) {
        let Shared { desk, bell, .. } = &*self.shared;
        for signal in signals {
            if let Signal::Left { address } = signal {
                desk.lock().lost(address);
            }
            bell.ring(signal);
        }
        let news = desk.lock().become_of(&orders.wishes, states);
        if news {
            bell.ring(Signal::Progress);
        }
    }
}

/// What has not been told yet is worth a line.
fn level(tell: bool) -> log::Level {
    if tell { log::Level::Warn } else { log::Level::Debug }
}

fn id(wish: &Wish) -> &String {
    &wish.workload.id
}

/// What is asked for for each container.
fn asked(wishes: &[Wish]) -> BTreeMap<String, Asked> {
    wanted(wishes).into_iter().map(|(id, wish)| (id.to_owned(), desk::asked(wish))).collect()
}
