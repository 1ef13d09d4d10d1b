//! A kernel in memory (feature `fake`), to test without root what is built on this crate.
//!
//! It answers as Linux does where that matters here: the contract suite of this crate runs on both
//! alike. Several handles share one world, so that a test can look, and be the others.
//!
//! ```
//! use fip_core::kernel::fake::FakeKernel;
//! use fip_core::{Binding, FloatingIps, Options};
//!
//! let kernel = FakeKernel::new();
//! let mut fips = FloatingIps::new(kernel.clone(), Options::default());
//! fips.bind(&Binding::new("192.0.2.20".parse()?, "172.18.0.2".parse()?)?)?;
//! assert_eq!(kernel.announced(), [("eth0".parse()?, "192.0.2.20".parse()?)]);
//!
//! kernel.flush_ruleset();
//! assert!(fips.list()?.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Time does not pass in it: who waits to hear from neighbours is told at once that nobody speaks.
//! Only a [`FakeMonitor`] waits, until something happens.

mod addresses;
mod links;
mod monitor;
mod nft;
mod rtnl;
mod rules;
mod ruleset;
mod setup;
mod sysctls;
mod wire;
mod world;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use crate::binding::LinkName;
use crate::error::{Error, Result};
use crate::netns::NetNs;

use super::{Flows, Kernel};
pub use monitor::FakeMonitor;
use world::{Namespace, Shared, World};

/// A handle on a network namespace of a kernel in memory. Clones share the kernel.
///
/// As a [`Kernel`] it is what a program under test gets. Its own methods are for the test: they
/// set the scene, do what others would do, and show what was done.
#[derive(Debug)]
pub struct FakeKernel {
    world: Arc<Shared>,
    /// The place of the namespace in the world.
    place: usize,
    privileged: bool,
    /// How many changes of links there had been when [`super::Rtnl::news`] was last called.
    seen: Option<u64>,
    /// How much has been heard on the links on which it listens.
    listening: HashMap<u32, usize>,
}

impl Clone for FakeKernel {
    /// Another handle, that has seen and heard nothing yet.
    fn clone(&self) -> Self {
        self.at(self.place)
    }
}

impl Default for FakeKernel {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeKernel {
    fn at(&self, place: usize) -> Self {
        Self { privileged: self.privileged, ..Self::open(&self.world, place) }
    }

    fn open(world: &Arc<Shared>, place: usize) -> Self {
        Self {
            world: Arc::clone(world),
            place,
            privileged: true,
            seen: None,
            listening: HashMap::new(),
        }
    }

    /// A handle as a process without the capabilities `CAP_NET_ADMIN` and `CAP_NET_RAW` has it:
    /// it may look at links, and no more.
    #[must_use]
    pub fn without_privilege(&self) -> Self {
        Self { privileged: false, ..self.clone() }
    }

    /// Lets the next `steps` changes that any handle makes succeed, and every later one fail with
    /// `EIO`, until [`FakeKernel::recover`]. A step is a change of one address, of a link, of a
    /// route or a sysctl, a transaction, an announcement, a deletion of tracked connections.
    pub fn fail_after(&self, steps: usize) {
        self.world.lock().steps_left = Some(steps);
    }

    /// Ends what [`FakeKernel::fail_after`] began. Whether any step failed.
    pub fn recover(&self) -> bool {
        let mut world = self.world.lock();
        world.steps_left = None;
        std::mem::take(&mut world.failed)
    }

    /// Every announcement that neighbours could hear, in order.
    pub fn announced(&self) -> Vec<(LinkName, IpAddr)> {
        self.look(|namespace| namespace.announced.clone())
    }

    /// Which addresses were looked for on the LAN, and on which link (its index).
    pub fn sought(&self) -> Vec<(u32, IpAddr)> {
        self.look(|namespace| namespace.sought.clone())
    }

    /// Which tracked connections were to be forgotten here, in order.
    pub fn forgotten(&self) -> Vec<Flows> {
        self.look(|namespace| namespace.forgotten.clone())
    }

    /// How often all tracked connections here were looked at, to forget those that are not
    /// translated as they should be.
    pub fn sweeps(&self) -> usize {
        self.look(|namespace| namespace.sweeps)
    }

    /// Looks at this handle's namespace.
    fn look<T>(&self, look: impl FnOnce(&Namespace) -> T) -> T {
        look(&self.world.lock().namespaces[self.place])
    }

    /// Changes this handle's namespace as somebody else would.
    fn interfere<T>(&self, change: impl FnOnce(&mut Namespace) -> T) -> T {
        self.world.change(|world| change(&mut world.namespaces[self.place]))
    }

    /// Takes a step that changes the world.
    fn step<T>(&self, change: impl FnOnce(&mut World) -> io::Result<T>) -> io::Result<T> {
        self.world.change(|world| {
            world.take_step(self.privileged)?;
            change(world)
        })
    }

    /// The same, of links, addresses or routes, which is then no news to this handle.
    fn step_links<T>(&mut self, change: impl FnOnce(&mut World) -> io::Result<T>) -> io::Result<T> {
        let (place, seen, privileged) = (self.place, self.seen, self.privileged);
        let (result, now) = self.world.change(|world| {
            let known = seen == Some(world.namespaces[place].links_changed);
            let result = world.take_step(privileged).and_then(|()| change(world));
            (result, known.then(|| world.namespaces[place].links_changed))
        });
        self.seen = now;
        result
    }
}

impl Kernel for FakeKernel {
    type Monitor = FakeMonitor;

    fn in_netns(&self, netns: &NetNs) -> Result<Self> {
        let place = self.world.lock().names.get(netns).copied();
        place
            .map(|place| self.at(place))
            .ok_or_else(|| Error::not_found("network namespace", netns))
    }

    fn identify(&self, netns: &NetNs) -> Result<[u64; 2]> {
        Ok([0, self.in_netns(netns)?.place as u64])
    }

    fn monitor(&self) -> Result<FakeMonitor> {
        if !self.privileged {
            let error = io::Error::from_raw_os_error(libc::EPERM);
            return Err(Error::kernel("listen to nf_tables", error));
        }
        Ok(FakeMonitor::new(Arc::clone(&self.world), self.place))
    }
}
