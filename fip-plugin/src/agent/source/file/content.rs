//! The content of a file, read so that what is read is worth believing.

use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use super::lease;
use super::walk::irregular;

/// The largest map, in bytes.
const LARGEST: u64 = 4 << 20;

/// What was in a file.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    /// When it was written to last.
    pub(super) written: SystemTime,
    /// Whether it stayed as it was while it was read, as far as the file tells.
    pub(super) still: bool,
    /// Whether anybody had it open for writing after it was read; none if the kernel does not tell.
    pub(super) held: Option<bool>,
}

/// Reads a regular file.
///
/// # Errors
/// If it cannot be read, is something else, or is larger than any map.
pub(super) fn read(path: &Path) -> io::Result<Content> {
    // Whatever has come into its place meanwhile: no link is followed, no pipe waited for.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let before = file.metadata()?;
    if !before.is_file() {
        return Err(irregular());
    }
    let mut bytes = Vec::new();
    (&file).take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        let text = format!("it is larger than {} MiB", LARGEST >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    // After it was read: whoever wrote to it meanwhile and has closed it has left an event.
    let held = lease::is_open_for_writing(&file);
    let still = stamp(&before) == stamp(&file.metadata()?);
    Ok(Content { bytes, written: before.modified()?, still, held })
}

fn stamp(file: &Metadata) -> (u64, i64, i64) {
    (file.size(), file.mtime(), file.mtime_nsec())
}
