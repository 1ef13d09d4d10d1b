//! A stand-in for dockerd's API that tells the truth, by asking dockerd, or whatever it is told to.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::docker::Engine;
use crate::lab::wait_for;

/// What is answered instead of the truth, to a question about a network.
type Lie = Box<dyn Fn(&str) -> Option<Vec<u8>> + Send>;

/// It listens until the machine ends.
pub(super) struct Liar {
    shared: Arc<Shared>,
}

struct Shared {
    dockerd: PathBuf,
    lie: Mutex<Lie>,
    asked: Mutex<Vec<String>>,
    following: Mutex<Vec<UnixStream>>,
}

impl Liar {
    /// The argument that has the plugin ask it.
    pub(super) const ARGUMENT: &str = "--docker unix:///run/disk/liar.sock";

    /// It starts with the truth.
    pub(super) fn start(engine: &Engine) -> Self {
        let listener = UnixListener::bind(engine.machine().path("/run/disk/liar.sock")).unwrap();
        let shared = Arc::new(Shared {
            dockerd: engine.machine().path("/run/docker.sock"),
            lie: Mutex::new(Box::new(|_| None)),
            asked: Mutex::default(),
            following: Mutex::default(),
        });
        let here = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, here) = (stream.unwrap(), here.clone());
                thread::spawn(move || here.answer(stream));
            }
        });
        Self { shared }
    }

    /// From now on, it says this; the truth where this is none.
    pub(super) fn say(&self, lie: impl Fn(&str) -> Option<Vec<u8>> + Send + 'static) {
        *self.shared.lie.lock().unwrap() = Box::new(lie);
        self.shared.asked.lock().unwrap().clear();
    }

    /// Waits until it was asked for networks that often since it last changed its mind.
    pub(super) fn wait_for_questions(&self, count: usize) {
        wait_for("questions to dockerd", || (self.asked() >= count).then_some(()));
    }

    /// How often it was asked for networks.
    pub(super) fn asked(&self) -> usize {
        self.shared.asked.lock().unwrap().len()
    }

    /// Breaks the connections of those who follow it, as a dockerd that ends does.
    pub(super) fn hang_up(&self) {
        for stream in self.shared.following.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn answer(&self, mut stream: UnixStream) {
        let mut question = Vec::new();
        let mut byte = [0];
        while !question.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n > 0) {
            question.push(byte[0]);
        }
        let head = String::from_utf8(question).unwrap();
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let lie = if path.starts_with("/networks/") {
            let lie = self.lie.lock().unwrap()(&path);
            self.asked.lock().unwrap().push(path);
            lie
        } else {
            if path.starts_with("/events") {
                self.following.lock().unwrap().push(stream.try_clone().unwrap());
            }
            None
        };
        // Whoever has heard enough hangs up.
        let _ = match lie {
            Some(bytes) => stream.write_all(&bytes),
            None => self.pass_on(&head, &mut stream),
        };
    }

    fn pass_on(&self, head: &str, stream: &mut UnixStream) -> std::io::Result<()> {
        let mut dockerd = UnixStream::connect(&self.dockerd)?;
        dockerd.write_all(head.as_bytes())?;
        std::io::copy(&mut dockerd, stream).map(drop)
    }
}

/// An answer that is well-formed HTTP.
pub(super) fn http(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = "Content-Type: application/json\r\nConnection: close\r\nContent-Length:";
    format!("HTTP/1.1 {status} Whatever\r\n{head} {length}\r\n\r\n{body}").into_bytes()
}
