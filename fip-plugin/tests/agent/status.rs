//! Asking the agent for its state, over real sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fip_core::error::Chain;
use fip_plugin::agent::actuator::Signal;
use fip_plugin::agent::board::{Board, Entry};
use fip_plugin::agent::model::{Presence, State, Wish, Workload};
use fip_plugin::agent::source::SourceError;
use fip_plugin::agent::status::{self, Place, Report};
use fip_plugin::http::Stop;
use fip_plugin::options::parse_floating;
use socket2::SockRef;

use crate::web::{Answer, Directory, PATIENCE, Stream, ask, receive, unix, wait_for};

/// More than are served at a time.
const CROWD: usize = 70;

/// A board that is asked at a socket and at a port.
struct Server {
    board: Board,
    path: PathBuf,
    tcp: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<std::io::Result<()>>>,
    _directory: Directory,
}

impl Server {
    fn start() -> Self {
        let directory = Directory::new();
        let path = directory.join("agent.sock");
        let board = Board::new("docker", "direct");
        let port = "127.0.0.1:0".parse::<Place>().unwrap().listen().unwrap();
        let tcp = port.local_tcp().unwrap();
        let listeners = vec![Place::Unix(path.clone()).listen().unwrap(), port];
        let stop = Stop::new().unwrap();
        let (written, stopped) = (board.clone(), stop.clone());
        let thread = thread::spawn(move || status::serve(written, listeners, &stopped));
        Self { board, path, tcp, stop, thread: Some(thread), _directory: directory }
    }

    fn socket(&self) -> impl Stream + use<> {
        unix(&self.path)
    }

