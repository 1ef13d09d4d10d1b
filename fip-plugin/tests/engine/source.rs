//! What the agent's source says of the containers of a real engine, and what is asked of one.

#[path = "source/asked.rs"]
mod asked;
#[path = "source/changes.rs"]
mod changes;
#[path = "source/follower.rs"]
mod follower;
#[path = "source/networks.rs"]
mod networks;
#[path = "source/restarts.rs"]
mod restarts;

use std::net::IpAddr;

use fip_plugin::agent::model::{Presence, Workload};

/// A label as users write it.
const LABEL: &str = "fip.address";

/// The fixed addresses of a workload that runs.
fn running(workload: &Workload) -> Option<&[IpAddr]> {
    match &workload.presence {
        Presence::Running(fixed) => Some(fixed),
        _ => None,
    }
}

fn docker0(number: u8) -> IpAddr {
    [172, 17, 0, number].into()
}
