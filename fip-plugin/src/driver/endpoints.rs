//! CreateEndpoint, EndpointOperInfo and DeleteEndpoint.

use std::sync::Arc;

use fip_core::LinkName;
use fip_core::bridge::BridgeManager;
use fip_core::error::Result;
use fip_core::kernel::Kernel;

use crate::protocol::{
    CreateEndpoint, CreatedEndpoint, Done, EndpointRef, Id, Interface, OperationalInfo,
};
use crate::state::EndpointRecord;

use super::failure::Failure;
use super::model::{Endpoint, Network, derived_mac, near};
use super::{Driver, note};

impl<K> Driver<K>
where
    K: Kernel + Send + 'static,
    K::Monitor: Send,
{
    /// Makes nothing in the kernel yet: what is not joined has nothing to lose.
    pub(super) fn create_endpoint(&self, call: CreateEndpoint) -> Result<CreatedEndpoint, Failure> {
        let record = record(&call)?;
        let endpoint = Arc::new(Endpoint::new(record)?);
        let _turn = {
            let turn = self.turns.endpoint(&call.network, &call.endpoint);
            if self.predecessors(&endpoint).is_empty() {
                turn
            } else {
                drop(turn);
                self.turns.network(&call.network)
            }
        };
        let network = self.network(&call.network)?;
        self.permitted(&network, &endpoint)?;
        self.check_link_names(&endpoint)?;
        // Docker's IPAM gives an address once. Whoever had it before is dead, and Docker has not
        // said so: it was killed, or the plugin did not run.
        for dead in self.predecessors(&endpoint) {
            log::warn!("endpoint {} was never deleted: removed now", dead.id().short());
            self.forget_endpoint(&dead)?;
        }
        match self.book.endpoint(endpoint.id()) {
            Some(known) if described_alike(&known, &endpoint) => {}
            Some(_) => {
                let id = endpoint.id().short();
                return Err(Failure::Unfit(format!("endpoint {id} exists with other options")));
            }
            None => self.book.keep_endpoint(&endpoint)?,
        }
        // Only what dockerd did not choose itself.
        let chosen = (!endpoint.record.mac_given)
            .then(|| Interface { mac: Some(endpoint.mac), ..Interface::default() });
        Ok(CreatedEndpoint { interface: chosen })
    }

    /// Links are named after the beginning of the id: two endpoints must not share one.
    fn check_link_names(&self, endpoint: &Endpoint) -> Result<(), Failure> {
        let mut others = self.book.endpoints().into_iter();
        let twin = others.find(|other| other.id() != endpoint.id() && other.near == endpoint.near);
        match twin {
            None => Ok(()),
            Some(_) => Err(Failure::Unfit(format!(
                "the link {} belongs to another endpoint: start the container again",
                endpoint.near
            ))),
        }
    }

    /// Older endpoints of the network that have one of the addresses.
    fn predecessors(&self, endpoint: &Endpoint) -> Vec<Arc<Endpoint>> {
        let mut others = self.book.endpoints_of(&endpoint.record.network);
        others.retain(|other| other.id() != endpoint.id() && other.shares_address(endpoint));
        others
    }

    /// Always answered: on some engines an error ends the container's start.
    pub(super) fn endpoint_info(&self, call: &EndpointRef) -> OperationalInfo {
        let endpoint = self.book.endpoint(&call.endpoint);
        let floating = endpoint.and_then(|endpoint| endpoint.floating().ok()).unwrap_or_default();
        let mut info = OperationalInfo::default();
        if !floating.is_empty() {
            let texts: Vec<String> = floating.iter().map(ToString::to_string).collect();
            info.value.insert("fip.address".to_owned(), texts.join(",").into());
        }
        info
    }

    /// An endpoint that is not known is fine.
    pub(super) fn delete_endpoint(&self, call: &EndpointRef) -> Result<Done, Failure> {
        let _turn = self.turns.endpoint(&call.network, &call.endpoint);
        if let Some(endpoint) = self.known(call) {
            self.forget_endpoint(&endpoint)?;
        } else if self.book.endpoint(&call.endpoint).is_none() {
            // Its file could not be read: what its id tells is removed.
            self.unplug(&near(&call.endpoint)?)?;
            self.book.drop_endpoint(&call.endpoint)?;
        }
        Ok(Done {})
    }

    /// The endpoint, if it is known, and of that network.
    pub(super) fn known(&self, call: &EndpointRef) -> Option<Arc<Endpoint>> {
        let endpoint = self.book.endpoint(&call.endpoint);
        endpoint.filter(|endpoint| endpoint.record.network == call.network)
    }

    /// Removes the endpoint and all that is left of it. The caller has its turn.
    pub(super) fn forget_endpoint(&self, endpoint: &Arc<Endpoint>) -> Result<(), Failure> {
        self.part(endpoint);
        self.unplug(&endpoint.near)?;
        Ok(self.book.drop_endpoint(endpoint.id())?)
    }

    fn unplug(&self, near: &LinkName) -> Result<()> {
        note(self.scouts.with(|kernel| BridgeManager::new(kernel).unplug(near))?);
        Ok(())
    }

    pub(super) fn network(&self, id: &Id) -> Result<Arc<Network>, Failure> {
        self.book.network(id).ok_or_else(|| {
            Failure::Unfit(format!(
                "network {} is not known here: remove it and create it again (docker network rm)",
                id.short()
            ))
        })
    }
}

fn record(call: &CreateEndpoint) -> Result<EndpointRecord> {
    let Interface { address, address_ipv6, mac } = call.interface;
    let addresses: Vec<_> = address.into_iter().chain(address_ipv6).collect();
    let derived = derived_mac(&addresses)?;
    Ok(EndpointRecord {
        id: call.endpoint.clone(),
        network: call.network.clone(),
        mac: mac.unwrap_or(derived).to_string(),
        mac_given: mac.is_some(),
        addresses,
        options: call.options.clone(),
        joined: None,
    })
}

fn described_alike(a: &Endpoint, b: &Endpoint) -> bool {
    let plain = |endpoint: &Endpoint| EndpointRecord { joined: None, ..endpoint.record.clone() };
    plain(a) == plain(b)
}
