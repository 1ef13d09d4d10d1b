//! The driver beside an engine.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use super::daemon::Daemon;
use super::engine::Engine;
use super::machine::Machine;
use super::{answers, program};

/// Where dockerd looks for a driver named `fip`.
const SOCKET: &str = "/run/docker/plugins/fip.sock";

/// Where it keeps what it must remember.
const STATE: &str = "/run/disk/fip";

/// `fip-plugin serve` in the machine of an engine. It ends with the machine, not when it is dropped.
pub(crate) struct Plugin {
    machine: Arc<Machine>,
    daemon: Daemon,
}

impl Plugin {
    /// Starts it with these further arguments, split at spaces, and waits until it answers, and
    /// until it hears the engine's dockerd, if that runs: before, it cannot ask for labels.
    pub(crate) fn start(engine: &Engine, args: &str) -> Self {
        let machine = engine.machine().clone();
        let own = ["serve", "--socket", SOCKET, "--state-dir", STATE, "--log-level", "debug"];
        let docker = ["--docker", "unix:///run/docker.sock"];
        let program = program("fip-plugin").display().to_string();
        let command = std::iter::once(program.as_str())
            .chain(own)
            .chain(docker)
            .chain(args.split_whitespace());
        let command = command.map(str::to_owned).collect();
        let daemon = Daemon::new(machine.clone(), "fip-plugin", command);
        let plugin = Self { machine, daemon };
        // Another one may have been here.
        let since = plugin.log().len();
        plugin.up();
        if engine.is_running() && !args.contains("--docker") {
            plugin.wait_for_line(since, &["dockerd answers"]);
        }
        plugin
    }

    /// Starts it again, after its end.
    pub(crate) fn up(&self) {
        // A killed one cleared nothing away, but nobody listens at its socket.
        self.daemon.start(|| answers(&self.socket(), "POST /Plugin.Activate"));
    }

    /// Stops it and starts it again, with the same state.
    pub(crate) fn restart(&self) {
        self.stop();
        self.up();
    }

    /// Its state directory, for the test to look into.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.machine.path(STATE)
    }

    /// Its socket, for the test to connect to.
    pub(crate) fn socket(&self) -> PathBuf {
        self.machine.path(SOCKET)
    }
}

impl Deref for Plugin {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.daemon
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.daemon.explain("");
    }
}
