//! What is asked of connection tracking.

use std::net::IpAddr;

use crate::binding::Protocol;
use crate::conntrack::Strays;
use crate::error::Result;

/// Flows of a floating address, as connection tracking knows them, translated or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flows {
    /// The floating address.
    pub floating: IpAddr,
    /// Which of its flows.
    pub which: Which,
}

/// A selection of the flows of a floating address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// To any port or protocol except these, and those that the workload started.
    Except(Vec<(Protocol, u16)>),
    /// To these ports.
    Only(Vec<(Protocol, u16)>),
    /// Those that the workload started: translated to have the floating address as source.
    Outbound,
}

/// Connection tracking.
pub trait Conntrack {
    /// Forgets the flows, both directions, every protocol.
    fn forget(&mut self, flows: &[Flows]) -> Result<()>;

    /// Forgets the connections that are not translated as they should be. All connections are
    /// looked at.
    fn forget_strays(&mut self, strays: &Strays) -> Result<()>;
}
