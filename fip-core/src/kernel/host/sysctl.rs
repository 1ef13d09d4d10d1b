//! Kernel parameters (sysctl(8)) as files below `/proc/sys`, those of the calling thread's network
//! namespace.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// The value, without the newline; none if the kernel has no such parameter.
pub(super) fn read(path: &str) -> io::Result<Option<String>> {
    match fs::read_to_string(file(path)?) {
        Ok(text) => Ok(Some(text.trim_end().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sets the value.
pub(super) fn write(path: &str, value: &str) -> io::Result<()> {
    // Not `fs::write`, which would create a file where `/proc/sys` is not what it should be.
    let mut file = fs::OpenOptions::new().write(true).open(file(path)?)?;
    io::Write::write_all(&mut file, value.as_bytes())
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
        assert!(
            read("net/ipv4/ip_forward")
                .unwrap()
                .is_some_and(|v| v == "0" || v == "1")
        );
        assert_eq!(read("net/ipv4/no_such_parameter").unwrap(), None);
        assert_eq!(read("net/ipv6/conf/no.such.0/accept_ra").unwrap(), None);
    }

    #[test]
    fn paths_stay_below_proc_sys() {
        for path in [
            "",
            "/",
            "/etc/passwd",
            "../version",
            "net/../../version",
            "net//ipv4",
            "a/.",
        ] {
            assert_eq!(
                read(path).unwrap_err().kind(),
                ErrorKind::InvalidInput,
                "{path:?}"
            );
            assert_eq!(
                write(path, "1").unwrap_err().kind(),
                ErrorKind::InvalidInput,
                "{path:?}"
            );
        }
        assert!(read("net/nul\0").is_err());
    }

    #[test]
    fn does_not_create() {
        assert!(write("net/ipv4/no_such_parameter", "1").is_err());
    }
}
