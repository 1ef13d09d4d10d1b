//! What if another host wants an address that is bound here?
//!
//! A host that claims an address politely only asks whether it is free, and waits as long as somebody
//! answers. Here the kernel answers, as long as the address is bound. That is right if the workload
//! runs here. But if this host is cut off from its source, the workload may long have moved, and the
//! other host would wait for ever. So the question makes us look: a second source is asked for
//! everything. If it cannot say that the workload is here, the other host gets the address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::thread;
use std::time::Instant;

use fip_core::kernel::Mac;

use super::{Agent, Entry, News};
use crate::agent::model::{Presence, Workload};
use crate::agent::source::{Listing, SourceError};
use crate::options::parse_floating;

/// The addresses that others want, while it is being looked.
#[derive(Debug, Default)]
pub(super) struct Challenges {
    wanted: BTreeMap<IpAddr, Mac>,
    /// When the present look began.
    looking: Option<Instant>,
}

impl Agent {
    pub(super) fn challenged(&mut self, address: IpAddr, mac: Mac) {
        // Before the first listing nobody knows whose it is, only that it was bound here.
        if self.listed.is_some() && self.wish_for(address).is_none() {
            return;
        }
        self.challenges.wanted.insert(address, mac);
        if self.challenges.looking.is_some() {
            return;
        }
        let (open, sender) = (self.config.open.clone(), self.sender.clone());
        // If nobody listens any more, nobody wants to know.
        let look = move || _ = sender.send(News::Looked(open().next()));
        match thread::Builder::new().name("look".to_owned()).spawn(look) {
            Ok(_) => self.challenges.looking = Some(Instant::now()),
            Err(error) => log::warn!("cannot look whether {address} is still ours: {error}"),
        }
    }

    /// Whether the answer changes anything.
    pub(super) fn looked(&mut self, looked: Result<Listing, SourceError>) -> bool {
        let Challenges { wanted, looking } = std::mem::take(&mut self.challenges);
        let here = |address| looked.as_ref().map(|listing| running_with(listing, address));
        for (address, mac) in wanted {
            match here(address) {
                Ok(Some(name)) => self.told.contested(address, mac, name),
                // Then it goes as whatever is not listed any more.
                Ok(None) if !self.told.source_fails() => {}
                Ok(None) => self.give_up(address, mac, "it does not say so any more"),
                Err(error) => self.give_up(address, mac, &error.what),
            }
        }
        match looked {
            // What came meanwhile is newer. And what a source says that has just come is not all
            // believed if the one that is listened to, which knows what was before, has doubts.
            Ok(listing) if self.accepted <= looking && !self.told.source_fails() => {
                self.accept(listing);
                true
            }
            Ok(_) => false,
            Err(_) => true,
        }
    }

    fn give_up(&mut self, address: IpAddr, mac: Mac, why: &str) {
        log::warn!(
            "{address} is given up to {mac}, which asks for it: the source cannot say that its \
             workload still runs here ({why})"
        );
        self.actuator.give_up(address, mac);
    }

    /// The workload that shall have the address.
    pub(super) fn wish_for(&self, address: IpAddr) -> Option<&Workload> {
        let asks = |entry: &&Entry| entry.floating.iter().any(|f| f.address == address);
        self.entries.iter().find(asks).map(|entry| &*entry.workload)
    }
}

/// The name of the workload that is listed with the address, if there is one that may run.
fn running_with(listing: &Listing, address: IpAddr) -> Option<&str> {
    let asks = |workload: &Workload| {
        let floating = parse_floating(&workload.asks).unwrap_or_default();
        floating.iter().any(|floating| floating.address == address)
    };
    let mut running = listing.workloads.iter().filter(|w| w.presence != Presence::Stopped);
    running.find(|workload| asks(workload)).map(|workload| workload.name.as_str())
}
