//! The agent's parts with real kernels and servers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../fip-core/tests/lab/mod.rs"]
mod lab;

#[path = "../docker/mod.rs"]
mod docker;

// A program whose output is read while it runs.
#[path = "../../../fip-cli/tests/cli/live.rs"]
mod live;

// The clients of a server; the rest is for tests that are alone in their process.
#[allow(dead_code)]
#[path = "../hostile/server.rs"]
mod web;

mod direct;
mod file;
mod hosts;
mod metadata;
mod rancher;
mod status;
