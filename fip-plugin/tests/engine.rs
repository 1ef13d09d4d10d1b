//! The driver with real Docker engines on hosts of the laboratory.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../fip-core/tests/lab/mod.rs"]
mod lab;

mod docker;

#[path = "engine/base.rs"]
mod base;

#[path = "engine/life.rs"]
mod life;
#[path = "engine/recovery.rs"]
mod recovery;

#[path = "engine/command.rs"]
mod command;
#[path = "engine/labels.rs"]
mod labels;
#[path = "engine/managed.rs"]
mod managed;
#[path = "engine/moves.rs"]
mod moves;
#[path = "engine/ordinary.rs"]
mod ordinary;
#[path = "engine/reach.rs"]
mod reach;
#[path = "engine/refusals.rs"]
mod refusals;
#[path = "engine/replies.rs"]
mod replies;
#[path = "engine/scene.rs"]
mod scene;
