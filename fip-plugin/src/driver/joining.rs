//! Join and Leave: the veth pair, the floating addresses, the way back for replies.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use fip_core::bridge::BridgeManager;
use fip_core::claim::{self, RivalPolicy};
use fip_core::error::{Error, Result};
use fip_core::kernel::{Kernel, Link};
use fip_core::nat::Family;
use fip_core::{Binding, LinkName};

use crate::keeper::{claimed, since};
use crate::options::Floating;
use crate::protocol::{Done, EndpointRef, InterfaceName, Join, Joined as Answer, StaticRoute};
use crate::settle::Job;
use crate::state::{Joined, Label};

use super::failure::{Failure, with_hint};
use super::model::{Endpoint, Network, owner};
use super::{Driver, note};

impl<K> Driver<K>
where
    K: Kernel + Send + 'static,
    K::Monitor: Send,
{
    pub(super) fn join(&self, call: &Join) -> Result<Answer, Failure> {
        let reference =
            EndpointRef { network: call.network.clone(), endpoint: call.endpoint.clone() };
        if let Some(endpoint) = self.known(&reference) {
            self.inherit(&endpoint)?;
        }
        let _turn = self.turns.endpoint(&call.network, &call.endpoint);
        let network = self.network(&call.network)?;
        let created = self.known(&reference).ok_or_else(|| {
            let (endpoint, network) = (call.endpoint.short(), call.network.short());
            Failure::Unfit(format!(
                "endpoint {endpoint} of network {network} was never created here: start the \
                 container again"
            ))
        })?;
        if let Some(before) = &created.record.joined {
            // A repeated call.
            if before.sandbox != call.sandbox {
                let id = call.endpoint.short();
                return Err(Failure::Unfit(format!("endpoint {id} has a container already")));
            }
            self.connect(&network, &created)?;
            return Ok(answer(&network, &created));
        }
        let label = self.label_of(&network, &created, &call.sandbox)?;
        let endpoint = created.with(Some(Joined { sandbox: call.sandbox.clone(), label }))?;
        let endpoint = Arc::new(endpoint);
        self.permitted(&network, &endpoint)?;
        self.book.keep_endpoint(&endpoint)?;
        if let Err(error) = self.connect(&network, &endpoint) {
            self.forget_endpoint(&endpoint)?;
            self.book.keep_endpoint(&created)?;
            return Err(error.into());
        }
        Ok(answer(&network, &endpoint))
    }

    /// What is not joined is fine.
    pub(super) fn leave(&self, call: &EndpointRef) -> Result<Done, Failure> {
        let _turn = self.turns.endpoint(&call.network, &call.endpoint);
        let joined = self.known(call).filter(|endpoint| endpoint.record.joined.is_some());
        if let Some(endpoint) = joined {
            self.part(&endpoint);
            self.book.keep_endpoint(&Arc::new(endpoint.with(None)?))?;
        }
        Ok(Done {})
    }

    /// Makes all that a joined container needs. What is so already is left alone.
    fn connect(&self, network: &Network, endpoint: &Endpoint) -> Result<()> {
        self.plug(network, endpoint)?;
        self.bind(network, endpoint)?;
        self.settle(network, endpoint);
        Ok(())
    }

    pub(super) fn plug(&self, network: &Network, endpoint: &Endpoint) -> Result<()> {
        let pair = endpoint.pair(network);
        let plug = || self.scouts.with(|kernel| BridgeManager::new(kernel).plug(&pair));
        match plug() {
            Err(error) if error.is_not_found() => {
                // Somebody deleted the bridge, or it could not be made when the plugin started.
                self.raise(network)?;
                note(plug()?);
            }
            result => note(result?),
        }
        Ok(())
    }

    /// Claims the floating addresses, and binds them.
    pub(super) fn bind(&self, network: &Network, endpoint: &Endpoint) -> Result<()> {
        let began = Instant::now();
        let bindings = endpoint.bindings(network, self.named_uplink(network))?;
        if bindings.is_empty() {
            return Ok(());
        }
        self.claim(&bindings)?;
        let held = bindings.clone();
        let report = self.keeper.run(move |watch| watch.hold(&held, &claimed()))?;
        report.warnings.iter().for_each(|warning| log::info!("{warning}"));
        note(report.changes);
        let id = endpoint.id().short();
        bindings.iter().for_each(|binding| {
            log::info!("endpoint {id}: {binding} in {}", since(began));
        });
        Ok(())
    }

    /// Waits until nobody else has the addresses. This goes on beside all other calls.
    fn claim(&self, bindings: &[Binding]) -> Result<()> {
        self.scouts.look(|kernel, links| {
            let mut wanted: BTreeMap<u32, (&Link, Vec<IpAddr>)> = BTreeMap::new();
            for binding in bindings {
                let floating = binding.floating();
                links.check(floating)?;
                if links.carrying(floating).next().is_none() {
                    let link = links.uplink(floating, binding.uplink())?;
                    let entry = wanted.entry(link.index).or_insert((link, Vec::new()));
                    if !entry.1.contains(&floating) {
                        entry.1.push(floating);
                    }
                }
            }
            if self.config.claim.policy == RivalPolicy::TakeOver {
                return Ok(());
            }
            let macs: Vec<_> = links.macs().collect();
            for (link, addresses) in wanted.values() {
                let claimed = claim::claim(kernel, link, &macs, addresses, &self.config.claim)?;
                if let Some(&(address, mac)) = claimed.rivals.first() {
                    return Err(Error::Rival { address, link: link.name.clone(), mac });
                }
            }
            Ok(())
        })
    }

    /// Has replies leave by the fip network, once dockerd has moved the link: until this call is
    /// answered it does not.
    pub(super) fn settle(&self, network: &Network, endpoint: &Endpoint) {
        let Some(joined) = &endpoint.record.joined else { return };
        let gateways = |fixed: &ipnetwork::IpNetwork| {
            network.gateway(Family::of(fixed.ip())).map(|gateway| (*fixed, gateway))
        };
        if network.options.internal {
            return;
        }
        self.settler.start(Job {
            endpoint: endpoint.id().to_string(),
            sandbox: joined.sandbox.clone(),
            far: endpoint.far.clone(),
            mac: endpoint.mac,
            routes: endpoint.record.addresses.iter().filter_map(gateways).collect(),
        });
    }

    /// Undoes all of [`Driver::connect`] but the pair, as far as it goes: dockerd asks only once,
    /// and takes the pair's far end out of the container itself.
    pub(super) fn part(&self, endpoint: &Endpoint) {
        let Some(joined) = &endpoint.record.joined else { return };
        self.settler.cancel(endpoint.id().as_str());
        let fixed: Vec<IpAddr> = endpoint.fixed().collect();
        let undone = self.settler.undo(&joined.sandbox, &fixed).map(note);
        let released = self.release(endpoint);
        for error in [undone.err(), released.err()].into_iter().flatten() {
            log::error!("left of endpoint {}: {}", endpoint.id().short(), with_hint(&error));
        }
    }

    /// Unbinds the floating addresses.
    fn release(&self, endpoint: &Endpoint) -> Result<()> {
        let floating: Vec<IpAddr> =
            endpoint.floating()?.into_iter().map(|floating| floating.address).collect();
        if floating.is_empty() {
            return Ok(());
        }
        let owner = owner(&endpoint.record.network)?;
        let fixed: Vec<IpAddr> = endpoint.fixed().collect();
        let report = self.keeper.run(move |watch| watch.release(&owner, &floating, &fixed))?;
        note(report.changes);
        Ok(())
    }

    /// The link that a network's addresses shall be on, if one is named.
    pub(super) fn named_uplink<'n>(&'n self, network: &'n Network) -> Option<&'n LinkName> {
        network.options.uplink.as_ref().or(self.config.uplink.as_ref())
    }

    /// The floating addresses that the container's label asks for, if that matters.
    pub(super) fn label_of(
        &self,
        network: &Network,
        endpoint: &Endpoint,
        sandbox: &Path,
    ) -> Result<Label> {
        let told = !endpoint.options.floating.is_empty() || !endpoint.options.label;
        if told || network.options.internal {
            return Ok(Label::None);
        }
        let label = self.ask_label(network, endpoint);
        if let Label::Floating(text) = &label {
            let asked = crate::options::parse_floating(text)?;
            // The container's label is about one of its networks: the first that it joins.
            let beside = self.book.endpoints().into_iter().filter(|other| {
                let there = other.record.joined.as_ref();
                other.id() != endpoint.id() && there.is_some_and(|there| there.sandbox == *sandbox)
            });
            let held = beside.flat_map(|other| other.floating().unwrap_or_default());
            let held: Vec<IpAddr> = held.map(|floating| floating.address).collect();
            if asked.iter().any(|floating| held.contains(&floating.address)) {
                return Ok(Label::None);
            }
        }
        Ok(label)
    }
}

