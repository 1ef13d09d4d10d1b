//! The command `fip`, run in a namespace.

use std::ops::Deref;
use std::time::Duration;

use serde_json::Value;

use super::ns::Ns;
use super::process::{Finished, Running};

/// How long a command may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary, and where to run it.
pub(crate) struct Fip<'a> {
    binary: &'a str,
    ns: &'a Ns,
}

impl<'a> Fip<'a> {
    /// `binary` is `env!("CARGO_BIN_EXE_fip")`.
    pub(crate) fn new(binary: &'a str, ns: &'a Ns) -> Self {
        Self { binary, ns }
    }

    /// Runs `fip ARGS`, split at spaces, to its end.
    pub(crate) fn run(&self, args: &str) -> Run {
        self.run_with_input(args, "")
    }

    /// The same, with this on its standard input.
    pub(crate) fn run_with_input(&self, args: &str, input: &str) -> Run {
        Run {
            command: format!("fip {args}"),
            finished: self.spawn_with_input(args, input).finish(PATIENCE),
        }
    }

    /// Runs it and panics unless it succeeds.
    pub(crate) fn ok(&self, args: &str) -> Run {
        self.run(args).exits(0)
    }

    /// Starts `fip ARGS`.
    pub(crate) fn spawn(&self, args: &str) -> Running {
        self.spawn_with_input(args, "")
    }

    /// Starts `fip ARGS` with this on its standard input.
    pub(crate) fn spawn_with_input(&self, args: &str, input: &str) -> Running {
        let args: Vec<&str> = args.split_whitespace().collect();
        Running::start(self.ns, self.binary, &args, input)
    }

    /// `fip list --json`.
    pub(crate) fn list(&self) -> Vec<Value> {
        match self.ok("list --json").json() {
            Value::Array(bindings) => bindings,
            other => panic!("fip list --json printed no array: {other}"),
        }
    }
}

/// A command that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    command: String,
    finished: Finished,
}

impl Deref for Run {
    type Target = Finished;

    fn deref(&self) -> &Finished {
        &self.finished
    }
}

impl Run {
    /// A command that was [`Fip::spawn`]ed, and its end.
    pub(crate) fn new(command: &str, finished: Finished) -> Self {
        Self { command: command.to_owned(), finished }
    }

    /// Panics unless it ended with this code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert!(
            self.code == Some(code),
            "{} ended with {:?}, not {code}\nstdout: {}\nstderr: {}",
            self.command,
            self.code,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("{} printed no JSON ({error}): {}", self.command, self.stdout)
        })
    }

    /// Panics unless each of these is in standard error.
    #[track_caller]
    pub(crate) fn complains_of(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(
                self.stderr.contains(part),
                "{}: no {part:?} in: {}",
                self.command,
                self.stderr
            );
        }
        self
    }
}
