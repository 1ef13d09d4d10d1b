//! The source `file` with real files, and every way in which they are written.

mod containers;
mod ending;
mod place;
mod rewrites;
mod stage;
mod wrong;
