//! Kernel parameters (sysctl(8)) as files below `/proc/sys`, those of the calling thread's network
//! namespace.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;

/// The longest value that is read, in bytes: a page, which is what the kernel gives at once.
const ROOM: usize = 4096;

/// The value, without the newline; none if the kernel has no such parameter.
pub(super) fn read(path: &str) -> io::Result<Option<String>> {
    let mut file = match File::open(file(path)?) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // Not `fs::read_to_string`, which asks for the size and reads twice: binding waits for this.
    let mut room = [0; ROOM];
    let length = file.read(&mut room)?;
    Ok(Some(String::from_utf8_lossy(&room[..length]).trim_end().to_owned()))
}

/// Sets the value.
pub(super) fn write(path: &str, value: &str) -> io::Result<()> {
    // Not `fs::write`, which would create a file where `/proc/sys` is not what it should be.
    let mut file = OpenOptions::new().write(true).open(file(path)?)?;
    file.write_all(value.as_bytes())
}

/// The file of a parameter. A path may have the name of a link in it, so it is not trusted.
fn file(path: &str) -> io::Result<PathBuf> {
    let valid = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if !valid || path.contains('\0') {
        let text = format!("{path:?} is not a path below /proc/sys");
        return Err(io::Error::new(ErrorKind::InvalidInput, text));
    }
    Ok(PathBuf::from("/proc/sys").join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_there_is() {
        assert!(read("net/ipv4/ip_forward").unwrap().is_some_and(|v| v == "0" || v == "1"));
        assert_eq!(read("net/ipv4/no_such_parameter").unwrap(), None);
        assert_eq!(read("net/ipv6/conf/no.such.0/accept_ra").unwrap(), None);
    }

    #[test]
    fn paths_stay_below_proc_sys() {
        for path in ["", "/", "/etc/passwd", "../version", "net/../../version", "net//ipv4", "a/."]
        {
            assert_eq!(read(path).unwrap_err().kind(), ErrorKind::InvalidInput, "{path:?}");
            assert_eq!(write(path, "1").unwrap_err().kind(), ErrorKind::InvalidInput, "{path:?}");
        }
        assert!(read("net/nul\0").is_err());
    }

    #[test]
    fn does_not_create() {
        assert!(write("net/ipv4/no_such_parameter", "1").is_err());
    }
}
