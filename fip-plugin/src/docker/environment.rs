//! Where Docker is, and how one proves who one is, as Docker's own command line finds out.
//!
//! <https://docs.docker.com/reference/cli/docker/#environment-variables>

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::{Docker, DockerError};
use crate::ask::Credentials;

impl Docker {
    /// The daemon at `host`; without one, the daemon at `DOCKER_HOST`; without that, the one at
    /// [`Docker::SOCKET`].
    ///
    /// If `DOCKER_TLS_VERIFY` is set, a daemon at `tcp://` is asked over TLS, with the `ca.pem`,
    /// `cert.pem` and `key.pem` in the directory `DOCKER_CERT_PATH`, or else `DOCKER_CONFIG`, or else
    /// `~/.docker`. Only that `ca.pem` is believed. A variable that is empty is not set.
    ///
    /// # Errors
    /// As for [`Docker::new`], and [`DockerError::Credentials`] for those files.
    pub fn from_environment(host: Option<&str>, timeout: Duration) -> Result<Self, DockerError> {
        Self::from_variables(host, timeout, |name| env::var_os(name))
    }

    fn from_variables(
        host: Option<&str>,
        timeout: Duration,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, DockerError> {
        let variable = |name| variable(name).filter(|value| !value.is_empty());
        let named = variable("DOCKER_HOST").map(|host| host.to_string_lossy().into_owned());
        let host = host.map(str::to_owned).or(named).unwrap_or_else(|| Self::SOCKET.to_owned());
        let docker = Self::new(&host, timeout)?;
        if variable("DOCKER_TLS_VERIFY").is_none() || !host.starts_with("tcp://") {
            return Ok(docker);
        }
        let home = || variable("HOME").map(|home| PathBuf::from(home).join(".docker").into());
        let directory = variable("DOCKER_CERT_PATH").or_else(|| variable("DOCKER_CONFIG"));
        let directory = directory.or_else(home).unwrap_or_default();
        match Credentials::read(directory.as_ref()) {
            Ok(credentials) => Ok(docker.with_credentials(credentials)),
            Err(source) => Err(DockerError::Credentials { host, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docker(host: Option<&str>, variables: &[(&str, &str)]) -> Result<Docker, DockerError> {
        Docker::from_variables(host, Duration::from_secs(1), |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_more_particular_word_counts() {
        for (host, variables, expected) in [
            (None, [("DOCKER_HOST", "")].as_slice(), Docker::SOCKET),
            (None, &[("DOCKER_HOST", "tcp://192.0.2.1:2375")], "tcp://192.0.2.1:2375"),
            (Some("unix:///s"), &[("DOCKER_HOST", "tcp://192.0.2.1:2375")], "unix:///s"),
            (Some("unix:///s"), &[("DOCKER_TLS_VERIFY", "1")], "unix:///s"),
            (
                None,
                &[("DOCKER_HOST", "tcp://192.0.2.1:1"), ("DOCKER_TLS_VERIFY", "")],
                "tcp://192.0.2.1:1",
            ),
        ] {
            let docker = docker(host, variables).unwrap();
            assert_eq!(docker.client.address().to_string(), expected, "{host:?} {variables:?}");
        }
        let error = docker(None, &[("DOCKER_HOST", "ssh://x")]).unwrap_err();
        assert!(matches!(error, DockerError::Host { .. }), "{error}");
    }

    #[test]
    fn without_its_files_tls_is_an_error_that_names_them() {
        let tls = ("DOCKER_TLS_VERIFY", "1");
        for (variables, file) in [
            ([tls, ("DOCKER_CERT_PATH", "/nowhere/a")].as_slice(), "/nowhere/a/ca.pem"),
            (&[tls, ("DOCKER_CONFIG", "/nowhere/b"), ("HOME", "/x")], "/nowhere/b/ca.pem"),
            (&[tls, ("HOME", "/nowhere/c")], "/nowhere/c/.docker/ca.pem"),
        ] {
            let error = docker(Some("tcp://192.0.2.1:2376"), variables).unwrap_err();
            let DockerError::Credentials { source, .. } = &error else { panic!("{error}") };
            assert!(source.to_string().starts_with(file), "{source}");
            assert!(error.hint().unwrap().contains("DOCKER_CERT_PATH"));
        }
    }
}
