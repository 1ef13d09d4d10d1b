//! Links in memory, with all that hangs on them.

use std::io;

use crate::binding::LinkName;
use crate::kernel::{Address, Link, LinkChange, Mac, NewLink, PolicyRule, Route};

use super::sysctls::Sysctls;
use super::world::{World, errno};

/// The smallest MTU that a link can have (`ETH_MIN_MTU` in `linux/if_ether.h`).
const MTU_MIN: u32 = 68;
/// The largest.
const MTU_MAX: u32 = 65536;

/// The links of a namespace, their addresses, routes and parameters.
#[derive(Debug, Default)]
pub(super) struct Network {
    pub(super) links: Vec<FakeLink>,
    pub(super) addresses: Vec<Address>,
    /// Routes that somebody added, by table; those of subnets follow from the addresses.
    pub(super) routes: Vec<(u32, Route)>,
    pub(super) rules: Vec<PolicyRule>,
    pub(super) sysctls: Sysctls,
    last_index: u32,
}

#[derive(Debug)]
pub(super) struct FakeLink {
    /// As it was made; whether it runs follows from the rest.
    pub(super) link: Link,
    pub(super) carrier: bool,
    /// The namespace and the index of the other end of a pair.
    peer: Option<(usize, u32)>,
}

impl Network {
    /// Every link, as the kernel tells it.
    pub(super) fn links(&self) -> Vec<Link> {
        self.links.iter().map(|link| self.shown(link)).collect()
    }

    fn shown(&self, found: &FakeLink) -> Link {
        Link { running: self.runs(found), ..found.link.clone() }
    }

    pub(super) fn runs(&self, found: &FakeLink) -> bool {
        let is_port = |port: &&FakeLink| port.link.master == Some(found.link.index);
        // A bridge runs if one of its ports does.
        let carrier = match found.link.kind.as_deref() {
            Some("bridge") => self.links.iter().filter(is_port).any(|port| self.runs(port)),
            _ => found.carrier,
        };
        found.link.up && carrier
    }

    /// The link with this index.
    pub(super) fn find(&self, index: u32) -> io::Result<&FakeLink> {
        self.links.iter().find(|link| link.link.index == index).ok_or_else(|| errno(libc::ENODEV))
    }

    pub(super) fn find_mut(&mut self, index: u32) -> io::Result<&mut FakeLink> {
        let mut links = self.links.iter_mut();
        links.find(|link| link.link.index == index).ok_or_else(|| errno(libc::ENODEV))
    }

    fn check_free(&self, name: &LinkName) -> io::Result<()> {
        match self.links.iter().any(|link| link.link.name == *name) {
            true => Err(errno(libc::EEXIST)),
            false => Ok(()),
        }
    }

    /// This index, or if a link has it the next that none ever had.
    fn free_index(&mut self, wanted: u32) -> u32 {
        if self.find(wanted).is_ok() {
            self.last_index += 1;
            return self.last_index;
        }
        self.last_index = self.last_index.max(wanted);
        wanted
    }

    /// A new link, down, with a carrier unless it is one end of a pair.
    pub(super) fn add(&mut self, name: &LinkName, kind: Option<&str>, mtu: u32) -> u32 {
        self.last_index += 1;
        let index = self.last_index;
        let [_, b, c, d] = index.to_be_bytes();
        let link = Link {
            index,
            name: name.clone(),
            mac: Some(Mac([2, 0xf1, 0, b, c, d])),
            mtu,
            up: false,
            running: false,
            loopback: false,
            kind: kind.map(str::to_owned),
            master: None,
        };
        self.sysctls.add_link(name);
        self.links.push(FakeLink { link, carrier: kind != Some("veth"), peer: None });
        index
    }

    /// Takes the link away from here, with its addresses and routes.
    pub(super) fn remove(&mut self, index: u32) -> io::Result<FakeLink> {
        let at = self.links.iter().position(|link| link.link.index == index);
        let removed = self.links.remove(at.ok_or_else(|| errno(libc::ENODEV))?);
        self.sysctls.remove_link(&removed.link.name);
        for port in self.links.iter_mut().filter(|link| link.link.master == Some(index)) {
            port.link.master = None;
        }
        self.addresses.retain(|address| address.link != index);
        self.routes.retain(|(_, route)| route.link != Some(index));
        Ok(removed)
    }

    fn set_master(&mut self, index: u32, master: Option<u32>) -> io::Result<()> {
        if let Some(master) = master {
            let bridge = self.find(master).map_err(|_| errno(libc::EINVAL))?;
            if bridge.link.kind.as_deref() != Some("bridge") {
                return Err(errno(libc::EOPNOTSUPP));
            }
            let port = &self.find(index)?.link;
            match port.kind.as_deref() {
                Some("bridge") => return Err(errno(libc::ELOOP)),
                _ if port.loopback => return Err(errno(libc::EINVAL)),
                _ => {}
            }
        }
        self.find_mut(index)?.link.master = master;
        Ok(())
    }

    /// What a link that goes down loses: its IPv6 addresses and its routes.
    fn put_down(&mut self, index: u32) {
        self.addresses.retain(|address| address.link != index || address.network.is_ipv4());
        self.routes.retain(|(_, route)| route.link != Some(index));
    }
}

impl World {
    /// Notes a change of links.
    pub(super) fn links_changed(&mut self, place: usize) {
        self.namespaces[place].links_changed += 1;
    }

