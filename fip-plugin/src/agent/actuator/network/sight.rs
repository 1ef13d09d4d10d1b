//! What Docker has now.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::engine::Engine;
use super::{ADDRESS, MARKER};
use crate::docker::{Attachment, Container, DockerError, NetworkInfo};
use crate::options::{Floating, parse_floating};

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct There {
    pub(super) name: String,
    pub(super) running: bool,
    /// It uses the network of another container, or of the host.
    pub(super) shares: bool,
    /// Its endpoint on the network, if it is on it.
    pub(super) attached: Option<Attached>,
}

/// A container's endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attached {
    /// Its id; empty as long as the container does not run.
    pub(super) endpoint: String,
    pub(super) whose: Whose,
}

/// Who connected a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whose {
    /// Not known (yet).
    Unknown,
    /// The user himself: left alone.
    Users,
    /// An agent of this host, for these addresses.
    Ours(Vec<Floating>),
}

impl There {
    /// What we have connected it for, if we have.
    pub(super) fn ours(&self) -> Option<&[Floating]> {
        match &self.attached.as_ref()?.whose {
            Whose::Ours(floating) => Some(floating),
            Whose::Unknown | Whose::Users => None,
        }
    }

    /// The addresses that lead to it, as far as we have connected it for them.
    pub(super) fn floating(&self) -> impl Iterator<Item = IpAddr> {
        let ours = self.ours().filter(|_| self.running).unwrap_or_default();
        ours.iter().map(|floating| floating.address)
    }
}

/// All containers by their ids. Who has connected them is not asked yet.
///
/// # Errors
/// Docker's.
pub(super) fn look(
    engine: &dyn Engine,
    name: &str,
    network: Option<&NetworkInfo>,
) -> Result<BTreeMap<String, There>, DockerError> {
    let containers = engine.containers()?;
    // Docker 20.10 goes on listing an endpoint that its driver has refused. It does not have it.
    let endpoints = match network {
        Some(network) => engine.endpoints(&network.id)?.unwrap_or_default(),
        None => BTreeSet::new(),
    };
    let there = |container: Container| {
        let attachment = attachment(&container, name, network);
        let endpoint = attachment.map(|attachment| attachment.endpoint_id.clone());
        let endpoint = endpoint.filter(|id| !container.running || endpoints.contains(id));
        let attached = endpoint.map(|endpoint| Attached { endpoint, whose: Whose::Unknown });
        let Container { id, name, running, shares, .. } = container;
        (id, There { name, running, shares, attached })
    };
    Ok(containers.into_iter().map(there).collect())
}

/// The same, and who has connected them.
///
/// # Errors
/// Docker's.
pub(super) fn look_closely(
    engine: &dyn Engine,
    name: &str,
    network: Option<&NetworkInfo>,
) -> Result<BTreeMap<String, There>, DockerError> {
    let mut there = look(engine, name, network)?;
    for (id, container) in &mut there {
        if let Some(attached) = &mut container.attached {
            match whose(engine, name, id)? {
                Some(whose) => attached.whose = whose,
                None => container.attached = None,
            }
        }
    }
    Ok(there)
}

/// Of a container that was connected while it did not run, Docker knows no network but by name.
fn attachment<'a>(
    container: &'a Container,
    name: &str,
    network: Option<&NetworkInfo>,
) -> Option<&'a Attachment> {
    let of_it = |id: &str| network.is_some_and(|network| network.id == id);
    let mut all = container.networks.iter();
    all.find(|(key, attachment)| *key == name || of_it(key) || of_it(&attachment.network_id))
        .map(|(_, attachment)| attachment)
}

/// Who has connected the container; none if it is not connected.
///
/// # Errors
/// Docker's.
pub(super) fn whose(
    engine: &dyn Engine,
    network: &str,
    container: &str,
) -> Result<Option<Whose>, DockerError> {
    let options = engine.options(container, network)?;
    Ok(options.map(|options| {
        if options.get(MARKER.0).is_none_or(|by| by != MARKER.1) {
            return Whose::Users;
        }
        let asks = options.get(ADDRESS).and_then(|asks| parse_floating(asks).ok());
        Whose::Ours(asks.unwrap_or_default())
    }))
}
