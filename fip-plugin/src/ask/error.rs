//! What can go wrong between a question and its answer.

use std::io;

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No connection, no whole answer in time, or the connection ended within the answer.
    #[error("cannot get an answer from {host}")]
    Unreachable {
        /// Where the server should be.
        host: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// What came back is not what this server says.
    #[error("the answer of {host} to {question} is not understood: {what}")]
    Nonsense {
        /// Where the server should be.
        host: String,
        /// What was asked, as `GET /events`.
        question: String,
        /// What was not understood.
        what: String,
    },
}
