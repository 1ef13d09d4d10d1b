//! Who is believed over TLS, and with what one proves who one is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Why files are no credentials.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be used for TLS: {why}", path.display())]
pub struct CredentialsError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// A directory with `ca.pem`, `cert.pem` and `key.pem`, as Docker has it: the only authority that is
/// believed, one's own certificate with those that lead from it to the server's authority, and its
/// key. The last two may be missing together, if the server asks nobody who he is.
#[derive(Debug, Clone)]
pub struct Credentials(pub(super) Arc<ClientConfig>);

impl Credentials {
    /// Reads the files.
    ///
    /// # Errors
    /// [`CredentialsError`] for the one that is missing or that is not what it should be.
    pub fn read(directory: &Path) -> Result<Self, CredentialsError> {
        let (ca, cert) = (directory.join("ca.pem"), directory.join("cert.pem"));
        let key = directory.join("key.pem");
        let mut roots = RootCertStore::empty();
        for authority in certificates(&ca)? {
            roots.add(authority).map_err(|error| bad(&ca, error))?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| bad(&ca, error))?.with_root_certificates(roots);
        let config = if is_absent(&cert) && is_absent(&key) {
            builder.with_no_client_auth()
        } else {
            let (chain, secret) = (certificates(&cert)?, private_key(&key)?);
            builder.with_client_auth_cert(chain, secret).map_err(|error| bad(&cert, error))?
        };
        Ok(Self(Arc::new(config)))
    }
}

fn is_absent(path: &Path) -> bool {
    fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn bad(path: &Path, why: impl ToString) -> CredentialsError {
    CredentialsError { path: path.to_owned(), why: why.to_string() }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let text = fs::read(path).map_err(|error| bad(path, error))?;
    let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| bad(path, reason(&error)))?;
    if certificates.is_empty() {
        return Err(bad(path, "there is no certificate (PEM) in it"));
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, CredentialsError> {
    let text = fs::read(path).map_err(|error| bad(path, error))?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            bad(path, "there is no private key (PEM, without passphrase) in it")
        }
        error => bad(path, reason(&error)),
    })
}

/// Without the contents of the file: it may be a secret.
fn reason(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "it ends too early",
        _ => "it is not PEM",
    }
}
