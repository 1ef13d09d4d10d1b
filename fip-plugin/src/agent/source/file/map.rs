//! What a map says: which floating address leads where.

use std::net::IpAddr;
use std::str::FromStr;

use fip_core::Error;

use super::json;

/// One floating text and where it shall lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its place: the number of its line, in JSON its number among the entries; from 1.
    pub(super) place: u64,
    /// What [`parse_floating`](crate::options::parse_floating) reads, or does not: that concerns
    /// its workload alone.
    pub(super) floating: String,
    /// Where it shall lead.
    pub(super) target: Target,
}

/// A workload, as a map names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// An address of this host's inside.
    Fixed(IpAddr),
    /// The name or the id of a container of Docker.
    Container(String),
}

/// Why a map is not believed, as a whole: whoever wrote it did something else, or is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The reason, with the line.
    pub(super) what: String,
    /// The way out.
    pub(super) hint: &'static str,
}

const HALF: &str = "write it beside and rename it over; a map without entries has a comment \
                    (# none), [] or {} in it";
const FORMS: &str = "a line is FLOATING FIXED or FLOATING CONTAINER; JSON is \
                     {\"FLOATING\": \"FIXED\"} or [{\"floating\": …, \"fixed\" or \"container\": …}]";

impl Wrong {
    /// There is less of it than there should be.
    pub(super) fn half(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: HALF }
    }

    /// It is no map.
    pub(super) fn form(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: FORMS }
    }
}

/// Reads a map: lines or JSON, whatever it is.
///
/// Nothing is guessed: what could be the beginning of more (nothing at all, a last line without its
/// end) is wrong. A single entry that is no entry makes everything wrong, for a map that somebody
/// else has put together must not be taken for one that asks for less.
pub(super) fn parse(content: &[u8]) -> Result<Vec<Entry>, Wrong> {
    let text = std::str::from_utf8(content).map_err(|error| {
        let line = 1 + content[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count();
        Wrong::form(format!("line {line} is not UTF-8"))
    })?;
    // What some editors begin a file with.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_ascii().is_empty() {
        return Err(Wrong::half("it is empty"));
    }
    if json::is_json(text) { json::parse(text) } else { parse_lines(text) }
}

fn parse_lines(text: &str) -> Result<Vec<Entry>, Wrong> {
    let Some(whole) = text.strip_suffix('\n') else {
        let last = text.split('\n').count();
        return Err(Wrong::half(format!("line {last}, the last one, has no end")));
    };
    let lines = (1..).zip(whole.split('\n'));
    lines.filter_map(|(place, line)| parse_line(place, line).transpose()).collect()
}

/// An entry; none in a line that is blank or a comment.
fn parse_line(place: u64, line: &str) -> Result<Option<Entry>, Wrong> {
    let at = |what: &str| Wrong::form(format!("line {place} {what}"));
    let mut fields = line.split_ascii_whitespace().take_while(|field| !field.starts_with('#'));
    let Some(floating) = fields.next() else { return Ok(None) };
    let Some(target) = fields.next() else {
        return Err(at("says only one thing of two"));
    };
    if fields.next().is_some() {
        return Err(at("says more than two things"));
    }
    let target = target.parse().map_err(|error: Error| at(&format!("is wrong: {error}")))?;
    Ok(Some(Entry { place, floating: floating.to_owned(), target }))
}

/// An address is an address, also if a container has it as its name.
impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse().map(Self::Fixed).or_else(|_| Self::container(text))
    }
}

impl Target {
    /// The container of this name, even if that is an address.
    ///
    /// # Errors
    /// If Docker gives no container such a name (its `RestrictedNameChars`), nor such an id.
    pub(super) fn container(text: &str) -> Result<Self, Error> {
        let inner = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(inner) {
            return Ok(Self::Container(text.to_owned()));
        }
        Err(Error::parse(text, "an address (without mask and zone), or a container's name or id"))
    }
}

#[cfg(test)]
mod tests;
