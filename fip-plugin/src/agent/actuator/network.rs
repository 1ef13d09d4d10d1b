//! Has Docker connect workloads to a network whose driver, `fip-plugin`, binds their floating
//! addresses.
//!
//! Who has which address is Docker's to know: it is in the driver options of the endpoints, with a
//! marker that tells ours from those that the user has connected himself, which are left alone. So
//! an agent that ends, however it does, changes nothing, and the next one goes on where it was.

mod addresses;
mod desk;
mod drain;
mod engine;
mod ensure;
mod keeper;
mod plan;
mod sight;
#[cfg(test)]
mod stage;
mod trouble;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;
use std::{fmt, io};

use ipnetwork::IpNetwork;

use super::{Actuator, Bell, Failure, Held, Holder, Progress};
use crate::agent::model::{Presence, State, Wish};
use crate::ask::Switch;
use crate::docker::Docker;
use crate::options::Floating;
use desk::Desk;
use drain::drain;
use engine::Engine;
use ensure::find;
use keeper::{Keeper, Shared};
use plan::{Job, plan};
use sight::{There, look_closely};
use work::reason;

/// The driver option of the endpoints that we make, and the label of the network, with its value.
pub const MARKER: (&str, &str) = ("io.fip.by", "agent");

/// The driver option with which a container is connected for its floating addresses.
const ADDRESS: &str = "fip.address";

/// The network that containers are connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Its name.
    pub name: String,
    /// The name of its driver, as it is known to Docker.
    pub driver: String,
    /// Its subnets; Docker chooses if there is none. With one of IPv6 it has both families.
    pub subnets: Vec<IpNetwork>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
}

/// The network with what is to be known of it in one line.
impl fmt::Display for NetworkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (driver {}", self.name, self.driver)?;
        self.subnets.iter().try_for_each(|subnet| write!(f, ", {subnet}"))?;
        f.write_str(")")
    }
}

/// Connects containers to a network.
///
/// It looks at Docker whenever [`Actuator::pursue`] is called, and only then: that Docker's state has
/// changed is the source's to notice. It never rings
/// [`Signal::Challenged`](super::Signal::Challenged): the driver has the addresses, and watches them.
///
/// When it is dropped, nothing new begins. What Docker has begun, it finishes.
pub struct NetworkActuator {
    shared: Arc<Shared>,
    /// Ends what is asked of Docker.
    switch: Switch,
    keeper: Option<JoinHandle<()>>,
}

impl NetworkActuator {
    /// Starts a thread that sleeps until something is wished for. Asks Docker nothing yet.
    ///
    /// # Errors
    /// If there is no memory for a thread.
    pub fn start(docker: &Docker, spec: NetworkSpec, bell: Bell) -> io::Result<Self> {
        let switch = Switch::default();
        Self::with_engine(Box::new(docker.with_switch(&switch)), spec, bell, switch)
    }

    fn with_engine(
        engine: Box<dyn Engine>,
        spec: NetworkSpec,
        bell: Bell,
        switch: Switch,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared { engine, spec, bell, desk: Desk::default() });
        let keeper = Keeper::new(shared.clone());
        let keeper = thread::Builder::new().name("network".to_owned()).spawn(|| keeper.run())?;
        Ok(Self { shared, switch, keeper: Some(keeper) })
    }

    /// The network, if it is there, and all containers with who has connected them.
    fn look(&self) -> Result<(bool, BTreeMap<String, There>), Failure> {
        let Shared { engine, spec, .. } = &*self.shared;
        let network = find(&**engine, spec).map_err(|stuck| failure(stuck.why()))?;
        let there = look_closely(&**engine, &spec.name, network.as_ref());
        Ok((network.is_some(), there.map_err(|error| failure(&reason(&error)))?))
    }
}

impl Actuator for NetworkActuator {
    fn pursue(&mut self, wishes: &[Wish]) -> Progress {
        let states = self.shared.desk.change(|papers| {
            papers.wish(wishes, Instant::now());
            papers.states.clone()
        });
        let state = |Wish { workload, .. }: &Wish| {
            let first = match workload.presence {
                Presence::Stopped => State::Stopped,
                Presence::Running(_) | Presence::Unknown => State::Pending,
            };
            (workload.id.clone(), states.get(&workload.id).cloned().unwrap_or(first))
        };
        Progress { states: wishes.iter().map(state).collect(), again: None }
    }

    fn plan(&mut self, wishes: &[Wish]) -> Result<Vec<String>, Failure> {
        let (made, there) = self.look()?;
        let spec = &self.shared.spec;
        let mut lines = Vec::new();
        if !made {
            lines.push(format!("+ network {spec}"));
        }
        for (id, job) in plan(wishes, &there, &BTreeSet::new()).jobs {
            let there = &there[&id];
            let line =
                |sign, what: &str| format!("{sign} {}: {what} (network {})", there.name, spec.name);
            if let (Job::Disconnect | Job::Reconnect(_), Some(has)) = (&job, there.ours()) {
                lines.push(line('-', &shown(has)));
            }
            if let Job::Connect(asks) | Job::Reconnect(asks) = &job {
                lines.push(line('+', asks));
            }
        }
        Ok(lines)
    }

    fn held(&mut self) -> Result<Vec<Held>, Failure> {
        let (_, there) = self.look()?;
        let held = |(id, there): (String, There)| {
            let held = |floating| Held { floating, by: Holder::Container(id.clone()) };
            there.floating().map(held).collect::<Vec<_>>()
        };
        Ok(there.into_iter().flat_map(held).collect())
    }

    fn settle(&mut self) {
        self.shared.desk.wait_until_idle();
    }

    fn drain(&mut self) -> Result<Vec<String>, Failure> {
        self.shared.desk.change(|papers| papers.wishes = None);
        self.shared.desk.wait_until_idle();
        drain(&*self.shared.engine, &self.shared.spec)
    }
}

impl Drop for NetworkActuator {
    fn drop(&mut self) {
        self.shared.desk.change(|papers| papers.closed = true);
        self.switch.off();
        if let Some(keeper) = self.keeper.take() {
            // What a panic has to say, it has said already.
            let _ = keeper.join();
        }
    }
}

impl fmt::Debug for NetworkActuator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkActuator").field("spec", &self.shared.spec).finish_non_exhaustive()
    }
}

/// Reasons have the way out in them.
fn failure(why: &str) -> Failure {
    Failure { what: why.to_owned(), hint: None }
}

fn shown(floating: &[Floating]) -> String {
    let all: Vec<String> = floating.iter().map(ToString::to_string).collect();
    all.join(" ")
}

#[cfg(test)]
mod tests;
