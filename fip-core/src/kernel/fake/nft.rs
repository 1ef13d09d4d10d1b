//! nf_tables, as the fake answers it.

use std::io;

use crate::diff::Changes;
use crate::error::{Error, Result};
use crate::kernel::{Commit, Counter, Nft};
use crate::nat::{self, About, Snapshot};

use super::FakeKernel;
use super::ruleset::Filter;
use super::world::errno;

impl FakeKernel {
    /// Reading the ruleset takes privilege, too.
    fn read_filter<T>(&self, what: &str, read: impl FnOnce(&Filter) -> T) -> Result<T> {
        if !self.privileged {
            return Err(Error::kernel(format!("read the {what}"), errno(libc::EPERM)));
        }
        Ok(self.look(|namespace| read(&namespace.filter)))
    }
}

impl Nft for FakeKernel {
    fn snapshot(&mut self) -> Result<Snapshot> {
        self.read_filter("nf_tables ruleset", Filter::snapshot)
    }

    fn snapshot_about(&mut self, about: &About) -> Result<Snapshot> {
        let mut snapshot = self.snapshot()?;
        let Ok(elements) = nat::elements_about(about, &mut snapshot.ruleset.elements);
        snapshot.ruleset.elements = elements;
        Ok(snapshot)
    }

    fn generation(&mut self) -> Result<u32> {
        self.read_filter("nf_tables generation", |filter| filter.generation)
    }

    fn counters(&mut self) -> Result<Vec<Counter>> {
        self.read_filter("counters", Filter::counters)
    }

    fn commit(&mut self, changes: &Changes, generation: u32) -> Result<Commit> {
        let place = self.place;
        let result: io::Result<Commit> = self.step(|world| {
            let namespace = &mut world.namespaces[place];
            let before = namespace.filter.generation;
            let done = namespace.filter.commit(changes, generation)?;
            namespace.ruleset_changed += u64::from(namespace.filter.generation != before);
            Ok(done)
        });
        result.map_err(|error| Error::kernel("change the nf_tables ruleset", error))
    }

    fn legacy_tables(&mut self) -> Result<Vec<String>> {
        Ok(self.look(|namespace| namespace.legacy_tables.clone()))
    }
}
