//! What is measured: a group for each claim.

mod bulk;
mod control;
mod data;
mod moves;
mod peers;
mod plugin;
mod resident;
mod tracked;
mod world;

use crate::harness::{Bench, Group, Table};
use crate::plot::Plot;

/// One group of measurements.
pub(crate) struct Chapter {
    /// Its name, and that of its file.
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Bench) -> Group,
    /// Its pictures, by the name of their file (`control-bind.svg`).
    pub(crate) plots: fn(&Group) -> Vec<(String, Plot)>,
    pub(crate) tables: fn(&Group) -> Vec<Table>,
}

/// All, in the order in which they are run.
pub(crate) const CHAPTERS: &[Chapter] = &[
    Chapter { name: "control", run: control::run, plots: control::plots, tables: control::tables },
    Chapter { name: "bulk", run: bulk::run, plots: bulk::plots, tables: bulk::tables },
    Chapter { name: "data", run: data::run, plots: data::plots, tables: data::tables },
    Chapter { name: "moves", run: moves::run, plots: moves::plots, tables: moves::tables },
    Chapter {
        name: "resident",
        run: resident::run,
        plots: resident::plots,
        tables: resident::tables,
    },
    Chapter { name: "plugin", run: plugin::run, plots: plugin::plots, tables: plugin::tables },
];
