//! What the sources, the loop and the actuators speak of.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use crate::options::Floating;

/// A workload of this host that asks for floating addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// What tells it from all others of its source: Docker's container id where there is one.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// The id by which Docker knows it; none if it is no container of Docker, or not known to be.
    pub container: Option<String>,
    /// What it asks for, as it was written: the text of a label.
    pub asks: String,
    /// Of two that ask for the same address, and that both begin now, the one with the smaller
    /// number has it.
    pub age: u64,
    /// Another number after each start.
    pub run: u64,
    /// Whether, and where on this host, it is.
    pub presence: Presence,
}

/// Whether a workload runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It runs, and has these fixed addresses; the first one of each family counts.
    Running(Vec<IpAddr>),
    /// It exists, but does not run.
    Stopped,
    /// The source cannot tell at the moment: what it has, it keeps.
    Unknown,
}

/// What a workload shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The workload. All who speak of it share what the source said.
    pub workload: Arc<Workload>,
    /// Its floating addresses, in the order in which it asks for them; never none.
    pub floating: Vec<Floating>,
}

/// What has become of a workload's wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "why", rename_all = "lowercase")]
pub enum State {
    /// Its floating addresses lead to it.
    Bound,
    /// That is being made so.
    Pending,
    /// It does not run.
    Stopped,
    /// It cannot be had now, and is tried again: the reason.
    Waiting(String),
    /// It cannot be had as long as nothing changes: the reason.
    Refused(String),
    /// Another host claimed it later: which one.
    Yielded(String),
}
