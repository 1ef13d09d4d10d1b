//! Which addresses a container may have: labels and driver options come from whoever may start one.

use fip_core::address::Links;
use fip_core::error::{Error, Result};
use fip_core::kernel::Kernel;

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
            None => {
                let links = self.scouts.with(|kernel| Links::read(kernel))?;
                self.own_subnets(network, &links)?
            }
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

    /// What may be claimed if nobody says: the subnets of the uplink.
    fn own_subnets(&self, network: &Network, links: &Links) -> Result<crate::allow::AllowList> {
        let uplinks = match self.uplink(network, links)? {
            Some(named) => vec![named],
            None => links.outward().collect(),
        };
        let subnets = uplinks.iter().flat_map(|link| links.subnets_of(link.index));
        crate::allow::AllowList::union(subnets.map(Into::into)).ok_or_else(|| Error::Unsupported {
            what: "no address may be claimed: this host has no default route".to_owned(),
            hint: "start fip-plugin with --uplink or --allow".to_owned(),
        })
    }
}