    fn port(&self) -> impl Stream + use<> {
        let stream = std::net::TcpStream::connect(self.tcp).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// What both doors answer alike.
    fn ask(&self, request: &str) -> Answer {
        let answers =
            [ask(self.socket(), request.as_bytes()), ask(self.port(), request.as_bytes())];
        let [one, other] = &answers;
        assert_eq!((one.status, &one.body), (other.status, &other.body), "{request:?}");
        let [answer, _] = answers;
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.ask();
        let result = self.thread.take().unwrap().join();
        assert!(thread::panicking() || matches!(result, Ok(Ok(()))), "{result:?}");
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

fn workload(name: &str, asks: &str) -> Workload {
    Workload {
        id: format!("id of {name}"),
        name: name.to_owned(),
        container: None,
        asks: asks.to_owned(),
        age: 0,
        run: 0,
        presence: Presence::Running(vec!["172.17.0.2".parse().unwrap()]),
    }
}

fn bound(name: &str, asks: &str) -> Entry {
    let floating = parse_floating(asks).unwrap();
    Entry::wished(Wish { workload: workload(name, asks).into(), floating }, State::Bound)
}

fn printed(place: &Place, json: bool) -> (bool, String) {
    let mut text = Vec::new();
    let healthy = status::print(place, json, &mut text).unwrap();
    (healthy, String::from_utf8(text).unwrap())
}

#[test]
fn three_pages_are_there_and_no_other() {
    let server = Server::start();
    assert_eq!(server.ask(&get("/healthz")).status, 503);
    server.board.listed(1);
    let health = server.ask(&get("/healthz"));
    assert_eq!((health.status, health.body.as_slice()), (200, &b"ok\n"[..]));
    let metrics = ask(server.port(), get("/metrics").as_bytes());
    assert!(metrics.head.contains("\r\nContent-Type: text/plain; version=0.0.4;"), "{metrics:?}");
    assert!(metrics.body.starts_with(b"# HELP fip_agent_"), "{metrics:?}");
    // The age of the source is another each time.
    for answer in [
        ask(server.socket(), get("/status?pretty").as_bytes()),
        ask(server.port(), get("/status").as_bytes()),
    ] {
        assert!(answer.head.contains("\r\nContent-Type: application/json\r\n"), "{answer:?}");
        let report: Report = serde_json::from_slice(&answer.body).unwrap();
        assert!(report.healthy);
    }
    assert_eq!(server.ask(&get("/")).status, 404);
    assert_eq!(server.ask(&get("/Plugin.Activate")).status, 404);
}

#[test]
fn a_head_is_a_get_without_the_body() {
    let server = Server::start();
    for (path, status) in [("/healthz", "503"), ("/nowhere", "404")] {
        let body = server.ask(&get(path)).body;
        let mut stream = server.port();
        stream.write_all(get(path).replace("GET", "HEAD").as_bytes()).unwrap();
        let mut head = String::new();
        stream.read_to_string(&mut head).unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
        assert!(head.ends_with("\r\n\r\n") && !body.is_empty(), "{head}");
    }
}

#[test]
fn nothing_can_be_done_here() {
    let server = Server::start();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get"] {
        let answer = server.ask(&get("/status").replace("GET", method));
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.contains("\r\nAllow: GET, HEAD\r\n"), "{}", answer.head);
    }
}

#[test]
fn what_is_too_much_is_refused() {
    let server = Server::start();
    let headed = |headers: &str| format!("GET /status HTTP/1.1\r\n{headers}\r\n\r\n");
    for (request, status) in [
        (get(&"/x".repeat(5 << 20)), 431),
        (headed(&format!("A: {}", "b".repeat(10 << 20))), 431),
        (headed(&"A: b\r\n".repeat(65)), 431),
        (headed("Content-Length: 1") + "x", 413),
        (headed("Content-Length: 10485760") + &"x".repeat(10 << 20), 413),
        (headed("Transfer-Encoding: chunked") + "1\r\nx\r\n0\r\n\r\n", 413),
        ("\u{16}\u{3}\u{1}".to_owned(), 400),
    ] {
        let answer = server.ask(&request);
        assert_eq!(answer.status, status, "{:?}", &request.get(..60));
    }
}

#[test]
fn web_pages_learn_nothing() {
    let server = Server::start();
    let of_page = get("/status").replace("\r\n\r\n", "\r\nOrigin: http://rebound.example\r\n\r\n");
    assert_eq!(server.ask(&of_page).status, 403);
    let rebound = get("/status").replace("localhost", "rebound.example:9797");
    assert_eq!(ask(server.port(), rebound.as_bytes()).status, 421);
    // No page gets as far as the socket, and there the name means nothing.
    assert_eq!(ask(server.socket(), rebound.as_bytes()).status, 200);
    for host in ["localhost:9797", "127.0.0.1:9797", "[::1]:9797", ""] {
        let request = get("/status").replace("localhost", host);
        assert_eq!(ask(server.port(), request.as_bytes()).status, 200, "{host:?}");
    }
    assert_eq!(ask(server.port(), b"GET /status HTTP/1.0\r\n\r\n").status, 200);
}

#[test]
fn a_crowd_at_the_port_holds_up_neither_the_agent_nor_the_socket() {
    let server = Server::start();
    let mut crowd: Vec<_> = (0..CROWD).map(|_| server.port()).collect();
    for (number, client) in crowd.iter_mut().enumerate() {
        let begun = get("/status");
        client.write_all(&begun.as_bytes()[..number % begun.len()]).unwrap();
    }
    server.board.listed(1);
    assert_eq!(ask(server.socket(), get("/healthz").as_bytes()).status, 200);
    // They lose their places, and the port is there for others.
    assert_eq!(ask(server.port(), get("/healthz").as_bytes()).status, 200);
    drop(crowd);
}

#[test]
fn who_does_not_read_the_answer_does_not_keep_the_board() {
    let server = Server::start();
    let large: Vec<_> = (0..1_000).map(|n| bound(&format!("{n:0>200}"), "192.0.2.1")).collect();
    server.board.set_states(large);
    let crowd: Vec<_> = (0..CROWD)
        .map(|_| {
            let mut client = server.socket();
            client.write_all(get("/status").as_bytes()).unwrap();
            client
        })
        .collect();
    // The answer is on its way to one of them, and is larger than what the kernel takes.
    let mut first = crowd.into_iter();
    let mut byte = [0];
    first.next().unwrap().read_exact(&mut byte).unwrap();
    server.board.set_states(vec![bound("web", "192.0.2.1")]);
    server.board.listed(1);
    let answer = ask(server.port(), get("/status").as_bytes());
    let report: Report = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((report.healthy, report.workloads.len()), (true, 1));
    // Nor does he keep the socket for ever.
    assert_eq!(receive_report(server.socket()).workloads.len(), 1);
    drop(first);
}

fn receive_report(mut stream: impl Stream) -> Report {
    stream.write_all(get("/status").as_bytes()).unwrap();
    serde_json::from_slice(&receive(stream).body).unwrap()
}

#[test]
fn people_see_what_the_agent_knows() {
    let server = Server::start();
    let places = [Place::Unix(server.path.clone()), Place::Tcp(server.tcp)];
    let hostile = workload("\u{1b}[2J\u{9b}3J", &"\u{7}x".repeat(5_000));
    server.board.set_states(vec![
        bound("web", "192.0.2.1, 192.0.2.2:tcp:80"),
        Entry::refused(hostile.into(), "no\nway".into()),
    ]);
    let address = "192.0.2.1".parse().unwrap();
    let took = Duration::from_millis(103);
    server.board.signal(&Signal::Came { address, took }, Some(Duration::from_millis(12)));
    server.board.listed(2);
    for place in &places {
        let (healthy, text) = printed(place, false);
        assert!(healthy && text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].contains(": healthy; source docker, answered "), "{text}");
        assert!(lines[1].starts_with("NAME ") && lines[1].ends_with(" STATE    WHY"), "{text}");
        let columns: Vec<_> = lines[2].split_whitespace().collect();
        assert_eq!(columns, ["web", "192.0.2.1", "192.0.2.2:tcp:80", "bound", "-"], "{text}");
        assert!(lines[3].ends_with("refused  no way") && lines[3].len() < 200, "{text}");
        assert!(lines[6].ends_with("listed in 12.0 ms, bound in 103.0 ms"), "{text}");
    }
    let hint = Some("start docker".to_owned());
    server.board.source_failed(&SourceError { what: "connection refused".to_owned(), hint });
    for place in &places {
        let (healthy, text) = printed(place, false);
        let lines: Vec<_> = text.lines().collect();
        assert!(!healthy && lines[0].contains("NOT HEALTHY"), "{text}");
        let holding = "  source: connection refused; holding 2 bindings since ";
        assert!(lines[1].starts_with(holding), "{text}");
        assert_eq!(lines[2], "  start docker");
        let (healthy, text) = printed(place, true);
        let report: Report = serde_json::from_str(&text).unwrap();
        assert!(!healthy && !report.healthy && text.ends_with("}\n"), "{text}");
        assert_eq!(report.workloads[1].why.as_deref(), Some("no way"));
    }
}

