//! Network namespaces: how they are named, and how to work in one.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;

use nix::sched::{CloneFlags, setns};
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};

use crate::error::{Error, Result};

/// Where named namespaces are mounted (`ip-netns(8)`); on most systems the two are one directory.
const NAMED: [&str; 2] = ["/run/netns", "/var/run/netns"];

/// The longest file name (`NAME_MAX` in `linux/limits.h`), in bytes.
const NAME_MAX: usize = 255;

/// The longest path (`PATH_MAX` in `linux/limits.h`), in bytes, without the terminating NUL.
const PATH_MAX: usize = 4095;

/// The name of a network namespace (network_namespaces(7)). The namespace need not exist.
///
/// As text it is `NAME` (of `ip netns`, a file in `/run/netns`), an absolute path to a namespace
/// file, or a process id: bare digits or `pid:123`. A namespace whose name is all digits can be
/// given by its path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NetNs(Handle);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Handle {
    Name(String),
    Path(PathBuf),
    Process(u32),
}

impl NetNs {
    /// The namespace that the process with this id is in.
    pub fn of_process(pid: u32) -> Self {
        Self(Handle::Process(pid))
    }

    /// Opens the namespace. It lives at least as long as the file.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such file or process, [`Error::Unsupported`] where
    /// the file is not a network namespace.
    pub fn open(&self) -> Result<OwnedFd> {
        let mut result = Err(io::ErrorKind::NotFound.into());
        for path in self.paths() {
            result = open_file(&path);
            if !matches!(&result, Err(error) if error.kind() == io::ErrorKind::NotFound) {
                break;
            }
        }
        let file = result.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::not_found("network namespace", self),
            _ => Error::kernel(format!("open network namespace {self}"), error),
        })?;
        if is_network_namespace(&file) {
            return Ok(file);
        }
        Err(Error::Unsupported {
            what: format!("{self} is not a network namespace"),
            hint:
                "give a name that `ip netns` lists, a file like /proc/PID/ns/net, or a process id"
                    .to_owned(),
        })
    }

    /// What tells the namespace from every other that exists, whatever name it is given by: the
    /// device and the inode of its file (namespaces(7)).
    ///
    /// # Errors
    /// Those of [`NetNs::open`].
    pub fn identity(&self) -> Result<[u64; 2]> {
        let metadata = File::from(self.open()?)
            .metadata()
            .map_err(|error| Error::kernel(format!("identify network namespace {self}"), error))?;
        Ok([metadata.dev(), metadata.ino()])
    }

    /// Runs the closure in the namespace, in a thread of its own: the caller's stays where it is.
    /// A panic of the closure goes on in the caller.
    ///
    /// # Errors
    /// Those of [`NetNs::open`] and of the closure; [`Error::Kernel`] if entering is not permitted.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let file = self.open()?;
        run_in(file.as_fd(), work)
            .map_err(|error| Error::kernel(format!("enter network namespace {self}"), error))?
    }

    fn paths(&self) -> Vec<PathBuf> {
        match &self.0 {
            Handle::Name(name) => NAMED.iter().map(|dir| Path::new(dir).join(name)).collect(),
            Handle::Path(path) => vec![path.clone()],
            Handle::Process(pid) => vec![format!("/proc/{pid}/ns/net").into()],
        }
    }
}

