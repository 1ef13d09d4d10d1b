//! A directory for the files that programs want to have.

use std::fs;
use std::path::{Path, PathBuf};

const PREFIX: &str = "fip-bench-";

/// A directory of this run. Dropped, it is removed; that of a killed run is removed by the next.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// A new one, after those of runs that are no more have been removed.
    pub(crate) fn new() -> Self {
        Self::sweep();
        let path = Self::of(std::process::id());
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }

    /// Where a file or directory of that name would be.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Removes those of runs that are no more.
    pub(crate) fn sweep() {
        for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
            if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Removes that of this process, where there is no time to drop it.
    pub(crate) fn remove_own() {
        let _ = fs::remove_dir_all(Self::of(std::process::id()));
    }

    fn of(pid: u32) -> PathBuf {
        std::env::temp_dir().join(format!("{PREFIX}{pid}"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        Self::remove_own();
    }
}
