//! How a command fails: the message, in three lines, and the exit code.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use fip_core::Error;
use fip_core::error::Chain;

use crate::file::FileError;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line makes no sense, or asks for help.
    Usage(clap::Error),
    /// The library's error.
    Fip(Error),
    /// The file of the desired state.
    File(FileError),
    /// Standard output cannot be written.
    Output(io::Error),
    /// The system refuses something else, named first.
    System(&'static str, io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Fip(error)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

/// The exit code of the library's error.
pub(crate) fn code_of(error: &Error) -> u8 {
    match error {
        _ if error.is_usage() => 2,
        _ if error.is_conflict() => 3,
        _ if error.is_not_found() => 4,
        _ if error.is_permission_denied() => 5,
        _ => 1,
    }
}

impl Failure {
    /// Tells the user, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Usage(error) if !error.use_stderr() => {
                // Help and version. Nobody reads it? Then nobody misses it.
                let _ = error.print();
                return ExitCode::SUCCESS;
            }
            // The reader has what it wanted, as in `fip list | head -1`.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return ExitCode::SUCCESS;
            }
            _ => say(&self.message()),
        }
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Fip(error) => code_of(error),
            Self::File(error) => error.code(),
            Self::Output(_) | Self::System(..) => 1,
        }
    }

    /// What, why, and the way out: a line each, where there is something to say.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Usage(error) => usage(error),
            Self::Fip(error) => three(&error.to_string(), causes(error), error.hint()),
            Self::File(error) => three(&error.to_string(), error.why(), error.hint()),
            Self::Output(error) => {
                three("cannot write to standard output", Some(error.to_string()), None)
            }
            Self::System(what, error) => {
                three(&format!("cannot {what}"), Some(error.to_string()), None)
            }
        }
    }
}

/// Writes to standard error. If that fails there is nobody left to tell.
pub(crate) fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Tells of something that works against what was done.
pub(crate) fn warn(text: &str) {
    say(&format!("warning: {text}\n"));
}

fn three(what: &str, why: Option<String>, hint: Option<String>) -> String {
    let mut text = format!("fip: {what}\n");
    for (label, line) in [("why", why), ("way out", hint)] {
        if let Some(line) = line {
            let _ = writeln!(text, "  {label}: {line}");
        }
    }
    text
}

/// The chain of sources, on one line.
fn causes(error: &Error) -> Option<String> {
    error.source().map(|source| Chain(source).to_string())
}

/// The same form for what clap says in its own.
fn usage(error: &clap::Error) -> String {
    let text = error.to_string();
    let mut paragraphs = text.split("\n\n").map(one_line);
    let what = paragraphs.next().unwrap_or_default();
    let what = what.strip_prefix("error: ").unwrap_or(&what);
    let why = error.source().map(ToString::to_string);
    let told = why.as_ref().map(|why| format!(": {}", one_line(why)));
    let what = told.and_then(|told| what.strip_suffix(&told)).unwrap_or(what);
    let rest: Vec<String> = paragraphs.collect();
    let find = |start: &str| {
        rest.iter().find_map(|line| Some(line.strip_prefix(start)?.trim().to_owned()))
    };
    let command = find("Usage: ").unwrap_or_else(|| "fip".to_owned());
    let command: Vec<&str> = command
        .split(' ')
        .take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect();
    let help = format!("see `{} --help`", command.join(" "));
    let hint = match find("tip: ") {
        Some(tip) => format!("{tip}; {help}"),
        None => help,
    };
    three(what, why, Some(hint))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Arguments;

    fn message(args: &[&str]) -> String {
        let error = Arguments::try_parse_from([&["fip"], args].concat()).unwrap_err();
        Failure::Usage(error).message()
    }

    #[test]
    fn wrong_usage_is_told_in_the_same_form() {
        let text = message(&["bind", "192.0.2.1/24", "172.18.0.2"]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(lines[0], "fip: invalid value '192.0.2.1/24' for '<FLOATING>'");
        assert!(lines[1].starts_with("  why: ") && lines[1].contains("mask"), "{text}");
        assert_eq!(lines[2], "  way out: see `fip --help`");
    }

    #[test]
    fn a_missing_argument_is_named() {
        let text = message(&["bind", "192.0.2.1"]);
        assert!(text.contains("<FIXED>"), "{text}");
        assert!(text.contains("see `fip bind --help`"), "{text}");
        let text = message(&["unbind", "192.0.2.1", "--ownr", "x"]);
        assert!(text.contains("--ownr") && text.contains("--owner"), "{text}");
    }

    #[test]
    fn the_source_is_told_once() {
        let error = Error::kernel("add address", io::Error::from_raw_os_error(1));
        let text = Failure::from(error).message();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "fip: cannot add address");
        assert_eq!(lines[1], "  why: Operation not permitted (os error 1)");
        assert!(lines[2].starts_with("  way out: run as root"), "{text}");
        assert_eq!(lines.len(), 3);
    }
}
