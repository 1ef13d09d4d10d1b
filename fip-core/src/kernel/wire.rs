//! What is asked of the neighbours.

use std::net::IpAddr;
use std::time::Instant;

use super::{Link, Mac};
use crate::error::Result;

/// Who was heard using an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The index of the link on which it was heard.
    pub link: u32,
    /// The address.
    pub address: IpAddr,
    /// The hardware address of the host that has it or wants it.
    pub mac: Mac,
    /// What that host did.
    pub deed: Deed,
}

/// What a host that was heard has to do with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It has the address: it answers for it, or announces it.
    Holds,
    /// It does not have the address (yet): it probes for it, as one does before claiming.
    Probes,
    /// It looks for the address as for any neighbour. So it does not have it, or no longer.
    Seeks,
}

/// The neighbours on a link: ARP (RFC 826, 5227) and IPv6 neighbour discovery (RFC 4861).
pub trait Wire {
    /// Asks once who has the addresses: ARP probes with sender 0.0.0.0, or neighbour
    /// solicitations from `::`.
    fn probe(&mut self, link: &Link, addresses: &[IpAddr]) -> Result<()>;

    /// The next host that is heard to have an address (an ARP packet with that sender address, a
    /// neighbour advertisement), to probe for one itself, or to look for one, before `until`.
    /// Frames that this link sent do not count; those of this host's other links do. Listening
    /// begins with the first call of `probe` on the link. None means that everything which came
    /// before `until` has been told.
    fn heard(&mut self, link: &Link, until: Instant) -> Result<Option<Sighting>>;

    /// Ends the listening on the link that `probe` began; what was not yet heard is forgotten.
    fn stop_listening(&mut self, link: &Link) -> Result<()>;

    /// Tells everybody that this link has the addresses now: gratuitous ARP as request and as
    /// reply, or unsolicited neighbour advertisements with the override flag.
    fn announce(&mut self, link: &Link, addresses: &[IpAddr]) -> Result<()>;
}
