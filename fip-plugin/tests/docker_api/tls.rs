//! Docker over TLS: who is believed, and who believes.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use fip_plugin::ask::Credentials;
use fip_plugin::docker::{Change, Docker, DockerError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::liar::{Dir, PATIENT, SHORT, read_question};
use super::{NETWORK, network};

/// An authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate, and its key.
struct Signed {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for this name.
    fn signs(&self, name: &str) -> Signed {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        Signed { certificate: params.signed_by(&key, &self.0).unwrap(), key }
    }
}

/// The directory of a client that believes in `authority` and is `who`.
fn directory(authority: &Authority, who: Option<&Signed>) -> Dir {
    let dir = Dir::new();
    fs::write(dir.path().join("ca.pem"), authority.0.pem()).unwrap();
    if let Some(who) = who {
        fs::write(dir.path().join("cert.pem"), who.certificate.pem()).unwrap();
        fs::write(dir.path().join("key.pem"), who.key.serialize_pem()).unwrap();
    }
    dir
}

/// A server at 127.0.0.1 that answers whoever `clients` has signed, or everybody.
fn server(
    own: &Signed,
    clients: Option<&Authority>,
    answer: impl Fn(&mut dyn Write) + Send + 'static,
) -> String {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.0.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let chain = vec![own.certificate.der().clone()];
    let key = PrivateKeyDer::Pkcs8(own.key.serialize_der().into());
    let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
    listen(move |stream| {
        let connection = ServerConnection::new(config.clone()).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        if read_question(&mut stream).starts_with("GET ") {
            answer(&mut stream);
        }
        stream.conn.send_close_notify();
        _ = stream.flush();
        // Whatever else was sent is taken, or the end would be a reset that swallows the alert.
        _ = stream.sock.shutdown(std::net::Shutdown::Write);
        while stream.sock.read(&mut [0; 256]).is_ok_and(|read| read > 0) {}
    })
}

/// The address of one who does this with each connection.
fn listen(with: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    thread::spawn(move || listener.incoming().for_each(|stream| with(stream.unwrap())));
    address
}

fn its_network(to: &mut dyn Write) {
    let body = network("{}");
    write!(to, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
}

fn docker(host: &str, directory: &Path) -> Docker {
    let docker = Docker::new(host, PATIENT).unwrap();
    docker.with_credentials(Credentials::read(directory).unwrap())
}

/// What is asked of that server, with the credentials of that directory.
fn ask(host: &str, directory: &Dir) -> Result<(), DockerError> {
    docker(host, directory.path()).network("fipnet").map(|network| {
        assert_eq!(network.unwrap().id, NETWORK);
    })
}

fn not_believed(error: &DockerError) -> bool {
    let invalid = matches!(error, DockerError::Unreachable { source, .. }
        if source.kind() == io::ErrorKind::InvalidData);
    invalid && error.hint().unwrap().contains("DOCKER_CERT_PATH")
}

#[test]
fn both_sides_prove_who_they_are() {
    let (authority, other) = (Authority::new(), Authority::new());
    let host = server(&authority.signs("127.0.0.1"), Some(&authority), its_network);
    let client = authority.signs("client");
    ask(&host, &directory(&authority, Some(&client))).unwrap();

    let nobody = ask(&host, &directory(&authority, None)).unwrap_err();
    assert!(not_believed(&nobody), "{nobody:?}");
    let stranger = ask(&host, &directory(&authority, Some(&other.signs("client")))).unwrap_err();
    assert!(not_believed(&stranger), "{stranger:?}");
    let elsewhere = ask(&host, &directory(&other, Some(&client))).unwrap_err();
    assert!(not_believed(&elsewhere), "{elsewhere:?}");
}

#[test]
fn a_server_must_be_the_one_that_was_asked_for() {
    let authority = Authority::new();
    let directory = directory(&authority, None);
    for (name, is_it) in [("127.0.0.1", true), ("127.0.0.2", false), ("docker.example", false)] {
        let asked = ask(&server(&authority.signs(name), None, its_network), &directory);
        match asked {
            Ok(()) => assert!(is_it, "{name}"),
            Err(error) => assert!(!is_it && not_believed(&error), "{name}: {error:?}"),
        }
    }
}

#[test]
fn events_come_over_tls_too() {
    let authority = Authority::new();
    let host = server(&authority.signs("127.0.0.1"), None, |to| {
        to.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        for _ in 0..1000 {
            let actor = r#"{"ID":"c","Attributes":{}}"#;
            let event = format!(r#"{{"Type":"container","Action":"start","Actor":{actor}}}"#);
            writeln!(to, "{event}").unwrap();
        }
    });
    let directory = directory(&authority, None);
    let mut changes = docker(&host, directory.path()).changes().unwrap();
    for _ in 0..1000 {
        assert_eq!(changes.wait().unwrap(), Change::Started("c".to_owned()));
    }
    let error = changes.wait().unwrap_err();
    assert!(matches!(error, DockerError::Unreachable { .. }), "{error}");
}

#[test]
fn one_who_does_not_speak_tls_is_an_error_in_time() {
    let authority = Authority::new();
    let directory = directory(&authority, None);
    let plain = listen(|mut stream| {
        _ = stream.read(&mut [0; 4096]);
        its_network(&mut stream);
    });
    let error = ask(&plain, &directory).unwrap_err();
    assert!(not_believed(&error), "{error:?}");

    let silent = listen(|_stream| thread::sleep(PATIENT * 10));
    let credentials = Credentials::read(directory.path()).unwrap();
    let docker = Docker::new(&silent, SHORT).unwrap().with_credentials(credentials);
    for error in [docker.network("fipnet").unwrap_err(), docker.changes().unwrap_err()] {
        let DockerError::Unreachable { source, .. } = &error else { panic!("{error}") };
        assert_eq!(source.to_string(), "no answer within 200ms");
    }
}

#[test]
fn what_are_no_credentials_is_told_by_file() {
    let authority = Authority::new();
    let (one, two) = (authority.signs("one"), authority.signs("two"));
    let key = one.key.serialize_pem();
    let end = key.rfind("-----END").unwrap();
    for (file, text, why) in [
        ("ca.pem", None, "No such file"),
        ("ca.pem", Some(""), "no certificate"),
        ("ca.pem", Some(key.as_str()), "no certificate"),
        ("ca.pem", Some("-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n"), "not PEM"),
        ("ca.pem", Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), ""),
        ("cert.pem", None, "No such file"),
        ("cert.pem", Some("\0"), "no certificate"),
        ("cert.pem", Some(&two.certificate.pem()), ""),
        ("key.pem", None, "No such file"),
        ("key.pem", Some(&one.certificate.pem()), "no private key"),
        ("key.pem", Some(&key[..end]), "ends too early"),
    ] {
        let dir = directory(&authority, Some(&one));
        let path = dir.path().join(file);
        match text {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let error = Credentials::read(dir.path()).unwrap_err();
        assert_eq!(error.path, path, "{text:?}");
        assert!(error.why.contains(why), "{error}");
        let secret = key.lines().nth(1).unwrap();
        assert!(!error.to_string().contains(secret), "{error}");
    }
    let dir = directory(&authority, Some(&one));
    Credentials::read(dir.path()).unwrap();
}
