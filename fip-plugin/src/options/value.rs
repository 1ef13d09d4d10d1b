//! One option: its name, if it is one of ours, and its value.

use std::borrow::Cow;

use fip_core::Error;
use fip_core::error::Result;
use serde_json::{Map, Value};

use super::TEXT_MAX;

/// What the names of our own options begin with.
const PREFIX: &str = "fip.";

/// The value of an option, if it is given.
///
/// Docker passes what users write as text. The JSON numbers and booleans that other clients of its
/// API may send are read as the text that they would be.
///
/// # Errors
/// [`Error::Parse`], which names the option.
pub(super) fn get<T>(
    options: &Map<String, Value>,
    key: &str,
    parse: impl FnOnce(&str) -> Result<T>,
) -> Result<Option<T>> {
    let Some(value) = options.get(key) else { return Ok(None) };
    let parsed = text(value).and_then(|text| {
        check_length(&text)?;
        parse(&text)
    });
    parsed.map(Some).map_err(|error| of_option(key, error))
}

fn text(value: &Value) -> Result<Cow<'_, str>> {
    match value {
        Value::String(text) => Ok(text.into()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string().into()),
        Value::Null => Err(Error::parse("null", "text")),
        Value::Array(_) => Err(Error::parse("[…]", "text")),
        Value::Object(_) => Err(Error::parse("{…}", "text")),
    }
}

/// Refuses text that no user writes, before anything is made of it.
pub(super) fn check_length(text: &str) -> Result<()> {
    if text.len() <= TEXT_MAX {
        return Ok(());
    }
    Err(Error::parse(text, format!("short enough: {} bytes, at most {TEXT_MAX}", text.len())))
}

/// The error of an option's value, with the option's name.
pub(super) fn of_option(key: &str, error: Error) -> Error {
    match error {
        Error::Parse { input, expected } => {
            Error::Parse { input, expected: format!("{expected} (option {key})") }
        }
        other => other,
    }
}

/// A truth value in every form that Go's `strconv.ParseBool` takes, as Docker's own options do.
pub(super) fn boolean(text: &str) -> Result<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Error::parse(text, "true or false")),
    }
}

/// What can be given options: a network or an endpoint.
pub(super) struct Subject {
    /// What it is, for users.
    pub(super) name: &'static str,
    /// Our own options of it.
    pub(super) known: &'static [&'static str],
}

/// Refuses options of ours that are not known. All others are Docker's or another tool's.
///
/// `other` is what else can be given options, in case that the two were mixed up.
///
/// # Errors
/// [`Error::Parse`], which names the known options and the one that was probably meant.
pub(super) fn check_names(
    options: &Map<String, Value>,
    subject: &Subject,
    other: &Subject,
) -> Result<()> {
    let ours = |key: &str| {
        let prefix = key.get(..PREFIX.len());
        prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX))
    };
    let unknown = |key: &&String| ours(key) && !subject.known.contains(&key.as_str());
    let Some(key) = options.keys().find(unknown) else { return Ok(()) };

    let Subject { name, known } = subject;
    let mut expected = format!("an option of {name}, which are {}", known.join(", "));
    if other.known.contains(&key.as_str()) {
        expected += &format!("; it is one of {}", other.name);
    } else if let Some(meant) = known.iter().find(|known| is_near(key, known)) {
        expected += &format!("; did you mean {meant}?");
    }
    Err(Error::parse(key, expected))
}

/// Whether two names are equal but for the case of letters and two edits (Levenshtein distance).
fn is_near(a: &str, b: &str) -> bool {
    const NEAR: usize = 2;
    let [a, b] = [a, b].map(|name| name.to_ascii_lowercase().chars().collect::<Vec<_>>());
    if a.len().abs_diff(b.len()) > NEAR {
        return false;
    }
    // Row by row: the distances of the first characters of `a` to every beginning of `b`.
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (done, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], done + 1);
        for (column, y) in b.iter().enumerate() {
            let above = row[column + 1];
            let best = (diagonal + usize::from(x != y)).min(above + 1).min(row[column] + 1);
            diagonal = std::mem::replace(&mut row[column + 1], best);
        }
    }
    row[b.len()] <= NEAR
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn near_names_are_two_edits_apart_at_most() {
        for (a, b) in [
            ("fip.uplink", "fip.uplink"),
            ("fip.upink", "fip.uplink"),
            ("FIP.Uplink", "fip.uplink"),
            ("fip.uplnik", "fip.uplink"),
            ("fip.alow", "fip.allow"),
            ("fip.adresse", "fip.address"),
        ] {
            assert!(is_near(a, b) && is_near(b, a), "{a} {b}");
        }
        for (a, b) in [("fip.", "fip.allow"), ("fip.port", "fip.allow"), ("", "abc")] {
            assert!(!is_near(a, b) && !is_near(b, a), "{a} {b}");
        }
    }

    #[test]
    fn booleans_are_those_of_go() {
        for yes in ["1", "t", "T", "true", "TRUE", "True"] {
            assert!(boolean(yes).unwrap());
        }
        for no in ["0", "f", "F", "false", "FALSE", "False"] {
            assert!(!boolean(no).unwrap());
        }
        for bad in ["", "yes", "tRUE", " true", "on", "2", "1\0"] {
            assert!(boolean(bad).unwrap_err().is_usage(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_names_can_be_compared(a in ".{0,20}", b in ".{0,20}") {
            prop_assert_eq!(is_near(&a, &b), is_near(&b, &a));
            prop_assert!(is_near(&a, &a));
        }
    }
}
