//! Which addresses a container may have: labels and driver options come from whoever may start one.

use std::net::IpAddr;

use fip_core::address::Links;
use fip_core::error::{Error, Result};
use fip_core::kernel::Kernel;

use crate::allow::AllowList;

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
            None => self.scouts.look(|_, links| self.own_subnets(network, links))?,
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
    fn own_subnets(&self, network: &Network, links: &Links) -> Result<AllowList> {
        let uplinks = match self.uplink(network, links)? {
            Some(named) => vec![named],
            None => links.outward().collect(),
        };
        let subnets = uplinks.iter().flat_map(|link| links.subnets_of(link.index));
        // Every link has the link-local one, of which nothing floats.
        let subnets = subnets
            .filter(|subnet| !matches!(subnet.ip(), IpAddr::V6(v6) if v6.is_unicast_link_local()));
        AllowList::union(subnets.map(Into::into)).ok_or_else(|| Error::Unsupported {
            what: "no address may be claimed: no link with a default route has a subnet".to_owned(),
            hint: "start fip-plugin with --uplink or --allow".to_owned(),
        })
    }
}
