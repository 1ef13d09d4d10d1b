//! Where a Docker daemon listens.

use super::DockerError;
use crate::ask::Address;

/// Parses `unix:///PATH` and `tcp://HOST:PORT`.
pub(super) fn parse(input: &str) -> Result<Address, DockerError> {
    let address = match input.split_once("://") {
        Some(("unix", _)) => Address::unix(input),
        Some(("tcp", _)) => Address::tcp(input),
        _ => Err("it begins neither with unix:// nor with tcp://"),
    };
    address.map_err(|why| DockerError::Host { input: input.to_owned(), why: why.to_owned() })
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
            assert_eq!(parse(text).unwrap().to_string(), text);
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
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(reason), "{text:?}: {error}");
            assert!(error.hint().unwrap().contains("unix:///"), "{text:?}");
        }
    }
}
