//! What is wrong with a file.

use std::fmt;
use std::io;

use crate::failure::code_of;

/// The file of a desired state cannot be used.
#[derive(Debug)]
pub(crate) struct FileError {
    name: String,
    line: Option<usize>,
    fault: Fault,
}

/// What is wrong.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It cannot be read.
    Read(io::Error),
    /// It has more than this many bytes.
    TooLarge(u64),
    /// It is malformed.
    Syntax(String),
    /// It names something that cannot be bound.
    Address(fip_core::Error),
    /// It has something twice, first there: an offset, then a line.
    Twice { what: String, first: usize },
}

impl Fault {
    /// Makes a line of the offset.
    pub(super) fn with_lines(self, line_at: impl Fn(usize) -> usize) -> Self {
        match self {
            Self::Twice { what, first } => Self::Twice { what, first: line_at(first) },
            other => other,
        }
    }
}

impl FileError {
    pub(super) fn new(name: String, line: Option<usize>, fault: Fault) -> Self {
        Self { name, line, fault }
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match &self.fault {
            Fault::Read(error) => match error.kind() {
                io::ErrorKind::NotFound => 4,
                io::ErrorKind::PermissionDenied => 5,
                _ => 1,
            },
            Fault::Address(error) => code_of(error),
            Fault::TooLarge(_) | Fault::Syntax(_) | Fault::Twice { .. } => 2,
        }
    }

    /// The reason, where the error itself does not tell.
    pub(crate) fn why(&self) -> Option<String> {
        match &self.fault {
            Fault::Read(error) => Some(error.to_string()),
            _ => None,
        }
    }

    /// The way out, where there is one.
    pub(crate) fn hint(&self) -> Option<String> {
        match &self.fault {
            Fault::Read(_) => None,
            Fault::TooLarge(_) => Some("split it by owner (--owner)".to_owned()),
            Fault::Syntax(_) | Fault::Address(_) => {
                Some("correct the file; nothing was changed".to_owned())
            }
            Fault::Twice { .. } => {
                Some("remove one of the two, or give them different ports".to_owned())
            }
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Fault::Read(_) => return write!(f, "cannot read {}", self.name),
            Fault::TooLarge(most) => {
                return write!(f, "{} has more than {most} bytes", self.name);
            }
            _ => f.write_str(&self.name)?,
        }
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        match &self.fault {
            Fault::Syntax(what) => write!(f, ": {what}"),
            Fault::Address(error) => write!(f, ": {error}"),
            Fault::Twice { what, first } => {
                write!(f, ": {what} is bound twice (first in line {first})")
            }
            Fault::Read(_) | Fault::TooLarge(_) => Ok(()),
        }
    }
}
