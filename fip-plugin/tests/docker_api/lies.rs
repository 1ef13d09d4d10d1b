//! Whatever listens in Docker's place, a question ends in time and takes bounded memory.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use fip_plugin::docker::DockerError;
use proptest::prelude::*;

use super::liar::{Daemon, Dir, PATIENT, SHORT, raw, says};
use super::{NETWORK, network};

/// The kind of the I/O error that kept Docker from answering.
fn unreachable(error: &DockerError) -> Option<io::ErrorKind> {
    match error {
        DockerError::Unreachable { source, .. } => Some(source.kind()),
        _ => None,
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn no_daemon_is_told_with_the_way_out() {
    let dir = Dir::new();
    let docker = dir.docker(PATIENT);
    let ask = || docker.endpoints(NETWORK).unwrap_err();
    let error = ask();
    assert_eq!(unreachable(&error), Some(io::ErrorKind::NotFound));
    assert!(error.to_string().contains(&dir.socket().display().to_string()), "{error}");
    assert!(error.source().unwrap().to_string().contains("No such file"));
    assert!(error.hint().unwrap().contains("start Docker"));

    drop(UnixListener::bind(dir.socket()).unwrap());
    assert_eq!(unreachable(&ask()), Some(io::ErrorKind::ConnectionRefused), "nobody listens");

    fs::remove_file(dir.socket()).unwrap();
    fs::write(dir.socket(), "").unwrap();
    assert_eq!(unreachable(&ask()), Some(io::ErrorKind::ConnectionRefused), "it is no socket");
}

#[test]
fn what_is_not_dockers_is_nonsense() {
    let deep = "[".repeat(100_000);
    let long = format!(r#"{{"Id":"x","Containers":"\u001b[2J{}"}}"#, "y".repeat(1 << 20));
    let of_other_types = [
        long.as_str(),
        r#"{"Id":5,"Containers":{}}"#,
        r#"{"Containers":{}}"#,
        r#"{"Id":"x"}"#,
        r#"{"Id":"x","Containers":[]}"#,
        r#"{"Id":"x","Containers":{"c":null}}"#,
        r#"{"Id":"x","Containers":{"c":{"Name":"n"}}}"#,
        r#"{"Id":"x","Containers":{"c":{"EndpointID":"e"}}}"#,
        r#"{"Id":"x","Containers":{"c":{"Name":"n","EndpointID":null}}}"#,
        r#"{"Id":"x","Containers":{"c":{"Name":"n","EndpointID":""}}}"#,
        r#"{"Id":"x","Containers":{"c":{"Name":"","EndpointID":"e"}}}"#,
    ];
    let of_no_type = ["", "null", "[]", "5", "<html>", "{", r#"{"Id":"x","Containers":{}"#, &deep];
    for body in of_other_types.iter().chain(&of_no_type) {
        let daemon = says(ok(body));
        let error = daemon.docker(PATIENT).endpoints("x").unwrap_err();
        assert!(matches!(error, DockerError::Nonsense { .. }), "{body:.60}: {error}");
        let text = error.to_string();
        assert!(text.contains("GET /networks/x") && text.len() < 500, "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}

#[test]
fn containers_of_other_types_are_nonsense() {
    let bodies =
        ["{}", "null", "[null]", r#"[{"Names":"/c1","Labels":{}}]"#, r#"[{"Names":["/c1"]}]"#]
            .into_iter()
            .chain([r#"[{"Names":["/c1"],"Labels":["a=b"]}]"#])
            .chain([r#"[{"Names":["/c1"],"Labels":{"a":5}}]"#, r#"[{"Labels":{}}]"#]);
    for body in bodies {
        let network = network(r#"{"c":{"Name":"c1","EndpointID":"e1"}}"#);
        let daemon = Daemon::new(move |url| match url.starts_with("/networks/") {
            true => (200, network.clone()),
            false => (200, body.to_owned()),
        });
        let error = daemon.docker().labels(NETWORK, "e1").unwrap_err();
        assert!(matches!(error, DockerError::Nonsense { .. }), "{body}: {error}");
        assert!(error.to_string().contains("GET /containers/json is"), "{error}");
    }
}

#[test]
fn a_name_that_is_no_name_does_no_harm() {
    for name in ["x".repeat(10_000), "x".repeat(1_000_000), "\\u0000\\r\\n\\\"&?#".to_owned()] {
        let network = network(&format!(r#"{{"c":{{"Name":"{name}","EndpointID":"e1"}}}}"#));
        let daemon = Daemon::new(move |url| match url.starts_with("/networks/") {
            true => (200, network.clone()),
            false => (200, "[]".to_owned()),
        });
        match daemon.docker().labels(NETWORK, "e1") {
            Ok(labels) => assert_eq!(labels, None),
            Err(error) => assert!(error.to_string().len() < 500, "{error}"),
        }
    }
}

#[test]
fn what_is_not_http_is_an_error() {
    let network = network("{}");
    let cut = ok(&network)[..ok(&network).len() - 1].to_owned();
    let lies: [&[u8]; 14] = [
        b"",
        b"\0",
        b"\xff\xfe\xfd",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"HTTP/1.1",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        cut.as_bytes(),
    ];
    for lie in lies {
        let daemon = says(lie);
        let error = daemon.docker(PATIENT).endpoints(NETWORK);
        assert!(error.is_err(), "{:?}: {error:?}", String::from_utf8_lossy(lie));
    }
}

#[test]
fn success_without_an_answer_is_none() {
    for status in ["204 No Content", "304 Not Modified", "205 Reset Content", "206 Partial Content"]
    {
        let daemon = says(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
        let error = daemon.docker(PATIENT).endpoints(NETWORK).unwrap_err();
        assert!(error.to_string().contains(&status[..3]), "{error}");
    }
}

#[test]
fn nobody_sends_the_question_elsewhere() {
    let elsewhere = Daemon::new(|_| (200, network("{}")));
    let there = format!("unix://{}", elsewhere.dir.socket().display());
    for status in [301, 302, 303, 307, 308] {
        for location in ["/networks/other", "http://203.0.113.1/", &there] {
            let location = location.to_owned();
            let daemon = Daemon::with(move |_| (status, String::new(), Some(location.clone())));
            let error = daemon.docker().endpoints(NETWORK).unwrap_err();
            assert!(error.to_string().contains(&status.to_string()), "{error}");
            assert_eq!(daemon.asked().len(), 1);
        }
    }
    assert!(elsewhere.asked().is_empty());
}

/// Sends `head`, then `more` again and again until the client goes away.
fn endless(head: &'static str, more: &[u8], pause: Duration) -> Dir {
    let more = more.to_vec();
    raw(move |stream| {
        let mut sent = stream.write_all(head.as_bytes());
        while sent.is_ok() {
            thread::sleep(pause);
            sent = stream.write_all(&more);
        }
    })
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const UNTIL_CLOSED: &str = "HTTP/1.1 200 OK\r\n\r\n";

#[test]
fn an_answer_without_end_is_nonsense() {
    const MUCH: &[u8] = &[b' '; 1 << 16];
    let chunk = format!("400\r\n{}\r\n", " ".repeat(0x400)).repeat(64).into_bytes();
    let announced = "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999\r\n\r\n";
    for (head, more) in [
        (UNTIL_CLOSED, MUCH),
        (announced, MUCH),
        (CHUNKED, &chunk),
        ("HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        ("HTTP/1.1 200 OK\r\nX: ", MUCH),
    ] {
        let daemon = endless(head, more, Duration::ZERO);
        let error = daemon.docker(PATIENT).endpoints(NETWORK).unwrap_err();
        assert!(matches!(error, DockerError::Nonsense { .. }), "{head:?}: {error}");
    }
}

#[test]
fn an_answer_that_crawls_is_given_up() {
    let pause = SHORT / 20;
    for (head, more) in [
        ("HTTP/1.1 200 OK\r\nX: ", b"y".as_slice()),
        (UNTIL_CLOSED, b" "),
        (CHUNKED, b"1\r\n \r\n"),
        ("", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        let daemon = endless(head, more, pause);
        let error = daemon.docker(SHORT).endpoints(NETWORK).unwrap_err();
        assert_eq!(unreachable(&error), Some(io::ErrorKind::TimedOut), "{head:?}: {error}");
        assert_eq!(error.source().unwrap().to_string(), "no answer within 200ms");
        assert!(error.hint().unwrap().contains("docker info"));
    }
}

#[test]
fn a_daemon_that_does_not_answer_is_given_up() {
    let dir = Dir::new();
    let listener = UnixListener::bind(dir.socket()).unwrap();
    let ask = || unreachable(&dir.docker(SHORT).endpoints(NETWORK).unwrap_err());
    assert_eq!(ask(), Some(io::ErrorKind::TimedOut), "it does not even accept");
    // Its queue is now longer than what it takes.
    socket2::SockRef::from(&listener).listen(0).unwrap();
    assert_eq!(ask(), Some(io::ErrorKind::TimedOut), "connect itself waits");
}

#[test]
fn a_daemon_that_hangs_up_is_unreachable() {
    let daemon = raw(|_| ());
    let error = daemon.docker(PATIENT).endpoints(NETWORK).unwrap_err();
    assert_eq!(unreachable(&error), Some(io::ErrorKind::UnexpectedEof), "{error}");
    for part in
        ["HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"Id\":", &format!("{CHUNKED}5\r\n{{")]
    {
        let daemon = says(part);
        let error = daemon.docker(PATIENT).endpoints(NETWORK).unwrap_err();
        assert_eq!(unreachable(&error), Some(io::ErrorKind::UnexpectedEof), "{error}");
    }
}

/// One daemon for all cases: it says to each client what was sent for it.
fn parrot() -> (Dir, mpsc::Sender<Vec<u8>>) {
    let (sender, receiver) = mpsc::channel::<Vec<u8>>();
    let daemon = raw(move |stream| {
        if let Ok(bytes) = receiver.recv() {
            _ = stream.write_all(&bytes);
        }
    });
    (daemon, sender)
}

fn heads() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just("Content-Length: 2".to_owned()),
        Just("Transfer-Encoding: chunked".to_owned()),
        Just("Transfer-Encoding: gzip, chunked".to_owned()),
        Just("Connection: close".to_owned()),
        Just("Content-Encoding: gzip".to_owned()),
        Just("Location: http://x/".to_owned()),
        "[A-Za-z-]{0,20}:? ?[ -~]{0,20}",
    ];
    let body = prop_oneof![
        Just(b"{}".to_vec()),
        Just(b"2\r\n{}\r\n0\r\n\r\n".to_vec()),
        Just(b"2\r\n{}\r\n0\r\nX: y\r\n\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..64),
        Just(network("{}").into_bytes()),
    ];
    (0..2u8, 0..=999u16, prop::collection::vec(line, 0..6), body).prop_map(
        |(version, status, lines, body)| {
            let lines = lines.join("\r\n");
            let head = format!("HTTP/1.{version} {status:03} OK\r\n{lines}\r\n\r\n");
            [head.into_bytes(), body].concat()
        },
    )
}

/// The bytes, with a few of them changed and the end cut off.
fn damaged(
    mut bytes: Vec<u8>,
    changes: &[(prop::sample::Index, u8)],
    end: prop::sample::Index,
) -> Vec<u8> {
    for (at, to) in changes.iter().filter(|_| !bytes.is_empty()).collect::<Vec<_>>() {
        let at = at.index(bytes.len());
        bytes[at] = *to;
    }
    bytes.truncate(end.index(bytes.len() + 1));
    bytes
}

#[test]
fn no_answer_makes_the_client_panic() {
    let (daemon, say) = parrot();
    let docker = daemon.docker(PATIENT);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) };
    proptest!(config, |(head in heads(), changes in changes, end in any::<prop::sample::Index>(),
        whole in any::<bool>())| {
        let answer = if whole { head } else { damaged(head, &changes, end) };
        // Both ways of reading an answer; whatever comes of it, it comes back.
        say.send(answer.clone()).unwrap();
        _ = docker.endpoints(NETWORK);
        say.send(answer).unwrap();
        if let Ok(events) = docker.follow() {
            events.wait_for_end();
        }
    });
}
