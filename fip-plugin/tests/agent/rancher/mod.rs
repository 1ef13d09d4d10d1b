//! The metadata service as a source: what it says, and above all what it does not.

mod faults;
mod follow;
mod listing;
mod pace;

use std::borrow::Borrow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fip_plugin::agent::model::{Presence, Workload};
use fip_plugin::agent::source::rancher::{RancherConfig, RancherSource, Version};
use fip_plugin::agent::source::{Listing, Source, SourceError};
use serde_json::Value;

use crate::lab::Ns;
use crate::metadata::{Metadata, container};

const LABEL: &str = "io.rancher.container.floating.ip";
/// For questions that are answered.
const PATIENT: Duration = Duration::from_secs(20);
/// For questions that are not.
const SHORT: Duration = Duration::from_millis(300);

/// A host with its metadata service.
struct Scene {
    ns: Ns,
    service: Metadata,
}

impl Scene {
    fn new(containers: Vec<Value>) -> Self {
        let ns = Ns::new("metadata");
        let service = Metadata::start(&ns);
        service.publish(containers);
        Self { ns, service }
    }

    fn source(&self) -> RancherSource {
        self.source_with(|_| ())
    }

    /// A source with the shortest poll, otherwise as `change` says.
    fn source_with(&self, change: impl FnOnce(&mut RancherConfig)) -> RancherSource {
        let mut config = RancherConfig::new(vec![LABEL.to_owned()]);
        config.url = self.service.local();
        config.poll = Duration::from_secs(1);
        config.timeout = PATIENT;
        change(&mut config);
        RancherSource::new(config).unwrap()
    }

    fn next(&self, source: &mut RancherSource) -> Result<Listing, SourceError> {
        self.ns.run(|| source.next())
    }

    /// What the source says next, if it says something.
    fn listed(&self, source: &mut RancherSource) -> Vec<Workload> {
        self.next(source).unwrap().workloads.into_iter().map(Arc::unwrap_or_clone).collect()
    }
}

/// Two that run here.
fn two() -> Vec<Value> {
    vec![container("a", "203.0.113.1", "10.42.0.1"), container("b", "203.0.113.2", "10.42.0.2")]
}

fn names(workloads: &[impl Borrow<Workload>]) -> Vec<&str> {
    workloads.iter().map(|workload| workload.borrow().name.as_str()).collect()
}

fn running(address: &str) -> Presence {
    Presence::Running(vec![address.parse::<IpAddr>().unwrap()])
}
