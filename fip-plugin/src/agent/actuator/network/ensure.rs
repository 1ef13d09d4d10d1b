//! The network itself.

use super::engine::Engine;
use super::work::reason;
use super::{MARKER, NetworkSpec};
use crate::docker::{DockerError, NetworkInfo, NewNetwork};

/// Why nothing can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stuck {
    /// Docker does not tell what is there.
    Deaf(String),
    /// There is no network, or not the one that there should be.
    Barred(String),
}

impl Stuck {
    /// The reason, and the way out.
    pub(super) fn why(&self) -> &str {
        let (Self::Deaf(why) | Self::Barred(why)) = self;
        why
    }
}

/// The network, which is made if there is none.
///
/// # Errors
/// [`Stuck`], with the way out.
pub(super) fn ensure(engine: &dyn Engine, spec: &NetworkSpec) -> Result<NetworkInfo, Stuck> {
    if let Some(network) = find(engine, spec)? {
        return Ok(network);
    }
    let NetworkSpec { name, driver, .. } = spec;
    let [key, value] = [MARKER.0, MARKER.1].map(str::to_owned);
    let new = NewNetwork {
        name: name.clone(),
        driver: driver.clone(),
        subnets: spec.subnets.clone(),
        options: spec.options.clone(),
        labels: [(key, value)].into(),
    };
    let id = engine.create(&new).map_err(|error| not_made(spec, &error))?;
    log::info!("network {spec} is created: {id:.12}");
    Ok(NetworkInfo { id, name: new.name, driver: new.driver, labels: new.labels })
}

/// The network, if there is one.
///
/// # Errors
/// As those of [`ensure`].
pub(super) fn find(engine: &dyn Engine, spec: &NetworkSpec) -> Result<Option<NetworkInfo>, Stuck> {
    let found = engine.network(&spec.name).map_err(|error| Stuck::Deaf(reason(&error)))?;
    // Docker takes the beginning of an id for a name.
    let Some(network) = found.filter(|network| network.name == spec.name) else { return Ok(None) };
    let plain = |driver: &str| driver.strip_suffix(":latest").unwrap_or(driver).to_owned();
    if plain(&network.driver) == plain(&spec.driver) {
        return Ok(Some(network));
    }
    let NetworkSpec { name, driver, .. } = spec;
    Err(Stuck::Barred(format!(
        "the network {name} is there, but its driver is {}, not {driver}; remove it (docker network \
         rm {name}), or choose another name (--network)",
        network.driver
    )))
}

fn not_made(spec: &NetworkSpec, error: &DockerError) -> Stuck {
    let DockerError::Refused { message, .. } = error else {
        return Stuck::Deaf(reason(error));
    };
    let NetworkSpec { name, driver, .. } = spec;
    let way_out = if message.contains("overlap") {
        "; choose another subnet (--subnet)".to_owned()
    } else if message.contains("plugin") {
        format!("; does the network driver {driver} run (fip-plugin)?")
    } else {
        String::new()
    };
    Stuck::Barred(format!("the network {name} cannot be created: {}{way_out}", reason(error)))
}
