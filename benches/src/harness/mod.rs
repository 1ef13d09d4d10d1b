//! How everything is measured: interleaved, whole processes inside their namespace, medians and
//! quartiles, in files that say on what machine and with what settings.

mod case;
pub(crate) mod docker_api;
mod find;
mod group;
mod machine;
mod numbers;
mod row;
mod scratch;
mod table;
mod timed;

use std::path::PathBuf;

pub(crate) use case::{Case, Figures, in_turn};
pub(crate) use find::{Programs, find};
pub(crate) use group::Group;
pub(crate) use numbers::{Spread, amount, shown};
pub(crate) use row::Row;
pub(crate) use scratch::Scratch;
pub(crate) use table::{Table, cell, ratio};
pub(crate) use timed::{Took, run, timed, timed_here, words};

/// What a run is made with.
pub(crate) struct Bench {
    /// Few rounds and small numbers: to see that all works, not to compare.
    pub(crate) quick: bool,
    pub(crate) programs: Programs,
    /// For files that programs want to have.
    pub(crate) scratch: Scratch,
}

impl Bench {
    /// One of two numbers: of rounds, of bindings.
    pub(crate) fn of<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Writes a file, and says where it is.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.scratch.path(name);
        std::fs::write(&path, content).expect("cannot write a file for a program");
        path
    }
}
