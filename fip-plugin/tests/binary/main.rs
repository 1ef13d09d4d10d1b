//! The program `fip-plugin` itself, alone on a host of the laboratory: no Docker, but a client that
//! says what dockerd would, or means no good.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../fip-core/tests/lab/mod.rs"]
mod lab;

mod command_line;
mod daemon;
mod hostile;
mod lives;
mod random;