/// Runs the closure in the namespace that is open as `netns`, in a thread of its own.
///
/// # Errors
/// The thread could not be started, or not enter the namespace.
pub(crate) fn run_in<T: Send>(
    netns: BorrowedFd<'_>,
    work: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("netns".to_owned());
        let thread = thread.spawn_scoped(scope, || -> io::Result<T> {
            setns(netns, CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        })?;
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn open_file(path: &Path) -> io::Result<OwnedFd> {
    // Without O_NONBLOCK a FIFO in the place of a namespace would hold us up.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    Ok(file.into())
}

/// Whether the file stands for a network namespace, and not for anything else.
fn is_network_namespace(file: &OwnedFd) -> bool {
    if !fstatfs(file).is_ok_and(|fs| fs.filesystem_type() == NSFS_MAGIC) {
        return false;
    }
    // In `/proc` the file's path is `TYPE:[INODE]` (namespaces(7)). One that is mounted elsewhere
    // has the path of that place; then only entering it tells. (If that is not permitted, the
    // caller will hear so when it matters.)
    let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let path = path.map(|path| path.into_os_string().into_encoded_bytes()).unwrap_or_default();
    let entered = || run_in(file.as_fd(), || ());
    path.starts_with(b"net:[")
        || path.starts_with(b"/")
            && !matches!(entered(), Err(e) if e.raw_os_error() == Some(libc::EINVAL))
}

impl FromStr for NetNs {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::parse(text, "a network namespace (NAME, /PATH, PID or pid:PID)");
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(bad());
        }
        let digits = text.strip_prefix("pid:");
        if digits.is_some() || text.bytes().all(|b| b.is_ascii_digit()) {
            let pid = parse_pid(digits.unwrap_or(text)).ok_or_else(bad)?;
            return Ok(Self::of_process(pid));
        }
        if text.starts_with('/') && text.len() <= PATH_MAX {
            return Ok(Self(Handle::Path(text.into())));
        }
        if text.contains('/') || text.len() > NAME_MAX || text == "." || text == ".." {
            return Err(bad());
        }
        Ok(Self(Handle::Name(text.to_owned())))
    }
}

fn parse_pid(digits: &str) -> Option<u32> {
    // `u32::from_str` takes a leading plus sign.
    let pid = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    (pid > 0).then_some(pid)
}

impl fmt::Display for NetNs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Handle::Name(name) => f.write_str(name),
            Handle::Path(path) => write!(f, "{}", path.display()),
            Handle::Process(pid) => write!(f, "pid:{pid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_print_as_they_are_read() {
        for text in ["blue", "a.b-c_d", "/run/docker/netns/1f", "pid:123"] {
            assert_eq!(text.parse::<NetNs>().unwrap().to_string(), text);
        }
        assert_eq!("123".parse::<NetNs>().unwrap(), NetNs::of_process(123));
        assert_eq!("pid:123".parse::<NetNs>().unwrap(), NetNs::of_process(123));
    }

    #[test]
    fn hostile_names_are_refused() {
        let long = "a".repeat(256);
        let long_path = format!("/{}", "a".repeat(PATH_MAX));
        for text in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a/",
            "nul\0",
            "/nul\0",
            "new\nline",
            "pid:",
            "pid:x",
            "pid:+1",
            "pid:-1",
            "pid:0",
            "0",
            "4294967296",
            "99999999999999999999",
            &long,
            &long_path,
        ] {
            let error = text.parse::<NetNs>().unwrap_err();
            assert!(error.is_usage(), "{text:?}: {error}");
        }
        assert!("a".repeat(255).parse::<NetNs>().is_ok());
    }

    #[test]
    fn what_does_not_exist_is_named() {
        let error = "no-such-namespace".parse::<NetNs>().unwrap().open().unwrap_err();
        assert!(error.is_not_found(), "{error}");
        assert_eq!(error.to_string(), "there is no network namespace no-such-namespace");
    }

    #[test]
    fn a_namespace_is_the_same_by_whatever_name() {
        let [path, thread] = ["/proc/self/ns/net", "/proc/thread-self/ns/net"];
        let identity = |text: &str| text.parse::<NetNs>().unwrap().identity().unwrap();
        assert_eq!(identity(path), identity(thread));
        assert_eq!(identity(path), identity(&std::process::id().to_string()));
    }

    #[test]
    fn only_network_namespaces_open() {
        for path in ["/etc/hostname", "/proc/self/ns/mnt", "/proc/self", "/dev/null"] {
            let error = path.parse::<NetNs>().unwrap().open().unwrap_err();
            assert!(error.to_string().contains("is not a network namespace"), "{path}: {error}");
        }
        assert!("/proc/self/ns/net".parse::<NetNs>().unwrap().open().is_ok());
        assert!(NetNs::of_process(std::process::id()).open().is_ok());
    }
}
