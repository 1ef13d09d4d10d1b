//! Desired states in files.

// Each test program uses its part of it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

/// A file of one test alone.
pub(crate) struct File {
    path: PathBuf,
}

impl File {
    pub(crate) fn with(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fip-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn now(&self, text: &str) {
        std::fs::write(&self.path, text).unwrap();
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
