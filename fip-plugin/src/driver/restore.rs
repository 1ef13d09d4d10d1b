//! What a plugin that starts does with what another one left: the networks are made again (a reboot
//! took them), endpoints whose link is gone are dead, the others are held again.

use std::collections::BTreeSet;

use fip_core::LinkName;
use fip_core::error::Result;
use fip_core::kernel::{Kernel, Rtnl};

use crate::state::StateError;

use super::Driver;
use super::book::Book;
use super::failure::with_hint;
use super::model::{Endpoint, Network};

/// Forgets the endpoints of containers that are gone: the link of one that is joined goes with its
/// namespace. Their floating addresses are nobody's then.
pub(super) fn bury(book: &Book, links: &BTreeSet<LinkName>) -> Result<(), StateError> {
    for endpoint in book.endpoints() {
        if endpoint.record.joined.is_some() && !links.contains(&endpoint.near) {
            log::info!("endpoint {} is gone", endpoint.id().short());
            book.drop_endpoint(endpoint.id())?;
        }
    }
    Ok(())
}

/// The names of all links.
pub(super) fn link_names(kernel: &mut impl Rtnl) -> Result<BTreeSet<LinkName>> {
    Ok(kernel.links()?.into_iter().map(|link| link.name).collect())
}

impl<K> Driver<K>
where
    K: Kernel + Send + 'static,
    K::Monitor: Send,
{
    /// What cannot be restored is told in the log: the rest shall work all the same.
    pub(super) fn restore(&self) {
        for network in self.book.networks() {
            if let Err(error) = self.raise(&network) {
                let id = network.id().short();
                log::error!("network {id} cannot be restored: {}", with_hint(&error));
            }
        }
        for endpoint in self.book.endpoints() {
            let joined = endpoint.record.joined.is_some();
            let network = self.book.network(&endpoint.record.network);
            if let Some(network) = network.filter(|_| joined)
                && let Err(error) = self.resume(&network, &endpoint)
            {
                let id = endpoint.id().short();
                log::error!("endpoint {id} cannot be restored: {}", with_hint(&error));
            }
        }
    }

    /// The floating addresses are the keeper's already.
    fn resume(&self, network: &Network, endpoint: &Endpoint) -> Result<()> {
        self.plug(network, endpoint)?;
        self.settle(network, endpoint);
        Ok(())
    }
}
