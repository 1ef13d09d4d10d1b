//! What can go wrong, and what the user can do about it.

use std::fmt::{self, Display};
use std::io;
use std::net::IpAddr;

use crate::binding::{LinkName, Owner};

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be done. [`Error::hint`] tells the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Text that is not what it should be.
    #[error("{input:?} is not {expected}")]
    Parse {
        /// The text, shortened if it is long.
        input: String,
        /// What it should have been.
        expected: String,
    },
    /// An address that cannot be used so, on any host or on this one.
    #[error("{address} cannot be bound: {why}")]
    Refused {
        /// The address.
        address: IpAddr,
        /// The reason.
        why: String,
    },
    /// There is no such link, network namespace or binding.
    #[error("there is no {what}")]
    NotFound {
        /// The thing, with its name.
        what: String,
    },
    /// No link's subnet holds the address, and there is no default route.
    #[error(
        "no link of this host can carry {0}: no link's subnet holds it and there is no default route"
    )]
    NoUplink(IpAddr),
    /// The floating address, or a port of it, is already bound otherwise.
    #[error("{what} is already bound to {fixed} by {owner}")]
    Bound {
        /// The floating address, with the port if it is about one.
        what: String,
        /// The fixed address that it is bound to.
        fixed: IpAddr,
        /// Who holds that binding.
        owner: Owner,
    },
    /// Another host of the LAN answers for the address.
    #[error("{address} is in use on {link} by {mac}")]
    Rival {
        /// The floating address.
        address: IpAddr,
        /// The link on which the rival answered.
        link: LinkName,
        /// The rival's hardware address.
        mac: crate::kernel::Mac,
    },
    /// This host cannot do it.
    #[error("{what}")]
    Unsupported {
        /// What is not supported.
        what: String,
        /// The way out.
        hint: String,
    },
    /// Other writers changed the ruleset again and again, or the kernel did not answer in time.
    #[error("{0}")]
    Busy(String),
    /// The kernel refused.
    #[error("cannot {operation}")]
    Kernel {
        /// What was tried, as `add address 192.0.2.1/32 to eth0`.
        operation: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// `input` is not `expected`.
    pub fn parse(input: &str, expected: impl Display) -> Self {
        const SHOWN: usize = 60;
        let mut shown: String = input.chars().take(SHOWN).collect();
        if input.chars().count() > SHOWN {
            shown.push('…');
        }
        Self::Parse { input: shown, expected: expected.to_string() }
    }

    /// `address` cannot be used because of `why`.
    pub fn refused(address: IpAddr, why: impl Display) -> Self {
        Self::Refused { address, why: why.to_string() }
    }

    /// The kernel refused `operation`.
    pub fn kernel(operation: impl Display, source: io::Error) -> Self {
        Self::Kernel { operation: operation.to_string(), source }
    }

    /// There is no `kind` of that name.
    pub fn not_found(kind: &str, name: impl Display) -> Self {
        Self::NotFound { what: format!("{kind} {name}") }
    }

    /// The thing that was named does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Someone else has the address: another binding, another owner, another host.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Bound { .. } | Self::Rival { .. })
    }

    /// The process lacks the privilege.
    pub fn is_permission_denied(&self) -> bool {
        matches!(self, Self::Kernel { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }

    /// Trying again later may succeed.
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Busy(_) => true,
            Self::Kernel { source, .. } => {
                matches!(source.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::TimedOut)
            }
            _ => false,
        }
    }

    /// What the caller gave is malformed, on whatever host.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Parse { .. })
    }

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Bound { owner, .. } => &format!(
                "unbind it first as its owner (--owner {owner}), or let it give way (--replace, as \
                 its owner)"
            ),
            Self::Rival { .. } => {
                "stop the other host's use of it, wait longer (--deadline), or bind with --rival take-over"
            }
            Self::NoUplink(_) => {
                "name the link that shall carry it (--interface), or add a default route"
            }
            _ if self.is_busy() => "try again",
            Self::Unsupported { hint, .. } => hint,
            _ if self.is_permission_denied() => {
                "run as root, or with the capability CAP_NET_ADMIN (and CAP_NET_RAW)"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// The chain of sources, outermost first, one line: `cannot add ...: Operation not permitted`.
pub struct Chain<'a>(pub &'a dyn std::error::Error);

impl Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_succeed_later_is_busy_whoever_says_so() {
        let kernel = |source| Error::kernel("list addresses", source);
        for kind in [io::ErrorKind::ResourceBusy, io::ErrorKind::TimedOut] {
            let error = kernel(io::Error::new(kind, "the list changed while it was read"));
            assert!(error.is_busy(), "{kind}");
            assert_eq!(error.hint().as_deref(), Some("try again"));
        }
        assert!(Error::Busy("ruleset kept changing".to_owned()).is_busy());
        let denied = kernel(io::Error::from_raw_os_error(libc::EPERM));
        assert!(!denied.is_busy() && denied.is_permission_denied());
    }
}
