//! The agent: workloads of this host that ask for floating addresses get them.
//!
//! A [`Source`](source::Source) says what should be, an [`Actuator`](actuator::Actuator) makes it so,
//! and one loop between them takes care that doubt never removes anything.

pub mod actuator;
pub mod board;
pub mod model;
pub mod run;
pub mod sift;
pub mod source;
pub mod status;
