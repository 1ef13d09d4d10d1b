//! Other hosts that use addresses that we hold.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::claim::{Claim, Claimed, RivalPolicy, claim};
use crate::error::Result;
use crate::kernel::{Deed, Kernel, Link, Mac, Sighting};

use super::{Event, OnRival, Watch};

/// An address is defended at most this often, or two defenders would flood the LAN.
const DEFEND_INTERVAL: Duration = Duration::from_secs(1);
/// And each time so often, because a neighbour may ignore the first.
const DEFEND_ROUNDS: u32 = 2;
/// A challenge of an address is told at most this often: who waits for it asks many times a second.
const CHALLENGE_INTERVAL: Duration = Duration::from_secs(1);

impl<K: Kernel> Watch<K> {
    /// Asks the LAN for all addresses that are held: another host may have claimed one before this
    /// watch began, when nobody here listened. Then it is a rival like one that is heard later.
    /// Takes the window of a claim.
    ///
    /// # Errors
    /// If a link cannot be asked. The links before it were.
    pub fn look_for_rivals(&mut self) -> Result<()> {
        let links = self.held().into_values();
        // The others are asked when they have carrier again.
        for (link, addresses) in links.filter(|(link, _)| link.running) {
            let claimed = self.ask(&link, &addresses)?;
            self.heard_of(&link, claimed);
        }
        Ok(())
    }

    /// The link was cut off: somebody else may have taken the addresses meanwhile. To announce
    /// them unasked would take them back.
    pub(super) fn returned(&mut self, link: &Link, addresses: &[IpAddr]) -> Result<()> {
        let claimed = self.ask(link, addresses)?;
        if self.options.announcements > 0 && !claimed.free.is_empty() {
            let now = Instant::now();
            self.fips.announcements.add(link, &claimed.free, self.options.announcements, now);
            self.fips.run_announcements()?;
        }
        let addresses = claimed.free.len();
        self.events.push_back(Event::Announced { link: link.name.clone(), addresses });
        self.heard_of(link, claimed);
        Ok(())
    }

    fn ask(&mut self, link: &Link, addresses: &[IpAddr]) -> Result<Claimed> {
        let ask = Claim { policy: RivalPolicy::Refuse, ..self.options.claim };
        let own = self.fips.macs();
        claim(&mut self.fips.kernel, link, &own, addresses, &ask)
    }

    fn heard_of(&mut self, link: &Link, claimed: Claimed) {
        for (address, mac) in claimed.rivals {
            self.heard(&Sighting { link: link.index, address, mac, deed: Deed::Holds });
        }
    }

    /// Gives an address up to another host that wants it, as if that host had claimed it: it is
    /// withdrawn, and stays so until it is desired anew. [`Event::Rival`] tells of it. One that is
    /// not held is none to give up.
    pub fn yield_to(&mut self, address: IpAddr, mac: Mac) {
        let carrier = self.fips.view.as_ref().and_then(|view| {
            let carrying = view.links.carrying(address).next()?;
            view.links.with_index(carrying.link).cloned()
        });
        if let Some(link) = carrier.filter(|_| self.desired.contains_key(&address)) {
            self.withdraw(address, &link, mac);
        }
    }

    /// Another host uses an address, or wants it.
    pub(super) fn heard(&mut self, sighting: &Sighting) {
        let Sighting { address, mac, deed, .. } = *sighting;
        let Some(link) = self.carrier(sighting) else { return };
        if self.fips.macs().contains(&mac) {
            return;
        }
        match self.on_rival {
            _ if deed == Deed::Seeks => {}
            _ if deed == Deed::Probes => self.tell_challenge(address, &link, mac),
            OnRival::Yield => self.withdraw(address, &link, mac),
            OnRival::Defend => {
                let now = Instant::now();
                let last = self.defended.get(&address).copied();
                if last.is_some_and(|last| last > now) {
                    return; // It will be, soon.
                }
                let due = last.map_or(now, |last| now.max(last + DEFEND_INTERVAL));
                self.defended.insert(address, due);
                let (name, done) = (link.name.clone(), OnRival::Defend);
                self.events.push_back(Event::Rival { address, link: name, mac, done });
                self.fips.announcements.add(&link, &[address], DEFEND_ROUNDS, due);
            }
        }
    }

    /// The link on which it was heard, if that link carries the address for us.
    fn carrier(&self, sighting: &Sighting) -> Option<Link> {
        let view = self.fips.view.as_ref()?;
        let mut carrying = view.links.carrying(sighting.address);
        carrying.find(|address| address.link == sighting.link)?;
        self.desired.get(&sighting.address)?;
        view.links.with_index(sighting.link).cloned()
    }

    fn withdraw(&mut self, address: IpAddr, link: &Link, mac: Mac) {
        self.yielded.insert(address);
        self.fips.announcements.remove(&[address]);
        let (link, done) = (link.name.clone(), OnRival::Yield);
        self.events.push_back(Event::Rival { address, link, mac, done });
        self.repair();
    }

    fn tell_challenge(&mut self, address: IpAddr, link: &Link, mac: Mac) {
        let now = Instant::now();
        let lately = |told: &Instant| now < *told + CHALLENGE_INTERVAL;
        if self.challenged.get(&address).is_some_and(lately) {
            return;
        }
        self.challenged.retain(|_, told| lately(told));
        self.challenged.insert(address, now);
        self.events.push_back(Event::Challenged { address, link: link.name.clone(), mac });
    }
}
