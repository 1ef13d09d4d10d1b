//! Where a server listens.

use std::fmt;
use std::path::PathBuf;

use ureq::http::uri::Authority;

/// Bytes in the path of a socket: `sun_path` without its zero (unix(7)).
const LONGEST: usize = 107;

/// Where a server listens; prints as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    name: String,
    pub(super) way: Way,
}

/// How it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    Unix(PathBuf),
    Tcp(Authority),
}

impl Address {
    /// `unix:///PATH`: a socket file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn unix(text: &str) -> Result<Self, &'static str> {
        let path = text.strip_prefix("unix://").ok_or("it does not begin with unix://")?;
        if !path.starts_with('/') {
            return Err("the path of a socket begins with /");
        }
        if path.len() > LONGEST || path.contains('\0') {
            return Err("the path of a socket has at most 107 bytes, none of them zero");
        }
        Ok(Self { name: text.to_owned(), way: Way::Unix(path.into()) })
    }

    /// `tcp://HOST:PORT`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn tcp(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix("tcp://").ok_or("it does not begin with tcp://")?;
        let authority = authority(rest).filter(|authority| authority.port().is_some());
        let authority = authority.ok_or("no HOST:PORT after tcp://")?;
        Ok(Self { name: text.to_owned(), way: Way::Tcp(authority) })
    }

    /// `http://HOST` or `http://HOST:PORT`; without a port it is 80.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn http(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix("http://").ok_or("it does not begin with http://")?;
        let authority = authority(rest.strip_suffix('/').unwrap_or(rest));
        let authority = authority.ok_or("no HOST or HOST:PORT, and no more, after http://")?;
        Ok(Self { name: text.to_owned(), way: Way::Tcp(authority) })
    }

    /// The authority in the requests' URIs: their `Host`. Over a socket file the name means
    /// nothing; Docker's own client sends one like it.
    pub(super) fn authority(&self) -> &str {
        match &self.way {
            Way::Unix(_) => "docker",
            Way::Tcp(authority) => authority.as_str(),
        }
    }

    /// The name or address of the host, for its certificate; none for a socket file.
    pub(super) fn host(&self) -> Option<&str> {
        match &self.way {
            Way::Unix(_) => None,
            Way::Tcp(authority) => Some(authority.host().trim_matches(['[', ']'])),
        }
    }
}

/// A host and perhaps a port, but no user.
fn authority(text: &str) -> Option<Authority> {
    let authority: Authority = text.parse().ok()?;
    let (host, port) = (authority.host(), authority.port_u16());
    let port_is_good = text.len() == host.len() || port.is_some_and(|port| port > 0);
    (!host.is_empty() && !text.contains('@') && port_is_good).then_some(authority)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_http_server_needs_no_port() {
        for (text, authority) in [
            ("http://rancher-metadata", "rancher-metadata"),
            ("http://rancher-metadata/", "rancher-metadata"),
            ("http://169.254.169.250:80", "169.254.169.250:80"),
            ("http://[2001:db8::1]", "[2001:db8::1]"),
            ("http://[2001:db8::1]:8080/", "[2001:db8::1]:8080"),
        ] {
            let address = Address::http(text).unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(address.authority(), authority);
        }
        for text in [
            "",
            "http://",
            "http:///",
            "https://x",
            "rancher-metadata",
            "http://x:",
            "http://x:0",
            "http://x:65536",
            "http://:80",
            "http://x/latest",
            "http://x//",
            "http://x?y",
            "http://user@x",
            "http://a b",
            "http://x\r\nX: y",
        ] {
            assert!(Address::http(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_host_is_what_a_certificate_names() {
        let host = |text| Address::tcp(text).unwrap().host().map(str::to_owned);
        assert_eq!(host("tcp://docker.example:2376").as_deref(), Some("docker.example"));
        assert_eq!(host("tcp://[2001:db8::1]:2376").as_deref(), Some("2001:db8::1"));
        assert_eq!(Address::unix("unix:///run/docker.sock").unwrap().host(), None);
    }
}
