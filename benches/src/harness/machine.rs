//! On what it was measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The machine of a run, and what was measured on it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    pub(crate) distribution: String,
    /// The day, UTC.
    pub(crate) date: String,
    /// Of every program that was measured, as it says itself.
    pub(crate) versions: BTreeMap<String, String>,
}

impl Machine {
    /// This one, today.
    pub(crate) fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let memory_kib: u64 = value(&read("/proc/meminfo"), "MemTotal", ':')
            .and_then(|text| text.trim_end_matches(" kB").parse().ok())
            .unwrap_or_default();
        Self {
            cpu: value(&read("/proc/cpuinfo"), "model name", ':').unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory_kib / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            distribution: value(&read("/etc/os-release"), "PRETTY_NAME", '=').unwrap_or_default(),
            date: output(Path::new("date"), &["-u", "+%F"]),
            versions: BTreeMap::new(),
        }
    }

    /// Takes note of what a program says of itself, the first line of `PROGRAM --version`.
    pub(crate) fn version(&mut self, name: &str, program: &Path, args: &[&str]) {
        self.versions.insert(name.to_owned(), output(program, args));
    }

    /// In one line.
    pub(crate) fn shown(&self) -> String {
        format!(
            "{}, {} cores, {} GiB, Linux {}, {}, {}",
            self.cpu,
            self.cores,
            (self.memory_mib + 512) / 1024,
            self.kernel,
            self.distribution,
            self.date
        )
    }
}

fn value(text: &str, key: &str, between: char) -> Option<String> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(between));
    let (_, value) = pairs.find(|(name, _)| name.trim() == key)?;
    Some(value.trim().trim_matches('"').to_owned())
}

fn output(program: &Path, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}
