//! Floating IP addresses on a Linux host.
//!
//! A *floating* address is an external address that belongs to a workload, not to a host. Binding
//! it puts it on the *uplink* (the network card whose subnet holds it, or the card of the default
//! route), translates it with nf_tables to the workload's *fixed* (inside) address, and announces
//! it to the LAN. Unbinding undoes all of that.
//!
//! The crate is synchronous and needs no async runtime. Its public interface has no type of a
//! netlink crate in it.
//!
//! ```no_run
//! use fip_core::{Binding, FloatingIps, Options};
//!
//! let mut fips = FloatingIps::open(Options::default())?;
//! let binding = Binding::new("192.168.99.200".parse()?, "172.18.0.2".parse()?)?;
//! fips.bind(&binding)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod address;
pub mod binding;
pub mod bridge;
pub mod claim;
pub mod conntrack;
pub mod diff;
pub mod duration;
pub mod error;
pub mod fip;
pub mod kernel;
pub mod nat;
pub mod netns;
pub mod source_route;

pub use binding::{Binding, LinkName, Owner, PortForward, Protocol};
pub use error::{Error, Result};
pub use fip::{FloatingIps, Options};
pub use nat::BridgeRules;
