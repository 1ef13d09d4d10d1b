//! Real Docker engines in the laboratory: several of them on one machine, each a host of its own.
//!
//! An [`Engine`] is a dockerd in the network namespace of a laboratory host, in a [`Machine`]: mount
//! and process namespaces with a `/run`, an `/etc` and disks of its own. So every path is where it
//! is on a real host, and nothing is left when the test ends or is killed. A [`Plugin`] is the
//! driver beside it, an [`Agent`] the one who connects containers.
//!
//! The engine is the one of this host. Another one is had by naming a directory in the environment,
//! `FIP_ENGINE_USR`, which the machines see as their `/usr`: that of a newer distribution, as made by
//! `debootstrap --variant=minbase --include=docker.io,docker-cli,busybox-static,iptables,procps`.

// Each test program uses its part of it.
#![allow(dead_code, unused_imports)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod agent;
mod daemon;
mod engine;
mod machine;
mod plugin;
mod seats;
mod web;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use agent::Agent;
pub(crate) use engine::{Engine, IMAGE, Options};
pub(crate) use machine::Machine;
pub(crate) use plugin::Plugin;
pub(crate) use web::{Page, fetch, wait_for_page};

/// How long a `docker` command, or the start or the end of a daemon, may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Where the program `fip-plugin` or `fip-agent` is. Cargo tells the tests of its package; what is
/// built with another finds it beside itself.
fn program(name: &str) -> PathBuf {
    let told = match name {
        "fip-plugin" => option_env!("CARGO_BIN_EXE_fip-plugin"),
        _ => option_env!("CARGO_BIN_EXE_fip-agent"),
    };
    let beside = || std::env::current_exe().unwrap().with_file_name(name);
    told.map_or_else(beside, PathBuf::from)
}

/// Whether a program answers this request at that socket: it listens before it is ready.
fn answers(socket: &Path, request: &str) -> bool {
    let ask = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "{request} HTTP/1.0\r\nHost: \r\n\r\n")?;
        stream.read_exact(&mut [0])
    };
    ask().is_ok()
}

/// Waits until `look` finds what it looks for, and panics with what it saw last if that takes longer
/// than [`PATIENCE`].
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) => {
                assert!(Instant::now() < deadline, "in vain for {PATIENCE:?}: {what}: {seen}");
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}
