//! What can go wrong between this host and the metadata service, and the way out.

use fip_core::error::Chain;

use super::{DEFAULT_URL, Version};
use crate::agent::source::SourceError;
use crate::ask::{Address, AskError, shown};

/// The text names no place.
pub(super) fn bad_url(url: &str, why: &str) -> SourceError {
    SourceError {
        what: format!("{url:?} is not an address of a metadata service: {why}"),
        hint: Some(format!("name it as {DEFAULT_URL} or http://169.254.169.250 (--rancher-url)")),
    }
}

/// The text names no version.
pub(super) fn bad_version(text: &str) -> SourceError {
    let all = Version::ALL.map(Version::as_str).join(", ");
    SourceError {
        what: format!("{text:?} is not a version of the metadata service"),
        hint: Some(format!("choose one of {all}")),
    }
}

/// Without a label nothing would be found, so everything would be removed.
pub(super) fn no_label() -> SourceError {
    SourceError {
        what: "no label to look for was named".to_owned(),
        hint: Some("name one (--label io.rancher.container.floating.ip)".to_owned()),
    }
}

/// There was no answer, or none that can be believed.
pub(super) fn unanswered(error: &AskError) -> SourceError {
    let hint = match error {
        AskError::Unreachable { .. } => {
            "see whether the metadata service runs, and where it listens (--rancher-url)"
        }
        AskError::Nonsense { .. } => "see whether the metadata service has its data",
    };
    SourceError { what: Chain(error).to_string(), hint: Some(hint.to_owned()) }
}

/// The service takes the asking host for another one than before.
pub(super) fn another_host(service: &Address, before: &str, now: &str) -> SourceError {
    SourceError {
        what: format!("{service} says that this host is {}, it was {before} before", shown(now)),
        hint: Some("restart the agent if this host was registered anew".to_owned()),
    }
}
