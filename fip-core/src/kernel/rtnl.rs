//! What is asked of rtnetlink.

use std::io;
use std::net::IpAddr;

use super::{Address, AddressChange, Link, LinkChange, MAIN_TABLE, NewLink, PolicyRule, Route};
use crate::error::Result;

/// What others may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Nothing.
    Nothing,
    /// Some of it; or forwarding, if nothing of this.
    Some {
        /// The addresses that came and went, in their order. One that comes may have been there.
        addresses: Vec<AddressChange>,
        /// The links that were deleted, or moved away: what they held by routes went with them, and
        /// the kernel tells nobody of that.
        gone: Vec<u32>,
        /// Links may have changed. The IPv4 routes of one that went down are gone untold.
        links: bool,
        /// Routes may have changed.
        routes: bool,
    },
    /// Anything: all has to be looked at again.
    Everything,
}

/// Links, addresses, routes, policy rules (rtnetlink(7)) and the sysctls beside them.
pub trait Rtnl {
    /// Every link.
    fn links(&mut self) -> Result<Vec<Link>>;

    /// Every address of every link, and those that are held by routes: ours, and those that
    /// somebody else (not the kernel) made the host's own.
    fn addresses(&mut self) -> Result<Vec<Address>>;

    /// The addresses of links, and of those that are held by routes these: what binding them takes
    /// to know. However many others are held so, they are not read.
    fn addresses_about(&mut self, floating: &[IpAddr]) -> Result<Vec<Address>>;

    /// The unicast routes of the main table, both families.
    fn routes(&mut self) -> Result<Vec<Route>> {
        self.routes_in(MAIN_TABLE)
    }

    /// The unicast routes of a table, both families. A table that does not exist has none.
    fn routes_in(&mut self, table: u32) -> Result<Vec<Route>>;

    /// The policy rules that select by a source address and by nothing else, both families.
    fn policy_rules(&mut self) -> Result<Vec<PolicyRule>>;

    /// What may have changed of links, addresses, routes and forwarding since this was last called,
    /// other than by this handle (whose own changes of links and sysctls may count).
    /// [`News::Everything`] at the first call and whenever it cannot be known.
    fn news(&mut self) -> Result<News>;

    /// Whether there is any news.
    fn changed(&mut self) -> Result<bool> {
        Ok(self.news()? != News::Nothing)
    }

    /// Makes the changes in order; one that fails does not stop the others. The inner results
    /// are the kernel's, in the same order.
    fn change_addresses(&mut self, changes: &[AddressChange]) -> Result<Vec<io::Result<()>>>;

    /// Has the kernel look for whoever has the addresses now: ordinary ARP requests or neighbour
    /// solicitations, from the host's own address. Whoever waits for one hears in it that this host
    /// has it no more ([`super::Deed::Seeks`]); and what is still sent to this host goes on to its
    /// successor as soon as there is one.
    fn seek(&mut self, link: u32, addresses: &[IpAddr]) -> Result<()>;

    /// Creates a link, or a pair.
    fn create_link(&mut self, link: &NewLink) -> Result<()>;

    /// Deletes the link (and the peer of a pair).
    fn delete_link(&mut self, index: u32) -> Result<()>;

    /// Changes a link.
    fn change_link(&mut self, index: u32, change: &LinkChange) -> Result<()>;

    /// Adds a route to the main table, or replaces the one to the same destination with the same
    /// metric.
    fn replace_route(&mut self, route: &Route) -> Result<()> {
        self.replace_route_in(MAIN_TABLE, route)
    }

    /// The same in another table.
    fn replace_route_in(&mut self, table: u32, route: &Route) -> Result<()>;

    /// Deletes a route; `ESRCH` if the table has no such.
    fn delete_route_in(&mut self, table: u32, route: &Route) -> Result<()>;

    /// Adds a policy rule; `EEXIST` if there is one that is equal, tag included.
    fn add_policy_rule(&mut self, rule: &PolicyRule) -> Result<()>;

    /// Deletes a policy rule, `ours` only if it bears the tag; `ENOENT` if there is no such.
    fn delete_policy_rule(&mut self, rule: &PolicyRule) -> Result<()>;

    /// The value of a sysctl, by its path below `/proc/sys` (`net/ipv4/ip_forward`); none if the
    /// kernel has no such.
    fn sysctl(&mut self, path: &str) -> Result<Option<String>>;

    /// Sets a sysctl.
    fn set_sysctl(&mut self, path: &str, value: &str) -> Result<()>;
}
