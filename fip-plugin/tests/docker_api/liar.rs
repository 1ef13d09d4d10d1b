//! Daemons that answer as they are told, right or wrong.

use std::fs;
use std::io::{BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use fip_plugin::docker::Docker;
use tiny_http::{Header, Request, Response, Server};

/// Long enough for a busy machine: for questions that are answered.
pub(crate) const PATIENT: Duration = Duration::from_secs(30);
/// For questions that are not.
pub(crate) const SHORT: Duration = Duration::from_millis(200);

/// A directory of its own, gone with the value.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name =
            format!("fip-docker-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("docker.sock")
    }

    /// A client of the socket in this directory.
    pub(crate) fn docker(&self, timeout: Duration) -> Docker {
        Docker::new(&format!("unix://{}", self.socket().display()), timeout).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// What a question carried.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) host: String,
    pub(crate) body: String,
}

/// A daemon that speaks HTTP well; what it says is for `answer` to decide, by URL.
pub(crate) struct Daemon {
    pub(crate) dir: Dir,
    server: Arc<Server>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Daemon {
    pub(crate) fn new(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> Self {
        Self::with(move |url| {
            let (status, body) = answer(url);
            (status, body, None)
        })
    }

    /// Also with a `Location`.
    pub(crate) fn with(
        answer: impl Fn(&str) -> (u16, String, Option<String>) + Send + 'static,
    ) -> Self {
        let dir = Dir::new();
        let listener = UnixListener::bind(dir.socket()).unwrap();
        let server = Arc::new(Server::from_listener(listener, None).unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let daemon = Self { dir, server: server.clone(), asked: asked.clone() };
        thread::spawn(move || {
            for mut request in server.incoming_requests() {
                asked.lock().unwrap().push(question(&mut request));
                let (status, body, location) = answer(request.url());
                let mut response = Response::from_string(body).with_status_code(status);
                if let Some(location) = location {
                    response.add_header(Header::from_bytes("Location", location).unwrap());
                }
                // A client that has had enough of it has gone.
                _ = request.respond(response);
            }
        });
        daemon
    }

    pub(crate) fn docker(&self) -> Docker {
        self.dir.docker(PATIENT)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

fn question(request: &mut Request) -> Asked {
    let mut body = String::new();
    request.as_reader().read_to_string(&mut body).unwrap();
    let host = request.headers().iter().find(|h| h.field.equiv("Host")).unwrap();
    Asked {
        method: request.method().to_string(),
        url: request.url().to_owned(),
        host: host.value.to_string(),
        body,
    }
}

/// A daemon that does not even speak HTTP: after each question, `answer` has the connection.
pub(crate) fn raw(answer: impl Fn(&mut UnixStream) + Send + 'static) -> Dir {
    let dir = Dir::new();
    let listener = UnixListener::bind(dir.socket()).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            read_question(&mut stream);
            answer(&mut stream);
        }
    });
    dir
}

/// A daemon that says these bytes and hangs up.
pub(crate) fn says(bytes: impl Into<Vec<u8>>) -> Dir {
    let bytes = bytes.into();
    raw(move |stream| {
        // It may be refused before its end.
        _ = stream.write_all(&bytes);
    })
}

/// The first line of a question. What comes after its head may be read too, and is forgotten.
pub(crate) fn read_question(stream: &mut impl Read) -> String {
    let mut stream = BufReader::new(stream);
    let mut question = Vec::new();
    let mut byte = [0];
    while !question.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
        question.push(byte[0]);
    }
    String::from_utf8_lossy(&question).lines().next().unwrap_or_default().to_owned()
}
