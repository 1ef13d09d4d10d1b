//! By what name a client knows us.

use std::net::{IpAddr, Ipv6Addr};

use httparse::Header;

use super::Refused;

/// Whether a header `Host` has a name in it that is neither `localhost` nor an address: a name that
/// somebody else may make lead anywhere.
pub(super) fn is_named(headers: &[Header<'_>]) -> bool {
    let mut hosts = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    hosts.any(|host| !is_unambiguous(host.value))
}

/// The client asked another host, and came here.
pub(super) fn refusal() -> Refused {
    Refused::answered(421, "ask for localhost or by address: any web page can choose a name")
}

/// `HOST` or `HOST:PORT` (RFC 9110, section 7.2); none is no name.
fn is_unambiguous(value: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(value) else { return false };
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(host, _)| host.parse::<Ipv6Addr>().is_ok());
    }
    let host = text.split(':').next().unwrap_or_default();
    host.is_empty() || host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(hosts: &[&str]) -> bool {
        let headers = hosts.iter().map(|host| Header { name: "HOST", value: host.as_bytes() });
        is_named(&headers.collect::<Vec<_>>())
    }

    #[test]
    fn only_names_are_names() {
        for host in [
            "",
            "localhost",
            "LocalHost:9797",
            "127.0.0.1",
            "127.0.0.1:9797",
            "[::1]:9797",
            "[::1]",
        ] {
            assert!(!named(&[host]), "{host:?}");
        }
        assert!(!named(&[]));
        for host in [
            "rebound.example",
            "rebound.example:9797",
            "localhost.example",
            "127.0.0.1.example:80",
            "127.1",
            "[rebound.example]",
            "[::1",
            "\u{ff11}27.0.0.1",
        ] {
            assert!(named(&[host]), "{host:?}");
        }
        assert!(named(&["localhost", "rebound.example"]));
    }
}
