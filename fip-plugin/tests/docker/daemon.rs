//! A daemon of a machine, which is started, killed and started again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::machine::Machine;
use super::{PATIENCE, eventually};

/// How much of a log is worth showing when a test fails.
const LINES: usize = 80;

/// What its threads wait for in the kernel.
const THREADS: &str = r#"
for task in /proc/"$1"/task/*; do
    echo "$(<"$task/comm"):" $(sed 's/.* //' "$task/stack")
done | sort | uniq -c
"#;

/// A program with its arguments, and its process if it runs.
pub(crate) struct Daemon {
    machine: Arc<Machine>,
    name: &'static str,
    command: Vec<String>,
    process: Mutex<Option<Process>>,
}

struct Process {
    /// Waits in the machine for the program, and ends as it does.
    waiter: Child,
    /// The program's id in the machine.
    pid: String,
}

impl Daemon {
    pub(super) fn new(machine: Arc<Machine>, name: &'static str, command: Vec<String>) -> Self {
        Self { machine, name, command, process: Mutex::new(None) }
    }

    /// Starts it and waits until `ready` says so; panics if it runs already, or ends before.
    pub(super) fn start(&self, ready: impl Fn() -> bool) {
        const SCRIPT: &str = r#"echo $$; exec "$@" >>"$0" 2>&1"#;
        let mut process = self.process.lock().unwrap();
        assert!(process.is_none(), "{} runs already", self.name);
        let mut waiter = self
            .machine
            .command("sh")
            .args(["-c", SCRIPT, &self.log_path()])
            .args(&self.command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cannot start nsenter");
        let mut pid = String::new();
        BufReader::new(waiter.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        process.replace(Process { waiter, pid: pid.trim().to_owned() });
        drop(process);
        self.wait_for("be ready", || {
            assert!(self.is_running(), "{} ended:\n{}", self.name, self.log());
            ready()
        });
    }

    /// Whether it runs.
    pub(crate) fn is_running(&self) -> bool {
        let mut process = self.process.lock().unwrap();
        process.as_mut().is_some_and(|process| process.waiter.try_wait().unwrap().is_none())
    }

    /// Its process id in the machine.
    pub(crate) fn pid(&self) -> u32 {
        let process = self.process.lock().unwrap();
        process.as_ref().expect("it does not run").pid.parse().unwrap()
    }

    /// Sends a signal by its name, as `TERM`.
    pub(super) fn signal(&self, name: &str) {
        self.machine.bash(r#"kill -s "$1" "$2""#, &[name, &self.pid().to_string()]);
    }

    /// Kills it.
    pub(crate) fn kill(&self) {
        self.end("KILL");
    }

    /// Ends it as a service manager does; panics unless it ends with success.
    pub(crate) fn stop(&self) {
        assert!(self.end("TERM"), "{} failed:\n{}", self.name, self.log());
    }

    /// Takes note that it went down with [`Engine::power_cycle`](super::Engine::power_cycle).
    pub(crate) fn lost_power(&self) {
        self.buried();
    }

    /// Sends the signal and waits for its end. Says whether it ended with success.
    pub(super) fn end(&self, signal: &str) -> bool {
        self.signal(signal);
        self.wait_for("end", || !self.is_running());
        self.buried()
    }

    /// Takes note that it was killed by others, and waits for that.
    pub(super) fn buried(&self) -> bool {
        let process = self.process.lock().unwrap().take();
        process.is_none_or(|mut process| process.waiter.wait().unwrap().success())
    }

    /// What it has logged, since the first start.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.machine.path(&self.log_path())).unwrap_or_default()
    }

    /// Waits until a line of the log has all of this, in its part since the log was that long.
    #[track_caller]
    pub(crate) fn wait_for_line(&self, since: usize, parts: &[&str]) -> String {
        eventually(&format!("a line of the log has {parts:?}"), || {
            let log = self.log();
            let is_it = |line: &&str| parts.iter().all(|part| line.contains(part));
            log[since..].lines().find(is_it).map(str::to_owned).ok_or("there is none".to_owned())
        })
    }

    /// Shows the last lines of the log, and what it waits for, if the test is failing. That is told
    /// by the threads and, if given, by this script of `bash`, whose argument is the process id.
    pub(super) fn explain(&self, more: &str) {
        if !thread::panicking() {
            return;
        }
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
        eprintln!("-- {} on {}:\n{last}", self.name, self.machine.net().name());
        if self.is_running() {
            let script = format!("{THREADS}{more}");
            let mut command = self.machine.command("timeout");
            command.args(["10", "bash", "-c", &script, "bash", &self.pid().to_string()]);
            let told = command.output().map(|done| String::from_utf8_lossy(&done.stdout).into());
            eprintln!("-- it waits for:\n{}", told.unwrap_or_else(|error| error.to_string()));
        }
    }

    fn log_path(&self) -> String {
        format!("/run/disk/log/{}", self.name)
    }

    fn wait_for(&self, what: &str, done: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            let late = Instant::now() >= deadline;
            assert!(!late, "{} does not {what} in {PATIENCE:?}:\n{}", self.name, self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }
}
