//! The neighbours, and connection tracking, as the fake has them.

use std::io;
use std::net::IpAddr;
use std::time::Instant;

use crate::conntrack::Strays;
use crate::error::{Error, Result};
use crate::kernel::{Conntrack, Deed, Flows, Link, Sighting, Wire};

use super::FakeKernel;
use super::world::{Namespace, errno};

impl Namespace {
    /// Whether frames that are sent on the link arrive; elsewhere they are lost.
    fn delivers(&self, link: &Link) -> io::Result<bool> {
        self.network.find(link.index).map(|found| self.network.runs(found))
    }

    /// Rivals answer.
    fn probe(&mut self, link: &Link, addresses: &[IpAddr]) -> io::Result<()> {
        let delivers = self.delivers(link)?;
        for &address in addresses.iter().filter(|_| delivers) {
            if let Some(&mac) = self.rivals.get(&address) {
                let link = link.index;
                self.sightings.push(Sighting { link, address, mac, deed: Deed::Holds });
            }
        }
        Ok(())
    }
}

fn has_neighbours(link: &Link) -> bool {
    link.mac.is_some() && !link.loopback
}

impl Wire for FakeKernel {
    fn probe(&mut self, link: &Link, addresses: &[IpAddr]) -> Result<()> {
        if !has_neighbours(link) {
            return Ok(());
        }
        let place = self.place;
        let result = self.world.change(|world| {
            if !self.privileged {
                return Err(errno(libc::EPERM));
            }
            let namespace = &mut world.namespaces[place];
            self.listening.entry(link.index).or_insert(namespace.sightings.len());
            namespace.probe(link, addresses)
        });
        result.map_err(|error| Error::kernel(format!("probe on {}", link.name), error))
    }

    fn heard(&mut self, link: &Link, _until: Instant) -> Result<Option<Sighting>> {
        let Some(&from) = self.listening.get(&link.index) else { return Ok(None) };
        let (next, sighting) = self.look(|namespace| {
            let news = namespace.sightings.get(from..).unwrap_or_default();
            let at = news.iter().position(|sighting| sighting.link == link.index);
            (from + at.map_or(news.len(), |at| at + 1), at.map(|at| news[at].clone()))
        });
        self.listening.insert(link.index, next);
        Ok(sighting)
    }

    fn stop_listening(&mut self, link: &Link) -> Result<()> {
        self.listening.remove(&link.index);
        Ok(())
    }

    fn announce(&mut self, link: &Link, addresses: &[IpAddr]) -> Result<()> {
        if !has_neighbours(link) {
            return Ok(());
        }
        let place = self.place;
        let result = self.step(|world| {
            let namespace = &mut world.namespaces[place];
            if namespace.delivers(link)? {
                let announced = addresses.iter().map(|address| (link.name.clone(), *address));
                namespace.announced.extend(announced);
            }
            Ok(())
        });
        result.map_err(|error| Error::kernel(format!("announce on {}", link.name), error))
    }
}

impl Conntrack for FakeKernel {
    /// There are no connections here; what was asked for is noted.
    fn forget(&mut self, flows: &[Flows]) -> Result<()> {
        if flows.is_empty() {
            return Ok(());
        }
        let place = self.place;
        let result = self.step(|world| {
            world.namespaces[place].forgotten.extend_from_slice(flows);
            Ok(())
        });
        result.map_err(|error| Error::kernel("forget tracked connections", error))
    }

    fn forget_strays(&mut self, _: &Strays) -> Result<()> {
        let place = self.place;
        let result = self.step(|world| {
            world.namespaces[place].sweeps += 1;
            Ok(())
        });
        result.map_err(|error| Error::kernel("forget tracked connections", error))
    }
}
