//! The Docker side of fip: a libnetwork (CNM) remote network driver, a thin adapter of [`fip_core`].

pub mod agent;
pub mod allow;
pub mod arguments;
pub mod ask;
pub mod daemon;
pub mod docker;
pub mod driver;
pub mod http;
mod keeper;
pub mod notify;
pub mod options;
pub mod proc_sys;
pub mod protocol;
pub mod settle;
pub mod state;
