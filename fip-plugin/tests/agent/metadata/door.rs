//! The service's HTTP: a thread for each connection, a question for each.

use std::io::{self, BufReader, Read, Write};
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::world::{Found, as_text};
use super::{Asked, Fault, Shared};
use crate::lab::Ns;

/// Answers that are longer come in chunks.
const WHOLE: usize = 2048;

/// Where questions come in; with it go all that are not answered.
pub(super) struct Door {
    listener: TcpListener,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    pub(super) fn open(ns: &Ns, port: u16, shared: Arc<Shared>) -> Self {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let listener = ns.run(|| TcpListener::bind(any)).unwrap();
        let streams: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let (accepting, present) = (listener.try_clone().unwrap(), streams.clone());
        let thread = thread::spawn(move || {
            while let Ok((stream, peer)) = accepting.accept() {
                present.lock().unwrap().push(stream.try_clone().unwrap());
                let (shared, present) = (shared.clone(), present.clone());
                thread::spawn(move || {
                    // Who asks may go at any time.
                    _ = answer(&stream, peer.ip().to_canonical(), &shared);
                    _ = stream.shutdown(Shutdown::Both);
                    let same = |other: &TcpStream| other.peer_addr().ok() == Some(peer);
                    present.lock().unwrap().retain(|other| !same(other));
                });
            }
        });
        Self { listener, streams, thread: Some(thread) }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        _ = SockRef::from(&self.listener).shutdown(Shutdown::Both);
        _ = self.thread.take().unwrap().join();
        for stream in self.streams.lock().unwrap().drain(..) {
            _ = stream.shutdown(Shutdown::Both);
        }
    }
}

struct Question {
    asked: Asked,
    path: String,
    query: Vec<(String, String)>,
    from: IpAddr,
}

impl Question {
    fn read(stream: &TcpStream, from: IpAddr) -> io::Result<Self> {
        let mut stream = BufReader::new(stream);
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut words = head.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (method, target) = (word(), word());
        let accept = head.lines().filter_map(|line| line.split_once(": "));
        let accept = accept.filter(|(name, _)| name.eq_ignore_ascii_case("accept"));
        let accept = accept.map(|(_, value)| value.to_owned()).next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let query = query.split('&').filter_map(|pair| pair.split_once('='));
        let query = query.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let path = path.to_owned();
        Ok(Self { asked: Asked { method, target, accept }, path, query, from })
    }

    /// `version`, `self/host`, ...
    fn what(&self) -> &str {
        let rest = self.path.trim_matches('/').split_once('/');
        rest.map_or("", |(_, what)| what)
    }

    fn version(&self) -> &str {
        self.path.trim_matches('/').split('/').next().unwrap_or_default()
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// What the waiting is for to change.
    fn waits_for_other_than(&self) -> Option<&str> {
        let old = self.value("value").filter(|old| !["", "init"].contains(old))?;
        (self.value("wait") == Some("true") && !self.what().is_empty()).then_some(old)
    }

    fn as_json(&self) -> bool {
        ["application/json", "application/json, */*"].contains(&self.asked.accept.as_str())
    }

    fn fault(&self, shared: &Shared) -> Option<Fault> {
        let world = shared.world();
        let poll = (self.what() == "version" && self.value("wait").is_some()).then_some("poll");
        let keys = poll.into_iter().chain([self.what(), "*"]);
        keys.filter_map(|key| world.faults.get(key)).next().cloned()
    }
}

fn answer(stream: &TcpStream, from: IpAddr, shared: &Shared) -> io::Result<()> {
    let question = Question::read(stream, from)?;
    shared.asked.lock().unwrap().push(question.asked.clone());
    let right = || whole(&question, wait(&question, shared));
    match question.fault(shared) {
        None => {
            let (status, body) = right();
            say(stream, status, "", &body)
        }
        // Until the other side has had enough, or the service ends.
        Some(Fault::Hang) => {
            let mut stream = stream;
            stream.read(&mut [0]).map(drop)
        }
        Some(Fault::Gone) => Ok(()),
        Some(Fault::Cut) => {
            let (_, body) = right();
            let mut stream = stream;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes())?;
            stream.write_all(&body.as_bytes()[..body.len() / 2])
        }
        Some(Fault::HalfJson) => {
            let (_, body) = right();
            say(stream, 200, "", &body[..body.len() / 2])
        }
        Some(Fault::Says(body)) => say(stream, 200, "", &body),
        Some(Fault::Status(status)) => say(stream, status, "", &right().1),
        Some(Fault::Redirect) => say(stream, 301, "Location: /elsewhere\r\n", ""),
    }
}

/// What is there, once a poll is over.
fn wait(question: &Question, shared: &Shared) -> Found {
    let find =
        |world: &mut super::World| world.find(question.version(), question.what(), question.from);
    let mut world = shared.world();
    let mut found = find(&mut world);
    let Some(old) = question.waits_for_other_than() else { return found };
    let over = world.deadline(question.value("maxWait"));
    // Without data at its beginning, a poll of the newest version never sees any.
    let blind = matches!(found, Found::Nothing);
    while !matches!(&found, Found::Value(value) if as_text(value) != old) || blind {
        let left = over.map(|over| over.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            break;
        }
        world.polls.push(old.to_owned());
        world = match left {
            Some(left) => shared.changed.wait_timeout(world, left).unwrap().0,
            None => shared.changed.wait(world).unwrap(),
        };
        let this = world.polls.iter().position(|other| other == old).unwrap();
        world.polls.swap_remove(this);
        if !blind {
            found = find(&mut world);
        }
    }
    found
}

/// Status and body of a right answer.
fn whole(question: &Question, found: Found) -> (u16, String) {
    if question.path == "/elsewhere" {
        return (200, r#"[{"uuid":"x","host_uuid":"there"}]"#.to_owned());
    }
    if question.asked.method != "GET" {
        return (404, "404 page not found\n".to_owned());
    }
    if question.path.contains("//") || question.path.contains("..") {
        return (301, String::new());
    }
    let refusal = |text: &str| {
        let json = serde_json::json!({"code": 404, "message": text, "type": "error"});
        if question.as_json() { format!("{json}\n") } else { format!("{text}\n") }
    };
    match found {
        Found::NoVersion => (404, refusal("Invalid version")),
        Found::Nothing => (404, refusal("Not found")),
        Found::Value(value) if question.as_json() => (200, value.to_string()),
        Found::Value(value) => (200, as_text(&value)),
    }
}

fn say(mut stream: &TcpStream, status: u16, header: &str, body: &str) -> io::Result<()> {
    // Whatever it is.
    let head = format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: text/plain; charset=utf-8\r\n{header}\
         Connection: close\r\n"
    );
    if body.len() <= WHOLE {
        let length = body.len();
        return stream
            .write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes());
    }
    let mut answer = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.as_bytes().chunks(WHOLE) {
        answer.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        answer.extend(chunk);
        answer.extend(b"\r\n");
    }
    answer.extend(b"0\r\n\r\n");
    // At once: in small pieces, the largest answers would take a busy machine longer than a poll.
    stream.write_all(&answer)
}
