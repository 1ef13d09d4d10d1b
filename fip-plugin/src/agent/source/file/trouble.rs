//! Why there is no map to believe, and the way out.

use std::io;
use std::path::Path;

use super::map::Wrong;
use crate::agent::source::SourceError;

/// Another file, or none at all, is in the map's place.
const OTHER: &str = "name the file that is the map (--file)";

/// A map that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) error: SourceError,
    /// Whether it may end without any change of the file, so that only trying again tells.
    pub(super) passing: bool,
}

impl Trouble {
    /// The system did not let us read.
    pub(super) fn reading(path: &Path, error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        let (passing, hint) = match error.kind() {
            Kind::NotFound => (false, "write it there, or name another one (--file)"),
            Kind::PermissionDenied => (false, "let fip-agent read it and the directories above it"),
            Kind::NotADirectory | Kind::IsADirectory | Kind::InvalidInput | Kind::FileTooLarge => {
                (false, OTHER)
            }
            _ if error.raw_os_error() == Some(libc::ELOOP) => (false, OTHER),
            Kind::StorageFull => (true, "raise the sysctl fs.inotify.max_user_watches"),
            _ => (true, "see how many files and inotify instances are open on this host"),
        };
        let what = format!("cannot read the map {}: {error}", path.display());
        Self { error: SourceError { what, hint: Some(hint.to_owned()) }, passing }
    }

    /// What was read is no map, or a part of one.
    pub(super) fn content(path: &Path, wrong: Wrong) -> Self {
        let what = format!("the map {} is not used: {}", path.display(), wrong.what);
        Self { error: SourceError { what, hint: Some(wrong.hint.to_owned()) }, passing: false }
    }

    /// It does not come to rest.
    pub(super) fn unfinished(path: &Path, passing: bool) -> Self {
        let wrong = Wrong::half("whoever writes it has not finished");
        Self { passing, ..Self::content(path, wrong) }
    }
}
