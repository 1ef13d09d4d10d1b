//! How a call fails, in words for the user at whose command dockerd made it.

use fip_core::error::{Chain, Error};

use crate::protocol::DecodeError;
use crate::state::StateError;

use super::model::OWNER;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The request is not understood.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The library's error.
    #[error("{}", with_hint(.0))]
    Fip(#[from] Error),
    /// The state cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// What dockerd asks does not fit what it said before.
    #[error("{0}")]
    Unfit(String),
}

impl Failure {
    /// The HTTP status of the answer: dockerd reads the text of a failed method from a body that
    /// came with 200.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Decode(_) => 400,
            Self::Fip(_) | Self::State(_) | Self::Unfit(_) => 200,
        }
    }
}

/// The error with its reasons and the way out, in one line.
pub(super) fn with_hint(error: &Error) -> String {
    let mut text = Chain(error).to_string();
    if let Some(hint) = hint(error) {
        text.push_str("; ");
        text.push_str(&hint);
    }
    text
}

/// The way out, for who works with `docker` and not with `fip`.
fn hint(error: &Error) -> Option<String> {
    match error {
        Error::Bound { owner, .. } if owner.as_str().starts_with(OWNER) => {
            Some("stop the other container, or choose another address".to_owned())
        }
        Error::Bound { owner, .. } => {
            Some(format!("unbind it first as its owner (fip unbind --owner {owner} ...)"))
        }
        Error::Rival { .. } => Some(
            "stop the other host's use of it, or have fip-plugin wait longer (--deadline)"
                .to_owned(),
        ),
        Error::NoUplink(_) => {
            Some("name the link that shall carry it (-o fip.uplink=...)".to_owned())
        }
        _ => error.hint(),
    }
}
