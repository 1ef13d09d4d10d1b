//! Whether somebody writes a file, as the kernel knows it (fcntl(2), "Leases").
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

/// Names the signal that tells of a lease (asm-generic/fcntl.h).
const F_SETSIG: libc::c_int = 10;

/// Whether anybody has the file, which is open for reading only, open for writing, or has it mapped
/// so. None if the kernel does not tell: for a file of another user without `CAP_LEASE`, and on file
/// systems without leases, such as NFS.
///
/// There is a read lease exactly if there is no writer (`check_conflicting_open` of fs/locks.c). A
/// writer who closes the file is counted a little longer than its end is told by inotify(7).
///
/// The lease is given back at once. Whoever opens the file for writing in between waits these
/// microseconds; who would not wait (`O_NONBLOCK`) gets `EWOULDBLOCK`.
pub(super) fn is_open_for_writing(file: &File) -> Option<bool> {
    match Lease::take(file) {
        Ok(_) => Some(false),
        Err(Errno::EAGAIN) => Some(true),
        Err(_) => None,
    }
}

/// A read lease, given back with this.
struct Lease<'a>(&'a File);

impl<'a> Lease<'a> {
    fn take(file: &'a File) -> Result<Self, Errno> {
        // Who breaks a lease makes the kernel send a signal to who holds it. That would be SIGIO,
        // which ends a process; SIGURG is ignored. So without this there must be no lease.
        control(file, F_SETSIG, libc::SIGURG)?;
        control(file, libc::F_SETLEASE, libc::F_RDLCK)?;
        Ok(Self(file))
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // If that fails, the lease ends with the file.
        let _ = control(self.0, libc::F_SETLEASE, libc::F_UNLCK);
    }
}

fn control(file: &File, command: libc::c_int, argument: libc::c_int) -> Result<(), Errno> {
    // SAFETY: the descriptor is open as long as the file is borrowed, and the argument of these
    // commands is a number: the kernel touches no memory of ours.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;

    /// If the signal were not ignored, this process would end.
    #[test]
    fn writers_who_meet_a_lease_do_no_harm_and_go_on_after_it() {
        let path = std::env::temp_dir().join(format!("fip-lease-{}", std::process::id()));
        fs::write(&path, "").unwrap();
        let file = File::open(&path).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..100 {
                let lease = Lease::take(&file).unwrap();
                let hasty =
                    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&path);
                assert_eq!(hasty.unwrap_err().raw_os_error(), Some(libc::EWOULDBLOCK));
                let patient = scope.spawn(|| OpenOptions::new().write(true).open(&path));
                drop(lease);
                let writer = patient.join().unwrap().unwrap();
                assert_eq!(is_open_for_writing(&file), Some(true));
                drop(writer);
                assert_eq!(is_open_for_writing(&file), Some(false));
            }
        });
        fs::remove_file(&path).unwrap();
    }
}
