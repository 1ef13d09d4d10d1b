//! The program under way.

use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;

use fip_plugin::agent::status::{Report, Workload};

use crate::lab::Ns;
use crate::live::Live;
use crate::web::{Answer, ask, unix, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_fip-agent");

/// How many lines of its log a failed test shows.
const SHOWN: usize = 80;

/// `fip-agent` in a namespace. Dropped, it is killed.
pub(super) struct Agent {
    live: Live,
    socket: PathBuf,
    name: String,
}

impl Agent {
    /// Starts it with these arguments, and waits until it tells its status at that socket.
    pub(super) fn start(ns: &Ns, socket: &Path, args: &str) -> Self {
        let listen = socket.display();
        let args = format!("--attach direct --listen {listen} {args}");
        let (socket, name) = (socket.to_owned(), ns.name().to_owned());
        let agent = Self { live: Live::start(ns, BINARY, &args), socket, name };
        wait_for("the agent to listen", || UnixStream::connect(&agent.socket).ok());
        // It listens before it is ready.
        agent.report();
        agent
    }

    pub(super) fn pid(&self) -> u32 {
        self.live.pid()
    }

    /// Ends it with that signal: its exit code, none if it died from it.
    pub(super) fn end(mut self, signal: &str) -> Option<i32> {
        self.live.signal(signal);
        wait_for("the agent to end", || UnixStream::connect(&self.socket).is_err().then_some(()));
        self.live.exit_code()
    }

    /// What it logged so far.
    pub(super) fn log(&self) -> Vec<String> {
        self.live.complaints()
    }

    #[track_caller]
    pub(super) fn wait_for_log(&self, words: &[&str]) {
        let is_it = |line: &String| words.iter().all(|word| line.contains(word));
        wait_for(&format!("a line with {words:?} in the log of {}", self.name), || {
            self.log().iter().any(is_it).then_some(())
        });
    }

    pub(super) fn ask(&self, path: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        ask(unix(&self.socket), request.as_bytes())
    }

    pub(super) fn report(&self) -> Report {
        serde_json::from_slice(&self.ask("/status").body).unwrap()
    }

    /// Waits until its report is like that.
    #[track_caller]
    pub(super) fn wait_until(&self, what: &str, mut is: impl FnMut(&Report) -> bool) -> Report {
        wait_for(&format!("the agent of {} to report: {what}", self.name), || {
            Some(self.report()).filter(&mut is)
        })
    }

    /// Waits until a workload that asks for this address is in that state.
    #[track_caller]
    pub(super) fn wait_for_state(&self, address: IpAddr, state: &str) -> Workload {
        let text = address.to_string();
        let is_it = |w: &Workload| w.state == state && w.floating.contains(&text);
        let report = self
            .wait_until(&format!("{address} {state}"), |report| report.workloads.iter().any(is_it));
        report.workloads.into_iter().find(is_it).unwrap()
    }

    /// Waits until that is the last thing that happened to an address: it is told once it is so.
    #[track_caller]
    pub(super) fn wait_for_move(&self, event: &str) {
        self.wait_until(event, |report| report.moves.last().is_some_and(|it| it.event == event));
    }

    /// Waits until its source's last answer was good, or was not.
    #[track_caller]
    pub(super) fn wait_for_source(&self, up: bool) -> Report {
        let what = if up { "the source answers" } else { "the source fails" };
        self.wait_until(what, |report| report.source.up == up)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let last = &log[log.len().saturating_sub(SHOWN)..];
            eprintln!("--- the agent of {}\n{}", self.name, last.join("\n"));
            let report = UnixStream::connect(&self.socket).is_ok().then(|| self.report());
            eprintln!("{report:#?}");
        }
    }
}