#[test]
fn where_no_agent_runs_the_way_to_start_it_is_told() {
    let directory = Directory::new();
    let path = directory.join("agent.sock");
    let place = Place::Unix(path.clone());
    let complaint = |place: &Place| {
        let error = status::print(place, false, &mut Vec::new()).unwrap_err();
        (format!("{}", Chain(&error)), error.hint().unwrap_or_default())
    };
    let (error, hint) = complaint(&place);
    assert!(error.starts_with(&format!("no agent answers at {}: No such file", path.display())));
    assert!(hint.starts_with("start it: systemctl start fip-agent"), "{hint}");
    // Children of other tests may have it a little longer.
    let listener = UnixListener::bind(&path).unwrap();
    SockRef::from(&listener).shutdown(Shutdown::Both).unwrap();
    drop(listener);
    let (error, hint) = complaint(&place);
    assert!(error.contains("Connection refused"), "{error}");
    assert!(hint.starts_with("start it: systemctl start fip-agent"), "{hint}");
    let long = Place::Unix(directory.join(&"x".repeat(200)));
    assert!(complaint(&long).0.contains("at most 107 bytes"));
}

#[test]
fn who_is_no_agent_is_not_believed() {
    let directory = Directory::new();
    let path = directory.join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let place = Place::Unix(path);
    for (answer, complaint) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "missing field"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n[\u{1b}[2", "expected value"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n\u{1b}[31mx", "status 404, \"[31mx\""),
        ("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "status 302"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "is no fip-agent"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "no agent answers"),
        ("", "no agent answers"),
    ] {
        let error = thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                // Whoever closes with something unread resets the connection.
                wait_for("a whole question", || {
                    let mut piece = [0; 4096];
                    let read = stream.read(&mut piece).unwrap();
                    piece[..read].ends_with(b"\r\n\r\n").then_some(())
                });
                stream.write_all(answer.as_bytes()).unwrap();
            });
            status::print(&place, false, &mut Vec::new()).unwrap_err()
        });
        let text = format!("{}", Chain(&error));
        assert!(text.contains(complaint) && !text.contains('\u{1b}'), "{answer:?}: {text}");
    }
}
