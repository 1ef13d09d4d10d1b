//! The three ways to write a desired state.

use std::path::Path;

use fip_core::binding::parse_address;
use serde::Deserialize;
use serde_json::value::RawValue;
use toml::Spanned;

use super::{Entry, Fault, Located};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Toml,
    Json,
    /// A line `FLOATING FIXED` for each binding.
    Lines,
}

/// An error, and where: the offset in bytes.
type Result<T> = std::result::Result<T, (usize, Fault)>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlFile {
    #[serde(default)]
    binding: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonFile<'a> {
    #[serde(borrow)]
    binding: Vec<&'a RawValue>,
}

impl Format {
    /// As the file's name ends, else as its first line looks.
    pub(super) fn of(path: &Path, text: &str) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("toml") => Self::Toml,
            Some("json") => Self::Json,
            _ => Self::of_text(text),
        }
    }

    fn of_text(text: &str) -> Self {
        let lines = text.lines().map(str::trim_start);
        let first = lines.into_iter().find(|line| !line.is_empty() && !line.starts_with('#'));
        match first.unwrap_or_default() {
            line if line.starts_with("[[") || line.contains('=') => Self::Toml,
            line if line.starts_with(['[', '{']) => Self::Json,
            _ => Self::Lines,
        }
    }

    /// The bindings as they are written.
    pub(super) fn entries(self, text: &str) -> Result<Vec<Located>> {
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::Toml => toml_entries(text),
            Self::Json => json_entries(text),
            Self::Lines => line_entries(text),
        }
    }
}

fn toml_entries(text: &str) -> Result<Vec<Located>> {
    let file: TomlFile = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(text.len(), |span| span.start);
        (at, Fault::Syntax(error.message().to_owned()))
    })?;
    let located =
        |entry: Spanned<Entry>| Located { at: entry.span().start, entry: entry.into_inner() };
    Ok(file.binding.into_iter().map(located).collect())
}

fn json_entries(text: &str) -> Result<Vec<Located>> {
    let list: Vec<&RawValue> = if text.trim_start().starts_with('[') {
        json(text, 0)?
    } else {
        json::<JsonFile<'_>>(text, 0)?.binding
    };
    list.into_iter()
        .map(|raw| {
            let at = raw.get().as_ptr().addr() - text.as_ptr().addr();
            Ok(Located { at, entry: json(raw.get(), at)? })
        })
        .collect()
}

/// Reads a piece of JSON that begins at this offset of the file.
fn json<'a, T: Deserialize<'a>>(text: &'a str, begin: usize) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        let position = format!(" at line {} column {}", error.line(), error.column());
        let message = error.to_string();
        let message = message.strip_suffix(&position).unwrap_or(&message);
        (begin + line_start(text, error.line()), Fault::Syntax(message.to_owned()))
    })
}

/// Where a line begins, which are numbered from 1.
fn line_start(text: &str, line: usize) -> usize {
    text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum()
}

fn line_entries(text: &str) -> Result<Vec<Located>> {
    let mut entries = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let content = line.split('#').next().unwrap_or_default();
        let fields: Vec<&str> = content.split_whitespace().collect();
        match fields[..] {
            [] => {}
            [floating, fixed] => {
                let parse = |text| parse_address(text).map_err(|error| (at, Fault::Address(error)));
                entries.push(Located { at, entry: Entry::new(parse(floating)?, parse(fixed)?) });
            }
            _ => {
                let what = "a line is FLOATING FIXED, two addresses with a space between";
                return Err((at, Fault::Syntax(what.to_owned())));
            }
        }
        at += line.len();
    }
    Ok(entries)
}
