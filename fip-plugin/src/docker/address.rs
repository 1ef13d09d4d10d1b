//! Where a Docker daemon listens.

use std::fmt;
use std::path::PathBuf;

use ureq::http::uri::Authority;

use super::DockerError;

/// Bytes in the path of a socket: `sun_path` without its zero (unix(7)).
const LONGEST: usize = 107;

/// A parsed address of a Docker daemon; prints as it was given.
#[derive(Debug, Clone)]
pub(super) enum Address {
    /// `unix:///PATH`
    Unix(PathBuf),
    /// `tcp://HOST:PORT`
    Tcp(Authority),
}

impl Address {
    /// Parses `unix:///PATH` and `tcp://HOST:PORT`.
    pub(super) fn parse(input: &str) -> Result<Self, DockerError> {
        let bad = |why: &str| DockerError::Host { input: input.to_owned(), why: why.to_owned() };
        if let Some(path) = input.strip_prefix("unix://") {
            if !path.starts_with('/') {
                return Err(bad("the path of a socket begins with /"));
            }
            if path.len() > LONGEST || path.contains('\0') {
                return Err(bad("the path of a socket has at most 107 bytes, none of them zero"));
            }
            return Ok(Self::Unix(path.into()));
        }
        let Some(rest) = input.strip_prefix("tcp://") else {
            return Err(bad("it begins neither with unix:// nor with tcp://"));
        };
        let authority: Authority = rest.parse().map_err(|_| bad("no HOST:PORT after tcp://"))?;
        match authority.port_u16() {
            Some(1..) if !authority.host().is_empty() && !rest.contains('@') => {
                Ok(Self::Tcp(authority))
            }
            _ => Err(bad("no HOST:PORT after tcp://")),
        }
    }

    /// The authority in the requests' URIs: their `Host`. Over a socket file the name means
    /// nothing; Docker's own client sends one like it.
    pub(super) fn authority(&self) -> &str {
        match self {
            Self::Unix(_) => "docker",
            Self::Tcp(authority) => authority.as_str(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(authority) => write!(f, "tcp://{authority}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_address_prints_as_it_was_given() {
        for text in [
            "unix:///var/run/docker.sock",
            "unix:///a b/ü.sock",
            "tcp://127.0.0.1:2375",
            "tcp://[2001:db8::1]:2375",
            "tcp://docker.example:1",
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        let long = format!("unix:///{}", "x".repeat(108));
        for (text, reason) in [
            ("", "begins neither"),
            ("/var/run/docker.sock", "begins neither"),
            ("https://127.0.0.1:2376", "begins neither"),
            ("ssh://root@203.0.113.1", "begins neither"),
            ("unix://docker.sock", "begins with /"),
            ("unix://", "begins with /"),
            (&long, "at most 107"),
            ("unix:///a\0b", "none of them zero"),
            ("tcp://", "HOST:PORT"),
            ("tcp://127.0.0.1", "HOST:PORT"),
            ("tcp://127.0.0.1:", "HOST:PORT"),
            ("tcp://127.0.0.1:0", "HOST:PORT"),
            ("tcp://127.0.0.1:65536", "HOST:PORT"),
            ("tcp://:2375", "HOST:PORT"),
            ("tcp://127.0.0.1:2375/v1.40", "HOST:PORT"),
            ("tcp://user@127.0.0.1:2375", "HOST:PORT"),
            ("tcp://a b:1", "HOST:PORT"),
            ("tcp://127.0.0.1:2375\r\nX: y", "HOST:PORT"),
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(error.to_string().contains(reason), "{text:?}: {error}");
            assert!(error.hint().unwrap().contains("unix:///"), "{text:?}");
        }
    }
}
