//! An agent that follows a file, without Docker.

use std::fmt::Write;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use fip_core::netns::NetNs;
use fip_core::{FloatingIps, Owner};

use crate::lab::{Ns, wait_for};

/// `fip-agent --source file --attach direct` on a host.
pub(super) struct Alone {
    agent: Child,
    directory: PathBuf,
    fips: FloatingIps<fip_core::kernel::host::Host>,
    owner: Owner,
}

impl Alone {
    /// Starts it with so many bindings, and waits until they are there.
    pub(super) fn start(host: &Ns, count: u32) -> Self {
        let directory = std::env::temp_dir().join(format!("fip-bench-{}", host.pid()));
        fs::create_dir_all(&directory).unwrap();
        let netns: NetNs = host.path().display().to_string().parse().unwrap();
        let fips = FloatingIps::open_in(&netns, fip_core::Options::default()).unwrap();
        fs::write(directory.join("map"), map(count)).unwrap();
        let agent = command(host, &directory).spawn().unwrap();
        let owner = "agent".parse().unwrap();
        let mut alone = Self { agent, directory, fips, owner };
        wait_for("the agent to bind", || alone.has(count).then_some(()));
        alone
    }

    pub(super) fn pid(&self) -> u32 {
        self.agent.id()
    }

    /// Has the file name so many bindings, and waits until so many are there.
    pub(super) fn becomes(&mut self, count: u32) {
        let new = self.directory.join("new");
        fs::write(&new, map(count)).unwrap();
        fs::rename(new, self.directory.join("map")).unwrap();
        while !self.has(count) {
            thread::sleep(Duration::from_micros(100));
        }
    }

    fn has(&mut self, count: u32) -> bool {
        self.fips.bindings(&self.owner).unwrap().len() == count as usize
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        // One that has ended is what is wanted.
        let _ = self.agent.kill();
        let _ = self.agent.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn command(host: &Ns, directory: &std::path::Path) -> Command {
    let mut command = host.command(env!("CARGO_BIN_EXE_fip-agent"));
    command.args(["--source", "file", "--attach", "direct", "--probe", "0", "--log-level", "warn"]);
    command.args(["--allow", "172.28.0.0/16"]);
    command.arg("--file").arg(directory.join("map"));
    command.arg("--listen").arg(directory.join("agent.sock"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn map(count: u32) -> String {
    let nth = |first: [u8; 4], n| Ipv4Addr::from_bits(Ipv4Addr::from(first).to_bits() + n);
    let mut text = "# the file is complete\n".to_owned();
    for n in 0..count {
        writeln!(text, "{} {}", nth([172, 28, 0, 1], n), nth([172, 30, 0, 1], n)).unwrap();
    }
    text
}
