//! Results as pictures: SVG that is readable on a white page and on a dark one.

mod bars;
mod canvas;
mod lines;
mod scale;
mod theme;

use std::fs;
use std::path::Path;

use crate::harness::Spread;

pub(crate) use theme::Who;

/// A picture.
#[derive(Debug, Clone)]
pub(crate) enum Plot {
    Lines(Lines),
    Bars(Bars),
}

/// Something over the number of bindings: one line for each that is compared, both axes
/// logarithmic. A number of 0 is shown left of 1.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    /// What is shown.
    pub(crate) title: String,
    /// The axis across.
    pub(crate) x: String,
    /// What is measured, with its unit.
    pub(crate) y: String,
    pub(crate) series: Vec<Series>,
}

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// Is written beside its end.
    pub(crate) name: String,
    pub(crate) who: Who,
    /// Another way of the same one: dashed.
    pub(crate) dashed: bool,
    /// By the number of bindings, ascending.
    pub(crate) points: Vec<(u64, Spread)>,
}

/// One value each: horizontal bars, with the quartiles as whiskers and the medians in figures.
#[derive(Debug, Clone)]
pub(crate) struct Bars {
    /// What is shown.
    pub(crate) title: String,
    /// What is measured, with its unit.
    pub(crate) x: String,
    /// Whether the axis is logarithmic. Then a value of 0 has no bar.
    pub(crate) logarithmic: bool,
    pub(crate) bars: Vec<Bar>,
}

/// One bar.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) who: Who,
    pub(crate) value: Spread,
}

impl Plot {
    /// Draws it into a file.
    pub(crate) fn write(&self, path: &Path) {
        let svg = match self {
            Self::Lines(lines) => lines.draw(),
            Self::Bars(bars) => bars.draw(),
        };
        fs::write(path, svg).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
