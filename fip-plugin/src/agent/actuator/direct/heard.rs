//! What the watch tells of other hosts and of repairs.

use std::sync::Arc;
use std::time::Instant;

use fip_core::fip::Event;

use super::desk::Desk;
use crate::agent::actuator::{Bell, Signal};
use crate::keeper;

/// Takes note of events, in the keeper's thread.
pub(super) fn listener(desk: Arc<Desk>, bell: Bell) -> impl FnMut(&Event) + Send + 'static {
    // What was yielded is withdrawn next, and that is no repair.
    let mut withdrawing = false;
    move |event| match event {
        Event::Rival { address, mac, .. } => {
            keeper::note(event, super::explain);
            withdrawing = true;
            desk.change(|ledger| ledger.yielded(*address, *mac, Instant::now()));
            bell.ring(Signal::Rival { address: *address, mac: *mac });
            bell.ring(Signal::Progress);
        }
        Event::Repaired(report) if std::mem::take(&mut withdrawing) => {
            report.changes.iter().for_each(|change| log::debug!("{change}"));
        }
        Event::Repaired(report) => {
            keeper::note(event, super::explain);
            bell.ring(Signal::Repaired(report.changes.len()));
        }
        Event::Challenged { address, mac, .. } => {
            keeper::note(event, super::explain);
            bell.ring(Signal::Challenged { address: *address, mac: *mac });
        }
        Event::Announced { .. } | Event::Warning(_) | Event::Failed(_) | Event::Woken => {
            keeper::note(event, super::explain);
        }
    }
}
