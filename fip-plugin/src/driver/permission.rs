//! Which addresses a container may have: labels and driver options come from whoever may start one.

use fip_core::error::{Error, Result};
use fip_core::kernel::Kernel;

use crate::allow::own_subnets;

use super::Driver;
use super::model::{Endpoint, Network};

impl<K> Driver<K>
where
    K: Kernel + Send + 'static,
    K::Monitor: Send,
{
    /// Refuses an endpoint that asks for an address that it may not have.
    pub(super) fn permitted(&self, network: &Network, endpoint: &Endpoint) -> Result<()> {
        let bindings = endpoint.bindings(network, self.named_uplink(network))?;
        if bindings.is_empty() {
            return Ok(());
        }
        let ranges = match &self.config.allow {
            Some(list) => list.clone(),
            None => self.scouts.look(|_, links| {
                let uplink = self.uplink(network, links)?.map(|link| &link.name);
                own_subnets(links, uplink)
            })?,
        };
        let narrower = network.options.allow.as_ref();
        for floating in bindings.iter().map(|binding| binding.floating()) {
            if !ranges.contains(floating) {
                let why = format!(
                    "only {ranges} may be claimed on this host (fip-plugin's --allow permits more)"
                );
                return Err(Error::refused(floating, why));
            }
            if let Some(narrower) = narrower.filter(|list| !list.contains(floating)) {
                let why = format!("only {narrower} may be claimed on this network (its fip.allow)");
                return Err(Error::refused(floating, why));
            }
        }
        Ok(())
    }
}
