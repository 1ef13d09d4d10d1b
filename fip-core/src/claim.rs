//! Whether an address is free on the LAN, and telling the LAN that we have it.
//!
//! Two hosts must never answer for one address, and a planned move must be as fast as the old
//! host lets go. So before an address is bound it is probed (RFC 5227, RFC 4862): a [`Claim`]
//! says for how long, and what to do about a rival that answers.
//!
//! Two hosts that probe for the same address at the same time both hear a probe and no answer.
//! If both gave way, as RFC 5227 has it, they would do so again and again; if neither did, both
//! would win. So the one with the lower Ethernet address goes on and the other takes it for a
//! rival: each can tell from the other's probe alone, and exactly one of two different addresses
//! is the lower. The one that gives way then leaves the winner a second to bind the address before
//! it asks again, for until then nobody answers. A host that follows RFC 5227 to the letter gives
//! way to us either way.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kernel::{Link, Mac, Wire};

mod announce;
mod claiming;

pub use announce::Announcements;
pub use claiming::Claiming;

/// What to do if another host answers for an address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RivalPolicy {
    /// Wait until it falls silent, or the deadline has come.
    #[default]
    Wait,
    /// Leave the address to it.
    Refuse,
    /// Do not even ask.
    TakeOver,
}

impl RivalPolicy {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::Wait, Self::Refuse, Self::TakeOver];
}

impl fmt::Display for RivalPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Wait => "wait",
            Self::Refuse => "refuse",
            Self::TakeOver => "take-over",
        })
    }
}

impl FromStr for RivalPolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.to_string() == text)
            .ok_or_else(|| Error::parse(text, "a rival policy (wait, refuse or take-over)"))
    }
}

/// How to find out whether an address is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// What to do about a rival.
    pub policy: RivalPolicy,
    /// How long nobody may answer three probes for an address to be free; zero to not ask.
    pub window: Duration,
    /// How long to wait for a rival to fall silent ([`RivalPolicy::Wait`]).
    pub deadline: Duration,
}

impl Default for Claim {
    /// Wait up to 5 s for a silence of 100 ms.
    fn default() -> Self {
        Self {
            policy: RivalPolicy::default(),
            window: Duration::from_millis(100),
            deadline: Duration::from_secs(5),
        }
    }
}

/// How a claim ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claimed {
    /// The addresses that nobody else has.
    pub free: Vec<IpAddr>,
    /// The others, with who has them.
    pub rivals: Vec<(IpAddr, Mac)>,
}

/// Finds out which of the addresses are free on the link, all at the same time. `own` are the
/// Ethernet addresses of this host's other links, as for [`Claiming::new`].
///
/// # Errors
/// The kernel's, as [`Error::Kernel`]. A rival is a result, not an error.
pub fn claim<W: Wire>(
    wire: &mut W,
    link: &Link,
    own: &[Mac],
    addresses: &[IpAddr],
    rules: &Claim,
) -> Result<Claimed> {
    let mut claiming = Claiming::new(link, own, addresses, rules);
    let mut free = Vec::new();
    while let Some(more) = claiming.step(wire)? {
        free.extend(more);
    }
    Ok(Claimed { free, rivals: claiming.take_rivals() })
}

#[cfg(test)]
mod tests;
