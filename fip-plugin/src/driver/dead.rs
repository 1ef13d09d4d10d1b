//! Endpoints whose container is dead though nobody said so.
//!
//! A dockerd that was killed never leaves the endpoints that it had. When it starts, it starts
//! containers again, each with a new endpoint, in any order and with other addresses than before,
//! and it answers no question until it has done so. Whoever asks for a floating address then must
//! not be refused because his former self has it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use fip_core::error::Result;
use fip_core::kernel::Kernel;

use super::Driver;
use super::failure::Failure;
use super::model::Endpoint;

/// How long the kernel may take to take a dead container's namespace apart.
pub(super) const DYING: Duration = Duration::from_secs(2);
/// It is looked at again after this time.
const PAUSE: Duration = Duration::from_millis(10);

impl<K> Driver<K>
where
    K: Kernel + Send + 'static,
    K::Monitor: Send,
{
    /// Removes whoever is dead and has a floating address that this endpoint asks for. The caller
    /// has no turn.
    pub(super) fn inherit(&self, heir: &Endpoint) -> Result<(), Failure> {
        let asked = heir.floating()?;
        if asked.is_empty() {
            return Ok(());
        }
        let mut holders = self.book.endpoints();
        holders.retain(|other| {
            other.id() != heir.id()
                && other.record.joined.is_some()
                && other.floating().is_ok_and(|held| {
                    held.iter().any(|held| asked.iter().any(|asked| asked.address == held.address))
                })
        });
        self.bury(&holders, DYING)
    }

    /// Removes those of these joined endpoints whose container is gone; one that is about to go is
    /// waited for. The caller has no turn.
    pub(super) fn bury(&self, suspects: &[Arc<Endpoint>], dying: Duration) -> Result<(), Failure> {
        for suspect in suspects {
            let _turn = self.turns.endpoint(&suspect.record.network, suspect.id());
            let same = self.book.endpoint(suspect.id()).filter(|now| Arc::ptr_eq(now, suspect));
            if let Some(endpoint) = same
                && self.is_dead(&endpoint, dying)?
            {
                log::warn!("endpoint {} died unnoticed: removed now", endpoint.id().short());
                self.forget_endpoint(&endpoint)?;
            }
        }
        Ok(())
    }

    /// Whether the container has its link, as far as can be seen.
    pub(super) fn runs(&self, endpoint: &Endpoint) -> bool {
        let Some(joined) = &endpoint.record.joined else { return false };
        let inside = self.scouts.look(|_, links| {
            Ok(links.named(&endpoint.near).is_some() && links.named(&endpoint.far).is_none())
        });
        inside.unwrap_or(true) && self.settler.is_there(&joined.sandbox).unwrap_or(true)
    }

    /// Whether the container is gone: its link goes with its namespace.
    fn is_dead(&self, endpoint: &Endpoint, dying: Duration) -> Result<bool> {
        let Some(joined) = &endpoint.record.joined else { return Ok(false) };
        let deadline = Instant::now() + dying;
        loop {
            let (near, far) = self.scouts.look(|_, links| {
                let has = |name| links.named(name).is_some();
                Ok((has(&endpoint.near), has(&endpoint.far)))
            })?;
            if !near {
                return Ok(true);
            }
            // Docker has not moved the link yet, or it has, and its namespace is there.
            if far || Instant::now() >= deadline || self.settler.is_there(&joined.sandbox)? {
                return Ok(false);
            }
            thread::sleep(PAUSE);
        }
    }
}
