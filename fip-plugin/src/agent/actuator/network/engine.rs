//! What is asked of Docker here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::docker::{Container, Docker, DockerError, Filter, NetworkInfo, NewNetwork};

/// How long Docker may take to make or remove something. It waits up to 15 s for a driver that does
/// not answer, and a driver for a rival host as long as it was told to.
const PATIENCE: Duration = Duration::from_secs(120);

/// The Docker daemon, as far as it is needed; methods as those of [`Docker`].
pub(super) trait Engine: Send + Sync {
    fn network(&self, name: &str) -> Result<Option<NetworkInfo>, DockerError>;
    fn create(&self, network: &NewNetwork) -> Result<String, DockerError>;
    fn remove(&self, network: &str) -> Result<(), DockerError>;
    fn containers(&self) -> Result<Vec<Container>, DockerError>;
    fn endpoints(&self, network: &str) -> Result<Option<BTreeSet<String>>, DockerError>;
    fn options(
        &self,
        container: &str,
        network: &str,
    ) -> Result<Option<BTreeMap<String, String>>, DockerError>;
    fn connect(
        &self,
        network: &str,
        container: &str,
        options: &BTreeMap<String, String>,
    ) -> Result<(), DockerError>;
    fn disconnect(&self, network: &str, container: &str) -> Result<(), DockerError>;
}

impl Engine for Docker {
    fn network(&self, name: &str) -> Result<Option<NetworkInfo>, DockerError> {
        self.network(name)
    }

    fn create(&self, network: &NewNetwork) -> Result<String, DockerError> {
        self.create_network(network)
    }

    fn remove(&self, network: &str) -> Result<(), DockerError> {
        self.remove_network(network)
    }

    fn containers(&self) -> Result<Vec<Container>, DockerError> {
        self.containers(&Filter::All)
    }

    fn endpoints(&self, network: &str) -> Result<Option<BTreeSet<String>>, DockerError> {
        self.endpoints(network)
    }

    fn options(
        &self,
        container: &str,
        network: &str,
    ) -> Result<Option<BTreeMap<String, String>>, DockerError> {
        self.endpoint_options(container, network)
    }

    fn connect(
        &self,
        network: &str,
        container: &str,
        options: &BTreeMap<String, String>,
    ) -> Result<(), DockerError> {
        self.connect(network, container, options, PATIENCE)
    }

    fn disconnect(&self, network: &str, container: &str) -> Result<(), DockerError> {
        self.disconnect(network, container, PATIENCE)
    }
}