    pub(super) fn create_link(&mut self, place: usize, link: &NewLink) -> io::Result<()> {
        match link {
            NewLink::Bridge { name, mtu } => {
                let network = &mut self.namespaces[place].network;
                network.check_free(name)?;
                network.add(name, Some("bridge"), *mtu);
                self.links_changed(place);
                Ok(())
            }
            NewLink::Veth { name, peer, peer_mac, peer_netns, mtu } => {
                let unknown = || errno(libc::ENOENT);
                let far = match peer_netns {
                    Some(netns) => self.names.get(netns).copied().ok_or_else(unknown)?,
                    None => place,
                };
                self.create_pair((place, name), (far, peer), *peer_mac, *mtu)
            }
        }
    }

    fn create_pair(
        &mut self,
        (place, name): (usize, &LinkName),
        (far, peer): (usize, &LinkName),
        peer_mac: Option<Mac>,
        mtu: u32,
    ) -> io::Result<()> {
        self.namespaces[far].network.check_free(peer)?;
        self.namespaces[place].network.check_free(name)?;
        if far == place && name == peer {
            return Err(errno(libc::EEXIST));
        }
        let far_index = self.namespaces[far].network.add(peer, Some("veth"), mtu);
        let near_index = self.namespaces[place].network.add(name, Some("veth"), mtu);
        let far_end = self.namespaces[far].network.find_mut(far_index)?;
        far_end.peer = Some((place, near_index));
        far_end.link.mac = peer_mac.or(far_end.link.mac);
        self.namespaces[place].network.find_mut(near_index)?.peer = Some((far, far_index));
        self.links_changed(far);
        self.links_changed(place);
        Ok(())
    }

    /// Deletes a virtual link.
    pub(super) fn delete_link(&mut self, place: usize, index: u32) -> io::Result<()> {
        let found = self.namespaces[place].network.find(index)?;
        if found.link.kind.is_none() {
            return Err(errno(libc::EOPNOTSUPP));
        }
        let peer = found.peer;
        for (place, index) in peer.into_iter().chain([(place, index)]) {
            self.namespaces[place].network.remove(index)?;
            self.links_changed(place);
        }
        Ok(())
    }

    pub(super) fn change_link(
        &mut self,
        place: usize,
        index: u32,
        change: &LinkChange,
    ) -> io::Result<()> {
        let network = &mut self.namespaces[place].network;
        let found = network.find_mut(index)?;
        match change {
            LinkChange::Up(up) => return self.set_up(place, index, *up),
            LinkChange::Mtu(mtu) if (MTU_MIN..=MTU_MAX).contains(mtu) => found.link.mtu = *mtu,
            LinkChange::Mtu(_) => return Err(errno(libc::EINVAL)),
            LinkChange::Master(master) => network.set_master(index, *master)?,
            LinkChange::Mac(Mac(mac)) if mac[0] & 1 != 0 || *mac == [0; 6] => {
                return Err(errno(libc::EADDRNOTAVAIL));
            }
            LinkChange::Mac(mac) => found.link.mac = Some(*mac),
            LinkChange::Hairpin(_) if found.link.master.is_some() => {}
            LinkChange::Hairpin(_) => return Err(errno(libc::EOPNOTSUPP)),
        }
        self.links_changed(place);
        Ok(())
    }

    /// Moves a link into another namespace. It keeps its index if that is free there, and nothing
    /// else but what it is: it is down, without addresses and without a master.
    pub(super) fn move_link(&mut self, place: usize, index: u32, there: usize) -> io::Result<()> {
        let link = self.namespaces[place].network.find(index)?.link.clone();
        if link.loopback || link.kind.as_deref() == Some("bridge") {
            return Err(errno(libc::EINVAL));
        }
        self.namespaces[there].network.check_free(&link.name)?;
        self.set_up(place, index, false)?;
        let mut moved = self.namespaces[place].network.remove(index)?;
        let new = self.namespaces[there].network.free_index(index);
        (moved.link.index, moved.link.master) = (new, None);
        if let Some((place, index)) = moved.peer {
            self.namespaces[place].network.find_mut(index)?.peer = Some((there, new));
        }
        let network = &mut self.namespaces[there].network;
        network.sysctls.add_link(&link.name);
        network.links.push(moved);
        self.links_changed(place);
        self.links_changed(there);
        Ok(())
    }

    pub(super) fn rename_link(
        &mut self,
        place: usize,
        index: u32,
        name: &LinkName,
    ) -> io::Result<()> {
        let network = &mut self.namespaces[place].network;
        network.find(index)?;
        network.check_free(name)?;
        let old = std::mem::replace(&mut network.find_mut(index)?.link.name, name.clone());
        network.sysctls.rename_link(&old, name);
        self.links_changed(place);
        Ok(())
    }

    fn set_up(&mut self, place: usize, index: u32, up: bool) -> io::Result<()> {
        let network = &mut self.namespaces[place].network;
        let found = network.find_mut(index)?;
        if std::mem::replace(&mut found.link.up, up) == up {
            return Ok(());
        }
        let peer = found.peer;
        if !up {
            network.put_down(index);
        }
        self.links_changed(place);
        if let Some((place, index)) = peer {
            self.namespaces[place].network.find_mut(index)?.carrier = up;
            self.links_changed(place);
        }
        Ok(())
    }
}
