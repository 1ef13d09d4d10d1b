//! The command `fip` on a real kernel: idempotence, concurrency, interruption, rivals, and what
//! `fip watch` repairs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../fip-core/tests/lab/mod.rs"]
mod lab;

#[path = "cli/at_once.rs"]
mod at_once;
#[path = "cli/file.rs"]
mod file;
#[path = "cli/idempotence.rs"]
mod idempotence;
#[path = "cli/killed.rs"]
mod killed;
#[path = "cli/live.rs"]
mod live;
#[path = "cli/neighbours.rs"]
mod neighbours;
#[path = "cli/output.rs"]
mod output;
#[path = "cli/rivals.rs"]
mod rivals;
#[path = "cli/scene.rs"]
mod scene;
#[path = "cli/watch.rs"]
mod watch;
