//! Whole processes.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::find;
use crate::lab::Ns;

/// What a process took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    /// From before it was started until it had ended.
    pub(crate) wall: Duration,
    /// Of the processor, its children's included.
    pub(crate) cpu: Duration,
}

impl Took {
    /// The wall time in milliseconds.
    pub(crate) fn ms(&self) -> f64 {
        self.wall.as_secs_f64() * 1e3
    }

    /// The time of the processor in milliseconds.
    pub(crate) fn cpu_ms(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e3
    }
}

/// Runs a program in the namespace and measures it, from spawn to exit. The thread is in the
/// namespace before, so nothing but the program is measured. Panics if it fails, with what it said.
pub(crate) fn timed<S: AsRef<str> + Sync>(ns: &Ns, words: &[S]) -> Took {
    ns.run(|| timed_here(words, None))
}

/// The same in the namespace of this thread, with that file to read.
pub(crate) fn timed_here<S: AsRef<str>>(words: &[S], input: Option<&Path>) -> Took {
    let mut run = Prepared::new(words, input);
    let before = cpu_of_children();
    let began = Instant::now();
    let mut child = run.command.spawn().unwrap_or_else(|error| panic!("{}: {error}", run.what));
    let status = child.wait().expect("cannot wait for a child");
    let wall = began.elapsed();
    let cpu = cpu_of_children().saturating_sub(before);
    assert!(status.success(), "{} failed ({status}): {}", run.what, run.complaint());
    Took { wall, cpu }
}

/// Runs a program in the namespace, to its end, and returns what it printed; panics if it fails.
pub(crate) fn run<S: AsRef<str> + Sync>(ns: &Ns, words: &[S]) -> String {
    ns.run(|| {
        let mut run = Prepared::new(words, None);
        let output = run.command.stdout(Stdio::piped()).output();
        let output = output.unwrap_or_else(|error| panic!("{}: {error}", run.what));
        assert!(output.status.success(), "{} failed: {}", run.what, run.complaint());
        String::from_utf8_lossy(&output.stdout).into_owned()
    })
}

/// A program and its arguments, split at spaces.
pub(crate) fn words(program: &Path, args: &str) -> Vec<String> {
    let program = program.display().to_string();
    std::iter::once(program).chain(args.split_whitespace().map(str::to_owned)).collect()
}

/// Ready to be spawned: its program is found, its files are open.
struct Prepared {
    what: String,
    command: Command,
    errors: File,
}

impl Prepared {
    fn new<S: AsRef<str>>(words: &[S], input: Option<&Path>) -> Self {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let program = match words[0] {
            path if path.contains('/') => PathBuf::from(path),
            name => find(name).unwrap_or_else(|| panic!("no program {name} on this machine")),
        };
        let input = input.unwrap_or(Path::new("/dev/null"));
        let input = File::open(input).unwrap_or_else(|e| panic!("{}: {e}", input.display()));
        let null = File::options().write(true).open("/dev/null").expect("no /dev/null");
        let errors: OwnedFd = memfd_create("errors", MFdFlags::MFD_CLOEXEC).expect("no memfd");
        let errors = File::from(errors);
        let mut command = Command::new(program);
        command.args(&words[1..]).env("LC_ALL", "C").stdin(input).stdout(null);
        command.stderr(errors.try_clone().expect("cannot duplicate a file"));
        Self { what: words.join(" "), command, errors }
    }

    fn complaint(&self) -> String {
        let (mut errors, mut text) = (&self.errors, String::new());
        let read = errors.rewind().and_then(|()| errors.read_to_string(&mut text));
        read.map_or_else(|error| error.to_string(), |_| text)
    }
}

/// Of all children that were waited for.
fn cpu_of_children() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("getrusage");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros.unsigned_abs())
}
