//! The agent beside an engine.

use std::io::{Read, Write};
use std::ops::Deref;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use fip_plugin::agent::status::{Report, Workload};

use super::daemon::Daemon;
use super::engine::Engine;
use super::machine::Machine;
use super::{PATIENCE, answers, eventually, program};
use crate::lab::{Run, Running};

/// Where it tells its status, if nothing else is said.
const SOCKET: &str = "/run/fip/agent.sock";

/// Where the engine's dockerd answers.
const DOCKER_HOST: &str = "DOCKER_HOST=unix:///run/docker.sock";

/// `fip-agent` in the machine of an engine. It ends with the machine, not when it is dropped.
pub(crate) struct Agent {
    machine: Arc<Machine>,
    daemon: Daemon,
}

impl Agent {
    /// Starts it with these arguments, split at spaces, and waits until it answers.
    pub(crate) fn start(engine: &Engine, args: &str) -> Self {
        let machine = engine.machine().clone();
        let command = command(&format!("{args} --log-level debug"));
        let daemon = Daemon::new(machine.clone(), "fip-agent", command);
        let agent = Self { machine, daemon };
        agent.up();
        agent
    }

    /// Runs `fip-agent ARGS`, split at spaces, in the machine of that engine to its end.
    pub(crate) fn run(engine: &Engine, args: &str) -> Run {
        let what = format!("fip-agent {args}");
        let words = command(args);
        let mut command = engine.machine().command(&words[0]);
        command.args(&words[1..]);
        Run::new(&what, Running::spawn(&what, command, "").finish(PATIENCE))
    }

    /// Starts it again, after its end.
    pub(crate) fn up(&self) {
        // A killed one left its socket, but nobody listens at it.
        self.daemon.start(|| answers(&self.socket(), "GET /status"));
    }

    /// Stops it and starts it again.
    pub(crate) fn restart(&self) {
        self.stop();
        self.up();
    }

    /// Its socket, for the test to connect to.
    pub(crate) fn socket(&self) -> PathBuf {
        self.machine.path(SOCKET)
    }

    /// What it answers to GET of that path, as `/healthz`: the status code and the body.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: agent\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        (code.expect("a status code"), body.to_owned())
    }

    /// What it knows and does.
    #[track_caller]
    pub(crate) fn status(&self) -> Report {
        serde_json::from_str(&self.get("/status").1).unwrap()
    }

    /// What it tells of the container of that name, if anything.
    #[track_caller]
    pub(crate) fn workload(&self, container: &str) -> Option<Workload> {
        self.status().workloads.into_iter().find(|workload| workload.name == container)
    }

    /// Waits until the container is in that state, as `bound`, and returns what it tells of it.
    #[track_caller]
    pub(crate) fn wait_for_state(&self, container: &str, state: &str) -> Workload {
        eventually(&format!("{container} is {state}"), || {
            let found = self.workload(container);
            found.clone().filter(|found| found.state == state).ok_or(format!("{found:?}"))
        })
    }

    /// Waits until it says why the container does not have its addresses, with this word, and
    /// returns what it tells of it.
    #[track_caller]
    pub(crate) fn wait_for_why(&self, container: &str, word: &str) -> Workload {
        eventually(&format!("{container} is told {word:?}"), || {
            let found = self.workload(container);
            let says = |found: &Workload| found.why.as_ref().is_some_and(|why| why.contains(word));
            found.clone().filter(says).ok_or(format!("{found:?}"))
        })
    }
}

impl Deref for Agent {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.daemon
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.daemon.explain("");
    }
}

fn command(args: &str) -> Vec<String> {
    let program = program("fip-agent").display().to_string();
    let words = ["env", DOCKER_HOST, &program].into_iter().chain(args.split_whitespace());
    words.map(str::to_owned).collect()
}
