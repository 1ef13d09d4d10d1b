//! Waiting for what happens, and doing what is due.

use std::time::Instant;

use crate::error::Result;
use crate::kernel::{Kernel, Monitor, Signal};

use super::{Event, Watch};

/// So many signals that have come already are looked at before an announcement. A flood of them
/// does not hold it up for ever.
const HEARD_FIRST: usize = 256;

impl<K: Kernel> Watch<K> {
    /// The next event, or none when `until` has come.
    ///
    /// # Errors
    /// If the kernel's notifications cannot be read. Failed repairs are events.
    pub fn next(&mut self, until: Option<Instant>) -> Result<Option<Event>> {
        loop {
            self.catch_up()?;
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let due = [until, self.retry, self.fips.announcements.next_due()];
            match self.monitor.next(due.into_iter().flatten().min())? {
                Some(signal) => self.take(&signal),
                None => {
                    self.catch_up()?;
                    if self.events.is_empty() && until.is_some_and(|until| until <= Instant::now())
                    {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn take(&mut self, signal: &Signal) {
        match signal {
            Signal::Woken => self.events.push_back(Event::Woken),
            Signal::Heard(sighting) => self.heard(sighting),
            Signal::Ruleset | Signal::Links | Signal::Lost => {
                self.retry = Some(self.retry.map_or(self.pause, |retry| retry.min(self.pause)));
            }
        }
    }

    /// Does what is due, also while signals stream in.
    fn catch_up(&mut self) -> Result<()> {
        let now = Instant::now();
        if self.fips.announcements.next_due().is_some_and(|due| due <= now) {
            self.announce(now)?;
        }
        if self.retry.is_some_and(|retry| retry <= now) {
            match self.is_undisturbed() {
                Ok(true) => self.retry = None,
                // What fails here fails there too, and is told.
                Ok(false) | Err(_) => self.repair(),
            }
        }
        Ok(())
    }

    /// Makes the announcements that are due, but first hears who has claimed an address meanwhile:
    /// an announcement would take it back.
    fn announce(&mut self, now: Instant) -> Result<()> {
        for _ in 0..HEARD_FIRST {
            match self.monitor.next(Some(now))? {
                Some(signal) => self.take(&signal),
                None => break,
            }
        }
        if let Err(error) = self.fips.run_announcements() {
            self.events.push_back(Event::Failed(error));
        }
        Ok(())
    }

    /// Whether all was right, and only this watch has changed anything since.
    fn is_undisturbed(&mut self) -> Result<bool> {
        let Some(right) = &self.right else { return Ok(false) };
        Ok(self.failures.is_empty() && self.fips.is_still(right)?)
    }
}
