//! One job for one container. It may take long: Docker waits for the driver, and the driver for a
//! rival host.

use std::collections::BTreeMap;
use std::time::Instant;

use fip_core::error::Chain;

use super::engine::Engine;
use super::plan::Job;
use super::sight::{Whose, whose};
use super::{ADDRESS, MARKER};
use crate::docker::{DockerError, NetworkInfo};

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// Who has connected the container.
    Knows(Whose),
    /// What was to be done does not fit what is there any more: look again.
    Passed(String),
    /// Not to be had now: the reason.
    Failed(String),
}

/// What a worker does.
#[derive(Debug, Clone)]
pub(super) struct Task {
    /// The container's id.
    pub(super) container: String,
    /// Its name, for people.
    pub(super) name: String,
    pub(super) job: Job,
}

/// Does it.
pub(super) fn work(engine: &dyn Engine, network: &NetworkInfo, task: &Task) -> Outcome {
    let Task { container, name, job } = task;
    let began = Instant::now();
    let connect = |asks: &str| engine.connect(&network.id, container, &options(asks));
    let disconnect = || engine.disconnect(&network.id, container);
    let done = match job {
        Job::Ask(_) => return ask(engine, network, container),
        Job::Connect(asks) => connect(asks),
        Job::Reconnect(asks) => disconnect().and_then(|()| connect(asks)),
        Job::Disconnect => disconnect(),
    };
    match (done, job) {
        (Ok(()), _) => {
            log::info!("{name}: {job} in {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
            Outcome::Done
        }
        (Err(error), _) if is_past(&error) => Outcome::Passed(reason(&error)),
        (Err(error), Job::Connect(_) | Job::Reconnect(_)) => {
            Outcome::Failed(refusal(engine, network, container, &error))
        }
        (Err(error), _) => Outcome::Failed(reason(&error)),
    }
}

fn ask(engine: &dyn Engine, network: &NetworkInfo, container: &str) -> Outcome {
    match whose(engine, &network.name, container) {
        Ok(Some(whose)) => Outcome::Knows(whose),
        Ok(None) => Outcome::Passed("it is not connected (any more)".to_owned()),
        // Docker does not answer for a container while the driver is at work for it.
        Err(error) => Outcome::Passed(reason(&error)),
    }
}

/// Why the container could not be connected, after what is left of that was cleared away.
fn refusal(
    engine: &dyn Engine,
    network: &NetworkInfo,
    container: &str,
    error: &DockerError,
) -> String {
    let why = reason(error);
    let refused = matches!(error, DockerError::Refused { .. });
    if refused && let Err(rest) = clear(engine, network, container) {
        log::debug!("container {container:.12} remembers a refused connection: {}", reason(&rest));
        return format!("{why}; until it is connected, Docker may not start it again");
    }
    why
}

/// Has Docker forget a connection that the driver has refused.
///
/// Docker 20.10 keeps it, and later versions keep some: they try it again when the container starts,
/// and do not start it if it is refused again. As long as the container runs, only a connection that
/// comes about removes it.
///
/// # Errors
/// Docker's, or the driver's.
pub(super) fn clear(
    engine: &dyn Engine,
    network: &NetworkInfo,
    container: &str,
) -> Result<(), DockerError> {
    let is_left = || {
        let whose = whose(engine, &network.name, container);
        whose.map(|whose| matches!(whose, Some(Whose::Ours(_))))
    };
    if !is_left()? {
        return Ok(());
    }
    engine.disconnect(&network.id, container)?;
    if is_left()? {
        engine.connect(&network.id, container, &options(crate::options::NO_ADDRESS))?;
        engine.disconnect(&network.id, container)?;
    }
    Ok(())
}

fn options(asks: &str) -> BTreeMap<String, String> {
    [(ADDRESS, asks), (MARKER.0, MARKER.1)].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

/// Whether the container or the network went, or was connected, since it was looked.
fn is_past(error: &DockerError) -> bool {
    const TEXTS: [&str; 4] =
        ["no such container", "already exists in network", "is not running", "marked for removal"];
    let DockerError::Refused { message, .. } = error else { return false };
    let message = message.to_lowercase();
    let no_network = message.starts_with("network ") && message.ends_with(" not found");
    no_network || TEXTS.iter().any(|text| message.contains(text))
}

/// What Docker says of a driver that has answered `Plugin.Activate` and then, for 15 s, not
/// `GetCapabilities`. It asks for these once in its life.
const FORGOTTEN: &str = "could not resolve driver";

/// Why, for people: the driver's own text if it was the driver that refused.
pub(super) fn reason(error: &DockerError) -> String {
    match error {
        DockerError::Refused { message, .. } if message.contains(FORGOTTEN) => {
            format!(
                "{message}: it ended before Docker had met it, and Docker does not ask it again; \
                 restart dockerd"
            )
        }
        DockerError::Refused { message, .. } => {
            message.strip_prefix("remote: ").unwrap_or(message).to_owned()
        }
        _ => {
            let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            format!("{}{hint}", Chain(error))
        }
    }
}

#[cfg(test)]
mod tests;
