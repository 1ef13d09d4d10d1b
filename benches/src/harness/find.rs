//! Where programs are.

use std::env;
use std::path::{Path, PathBuf};

/// Where distributions put programs that are not for everybody to call.
const MORE: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/lib/podman", "/usr/libexec/podman"];

/// The programs of this workspace, built beside the one that runs.
pub(crate) struct Programs {
    pub(crate) fip: PathBuf,
    pub(crate) plugin: PathBuf,
    pub(crate) agent: PathBuf,
    /// What the kernel takes for one binding, and nothing else (`bin/limit.rs`).
    pub(crate) limit: PathBuf,
}

impl Programs {
    /// Those beside the running one; panics if one was not built.
    pub(crate) fn beside_this() -> Self {
        let this = env::current_exe().expect("a program knows where it is");
        let beside = |name: &str| {
            let path = this.with_file_name(name);
            assert!(path.exists(), "{} is not built: run it by `make bench`", path.display());
            path
        };
        Self {
            fip: beside("fip"),
            plugin: beside("fip-plugin"),
            agent: beside("fip-agent"),
            limit: beside("limit"),
        }
    }
}

/// A program that may be here or not.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain(MORE.iter().map(|place| Path::new(place).into()));
    places.map(|place: PathBuf| place.join(name)).find(|path| path.is_file())
}
