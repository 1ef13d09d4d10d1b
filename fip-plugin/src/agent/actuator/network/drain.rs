//! Everything back to what it was before the first agent.

use super::engine::Engine;
use super::ensure::find;
use super::sight::look_closely;
use super::work::{clear, reason};
use super::{MARKER, NetworkSpec, failure, shown};
use crate::agent::actuator::Failure;
use crate::docker::NetworkInfo;

/// Disconnects what agents have connected, and removes the network if an agent has made it and
/// nobody else uses it. A line for each.
///
/// # Errors
/// If something is left, and what. All else is done.
pub(super) fn drain(engine: &dyn Engine, spec: &NetworkSpec) -> Result<Vec<String>, Failure> {
    let name = &spec.name;
    let network = find(engine, spec).map_err(|stuck| failure(stuck.why()))?;
    let there = look_closely(engine, name, network.as_ref());
    let there = there.map_err(|error| failure(&reason(&error)))?;
    // A container that was connected while it did not run may name a network that is gone.
    let id = network.as_ref().map_or(name.as_str(), |network| &network.id);
    let mut lines = Vec::new();
    let mut left = Vec::new();
    let mut others = 0;
    for (container, there) in there {
        let Some(has) = there.ours() else {
            others += usize::from(there.attached.is_some());
            let rest = network.as_ref().filter(|_| there.running && there.attached.is_none());
            if let Some(Err(error)) = rest.map(|network| clear(engine, network, &container)) {
                left.push(format!("{} may not start again: {}", there.name, reason(&error)));
            }
            continue;
        };
        match engine.disconnect(id, &container) {
            Ok(()) => lines.push(format!("- {}: {} (network {name})", there.name, shown(has))),
            Err(error) => left.push(format!("{} is connected: {}", there.name, reason(&error))),
        }
    }
    if let Some(network) =
        network.filter(|network| is_ours(network) && others == 0 && left.is_empty())
    {
        match engine.remove(&network.id) {
            Ok(()) => lines.push(format!("- network {spec}")),
            Err(error) => left.push(format!("network {name} is there: {}", reason(&error))),
        }
    }
    if left.is_empty() {
        return Ok(lines);
    }
    lines.iter().for_each(|line| log::info!("{line}"));
    Err(failure(&left.join("; ")))
}

fn is_ours(network: &NetworkInfo) -> bool {
    network.labels.get(MARKER.0).is_some_and(|by| by == MARKER.1)
}
