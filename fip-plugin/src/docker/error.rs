//! What can go wrong between this host and its Docker daemon, and the way out.

use std::io;

use crate::ask::{AskError, CredentialsError};

/// Why a question to Docker was not answered. [`DockerError::hint`] tells the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DockerError {
    /// The text that should say where Docker listens does not.
    #[error("{input:?} is not an address of a Docker daemon: {why}")]
    Host {
        /// The text.
        input: String,
        /// What is wrong with it.
        why: String,
    },
    /// The files for TLS are not what they should be.
    #[error("Docker at {host} cannot be asked over TLS")]
    Credentials {
        /// Where Docker is.
        host: String,
        /// Which file, and why.
        #[source]
        source: CredentialsError,
    },
    /// No connection, no whole answer in time, or the connection ended within the answer.
    #[error("cannot get an answer from Docker at {host}")]
    Unreachable {
        /// Where Docker should be.
        host: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// Docker answered, and the answer is no.
    #[error("Docker at {host} refused {question}: {message} (HTTP status {status})")]
    Refused {
        /// Where Docker is.
        host: String,
        /// What was asked, as `GET /events`.
        question: String,
        /// The HTTP status.
        status: u16,
        /// Docker's own text, shortened if it is long.
        message: String,
    },
    /// What came back is nothing that Docker says.
    #[error("the answer of {host} to {question} is not Docker's: {what}")]
    Nonsense {
        /// Where Docker should be.
        host: String,
        /// What was asked, as `GET /events`.
        question: String,
        /// What was not understood.
        what: String,
    },
}

impl DockerError {
    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Host { .. } => "name it as unix:///var/run/docker.sock or tcp://127.0.0.1:2375",
            Self::Unreachable { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    "run as root, or as a member of the socket's group"
                }
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    "start Docker, or name the place where it listens (--docker)"
                }
                // So rustls calls whatever it does not accept, and whatever the other side does not.
                io::ErrorKind::InvalidData => {
                    "see whether ca.pem, cert.pem and key.pem fit (DOCKER_CERT_PATH)"
                }
                _ => "see whether Docker still answers (docker info)",
            },
            Self::Credentials { .. } => {
                "DOCKER_CERT_PATH names the directory of ca.pem, cert.pem and key.pem; without \
                 DOCKER_TLS_VERIFY no TLS is used"
            }
            Self::Nonsense { .. } => "see whether it is Docker that listens there (--docker)",
            Self::Refused { .. } => return None,
        };
        Some(text.to_owned())
    }
}

impl From<AskError> for DockerError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Unreachable { host, source } => Self::Unreachable { host, source },
            AskError::Nonsense { host, question, what } => Self::Nonsense { host, question, what },
        }
    }
}
