//! Kernel parameters that a container runtime has locked.

use std::io;

use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::{FsFlags, statvfs};

const PROC_SYS: &str = "/proc/sys";

/// Makes `/proc/sys` writable where it is mounted read-only, and tells whether it was.
///
/// Docker mounts it so in the mount namespace of every managed plugin, and no setting of a plugin
/// changes that (`ReadonlyPaths` in moby's `oci/defaults.go`). A network driver must have the host
/// forward packets, though. Only the calling process's mount namespace is concerned.
///
/// # Errors
/// What the kernel refuses: without `CAP_SYS_ADMIN` the change is not permitted.
pub fn make_writable() -> io::Result<bool> {
    if !statvfs(PROC_SYS)?.flags().contains(FsFlags::ST_RDONLY) {
        return Ok(false);
    }
    // What is not named is cleared, and only "read-only" shall be.
    let flags = MsFlags::MS_REMOUNT
        | MsFlags::MS_BIND
        | MsFlags::MS_NOSUID
        | MsFlags::MS_NODEV
        | MsFlags::MS_NOEXEC;
    mount(None::<&str>, PROC_SYS, None::<&str>, flags, None::<&str>)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;

    use nix::sched::{CloneFlags, unshare};

    use super::*;

    const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

    /// As Docker does: in namespaces of this thread's own.
    fn lock() {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(Some(PROC_SYS), PROC_SYS, none, MsFlags::MS_BIND | MsFlags::MS_REC, none).unwrap();
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        mount(none, PROC_SYS, none, flags, none).unwrap();
    }

    #[test]
    fn what_was_locked_can_be_written() {
        lock();
        assert_eq!(fs::write(FORWARD, "1").unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
        assert!(make_writable().unwrap());
        fs::write(FORWARD, "1").unwrap();
        assert_eq!(fs::read_to_string(FORWARD).unwrap(), "1\n");
        let flags = statvfs(PROC_SYS).unwrap().flags();
        assert!(flags.contains(FsFlags::ST_NOSUID | FsFlags::ST_NODEV | FsFlags::ST_NOEXEC));
        assert!(!make_writable().unwrap());
    }
}
