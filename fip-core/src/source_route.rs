//! Replies of a workload with several networks: by the door that the request came in by.
//!
//! Such a workload has one default route, and it leads through one of its networks. Without more,
//! what came to a fixed address in another network is answered through that door: past the
//! translation, and dropped by reverse path filtering on either side. So in the workload's
//! namespace all that leaves with the fixed address as source is routed by a table of its own:
//!
//! ```text
//! ip route add 172.18.0.0/16 dev eth1 table 61000004
//! ip route add default via 172.18.0.1 dev eth1 table 61000004
//! ip rule add from 172.18.0.2/32 lookup 61000004 priority 30000
//! ```
//!
//! What is sent from no address yet gets its source by the main table, as ever: a workload's own
//! connections go out by its default route, and a UDP server on several networks has to bind the
//! fixed address, or answer from the address that was asked (`IP_PKTINFO` in ip(7)).
//!
//! Both calls here can be repeated: what is already so is left alone, and what an earlier call
//! left half done is completed. They tell what they changed, in the manner of ip(8).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv6Network};

use crate::error::{Error, Result};
use crate::kernel::{Link, PolicyRule, Route, Rtnl};

/// The priority of the rules. Local addresses (0) come first, and so do rules that somebody made
/// for more particular cases; the main table (32766) comes later.
pub const PRIORITY: u32 = 30_000;

/// The table of a link is this plus the link's index: one for each network of a workload, and far
/// from the tables that people number by hand. (An index is less than 2^31.)
pub const TABLE_BASE: u32 = 61_000_000;

/// Addresses of a link itself (RFC 4291). They are reached without a gateway, whatever the source.
const LINK_LOCAL: Ipv6Network =
    match Ipv6Network::new_checked(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 64) {
        Some(network) => network,
        None => panic!("fe80::/64"),
    };

/// How a workload shall route what it sends from one of its fixed addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRoute {
    /// The fixed address, with the prefix length of its subnet.
    pub fixed: IpNetwork,
    /// The gateway of that subnet.
    pub gateway: IpAddr,
    /// The index of the link that carries the fixed address, in the workload's namespace.
    pub link: u32,
}

impl SourceRoute {
    /// The table of this link.
    fn table(&self) -> u32 {
        TABLE_BASE.wrapping_add(self.link)
    }

    fn rule(&self) -> PolicyRule {
        let source = IpNetwork::from(self.fixed.ip());
        PolicyRule { source, table: self.table(), priority: PRIORITY, ours: true }
    }

    /// What the table shall hold: first what the default route needs.
    fn routes(&self) -> Vec<Route> {
        let (subnet, length) = (self.fixed.network(), self.fixed.prefix());
        let to =
            |destination, gateway| Route { destination, gateway, link: Some(self.link), metric: 0 };
        let subnet = to(IpNetwork::new(subnet, length).unwrap_or(self.fixed), None);
        let link_local = self.fixed.is_ipv6().then(|| to(LINK_LOCAL.into(), None));
        let everywhere = to(everywhere(self.fixed), Some(self.gateway));
        [subnet].into_iter().chain(link_local).chain([everywhere]).collect()
    }
}

