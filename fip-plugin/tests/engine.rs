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

#[path = "engine/agent_moves.rs"]
mod agent_moves;
#[path = "engine/agent_network.rs"]
mod agent_network;
#[path = "engine/command.rs"]
mod command;
#[path = "engine/dying.rs"]
mod dying;
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
#[path = "engine/source.rs"]
mod source;

#[path = "engine/agent_command.rs"]
mod agent_command;
#[path = "engine/agent_drain.rs"]
mod agent_drain;
#[path = "engine/agent_faults.rs"]
mod agent_faults;
#[path = "engine/agent_first.rs"]
mod agent_first;
#[path = "engine/agent_hostile.rs"]
mod agent_hostile;
#[path = "engine/agent_life.rs"]
mod agent_life;
#[path = "engine/agent_pairs.rs"]
mod agent_pairs;
#[path = "engine/agent_proxy.rs"]
mod agent_proxy;
#[path = "engine/agent_scene.rs"]
mod agent_scene;
