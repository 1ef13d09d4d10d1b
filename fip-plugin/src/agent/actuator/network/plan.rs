//! From what is there and what is wished for to what is to be done. Nothing is asked and nothing is
//! done here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::sight::{There, Whose};
use crate::agent::model::{Presence, State, Wish};
use crate::options::Floating;

/// What is to be done for a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Job {
    /// To find out who made this endpoint, and for which addresses.
    Ask(String),
    /// To connect it; the text says for which addresses.
    Connect(String),
    /// To disconnect it, and to connect it so.
    Reconnect(String),
    Disconnect,
}

/// As what has been done.
impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask(_) => f.write_str("looked at"),
            Self::Connect(asks) => write!(f, "connected for {asks}"),
            Self::Reconnect(asks) => write!(f, "connected anew for {asks}"),
            Self::Disconnect => f.write_str("disconnected"),
        }
    }
}

/// What follows.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// By the workload's id. What has a job is not complete.
    pub(super) states: BTreeMap<String, State>,
    /// By the container's id.
    pub(super) jobs: BTreeMap<String, Job>,
}

/// What is to be done to make these wishes true. Containers are known by their ids; to connect those
/// of `refused` was tried in vain.
pub(super) fn plan(
    wishes: &[Wish],
    there: &BTreeMap<String, There>,
    refused: &BTreeSet<String>,
) -> Plan {
    let mut plan = Plan::default();
    let wanted = wanted(wishes);
    for wish in wishes {
        let (state, job) = match wanted.get(container(wish)) {
            None if wish.workload.presence == Presence::Unknown => {
                (State::Waiting(UNKNOWN.to_owned()), None)
            }
            None => (State::Refused(NO_CONTAINER.to_owned()), None),
            Some(first) if !std::ptr::eq(*first, wish) => (State::Refused(second_to(first)), None),
            Some(_) => {
                let barred = || {
                    refused.contains(container(wish))
                        || wanted.values().any(|other| stands_in_its_way(other, wish))
                };
                verdict(wish, there.get(container(wish)), barred)
            }
        };
        plan.states.insert(wish.workload.id.clone(), state);
        plan.jobs.extend(job.map(|job| (container(wish).to_owned(), job)));
    }
    // Any of those that nobody seems to want may be the one that the source cannot tell of.
    let doubt = wishes.iter().any(|wish| {
        wish.workload.presence == Presence::Unknown && wish.workload.container.is_none()
    });
    for (id, container) in there.iter().filter(|(id, _)| !wanted.contains_key(id.as_str())) {
        let job = container.attached.as_ref().and_then(|attached| match attached.whose {
            Whose::Unknown => Some(Job::Ask(attached.endpoint.clone())),
            Whose::Ours(_) if !doubt => Some(Job::Disconnect),
            Whose::Ours(_) | Whose::Users => None,
        });
        plan.jobs.extend(job.map(|job| (id.clone(), job)));
    }
    plan
}

const NO_CONTAINER: &str =
    "it is no container that Docker knows; bind it directly (--attach direct)";

/// Empty for what is no container.
fn container(wish: &Wish) -> &str {
    wish.workload.container.as_deref().unwrap_or_default()
}

/// The wish that counts for each container.
pub(super) fn wanted(wishes: &[Wish]) -> BTreeMap<&str, &Wish> {
    let mut wanted: BTreeMap<&str, &Wish> = BTreeMap::new();
    let rank = |wish: &Wish| (wish.workload.age, wish.workload.id.clone());
    for wish in wishes.iter().filter(|wish| !container(wish).is_empty()) {
        let first = wanted.entry(container(wish)).or_insert(wish);
        if rank(wish) < rank(first) {
            *first = wish;
        }
    }
    wanted
}

fn second_to(first: &Wish) -> String {
    let other = &first.workload.name;
    format!("{other} is the same container, and asks as well; let one of the two ask for all")
}

/// Whether the one that runs shall have what the other one would take when it starts.
fn stands_in_its_way(running: &Wish, stopped: &Wish) -> bool {
    let runs = matches!(running.workload.presence, Presence::Running(_));
    let overlap = |a: &Floating, b: &Floating| {
        let port = |p: &fip_core::PortForward| (p.protocol, p.port);
        let shared = || a.ports.iter().any(|x| b.ports.iter().any(|y| port(x) == port(y)));
        a.address == b.address && (a.ports.is_empty() && b.ports.is_empty() || shared())
    };
    let meets = |a: &Floating| stopped.floating.iter().any(|b| overlap(a, b));
    runs && running.workload.id != stopped.workload.id && running.floating.iter().any(meets)
}

/// What becomes of the wish, and what is to be done for it. `barred`: if it started now, it would not
/// get what it was connected for.
fn verdict(wish: &Wish, there: Option<&There>, barred: impl Fn() -> bool) -> (State, Option<Job>) {
    let presence = &wish.workload.presence;
    let Some(there) = there else {
        return match presence {
            Presence::Stopped => (State::Stopped, None),
            Presence::Running(_) => (State::Waiting(GONE.to_owned()), None),
            Presence::Unknown => (State::Waiting(UNKNOWN.to_owned()), None),
        };
    };
    let asks = || wish.workload.asks.clone();
    match (&there.attached, there.running) {
        (Some(_), true) if *presence == Presence::Unknown => (State::Bound, None),
        _ if *presence == Presence::Unknown => (State::Waiting(UNKNOWN.to_owned()), None),
        _ if there.shares => (State::Refused(SHARES.to_owned()), None),
        (Some(attached), true) => match &attached.whose {
            Whose::Unknown => (State::Pending, Some(Job::Ask(attached.endpoint.clone()))),
            Whose::Ours(has) if *has != wish.floating => {
                (State::Pending, Some(Job::Reconnect(asks())))
            }
            Whose::Ours(_) | Whose::Users => (State::Bound, None),
        },
        (None, true) if *presence != Presence::Stopped => {
            (State::Pending, Some(Job::Connect(asks())))
        }
        (None, _) => (State::Stopped, None),
        (Some(attached), false) => {
            let job = match &attached.whose {
                Whose::Unknown => Some(Job::Ask(attached.endpoint.clone())),
                // Docker joins it when it starts, and does not start it if that is refused.
                Whose::Ours(_) if barred() => Some(Job::Disconnect),
                Whose::Ours(has) if *has != wish.floating => Some(Job::Reconnect(asks())),
                Whose::Ours(_) | Whose::Users => None,
            };
            (State::Stopped, job)
        }
    }
}

const GONE: &str = "Docker has no such container (any more)";
const UNKNOWN: &str = "its source cannot tell whether it runs";
const SHARES: &str = "it has no network of its own (--network host or container:...), so Docker \
                      connects it to no other; label the container whose network it uses";

#[cfg(test)]
mod tests;
