//! What the keys of elements lead to.

use std::fmt;
use std::net::IpAddr;

use crate::binding::{LinkName, Owner};

/// What an element's key leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// The fixed address.
    Dnat(IpAddr, Note),
    /// The fixed address and its port.
    Port(IpAddr, u16, Note),
    /// The floating address.
    Snat(IpAddr),
    /// Nothing: a member of a set.
    Member,
}

impl Value {
    /// The fixed address of a translation.
    pub fn fixed(&self) -> Option<IpAddr> {
        match self {
            Self::Dnat(fixed, _) | Self::Port(fixed, ..) => Some(*fixed),
            Self::Snat(_) | Self::Member => None,
        }
    }

    /// The note of a translation.
    pub fn note(&self) -> Option<&Note> {
        match self {
            Self::Dnat(_, note) | Self::Port(_, _, note) => Some(note),
            Self::Snat(_) | Self::Member => None,
        }
    }
}

/// What the kernel keeps with a translation, as a comment: whose it is, and its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Who holds the binding.
    pub owner: Owner,
    /// The link that carries the floating address.
    pub uplink: Option<LinkName>,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "owner={}", self.owner)?;
        self.uplink.iter().try_for_each(|uplink| write!(f, " uplink={uplink}"))
    }
}

impl Note {
    /// Reads a comment. An element that somebody made by hand has no owner that we could read; it
    /// is held by `unknown`, so that it is a conflict and never silently overwritten.
    pub fn read(comment: &str) -> Self {
        let word = |key: &str| {
            comment.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
        };
        let unknown = || Owner::try_from("unknown".to_owned()).unwrap_or_default();
        Self {
            owner: word("owner").and_then(|owner| owner.parse().ok()).unwrap_or_else(unknown),
            uplink: word("uplink").and_then(|uplink| uplink.parse().ok()),
        }
    }
}
