//! What is no request, or too much of one.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use fip_plugin::http::Limits;

use crate::server::{PATIENCE, Server, Stream, alone, ask, echo, impatient, post, receive};

const MIB: usize = 1 << 20;

/// It is the size that ends it, not the time.
fn patient() -> Limits {
    Limits { patience: PATIENCE, linger: PATIENCE, ..Limits::default() }
}

/// Bytes that a client sends before it ends its side, and the status that they deserve.
fn refused() -> Vec<(Vec<u8>, u16)> {
    let post = |headers: &str, body: &str| {
        format!("POST /x HTTP/1.1\r\nHost: h\r\n{headers}\r\n\r\n{body}").into_bytes()
    };
    let noise = (0..50_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mib = format!("{MIB:x}\r\n{}\r\n", "x".repeat(MIB));
    vec![
        (b"P".to_vec(), 400),
        (b"POST /x HTTP/1.1\r\nHost: ".to_vec(), 400),
        (post("Content-Length: 5", "hell"), 400),
        (post("Content-Length: 1048576", "{}"), 400),
        (post("Transfer-Encoding: chunked", "5\r\nhell"), 400),
        (post("Transfer-Encoding: chunked", "5\r\nhello\r\n"), 400),
        (post(&format!("A: {}", "b".repeat(10 * MIB)), ""), 431),
        (post(&"A: b\r\n".repeat(1_000_000), ""), 431),
        (format!("POST /{}", "x".repeat(10 * MIB)).into(), 431),
        (post("Content-Length: 10485760", &"x".repeat(10 * MIB)), 413),
        (post("Content-Length: 18446744073709551616", "{}"), 413),
        (post("Transfer-Encoding: chunked", &mib.repeat(10)), 413),
        (post("Transfer-Encoding: chunked", &format!("{:x}\r\n", u64::MAX)), 413),
        (post("Transfer-Encoding: chunked", &"1\r\nx\r\n".repeat(MIB + 1)), 413),
        (post("Content-Length: -1", "{}"), 400),
        (post("Content-Length: 2\r\nContent-Length: 3", "{} "), 400),
        (post("Content-Length: 2\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), 400),
        (post("Transfer-Encoding: gzip", "{}"), 501),
        (post("Origin: http://203.0.113.1", ""), 403),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), 405),
        (b"GET /\r\n".to_vec(), 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(), 505),
        (b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03".to_vec(), 400),
        (noise, 400),
        (vec![0; 100_000], 400),
        (b"\r\n".repeat(100_000), 431),
        (b"\n".to_vec(), 400),
        (Vec::new(), 0),
    ]
}

#[test]
fn each_is_refused_with_its_reason() {
    let _alone = alone();
    let server = Server::start(patient(), |request| panic!("handled {request:?}"));
    for (bytes, status) in refused() {
        let text = bytes[..bytes.len().min(80)].escape_ascii().to_string();
        for answer in [ask_and_end(server.unix(), &bytes), ask_and_end(server.tcp(), &bytes)] {
            assert_eq!(answer.status, status, "{text}: {answer:?}");
            assert!(status == 0 || answer.head.contains("Content-Type: text/plain"), "{text}");
            assert_eq!(answer.head.contains("Allow: POST"), status == 405, "{text}");
        }
    }
}

fn ask_and_end(mut stream: impl Stream, bytes: &[u8]) -> crate::server::Answer {
    let _ = stream.write_all(bytes);
    stream.end();
    receive(stream)
}

#[test]
fn a_refusal_needs_no_end_of_the_client() {
    let _alone = alone();
    let server = Server::echo(patient());
    for (bytes, status) in refused().into_iter().filter(|(_, status)| *status != 400) {
        if status != 0 {
            assert_eq!(ask(server.unix(), &bytes).status, status);
        }
    }
}

#[test]
fn who_is_refused_may_speak_out() {
    let _alone = alone();
    let server = Server::echo(patient());
    let head = format!("POST /x HTTP/1.1\r\nContent-Length: {}\r\n\r\n", 4 * MIB);
    let whole = [head.as_bytes(), &vec![b'x'; 4 * MIB]].concat();
    let mut stream = server.unix();
    // Without a reset that would cut it off in the midst of a word.
    stream.write_all(&whole).unwrap();
    stream.end();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413 "), "{}", answer.escape_ascii());
}

#[test]
fn who_is_slow_is_refused_and_holds_up_nobody() {
    let _alone = alone();
    // It is the time that ends it, not the size.
    let server = Server::echo(Limits { head: MIB, ..impatient() });
    for beginning in ["POST /", "POST /x HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n"] {
        let mut slow = server.unix();
        slow.write_all(beginning.as_bytes()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        // A byte each time: it is always about to go on.
        while slow.write_all(b"x").is_ok() {
            server.assert_alive();
            assert!(Instant::now() < deadline, "served for ever");
        }
        assert_eq!(receive(slow).status, 408, "{beginning}");
    }
}

#[test]
fn who_says_nothing_gets_no_answer() {
    let _alone = alone();
    let server = Server::echo(impatient());
    assert_eq!(receive(server.unix()).status, 0);
    assert_eq!(receive(server.tcp()).status, 0);
}

#[test]
fn of_requests_in_a_row_the_first_is_answered() {
    let _alone = alone();
    let count = Arc::new(AtomicUsize::new(0));
    let handled = Arc::clone(&count);
    let server = Server::start(Limits::default(), move |request| {
        handled.fetch_add(1, Ordering::SeqCst);
        echo(request)
    });
    let row = [post("first"), post("second").repeat(1000)].concat();
    for answer in [ask(server.unix(), &row), ask(server.tcp(), &row)] {
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"first"[..]));
    }
    drop(server);
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[test]
fn answers_are_as_dockerd_wants_them() {
    let _alone = alone();
    let server = Server::echo(Limits::default());
    let answer = ask(server.unix(), &post("{}"));
    let expected = "HTTP/1.1 200 OK\r\n\
        Content-Type: application/vnd.docker.plugins.v1.2+json\r\n\
        Content-Length: 2\r\nConnection: close\r\n\r\n";
    assert_eq!(answer.head, expected);
}

#[test]
fn who_asks_whether_to_send_is_told() {
    let _alone = alone();
    let server = Server::echo(Limits::default());
    let mut stream = server.unix();
    let head = b"POST /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    stream.write_all(head).unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    let answer = ask(stream, b"{}");
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"{}"[..]));
}
