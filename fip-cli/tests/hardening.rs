//! What must hold on a host where others are at work: filters that drop, proxies that redirect,
//! rivals that come back, and bindings that cannot be made.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../fip-core/tests/lab/mod.rs"]
mod lab;

#[path = "cli/file.rs"]
mod file;
#[path = "cli/live.rs"]
mod live;
#[path = "cli/neighbours.rs"]
mod neighbours;
#[path = "cli/scene.rs"]
mod scene;

#[path = "hardening/alone.rs"]
mod alone;
#[path = "hardening/filter.rs"]
mod filter;
#[path = "hardening/proxy.rs"]
mod proxy;
#[path = "hardening/rival.rs"]
mod rival;
#[path = "hardening/watched.rs"]
mod watched;
