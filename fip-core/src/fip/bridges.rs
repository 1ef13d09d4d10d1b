//! The rules of bridges: what their workloads may do that are not bound.

use crate::binding::LinkName;
use crate::error::Result;
use crate::kernel::Kernel;
use crate::nat::{self, BridgeRules};

use super::goal::Goal;
use super::view::View;
use super::{BindOptions, FloatingIps, Report};

impl<K: Kernel> FloatingIps<K> {
    /// Makes these the rules of the bridge, exactly; those of other bridges are not touched.
    /// Neither the bridge nor its outlets need to exist yet. Where workloads may send by an outlet,
    /// this host is made to forward the families of which the bridge has a subnet.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] if this host has no nf_tables, uses iptables-legacy, or others
    /// use the table with another mark; what the kernel refuses.
    pub fn set_bridge_rules(&mut self, rules: &BridgeRules) -> Result<Report> {
        let goal = Goal::Bridge { bridge: &rules.bridge, rules: Some(rules) };
        self.reach(&goal, &BindOptions::default())
    }

    /// Removes the rules of the bridge. One that has none is no error.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn remove_bridge_rules(&mut self, bridge: &LinkName) -> Result<Report> {
        self.reach(&Goal::Bridge { bridge, rules: None }, &BindOptions::default())
    }

    /// The rules of all bridges, in the order of their names, each
    /// [normalized](BridgeRules::normalized).
    ///
    /// # Errors
    /// If the kernel cannot be read.
    pub fn bridge_rules(&mut self) -> Result<Vec<BridgeRules>> {
        let view = View::read(&mut self.kernel)?;
        let rules = nat::bridge_rules(view.elements());
        self.view = Some(view);
        Ok(rules)
    }
}
