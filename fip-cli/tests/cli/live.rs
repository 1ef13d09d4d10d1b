//! A program whose output is read while it runs.

// Each test program uses its part of it.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::{Ns, PATIENCE, wait_for};

/// A program under way. Dropped, it is killed.
pub(crate) struct Live {
    what: String,
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

type Lines = Arc<Mutex<Vec<String>>>;

impl Live {
    /// Starts `program ARGS`, split at spaces, in the namespace.
    pub(crate) fn start(ns: &Ns, program: &str, args: &str) -> Self {
        let what = format!("{program} {args}");
        let mut child = ns
            .command("setpriv")
            .args(["--pdeathsig", "KILL", program])
            .args(args.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {what}: {error}"));
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        Self { what, child, stdout, stderr }
    }

    /// The lines of standard output so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.stdout.lock().unwrap().clone()
    }

    /// The lines of standard error so far.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.stderr.lock().unwrap().clone()
    }

    /// The process: its id is that of the program itself.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until there is such a line, at this place or later, and returns the place after it.
    #[track_caller]
    pub(crate) fn wait_for(&self, from: usize, what: &str, is: impl Fn(&str) -> bool) -> usize {
        self.wait(&self.stdout, from, what, is)
    }

    /// The same for standard error.
    #[track_caller]
    pub(crate) fn wait_for_complaint(&self, what: &str) {
        self.wait(&self.stderr, 0, what, |line| line.contains(what));
    }

    #[track_caller]
    fn wait(&self, of: &Lines, from: usize, what: &str, is: impl Fn(&str) -> bool) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lines = of.lock().unwrap().clone();
            if let Some(place) = lines.iter().skip(from).position(|line| is(line)) {
                return from + place + 1;
            }
            let stderr = self.stderr.lock().unwrap();
            assert!(
                Instant::now() < deadline,
                "{} did not print {what:?} in {PATIENCE:?}, but {:#?} and {stderr:#?}",
                self.what,
                self.lines(),
            );
            drop(stderr);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for a JSON line with this `"event"`, at this place or later, which `is` as well;
    /// returns it with the place after it.
    #[track_caller]
    pub(crate) fn wait_for_event(
        &self,
        from: usize,
        event: &str,
        is: impl Fn(&Value) -> bool,
    ) -> (usize, Value) {
        let parse = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
        let is_it = |line: &str| {
            let json = parse(line);
            json["event"] == event && is(&json)
        };
        let after = self.wait_for(from, &format!("event {event}"), is_it);
        (after, parse(&self.lines()[after - 1]))
    }

    /// Sends a signal by its name, as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for its end; the exit code.
    pub(crate) fn finish(mut self) -> Option<i32> {
        self.exit_code()
    }

    /// Waits for its end; the exit code, none if it died from a signal.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let what = format!("{} to end", self.what);
        wait_for(&what, || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(stream: impl Read + Send + 'static) -> Lines {
    let lines = Lines::default();
    let collected = lines.clone();
    std::thread::spawn(move || {
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines.for_each(|line| collected.lock().unwrap().push(line));
    });
    lines
}
