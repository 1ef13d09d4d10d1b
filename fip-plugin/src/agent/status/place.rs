//! Where the agent can be asked.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use fip_core::Error;

use crate::http::{ListenError, Listener};

/// A socket in the file system, or a TCP port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A unix socket.
    Unix(PathBuf),
    /// A port of an address.
    Tcp(SocketAddr),
}

impl Place {
    /// Where it is, if nothing else is said.
    pub const DEFAULT: &str = "/run/fip/agent.sock";

    /// Listens there. A socket is for its owner alone, a port for whoever reaches it.
    ///
    /// # Errors
    /// Those of [`Listener`].
    pub fn listen(&self) -> Result<Listener, ListenError> {
        match self {
            Self::Unix(path) => Listener::unix(path),
            Self::Tcp(address) => Listener::tcp(*address),
        }
    }
}

impl FromStr for Place {
    type Err = Error;

    /// Whatever has a `/` in it is a path.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.contains('/') {
            return Ok(Self::Unix(text.into()));
        }
        let expected =
            "a path (/run/fip/agent.sock, ./agent.sock) or ADDRESS:PORT (127.0.0.1:9797)";
        text.parse().map(Self::Tcp).map_err(|_| Error::parse(text, expected))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_print_as_they_were_given() {
        for text in [Place::DEFAULT, "./a.sock", "/tmp/127.0.0.1:1", "127.0.0.1:9797", "[::1]:9797"]
        {
            let place: Place = text.parse().unwrap();
            assert_eq!(place.to_string(), text);
            assert_eq!(matches!(place, Place::Unix(_)), text.contains('/'), "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_named() {
        for text in ["", "9797", ":9797", "127.0.0.1", "localhost:9797", "127.0.0.1:65536", "::1:1"]
        {
            let error = text.parse::<Place>().unwrap_err();
            assert!(error.is_usage() && error.to_string().contains("ADDRESS:PORT"), "{error}");
        }
    }
}
