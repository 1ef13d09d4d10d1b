//! CreateNetwork and DeleteNetwork.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use fip_core::address::Links;
use fip_core::bridge::BridgeManager;
use fip_core::error::{Error, Result};
use fip_core::fip::{BindOptions, Watch};
use fip_core::kernel::{Kernel, Link};
use fip_core::{BridgeRules, LinkName};

use crate::protocol::{CreateNetwork, Done, Id, NetworkRef, Options, Pool};
use crate::state::NetworkRecord;

use super::failure::Failure;
use super::model::Network;
use super::{Bridges, Driver, note};

impl<K> Driver<K>
where
    K: Kernel + Send + 'static,
    K::Monitor: Send,
{
    pub(super) fn create_network(&self, call: CreateNetwork) -> Result<Done, Failure> {
        let _turn = self.turns.network(&call.network);
        let gateways = call.ipv4.iter().chain(&call.ipv6).map(gateway).collect::<Result<_>>()?;
        let record = NetworkRecord { id: call.network, gateways, options: call.options };
        let network = Arc::new(Network::new(record)?);
        match self.book.network(network.id()) {
            Some(known) if known.record == network.record => {}
            Some(_) => {
                let id = network.id().short();
                return Err(Failure::Unfit(format!(
                    "network {id} exists with other options: remove it first (docker network rm)"
                )));
            }
            None => self.check_new(&network)?,
        }
        self.book.keep_network(&network)?;
        if let Err(error) = self.raise(&network) {
            // What could not be undone stays known, to be undone later.
            if self.raze(&network).is_ok() {
                self.book.drop_network(network.id())?;
            }
            return Err(error.into());
        }
        log::info!("network {} is on {}", network.id().short(), network.bridge);
        Ok(Done {})
    }

    /// A network that is not known is fine.
    pub(super) fn delete_network(&self, call: &NetworkRef) -> Result<Done, Failure> {
        let _turn = self.turns.network(&call.network);
        match self.book.network(&call.network) {
            Some(network) => self.forget_network(&network)?,
            None => self.forget_unread(&call.network)?,
        }
        Ok(Done {})
    }

    /// Removes what the id alone tells of a network whose file could not be read.
    fn forget_unread(&self, id: &Id) -> Result<(), Failure> {
        let (gateways, options) = (Vec::new(), Options::new());
        let network = Network::new(NetworkRecord { id: id.clone(), gateways, options })?;
        if self.book.networks().iter().any(|other| other.bridge == network.bridge) {
            return Ok(());
        }
        let (owner, options) = (network.owner.clone(), BindOptions::default());
        let bridge = network.bridge.clone();
        let ours = self.keeper.run(move |watch| {
            let fips = watch.floating_ips();
            fips.reconcile(&owner, &[], &options)?;
            Ok(fips.bridge_rules()?.iter().any(|rules| rules.bridge == bridge))
        })?;
        // Docker names the bridges of its own driver alike: ours has our rules, or endpoints.
        if ours || !self.book.endpoints_of(id).is_empty() {
            self.forget_network(&Arc::new(network))?;
        }
        Ok(())
    }

    /// Removes the network and all that is left of its endpoints. The caller has its turn.
    pub(super) fn forget_network(&self, network: &Arc<Network>) -> Result<(), Failure> {
        for endpoint in self.book.endpoints_of(network.id()) {
            self.forget_endpoint(&endpoint)?;
        }
        self.raze(network)?;
        self.book.drop_network(network.id())?;
        log::info!("network {} is removed", network.id().short());
        Ok(())
    }

    /// What a new network must not be.
    fn check_new(&self, network: &Network) -> Result<()> {
        let taken = |what: String| Error::Unsupported {
            what,
            hint: "choose another name (-o com.docker.network.bridge.name=...)".to_owned(),
        };
        let bridge = &network.bridge;
        if let Some(other) = self.book.networks().iter().find(|other| other.bridge == *bridge) {
            let id = other.id().short();
            return Err(taken(format!("bridge {bridge} belongs to network {id} already")));
        }
        self.scouts.look(|_, links| match links.named(bridge) {
            Some(_) => Err(taken(format!("this host has a link {bridge} already"))),
            None => self.uplink(network, links).map(drop),
        })?;
        match (&network.options.allow, &self.config.allow) {
            (Some(narrow), Some(wide)) if !wide.covers(narrow) => Err(Error::Unsupported {
                what: format!("fip.allow={narrow} is more than this host permits ({wide})"),
                hint: "name a part of that, or start fip-plugin with a wider --allow".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// The link that shall carry the floating addresses of the network, if one is named.
    pub(super) fn uplink<'l>(
        &self,
        network: &Network,
        links: &'l Links,
    ) -> Result<Option<&'l Link>> {
        let named = network.options.uplink.as_ref().or(self.config.uplink.as_ref());
        let find = |name: &LinkName| {
            links.named(name).ok_or_else(|| Error::Unsupported {
                what: format!("this host has no link {name}"),
                hint: "name the network card of the LAN (fip.uplink, --uplink), or none".to_owned(),
            })
        };
        named.map(find).transpose()
    }

    /// Sees to it that the network is there: its bridge, with what its containers may do.
    pub(super) fn raise(&self, network: &Network) -> Result<()> {
        let (spec, rules) = self.scouts.look(|_, links| {
            let uplink = self.uplink(network, links)?;
            Ok((network.spec(uplink), network.rules(links, uplink)))
        })?;
        note(self.scouts.with(|kernel| BridgeManager::new(kernel).ensure(&spec))?);
        let bridges = Arc::clone(&self.bridges);
        self.keeper.run(move |watch| {
            note(watch.floating_ips().set_bridge_rules(&rules)?.changes);
            keep(watch, &bridges, |all| _ = all.insert(rules.bridge.clone(), rules.clone()));
            Ok(())
        })
    }

    /// Undoes [`Driver::raise`]. One part that fails keeps the other from nothing.
    fn raze(&self, network: &Network) -> Result<()> {
        let bridge = network.bridge.clone();
        let bridges = Arc::clone(&self.bridges);
        let rules = self.keeper.run(move |watch| {
            keep(watch, &bridges, |all| _ = all.remove(&bridge));
            watch.floating_ips().remove_bridge_rules(&bridge)
        });
        let link =
            self.scouts.with(|kernel| BridgeManager::new(kernel).delete(&network.bridge, true));
        note(rules?.changes);
        note(link?);
        Ok(())
    }
}

/// Changes which bridges are held.
fn keep<K: Kernel>(
    watch: &mut Watch<K>,
    bridges: &Bridges,
    change: impl FnOnce(&mut BTreeMap<LinkName, BridgeRules>),
) {
    let mut bridges = bridges.lock().unwrap_or_else(PoisonError::into_inner);
    change(&mut bridges);
    watch.set_bridges(bridges.values().cloned().collect());
}

fn gateway(pool: &Pool) -> Result<ipnetwork::IpNetwork> {
    pool.gateway.ok_or_else(|| Error::Unsupported {
        what: format!("the subnet {} has no gateway", pool.pool),
        hint: "the host is the gateway of a fip network: name its address (--gateway)".to_owned(),
    })
}
