//! Who makes it so.

pub mod direct;
pub mod network;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fip_core::kernel::Mac;

use super::model::{State, Wish};

/// How far it has come.
#[derive(Debug, Default)]
pub struct Progress {
    /// The state of each wish, by the workload's id.
    pub states: BTreeMap<String, State>,
    /// When to be called again, if nothing happens before.
    pub again: Option<Instant>,
}

/// An address that a workload has already: the agent may have been started anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The floating address.
    pub floating: IpAddr,
    /// Who has it.
    pub by: Holder,
}

/// By what the workload that has an address is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Docker's container id.
    Container(String),
    /// Its fixed address.
    Fixed(IpAddr),
}

/// Why an actuator cannot do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Failure {
    /// What went wrong, with its causes, in one line.
    pub what: String,
    /// The way out, where there is one.
    pub hint: Option<String>,
}

/// Makes wishes come true.
pub trait Actuator: Send {
    /// Goes on making these the state of the host, exactly. Does not wait for anybody: what takes time
    /// goes on by itself, and rings ([`Bell`]) when there is progress. What fails is reported with
    /// the workload that it concerns, and keeps no other from its addresses.
    ///
    /// A workload whose [`Presence`](super::model::Presence) is unknown keeps what it has.
    fn pursue(&mut self, wishes: &[Wish]) -> Progress;

    /// What [`Actuator::pursue`] would do, a line each: `+` and what would come, `-` and what would
    /// go. Changes nothing.
    ///
    /// # Errors
    /// If the present state cannot be read.
    fn plan(&mut self, wishes: &[Wish]) -> Result<Vec<String>, Failure>;

    /// What is there already.
    ///
    /// # Errors
    /// If the present state cannot be read.
    fn held(&mut self) -> Result<Vec<Held>, Failure>;

    /// Gives an address up to another host that wants it, and does not take it back as long as that
    /// host has it, unless its workload starts anew. Asked for after [`Signal::Challenged`] if the
    /// source cannot say that the workload still runs here: who never rings that needs none.
    fn give_up(&mut self, _address: IpAddr, _to: Mac) {}

    /// Waits for what follows when nothing is pending any more, as an announcement that is repeated:
    /// called before the process ends.
    fn settle(&mut self) {}

    /// Takes back all that was ever made, by whatever agent on this host; a line for each. Waits for
    /// it.
    ///
    /// # Errors
    /// If something is left, and what. All else is done.
    fn drain(&mut self) -> Result<Vec<String>, Failure>;
}

/// What an actuator tells unasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// [`Actuator::pursue`] would now report something else, or go on.
    Progress,
    /// A floating address has come to this host, or goes to another workload of it.
    Came {
        /// The address.
        address: IpAddr,
        /// From the moment when it was first asked for.
        took: Duration,
    },
    /// A floating address has left this host, or is not asked for any more.
    Left {
        /// The address.
        address: IpAddr,
    },
    /// What others had undone was done again: so many changes.
    Repaired(usize),
    /// Another host has claimed the address; it was yielded.
    Rival {
        /// The address.
        address: IpAddr,
        /// The other host.
        mac: Mac,
    },
    /// Another host asks whether the address, which is bound here, is free: it wants it.
    Challenged {
        /// The address.
        address: IpAddr,
        /// The other host.
        mac: Mac,
    },
}

/// How an actuator's threads tell the loop.
#[derive(Clone)]
pub struct Bell(Arc<dyn Fn(Signal) + Send + Sync>);

impl Bell {
    /// A bell that calls `heard`, in whatever thread it is rung.
    pub fn new(heard: impl Fn(Signal) + Send + Sync + 'static) -> Self {
        Self(Arc::new(heard))
    }

    /// Tells the loop. Returns at once.
    pub fn ring(&self, signal: Signal) {
        (self.0)(signal);
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bell")
    }
}
