//! Changes to a link that are made only where they are needed.

use std::io;

use ipnetwork::IpNetwork;

use super::forwarding::ensure_sysctl;
use crate::error::{Error, Result};
use crate::kernel::{Address, AddressChange, Hold, Link, LinkChange, Rtnl};

/// Changes to one link, made only where they are needed, and noted.
pub(super) struct LinkWork<'a, K> {
    pub(super) kernel: &'a mut K,
    pub(super) link: &'a Link,
    pub(super) changes: &'a mut Vec<String>,
    /// What the notes begin with.
    pub(super) place: String,
}

impl<'a, K: Rtnl> LinkWork<'a, K> {
    pub(super) fn new(kernel: &'a mut K, link: &'a Link, changes: &'a mut Vec<String>) -> Self {
        Self { kernel, link, changes, place: String::new() }
    }

    pub(super) fn set(&mut self, change: &LinkChange, text: &str) -> Result<()> {
        self.kernel.change_link(self.link.index, change)?;
        self.changes.push(format!("{}link set {} {text}", self.place, self.link.name));
        Ok(())
    }

    pub(super) fn mtu(&mut self, mtu: u32) -> Result<()> {
        if self.link.mtu == mtu {
            return Ok(());
        }
        self.set(&LinkChange::Mtu(mtu), &format!("mtu {mtu}"))
    }

    pub(super) fn up(&mut self) -> Result<()> {
        if self.link.up { Ok(()) } else { self.set(&LinkChange::Up(true), "up") }
    }

    /// Adds the addresses that are not among the `present`.
    pub(super) fn addresses(&mut self, wanted: &[IpNetwork], present: &[Address]) -> Result<()> {
        let link = self.link.index;
        let has = |network| present.iter().any(|a| a.link == link && a.network == network);
        for &network in wanted.iter().filter(|&&network| !has(network)) {
            let address = Address { link, network, ours: false, hold: Hold::Address };
            let results = self.kernel.change_addresses(&[AddressChange::Add(address)])?;
            match results.into_iter().collect::<io::Result<()>>() {
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {}
                Err(error) => {
                    let operation = format!("add address {network} to {}", self.link.name);
                    return Err(Error::kernel(operation, error));
                }
                Ok(()) => {
                    let (place, name) = (&self.place, &self.link.name);
                    self.changes.push(format!("{place}address add {network} dev {name}"));
                }
            }
        }
        Ok(())
    }

    /// Hosts and containers often have IPv6 off on new links: on, if there is an IPv6 address.
    pub(super) fn enable_ipv6(&mut self, addresses: &[IpNetwork]) -> Result<()> {
        if addresses.iter().any(IpNetwork::is_ipv6) {
            self.sysctl("disable_ipv6", "0")
        } else {
            Ok(())
        }
    }

    /// Sets one of the link's IPv6 parameters, if the kernel has such.
    pub(super) fn sysctl(&mut self, parameter: &str, value: &str) -> Result<()> {
        let path = format!("net/ipv6/conf/{}/{parameter}", self.link.name);
        let change = ensure_sysctl(self.kernel, &path, value)?;
        self.changes.extend(change.map(|change| format!("{}{change}", self.place)));
        Ok(())
    }
}

/// Deletes the link; one that is gone already is fine.
pub(super) fn delete_link(
    kernel: &mut impl Rtnl,
    link: &Link,
    changes: &mut Vec<String>,
) -> Result<()> {
    match kernel.delete_link(link.index) {
        Err(error) if errno(&error) == Some(libc::ENODEV) => Ok(()),
        result => result.map(|()| changes.push(format!("link delete {}", link.name))),
    }
}

/// The kernel's error number, if the kernel refused.
pub(super) fn errno(error: &Error) -> Option<i32> {
    match error {
        Error::Kernel { source, .. } => source.raw_os_error(),
        _ => None,
    }
}
