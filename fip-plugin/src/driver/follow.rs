//! Staying in step with dockerd: what it did while it or the plugin was down is found out when it
//! answers again.
//!
//! dockerd tells of a container's end only while both run (a container that dies while dockerd is
//! down is never left), and of a network's only once. So whenever dockerd comes back, or the plugin
//! does, dockerd is asked for all it has. Removing needs two positive answers with some time
//! between them: dockerd lists an endpoint only some time after it was told of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use fip_core::error::Chain;
use fip_core::kernel::Kernel;
use log::Level;

use crate::docker::{Docker, DockerError};
use crate::protocol::Id;
use crate::state::{Joined, Label};

use super::Driver;
use super::failure::Failure;
use super::model::{Endpoint, Network};

/// What is gone is asked for again after this time.
const DOUBT: Duration = Duration::from_secs(3);
/// While dockerd does not answer it is tried again, at first after this time.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// And at last this often.
const RETRY_LAST: Duration = Duration::from_secs(5);

/// What dockerd knows nothing of (any more).
#[derive(Default)]
struct Gone {
    networks: Vec<Arc<Network>>,
    endpoints: Vec<Arc<Endpoint>>,
}

impl<K> Driver<K>
where
    K: Kernel + Send + 'static,
    K::Monitor: Send,
{
    /// Follows dockerd's comings and goings, for ever. While it is there, this waits.
    pub fn follow(&self) {
        let Some(docker) = &self.config.docker else { return };
        let mut delay = RETRY_FIRST;
        loop {
            match docker.follow() {
                Ok(events) => {
                    delay = RETRY_FIRST;
                    self.docker_answers.store(true, Ordering::Release);
                    log::info!("dockerd answers");
                    self.catch_up(docker);
                    events.wait_for_end();
                    self.docker_answers.store(false, Ordering::Release);
                    log::warn!("dockerd is gone");
                }
                Err(error) => {
                    // Once: where there is no dockerd, there is none the next time either.
                    let first = delay == RETRY_FIRST;
                    let level = if first { Level::Warn } else { Level::Debug };
                    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
                    log::log!(level, "dockerd does not answer (yet): {}{hint}", Chain(&error));
                    thread::sleep(delay);
                    delay = (delay * 2).min(RETRY_LAST);
                }
            }
        }
    }

    fn catch_up(&self, docker: &Docker) {
        // Labels may ask for what the dead have.
        if let Err(error) = self.bury(&self.book.endpoints(), Duration::ZERO) {
            log::error!("the endpoints of dead containers are left: {error}");
        }
        self.ask_labels();
        let mut gone = match self.gone(docker, &self.book.networks(), &self.book.endpoints()) {
            Ok(gone) => gone,
            Err(error) => return log::warn!("dockerd did not say what it has: {error}"),
        };
        if gone.networks.is_empty() && gone.endpoints.is_empty() {
            return;
        }
        thread::sleep(DOUBT);
        gone = match self.gone(docker, &gone.networks, &gone.endpoints) {
            Ok(gone) => gone,
            Err(error) => return log::warn!("dockerd did not say what it has: {error}"),
        };
        if let Err(error) = self.collect(&gone) {
            log::error!("what dockerd has no more is left: {error}");
        }
    }

    /// Of these, what dockerd does not have. Not knowing is an error, and removes nothing.
    fn gone(
        &self,
        docker: &Docker,
        networks: &[Arc<Network>],
        endpoints: &[Arc<Endpoint>],
    ) -> Result<Gone, DockerError> {
        let ids: BTreeSet<&Id> = networks.iter().map(|network| network.id()).collect();
        let theirs = endpoints.iter().map(|endpoint| &endpoint.record.network);
        let mut gone = Gone::default();
        for id in ids.into_iter().chain(theirs).collect::<BTreeSet<&Id>>() {
            let mine = endpoints.iter().filter(|endpoint| endpoint.record.network == *id);
            match docker.endpoints(id.as_str())? {
                Some(there) => {
                    let absent = mine.filter(|mine| !there.contains(mine.id().as_str()));
                    gone.endpoints.extend(absent.cloned());
                }
                // A network with running containers cannot be removed: this is another dockerd.
                None if mine.clone().any(|endpoint| self.runs(endpoint)) => {
                    let id = id.short();
                    log::error!(
                        "dockerd does not know network {id}, whose containers run: is \
                                 --docker right?"
                    );
                }
                None => {
                    gone.endpoints.extend(mine.cloned());
                    gone.networks.extend(networks.iter().filter(|n| n.id() == id).cloned());
                }
            }
        }
        Ok(gone)
    }

    fn collect(&self, gone: &Gone) -> Result<(), Failure> {
        for endpoint in &gone.endpoints {
            let _turn = self.turns.endpoint(&endpoint.record.network, endpoint.id());
            // A call for it came meanwhile: then it lives.
            let same = self.book.endpoint(endpoint.id()).filter(|now| Arc::ptr_eq(now, endpoint));
            if let Some(endpoint) = same {
                log::warn!("endpoint {} ended unnoticed: removed now", endpoint.id().short());
                self.forget_endpoint(&endpoint)?;
            }
        }
        for network in &gone.networks {
            let _turn = self.turns.network(network.id());
            let same = self.book.network(network.id()).filter(|now| Arc::ptr_eq(now, network));
            let unused = self.book.endpoints_of(network.id()).is_empty();
            if let Some(network) = same.filter(|_| unused) {
                log::warn!("network {} was removed unnoticed", network.id().short());
                self.forget_network(&network)?;
            }
        }
        Ok(())
    }

    /// What the container's label asks for, as far as dockerd can say now.
    pub(super) fn ask_label(&self, network: &Network, endpoint: &Endpoint) -> Label {
        let Some(docker) = &self.config.docker else { return Label::None };
        // dockerd that starts joins containers before it answers: to ask would hold them up.
        if !self.docker_answers.load(Ordering::Acquire) {
            let id = endpoint.id().short();
            log::info!("the labels of endpoint {id} wait until dockerd answers");
            return Label::Unknown;
        }
        match docker.labels(network.id().as_str(), endpoint.id().as_str()) {
            Ok(labels) => {
                let value = labels.and_then(|mut labels| labels.remove(&self.config.label));
                value.map_or(Label::None, Label::Floating)
            }
            Err(error) => {
                log::warn!(
                    "the labels of endpoint {} are not known: {error}",
                    endpoint.id().short()
                );
                Label::Unknown
            }
        }
    }

    /// Asks for the labels that could not be asked for when their containers joined.
    fn ask_labels(&self) {
        for endpoint in self.book.endpoints() {
            let _turn = self.turns.endpoint(&endpoint.record.network, endpoint.id());
            let now = self.book.endpoint(endpoint.id());
            let network = self.book.network(&endpoint.record.network);
            if let (Some(now), Some(network)) = (now, network)
                && let Some(Joined { label: Label::Unknown, sandbox }) = &now.record.joined
            {
                let asked = self.label_of(&network, &now, sandbox);
                if let Err(failure) =
                    asked.map_err(Failure::from).and_then(|label| self.adopt(&network, &now, label))
                {
                    log::error!("the label of endpoint {}: {failure}", now.id().short());
                }
            }
        }
    }

    /// Binds what the label of a joined container asks for.
    fn adopt(&self, network: &Network, endpoint: &Endpoint, label: Label) -> Result<(), Failure> {
        if label == Label::Unknown {
            return Ok(());
        }
        let joined = endpoint.record.joined.clone().map(|joined| Joined { label, ..joined });
        let known = Arc::new(endpoint.with(joined)?);
        self.permitted(network, &known)?;
        self.book.keep_endpoint(&known)?;
        if let Err(error) = self.bind(network, &known) {
            let none = endpoint.record.joined.clone();
            let none = none.map(|joined| Joined { label: Label::None, ..joined });
            self.book.keep_endpoint(&Arc::new(endpoint.with(none)?))?;
            return Err(error.into());
        }
        Ok(())
    }
}
