//! What this crate asks of a kernel, as traits, so that the rest can be tested without one.
//!
//! [`host::Host`] is the real thing; [`fake::FakeKernel`] (feature `fake`) is in memory. One
//! contract suite runs on both. The types here are plain values; no netlink crate shows through.

mod address;
mod conntrack;
#[cfg(feature = "fake")]
pub mod fake;
pub mod host;
mod link;
mod monitor;
mod nft;
mod route;
mod rtnl;
mod wire;

use crate::error::Result;
use crate::netns::NetNs;

pub use address::{Address, AddressChange, Hold};
pub use conntrack::{Conntrack, Flows, Which};
pub use link::{Link, LinkChange, Mac, NewLink};
pub use monitor::{Monitor, Signal, Waker};
pub use nft::{Commit, Counter, Nft};
pub use route::{MAIN_TABLE, PolicyRule, Route};
pub use rtnl::{News, Rtnl};
pub use wire::{Deed, Sighting, Wire};

/// A kernel's network stack, in one network namespace.
pub trait Kernel: Rtnl + Nft + Conntrack + Wire + Sized {
    /// The stream of changes that others make.
    type Monitor: Monitor;

    /// Opens the same kernel in another network namespace.
    fn in_netns(&self, netns: &NetNs) -> Result<Self>;

    /// What tells that network namespace from every other, whatever name it is given by.
    fn identify(&self, netns: &NetNs) -> Result<[u64; 2]> {
        netns.identity()
    }

    /// Listens to changes of links, addresses and the ruleset from now on.
    fn monitor(&self) -> Result<Self::Monitor>;
}
