//! What is asked of nf_tables.

use crate::diff::Changes;
use crate::error::Result;
use crate::nat::{About, Key, Snapshot};

/// The packet filter (nf_tables).
pub trait Nft {
    /// Our table, and of the others what matters to us, all of one generation.
    fn snapshot(&mut self) -> Result<Snapshot>;

    /// The same, and the counters, of one time.
    fn snapshot_counted(&mut self) -> Result<(Snapshot, Vec<Counter>)> {
        Ok((self.snapshot()?, self.counters()?))
    }

    /// Our table and the others', with no more of the elements than this change has to know of
    /// ([`crate::nat::elements_about`]).
    fn snapshot_about(&mut self, about: &About) -> Result<Snapshot> {
        let _ = about;
        self.snapshot()
    }

    /// The present generation of the ruleset: it counts every transaction of anybody.
    fn generation(&mut self) -> Result<u32>;

    /// The packets and bytes that each floating address (or port of it) has received.
    fn counters(&mut self) -> Result<Vec<Counter>>;

    /// Makes all the changes in one transaction, or none of them: [`Commit::Stale`] if the ruleset
    /// is no longer of this generation.
    fn commit(&mut self, changes: &Changes, generation: u32) -> Result<Commit>;

    /// Tables of the legacy iptables that this host has in use, as `filter`
    /// (`/proc/net/ip_tables_names`).
    fn legacy_tables(&mut self) -> Result<Vec<String>>;
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// All changes are in force. The generation is the next one.
    Done,
    /// Someone else changed the ruleset first; nothing was done.
    Stale,
}

/// What a map element has counted: packets that arrived for a floating address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// The element.
    pub key: Key,
    /// Packets received.
    pub packets: u64,
    /// Bytes received, with IP headers.
    pub bytes: u64,
}
