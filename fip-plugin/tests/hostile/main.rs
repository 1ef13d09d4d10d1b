//! The transport against clients that mean no good, over real sockets.
//!
//! What the process uses (threads, files, memory) is looked at too, so one test runs at a time.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod endings;
mod load;
mod noise;
mod paths;
mod refusals;
mod server;
mod shortage;
