//! What the workloads of a bridge may do that are not bound, as elements of the table's sets.

use std::collections::{BTreeMap, BTreeSet};

use super::{Elements, Key, Value};
use crate::binding::LinkName;

/// What the workloads of a bridge may send by themselves, whatever foreign firewalls say (where
/// those have a place for our rule). Bound addresses do not need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeRules {
    /// The bridge. Its workloads may always reach one another.
    pub bridge: LinkName,
    /// The links by which they may send, and be answered.
    pub outlets: BTreeSet<LinkName>,
    /// What leaves by an outlet has the host's address as source, unless the workload is bound to a
    /// floating address and sends with that.
    pub masquerade: bool,
    /// Nothing is forwarded to the bridge or from it, whatever others allow, not even to and from
    /// floating addresses. The outlets mean nothing then.
    pub internal: bool,
}

impl BridgeRules {
    /// Only what the bridge's own workloads send to one another.
    pub fn new(bridge: LinkName) -> Self {
        Self { bridge, outlets: BTreeSet::new(), masquerade: false, internal: false }
    }

    /// The same rules, said in the one way in which they are read back: only outlets that mean
    /// something, and no masquerade without any.
    #[must_use]
    pub fn normalized(mut self) -> Self {
        if self.internal {
            self.outlets.clear();
        }
        self.outlets.remove(&self.bridge);
        self.masquerade &= !self.outlets.is_empty();
        self
    }

    /// The elements that make these rules.
    pub fn elements(&self) -> Elements {
        let Self { bridge, outlets, masquerade, internal } = self.clone().normalized();
        let mut keys = vec![Key::Through(bridge.clone(), bridge.clone())];
        for outlet in outlets {
            if masquerade {
                keys.push(Key::Masquerade(bridge.clone(), outlet.clone()));
            }
            keys.push(Key::Through(bridge.clone(), outlet));
        }
        keys.extend(internal.then_some(Key::Internal(bridge)));
        keys.into_iter().map(|key| (key, Value::Member)).collect()
    }
}

/// Reads the rules of all bridges back from the elements, in the order of the bridges' names.
pub fn bridge_rules(elements: &Elements) -> Vec<BridgeRules> {
    let mut found: BTreeMap<&LinkName, BridgeRules> = BTreeMap::new();
    for key in elements.keys() {
        let Some(bridge) = key.bridge() else { continue };
        let rules = found.entry(bridge).or_insert_with(|| BridgeRules::new(bridge.clone()));
        match key {
            Key::Through(_, outlet) => _ = rules.outlets.insert(outlet.clone()),
            Key::Masquerade(..) => rules.masquerade = true,
            _ => rules.internal = true,
        }
    }
    found.into_values().map(BridgeRules::normalized).collect()
}
