//! Who says what should be.

pub mod docker;
pub mod file;
pub mod rancher;

use std::sync::Arc;
use std::time::Instant;

use super::model::Workload;

/// All that a source knows, at one moment.
#[derive(Debug, Clone)]
pub struct Listing {
    /// All workloads of this host that ask for floating addresses; also those that do not run, as
    /// far as the source knows them. It may share them with those who are told.
    pub workloads: Vec<Arc<Workload>>,
    /// When the source noticed that something had changed.
    pub noticed: Instant,
}

/// Why a source cannot say what should be. What is bound stays so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct SourceError {
    /// What went wrong, with its causes, in one line.
    pub what: String,
    /// The way out, where there is one.
    pub hint: Option<String>,
}

/// Says which workloads of this host ask for floating addresses.
///
/// What a source answers is taken for true: a workload that is not in a [`Listing`] loses its
/// addresses. So a source that has doubts answers with an error.
pub trait Source: Send {
    /// Everything as it is now. The first call answers at once; the later ones sleep until something
    /// has, or may have, changed since the call before. After an error the next call tries again at
    /// once; the caller waits as long as it thinks right.
    ///
    /// # Errors
    /// [`SourceError`] if the source does not answer, or not credibly.
    fn next(&mut self) -> Result<Listing, SourceError>;
}

/// Makes a source that knows nothing yet. To look at everything at once, beside a source that sleeps,
/// is to open a second one.
pub type OpenSource = Arc<dyn Fn() -> Box<dyn Source> + Send + Sync>;