fn answer(network: &Network, endpoint: &Endpoint) -> Answer {
    let internal = network.options.internal;
    let gateway = |family| network.gateway(family).filter(|_| !internal);
    let has = |family| endpoint.fixed().any(|fixed| Family::of(fixed) == family);
    Answer {
        interface_name: InterfaceName {
            src_name: endpoint.far.to_string(),
            dst_prefix: "eth".to_owned(),
        },
        gateway: match gateway(Family::V4) {
            Some(IpAddr::V4(v4)) if has(Family::V4) => Some(v4),
            _ => None,
        },
        gateway_ipv6: match gateway(Family::V6) {
            Some(IpAddr::V6(v6)) if has(Family::V6) => Some(v6),
            _ => None,
        },
        static_routes: ways_to_itself(network, endpoint),
        disable_gateway_service: internal,
    }
}

/// A container reaches its own floating addresses by this network. By another network of its own
/// that has the default route, its request would come back to it with its own source address,
/// which no kernel takes from outside.
fn ways_to_itself(network: &Network, endpoint: &Endpoint) -> Vec<StaticRoute> {
    let floating = endpoint.floating().unwrap_or_default().into_iter();
    let way = |floating: Floating| {
        let next_hop = network.gateway(Family::of(floating.address))?;
        Some(StaticRoute { destination: floating.address.into(), next_hop: Some(next_hop) })
    };
    floating.filter_map(way).collect()
}
