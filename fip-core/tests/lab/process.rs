//! Child processes that end with the test, and that cannot hang it.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::ns::Ns;

/// What a command left behind.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    /// The exit code; none if it died from a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command under way. Dropped, it is killed.
pub(crate) struct Running {
    what: String,
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Running {
    /// Starts `program` with `args` in the namespace and hands it `input` to read. The kernel
    /// kills it if the thread that started it ends first, as a killed test does.
    pub(crate) fn start(ns: &Ns, program: &str, args: &[&str], input: &str) -> Self {
        let mut command = ns.command("setpriv");
        command.args(["--pdeathsig", "KILL", program]).args(args);
        Self::spawn(&format!("{program} {}", args.join(" ")), command, input)
    }

    /// Starts any command and hands it `input` to read. `what` is for messages only.
    pub(crate) fn spawn(what: &str, mut command: Command, input: &str) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {what}: {error}"));
        let mut stdin = child.stdin.take().unwrap();
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        // A program that does not read its input may be gone already.
        let _ = stdin.write_all(input.as_bytes());
        Self { what: what.to_owned(), child, stdout, stderr }
    }

    /// The process: its id is that of the program itself.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(status.success(), "cannot send {name} to {}", self.what);
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end; panics if that takes longer than `patience`.
    pub(crate) fn finish(mut self, patience: Duration) -> Finished {
        let deadline = Instant::now() + patience;
        let text = |stream: &Receiver<String>| {
            let left = deadline.saturating_duration_since(Instant::now());
            stream.recv_timeout(left).unwrap_or_else(|_| {
                panic!("{} still runs after {patience:?}", self.what);
            })
        };
        let stdout = text(&self.stdout);
        let stderr = text(&self.stderr);
        Finished { code: self.child.wait().unwrap().code(), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}
