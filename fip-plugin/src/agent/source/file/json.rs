//! Maps in JSON.

use std::collections::BTreeSet;
use std::fmt;

use fip_core::binding::parse_address;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::map::{Entry, Target, Wrong};

/// How much of the JSON reader's text is shown: it quotes what it does not know.
const SHOWN: usize = 200;

/// Whether the text, which is not blank, is JSON rather than lines. A line begins with `[` if its
/// address is an IPv6 address with a port: `[2001:db8::5]:tcp:80`.
pub(super) fn is_json(text: &str) -> bool {
    let text = text.trim_ascii_start();
    match text.strip_prefix('[') {
        Some(rest) => !rest.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':'),
        None => text.starts_with('{'),
    }
}

/// Reads `{"FLOATING": "FIXED or CONTAINER"}` and
/// `[{"floating": "...", "fixed" or "container": "..."}]`.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, Wrong> {
    let pairs = if text.trim_ascii_start().starts_with('[') {
        serde_json::from_str::<Vec<Pair>>(text)
    } else {
        serde_json::from_str::<Pairs>(text).map(|pairs| pairs.0)
    };
    let pairs = pairs.map_err(|error| wrong(&error))?;
    let entry = |(place, Pair { floating, target })| Entry { place, floating, target };
    Ok((1..).zip(pairs).map(entry).collect())
}

/// The error, which names the line.
fn wrong(error: &serde_json::Error) -> Wrong {
    if error.is_eof() {
        return Wrong::half(format!("its JSON breaks off: {error}"));
    }
    let error = error.to_string();
    let shown: String = error.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    Wrong::form(shown)
}

/// An entry without its place.
#[derive(Deserialize)]
#[serde(try_from = "Fields")]
struct Pair {
    floating: String,
    target: Target,
}

/// An entry as an object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    floating: String,
    fixed: Option<String>,
    container: Option<String>,
}

impl TryFrom<Fields> for Pair {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let target = match (&fields.fixed, &fields.container) {
            (Some(text), None) => parse_address(text).map(Target::Fixed),
            (None, Some(text)) => Target::container(text),
            _ => return Err("an entry has one of \"fixed\" and \"container\"".to_owned()),
        };
        let target = target.map_err(|error| error.to_string())?;
        Ok(Self { floating: fields.floating, target })
    }
}

/// All entries as one object. Which of two equal keys counts would be a guess, so that is an error.
struct Pairs(Vec<Pair>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut known = BTreeSet::new();
        let mut pairs = Vec::new();
        while let Some((floating, target)) = map.next_entry::<String, String>()? {
            let target = target.parse().map_err(de::Error::custom)?;
            if !known.insert(floating.clone()) {
                return Err(de::Error::custom(format!("the key {floating:?} is there twice")));
            }
            pairs.push(Pair { floating, target });
        }
        Ok(Pairs(pairs))
    }
}
