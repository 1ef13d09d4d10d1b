//! The ids by which dockerd names networks and endpoints.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use fip_core::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The longest id: 32 bytes in hexadecimal.
const ID_MAX: usize = 64;

/// How much of an id goes into the names of links, as Docker's own drivers do.
const SHORT: usize = 12;

/// The id of a network or an endpoint.
///
/// Docker's own are 64 hexadecimal digits, a swarm's 25 letters and digits. They become parts of
/// file names, link names and owners, so nothing but letters and digits is an id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(Arc<str>);

impl Id {
    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 characters, or the whole of a shorter one.
    pub fn short(&self) -> &str {
        self.0.get(..SHORT).unwrap_or(&self.0)
    }
}

impl FromStr for Id {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let valid = (1..=ID_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(Error::parse(text, "an id of Docker's (1 to 64 letters and digits)"))
        }
    }
}

impl TryFrom<String> for Id {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
