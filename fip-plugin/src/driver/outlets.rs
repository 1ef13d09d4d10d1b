//! Containers without a floating address reach out by the links of the default routes, wherever
//! these lead: the host's network may come up after the plugin, or change.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use fip_core::LinkName;
use fip_core::error::{Chain, Result};
use fip_core::kernel::{Kernel, Monitor, Signal};

use super::Driver;
use super::failure::with_hint;

/// Changes that come within this time of one another are looked at once.
const BURST: Duration = Duration::from_millis(100);
/// After the kernel's notifications could not be read, they are tried again after this time.
const PAUSE: Duration = Duration::from_secs(1);

impl<K> Driver<K>
where
    K: Kernel + Send + 'static,
    K::Monitor: Send,
{
    /// Follows the default routes and the uplinks, for ever.
    pub fn follow_routes(&self) {
        loop {
            if let Err(error) = self.adapt_to_routes() {
                log::error!("the default routes cannot be followed: {}", Chain(&error));
                thread::sleep(PAUSE);
            }
        }
    }

    /// Ends only with an error.
    fn adapt_to_routes(&self) -> Result<()> {
        let mut monitor = self.scouts.with(|kernel| kernel.monitor())?;
        let mut before = None;
        loop {
            let now = Some(self.outlets()?);
            if now != before {
                self.raise_all();
                before = now;
            }
            wait_for_change(&mut monitor)?;
        }
    }

    /// The links that lead outward, and those that somebody has named for that.
    fn outlets(&self) -> Result<BTreeSet<LinkName>> {
        let networks = self.book.networks();
        let named: BTreeSet<&LinkName> =
            networks.iter().filter_map(|network| self.named_uplink(network)).collect();
        // Kept up to date from the kernel's news: the routes, among which are thousands of floating
        // addresses where the kernel looks for them, are not listed for each link that comes.
        self.scouts.look(|_, links| {
            let named = named.iter().filter_map(|name| links.named(name));
            Ok(links.outward().chain(named).map(|link| link.name.clone()).collect())
        })
    }

    fn raise_all(&self) {
        for network in self.book.networks() {
            let id = network.id();
            let _turn = self.turns.network(id);
            // It may have been removed meanwhile.
            if let Some(network) = self.book.network(id)
                && let Err(error) = self.raise(&network)
            {
                log::error!("network {} is not complete: {}", id.short(), with_hint(&error));
            }
        }
    }
}

/// Waits until links or routes have changed, and for the end of the burst.
fn wait_for_change(monitor: &mut impl Monitor) -> Result<()> {
    let mut end: Option<Instant> = None;
    while end.is_none_or(|end| Instant::now() < end) {
        if let Some(Signal::Links | Signal::Lost) = monitor.next(end)? {
            end = end.or_else(|| Some(Instant::now() + BURST));
        }
    }
    Ok(())
}
