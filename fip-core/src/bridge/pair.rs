//! A veth pair whose far end somebody else moves to the workload.

use super::work::delete_link;
use super::{BridgeManager, find_bridge};
use crate::binding::LinkName;
use crate::error::{Error, Result};
use crate::kernel::{Kernel, Link, Mac, NewLink};

/// A veth pair as it shall be when a container engine takes over: engines move, rename and address
/// the workload's link themselves (Docker: `InterfaceName` in the remote driver's answer to
/// `Join`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairSpec {
    /// The bridge.
    pub bridge: LinkName,
    /// The end that becomes a port of the bridge.
    pub near: LinkName,
    /// The end for the workload.
    pub far: LinkName,
    /// The Ethernet address of the far end.
    pub far_mac: Mac,
}

impl<K: Kernel> BridgeManager<'_, K> {
    /// Sees to it that the pair exists, the near end a port of the bridge that may send a frame
    /// back where it came from (hairpin), and up. The far end is left down, in this namespace; one
    /// that was moved already is not looked for.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the bridge; [`Error::Unsupported`] if a link of one of the names is
    /// there that is no such end; what the kernel refuses.
    pub fn plug(&mut self, spec: &PairSpec) -> Result<Vec<String>> {
        let PairSpec { bridge, near, far, far_mac } = spec;
        let links = self.kernel.links()?;
        let bridge =
            find_bridge(&links, bridge)?.ok_or_else(|| Error::not_found("bridge", bridge))?;
        let mut changes = Vec::new();
        match (end(&links, near)?, end(&links, far)?) {
            (Some(port), _) => {
                self.join(bridge, port, &links, &near, &mut changes)?;
            }
            (None, Some(_)) => return Err(taken(far)),
            (None, None) => {
                self.kernel.create_link(&NewLink::Veth {
                    name: near.clone(),
                    peer: far.clone(),
                    peer_mac: Some(*far_mac),
                    peer_netns: None,
                    mtu: bridge.mtu,
                })?;
                changes.push(format!("link add {near} type veth peer {far} address {far_mac}"));
                let links = self.kernel.links()?;
                let port = end(&links, near)?.ok_or_else(|| Error::not_found("link", near))?;
                self.join(bridge, port, &links, &near, &mut changes)?;
            }
        }
        Ok(changes)
    }

    /// Undoes [`BridgeManager::plug`], wherever the far end is by now. A pair that is gone is fine.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the link is of another kind; what the kernel refuses.
    pub fn unplug(&mut self, near: &LinkName) -> Result<Vec<String>> {
        let links = self.kernel.links()?;
        let mut changes = Vec::new();
        if let Some(link) = end(&links, near)? {
            delete_link(self.kernel, link, &mut changes)?;
        }
        Ok(changes)
    }
}

/// The link of this name, which must be an end of a veth pair.
fn end<'a>(links: &'a [Link], name: &LinkName) -> Result<Option<&'a Link>> {
    let found = links.iter().find(|link| link.name == *name);
    match found.filter(|link| link.kind.as_deref() != Some("veth")) {
        Some(_) => Err(taken(name)),
        None => Ok(found),
    }
}

fn taken(name: &LinkName) -> Error {
    Error::Unsupported {
        what: format!("this host has another link {name} already"),
        hint: format!("rename or delete it (ip link delete {name})"),
    }
}