fn everywhere(like: IpNetwork) -> IpNetwork {
    let any = match like {
        IpNetwork::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpNetwork::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    // The length is valid in both families.
    IpNetwork::new(any, 0).unwrap_or(like)
}

/// Sees to it that what is sent from the fixed address leaves by its own network. `kernel` is the
/// workload's namespace; the link there must be up and carry the address.
///
/// The routes come before the rule, so that no packet finds half of them.
///
/// # Errors
/// [`Error::Parse`] if the gateway is of another family; [`Error::NotFound`] if there is no such
/// link; what the kernel refuses: `ENETUNREACH` (IPv6: `EHOSTUNREACH`) and `ENETDOWN` as long as
/// the link is not up or has no address in the gateway's subnet.
pub fn ensure(kernel: &mut impl Rtnl, route: &SourceRoute) -> Result<Vec<String>> {
    if route.gateway.is_ipv4() != route.fixed.is_ipv4() {
        let expected = format!("a gateway for {}", route.fixed);
        return Err(Error::parse(&route.gateway.to_string(), expected));
    }
    let links = kernel.links()?;
    if !links.iter().any(|link| link.index == route.link) {
        return Err(Error::not_found("link number", route.link));
    }
    let mut changes = Vec::new();
    let (table, rule) = (route.table(), route.rule());
    let present = kernel.routes_in(table)?;
    for wanted in route.routes() {
        // The kernel gives IPv6 routes a metric.
        if !present.iter().any(|found| Route { metric: 0, ..found.clone() } == wanted) {
            kernel.replace_route_in(table, &wanted)?;
            changes.push(format!("route replace {}", describe(&wanted, table, &links)));
        }
    }
    let rules = kernel.policy_rules()?;
    if !rules.contains(&rule) && done(kernel.add_policy_rule(&rule), libc::EEXIST)? {
        changes.push(format!("rule add {rule}"));
    }
    // A link that came again has another index.
    let stale = |found: &PolicyRule| found.source == rule.source && *found != rule;
    remove_where(kernel, &links, stale, &mut changes)?;
    Ok(changes)
}

/// Undoes [`ensure`], wherever the link is by now; what is gone already is fine. (The kernel takes
/// the routes away with their link, but never the rule.)
///
/// # Errors
/// What the kernel refuses.
pub fn remove(kernel: &mut impl Rtnl, fixed: IpAddr) -> Result<Vec<String>> {
    let mut changes = Vec::new();
    let source = IpNetwork::from(fixed);
    let links = kernel.links()?;
    remove_where(kernel, &links, |rule| rule.source == source, &mut changes)?;
    Ok(changes)
}

/// Deletes those of our rules, and the routes that no other rule of ours leads to.
fn remove_where(
    kernel: &mut impl Rtnl,
    links: &[Link],
    which: impl Fn(&PolicyRule) -> bool,
    changes: &mut Vec<String>,
) -> Result<()> {
    let rules = kernel.policy_rules()?.into_iter().filter(is_ours);
    let (gone, kept): (Vec<_>, Vec<_>) = rules.partition(which);
    for rule in gone {
        if done(kernel.delete_policy_rule(&rule), libc::ENOENT)? {
            changes.push(format!("rule delete {rule}"));
        }
        let (table, ipv6) = (rule.table, rule.source.is_ipv6());
        if kept.iter().any(|rule| rule.table == table && rule.source.is_ipv6() == ipv6) {
            continue;
        }
        let mut routes = kernel.routes_in(table)?;
        routes.retain(|route| route.destination.is_ipv6() == ipv6);
        for route in routes {
            if done(kernel.delete_route_in(table, &route), libc::ESRCH)? {
                changes.push(format!("route delete {}", describe(&route, table, links)));
            }
        }
    }
    Ok(())
}

/// Whether we made the rule. The tag alone would do, but whoever used it for a rule of his own must
/// not lose the routes of, say, the main table.
fn is_ours(rule: &PolicyRule) -> bool {
    rule.ours && rule.table > TABLE_BASE
}

/// Whether it was done; not if it was so already, which the kernel tells by this error.
fn done(result: Result<()>, already: i32) -> Result<bool> {
    match result {
        Err(Error::Kernel { source, .. }) if source.raw_os_error() == Some(already) => Ok(false),
        result => result.map(|()| true),
    }
}

/// As `default via 172.18.0.1 dev eth1 table 61000004`.
fn describe(route: &Route, table: u32, links: &[Link]) -> String {
    let mut text = match route.destination.prefix() {
        0 => "default".to_owned(),
        _ => route.destination.to_string(),
    };
    if let Some(gateway) = route.gateway {
        text += &format!(" via {gateway}");
    }
    if let Some(link) = links.iter().find(|link| Some(link.index) == route.link) {
        text += &format!(" dev {}", link.name);
    }
    text + &format!(" table {table}")
}
