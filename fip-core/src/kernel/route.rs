//! Routes and policy rules.

use std::fmt;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

/// The table of routes that a host looks up if no policy rule says otherwise (`RT_TABLE_MAIN` in
/// `linux/rtnetlink.h`).
pub const MAIN_TABLE: u32 = 254;

/// A unicast route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where it leads; `0.0.0.0/0` or `::/0` for a default route.
    pub destination: IpNetwork,
    /// The next hop, unless on link.
    pub gateway: Option<IpAddr>,
    /// The index of the outgoing link.
    pub link: Option<u32>,
    /// The metric: lower is preferred.
    pub metric: u32,
}

/// A policy rule that selects packets by their source address and by nothing else: `from SOURCE
/// lookup TABLE` (ip-rule(8)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRule {
    /// Whose packets.
    pub source: IpNetwork,
    /// The table in which their routes are looked up. Where it has none, the next rule counts.
    pub table: u32,
    /// The place among the rules: lower is earlier. The main table is looked up at 32766.
    pub priority: u32,
    /// It bears this project's tag (`FRA_PROTOCOL`, Linux 4.17): a rule that we added.
    pub ours: bool,
}

impl fmt::Display for PolicyRule {
    /// As ip-rule(8) would be told: `from 172.18.0.2/32 lookup 100 priority 30000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} lookup {} priority {}", self.source, self.table, self.priority)
    }
}
