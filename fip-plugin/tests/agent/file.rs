//! The source `file` with real files, and every way in which they are written.

mod alone;
mod containers;
mod ending;
mod held;
mod place;
mod rewrites;
mod stage;
mod wrong;
