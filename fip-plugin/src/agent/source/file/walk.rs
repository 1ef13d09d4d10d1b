//! The way to a file, as the kernel goes it (path_resolution(7)).

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf, absolute};

use nix::errno::Errno;

/// So many links in one path, and no more (`MAXSYMLINKS` of the kernel).
const LINKS_MAX: usize = 40;

/// Looks up a regular file; `visit` is told each directory, and the name in it, before that is
/// looked up. The result is the path of the file without links.
///
/// # Errors
/// If there is no such file, or something that is none; the first error of `visit`.
pub(super) fn walk(
    path: &Path,
    mut visit: impl FnMut(&Path, &OsStr) -> io::Result<()>,
) -> io::Result<PathBuf> {
    let mut at = PathBuf::new();
    let mut rest = Vec::new();
    ahead(&mut rest, &absolute(path)?);
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == "/" {
            at = name.into();
            continue;
        }
        if name == ".." {
            at.pop();
            continue;
        }
        visit(&at, &name)?;
        let entry = at.join(&name);
        let kind = fs::symlink_metadata(&entry)?.file_type();
        if kind.is_symlink() {
            links += 1;
            if links > LINKS_MAX {
                return Err(Errno::ELOOP.into());
            }
            ahead(&mut rest, &fs::read_link(&entry)?);
        } else if kind.is_dir() {
            at = entry;
        } else if !rest.is_empty() {
            return Err(Errno::ENOTDIR.into());
        } else if kind.is_file() {
            return Ok(entry);
        } else {
            return Err(irregular());
        }
    }
    Err(Errno::EISDIR.into())
}

/// A pipe or a device: to read it would take something away, or wait for ever.
pub(super) fn irregular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}

/// Puts the path before what is left to go; the next step is the last element.
fn ahead(rest: &mut Vec<OsString>, path: &Path) {
    let steps = path.components().rev().filter(|step| *step != Component::CurDir);
    rest.extend(steps.map(|step| step.as_os_str().to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_gone_in_the_order_of_the_kernel() {
        let mut rest = Vec::new();
        ahead(&mut rest, Path::new("/a/../b/./c"));
        rest.pop();
        ahead(&mut rest, Path::new("../x"));
        rest.reverse();
        assert_eq!(rest, ["..", "x", "a", "..", "b", "c"]);
    }
}
