//! Networks and endpoints, as they follow from what dockerd said.

use std::collections::BTreeSet;
use std::net::IpAddr;

use fip_core::address::Links;
use fip_core::bridge::{BridgeSpec, PairSpec};
use fip_core::error::{Error, Result};
use fip_core::kernel::{Link, Mac};
use fip_core::nat::Family;
use fip_core::{Binding, BridgeRules, LinkName, Owner};
use ipnetwork::IpNetwork;

use crate::options::{self, EndpointOptions, Floating, NetworkOptions, parse_floating};
use crate::protocol::Id;
use crate::state::{EndpointRecord, Joined, Label, NetworkRecord};

/// What the names of the owners of our bindings begin with; the network's id follows.
pub(super) const OWNER: &str = "plugin:";

/// A network.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) record: NetworkRecord,
    pub(super) options: NetworkOptions,
    pub(super) bridge: LinkName,
    /// Who holds the bindings of its containers.
    pub(super) owner: Owner,
}

impl Network {
    pub(super) fn new(record: NetworkRecord) -> Result<Self> {
        let options = NetworkOptions::parse(&record.options)?;
        let short = record.id.short();
        let bridge = match &options.bridge {
            Some(name) => name.clone(),
            None => format!("br-{short}").parse()?,
        };
        let owner = owner(&record.id)?;
        Ok(Self { record, options, bridge, owner })
    }

    pub(super) fn id(&self) -> &Id {
        &self.record.id
    }

    /// The gateway of this family.
    pub(super) fn gateway(&self, family: Family) -> Option<IpAddr> {
        let gateways = self.record.gateways.iter().map(IpNetwork::ip);
        gateways.into_iter().find(|gateway| Family::of(*gateway) == family)
    }

    /// The bridge, with the MTU of the `uplink` if there is one.
    pub(super) fn spec(&self, uplink: Option<&Link>) -> BridgeSpec {
        let mtu = self.options.mtu.or(uplink.map(|link| link.mtu));
        BridgeSpec { name: self.bridge.clone(), addresses: self.record.gateways.clone(), mtu }
    }

    /// What containers without a floating address may do: reach out by the uplink and by the links
    /// of the default routes.
    pub(super) fn rules(&self, links: &Links, uplink: Option<&Link>) -> BridgeRules {
        let outlets: BTreeSet<LinkName> =
            links.outward().chain(uplink).map(|link| link.name.clone()).collect();
        let NetworkOptions { masquerade, internal, .. } = self.options;
        BridgeRules { bridge: self.bridge.clone(), outlets, masquerade, internal }
    }
}

/// Who holds the bindings of a network's containers.
pub(super) fn owner(network: &Id) -> Result<Owner> {
    format!("{OWNER}{}", network.short()).parse()
}

/// The end at the bridge of an endpoint's veth pair.
pub(super) fn near(endpoint: &Id) -> Result<LinkName> {
    format!("fv{}", endpoint.short()).parse()
}

/// An endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) record: EndpointRecord,
    pub(super) options: EndpointOptions,
    pub(super) mac: Mac,
    /// The end of its veth pair at the bridge.
    pub(super) near: LinkName,
    /// The end for the container, until dockerd renames it.
    pub(super) far: LinkName,
}

impl Endpoint {
    pub(super) fn new(record: EndpointRecord) -> Result<Self> {
        let options = EndpointOptions::parse(&record.options)?;
        let mac = record.mac.parse()?;
        let short = record.id.short();
        let (near, far) = (near(&record.id)?, format!("fc{short}").parse()?);
        Ok(Self { record, options, mac, near, far })
    }

    pub(super) fn id(&self) -> &Id {
        &self.record.id
    }

    /// The same, with this container or without any.
    pub(super) fn with(&self, joined: Option<Joined>) -> Result<Self> {
        Self::new(EndpointRecord { joined, ..self.record.clone() })
    }

    pub(super) fn pair(&self, network: &Network) -> PairSpec {
        PairSpec {
            bridge: network.bridge.clone(),
            near: self.near.clone(),
            far: self.far.clone(),
            far_mac: self.mac,
        }
    }

    pub(super) fn fixed(&self) -> impl Iterator<Item = IpAddr> {
        self.record.addresses.iter().map(IpNetwork::ip)
    }

    /// Whether another endpoint has one of its addresses.
    pub(super) fn shares_address(&self, other: &Self) -> bool {
        self.fixed().any(|fixed| other.fixed().any(|theirs| theirs == fixed))
    }

    /// The floating addresses that are asked for, by option or else by label.
    pub(super) fn floating(&self) -> Result<Vec<Floating>> {
        match &self.record.joined {
            Some(Joined { label: Label::Floating(text), .. }) => parse_floating(text),
            _ => Ok(self.options.floating.clone()),
        }
    }

    /// The bindings that come of that, on this link if one is named.
    pub(super) fn bindings(
        &self,
        network: &Network,
        uplink: Option<&LinkName>,
    ) -> Result<Vec<Binding>> {
        let options = EndpointOptions { floating: self.floating()?, ..self.options.clone() };
        if network.options.internal
            && let Some(first) = options.floating.first()
        {
            let why = "the network is internal: connect the container to another one for it";
            return Err(Error::refused(first.address, why));
        }
        let fixed = |family| self.fixed().find(|fixed| Family::of(*fixed) == family);
        options.bindings(&options::Endpoint {
            fixed4: fixed(Family::V4).and_then(|fixed| match fixed {
                IpAddr::V4(v4) => Some(v4),
                IpAddr::V6(_) => None,
            }),
            fixed6: fixed(Family::V6).and_then(|fixed| match fixed {
                IpAddr::V6(v6) => Some(v6),
                IpAddr::V4(_) => None,
            }),
            owner: &network.owner,
            uplink,
        })
    }
}

/// The Ethernet address of a container that was given none: from its first address, as Docker's
/// own bridge driver does, so that neighbours need not learn another one when a container with the
/// same address follows.
pub(super) fn derived_mac(addresses: &[IpNetwork]) -> Result<Mac> {
    let [a, b, c, d] = match addresses.first().map(IpNetwork::ip) {
        Some(IpAddr::V4(v4)) => v4.octets(),
        Some(IpAddr::V6(v6)) => (v6.to_bits() as u32).to_be_bytes(),
        None => {
            return Err(Error::Unsupported {
                what: "the container has no address on the network".to_owned(),
                hint: "create the network with an IPAM driver that gives addresses".to_owned(),
            });
        }
    };
    Ok(Mac([0x02, 0x42, a, b, c, d]))
}
