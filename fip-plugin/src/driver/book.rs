//! All networks and endpoints, in memory and on disk.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::protocol::Id;
use crate::state::{StateError, Store};

use super::model::{Endpoint, Network};

/// What is known. Only who has the turn of a network or an endpoint changes it here.
#[derive(Debug)]
pub(super) struct Book {
    store: Store,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    networks: BTreeMap<Id, Arc<Network>>,
    endpoints: BTreeMap<Id, Arc<Endpoint>>,
}

impl Book {
    /// Reads what was known before. What makes no sense (any more) is told in the log, and left
    /// where it is.
    pub(super) fn open(store: Store) -> Result<Self, StateError> {
        let (networks, endpoints) = store.load()?;
        let mut pages = Pages::default();
        for record in networks {
            let id = record.id.clone();
            match Network::new(record) {
                Ok(network) => _ = pages.networks.insert(id, Arc::new(network)),
                Err(error) => log::error!("left out network {}: {error}", id.short()),
            }
        }
        for record in endpoints {
            let id = record.id.clone();
            match Endpoint::new(record) {
                Ok(endpoint) => _ = pages.endpoints.insert(id, Arc::new(endpoint)),
                Err(error) => log::error!("left out endpoint {}: {error}", id.short()),
            }
        }
        Ok(Self { store, pages: Mutex::new(pages) })
    }

    pub(super) fn network(&self, id: &Id) -> Option<Arc<Network>> {
        self.pages().networks.get(id).cloned()
    }

    pub(super) fn networks(&self) -> Vec<Arc<Network>> {
        self.pages().networks.values().cloned().collect()
    }

    pub(super) fn endpoint(&self, id: &Id) -> Option<Arc<Endpoint>> {
        self.pages().endpoints.get(id).cloned()
    }

    pub(super) fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.pages().endpoints.values().cloned().collect()
    }

    /// Those of one network.
    pub(super) fn endpoints_of(&self, network: &Id) -> Vec<Arc<Endpoint>> {
        let mut endpoints = self.endpoints();
        endpoints.retain(|endpoint| endpoint.record.network == *network);
        endpoints
    }

    pub(super) fn keep_network(&self, network: &Arc<Network>) -> Result<(), StateError> {
        self.store.save_network(&network.record)?;
        self.pages().networks.insert(network.id().clone(), Arc::clone(network));
        Ok(())
    }

    pub(super) fn keep_endpoint(&self, endpoint: &Arc<Endpoint>) -> Result<(), StateError> {
        self.store.save_endpoint(&endpoint.record)?;
        self.pages().endpoints.insert(endpoint.id().clone(), Arc::clone(endpoint));
        Ok(())
    }

    pub(super) fn drop_network(&self, id: &Id) -> Result<(), StateError> {
        self.store.remove_network(id)?;
        self.pages().networks.remove(id);
        Ok(())
    }

    pub(super) fn drop_endpoint(&self, id: &Id) -> Result<(), StateError> {
        self.store.remove_endpoint(id)?;
        self.pages().endpoints.remove(id);
        Ok(())
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
