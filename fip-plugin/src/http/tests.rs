//! Requests as bytes, good ones and bad ones.

use std::io::{self, Cursor, Read};

use super::{Limits, Methods, Refused, Request};

/// What dockerd 20.10 sends (recorded), with an empty Host and no Content-Type.
const ACTIVATE: &str = "POST /Plugin.Activate HTTP/1.1\r\nHost: \r\n\
    User-Agent: Go-http-client/1.1\r\nContent-Length: 0\r\n\
    Accept: application/vnd.docker.plugins.v1.2+json\r\n\r\n";

fn read(bytes: impl AsRef<[u8]>) -> Result<Request, Refused> {
    Request::read(&mut bytes.as_ref(), &Limits::default(), |_| panic!("told to proceed"))
}

/// The status that the request is refused with; 0 if there is nobody to tell it.
fn refusal(bytes: impl AsRef<[u8]>) -> u16 {
    let text = String::from_utf8_lossy(bytes.as_ref()).chars().take(80).collect::<String>();
    match read(&bytes) {
        Err(Refused::Answered { status, .. }) => status,
        Err(Refused::Gone(_)) => 0,
        Ok(request) => panic!("{text:?} was understood as {request:?}"),
    }
}

fn post(headers: &str, body: &str) -> String {
    format!("POST /x HTTP/1.1\r\nHost: h\r\n{headers}\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

/// A reader that gives one byte at a time, and is interrupted before each.
struct Drops<'b>(&'b [u8], bool);

impl Read for Drops<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = buffer.len().min(1);
        self.0.read(&mut buffer[..count])
    }
}

#[test]
fn what_dockerd_sends_is_understood() {
    let request = read(ACTIVATE).unwrap();
    let expected = Request {
        path: "/Plugin.Activate".to_owned(),
        body: Vec::new(),
        head_only: false,
        named: false,
    };
    assert_eq!(request, expected);
    assert_eq!(read(post("Content-Length: 4\r\n", "{ } ")).unwrap().body, b"{ } ");
}

#[test]
fn however_it_is_cut_a_request_is_the_same() {
    let requests = [
        post("content-length:5\r\n", "hello"),
        post("TRANSFER-ENCODING: Chunked\r\n", "2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nT: t\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "0005 \r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n"),
        post("Content-Length: 5\r\n", "hello to you too"),
    ];
    for text in requests {
        assert_eq!(read(&text).unwrap().body, b"hello", "{text}");
        let mut drops = Drops(text.as_bytes(), false);
        let request = Request::read(&mut drops, &Limits::default(), |_| Ok(())).unwrap();
        assert_eq!(request.body, b"hello", "{text}");
    }
}

#[test]
fn no_length_is_no_body() {
    assert_eq!(read("POST /x HTTP/1.0\r\n\r\n").unwrap().body, b"");
    assert_eq!(read(post("", "unannounced")).unwrap().body, b"");
}

#[test]
fn a_client_that_waits_is_told_to_proceed() {
    let text = post("Expect: 100-Continue\r\nContent-Length: 2\r\n", "");
    let mut parts = Cursor::new(text).chain(Cursor::new("{}"));
    let mut told = 0;
    let request = Request::read(&mut parts, &Limits::default(), |_| {
        told += 1;
        Ok(())
    });
    assert_eq!((request.unwrap().body.as_slice(), told), (&b"{}"[..], 1));
    // Not if the body is here, or there is none, or it is too long.
    read(post("Expect: 100-continue\r\nContent-Length: 2\r\n", "{}")).unwrap();
    read(post("Expect: 100-continue\r\nContent-Length: 0\r\n", "")).unwrap();
    let long = post("Expect: 100-continue\r\nContent-Length: 1048577\r\n", "");
    assert_eq!(refusal(long), 413);
}

#[test]
fn what_is_cut_off_is_no_request() {
    let requests = [post("Content-Length: 2\r\n", "{}"), chunked("2\r\n{}\r\n0\r\nT: t\r\n\r\n")];
    for text in requests {
        assert_eq!(refusal(""), 0);
        for end in 1..text.len() {
            assert_eq!(refusal(&text[..end]), 400, "{:?}", &text[..end]);
        }
        read(text).unwrap();
    }
}

#[test]
fn silence_is_not_answered_and_slowness_is() {
    struct Late(&'static [u8]);
    impl Read for Late {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::ErrorKind::TimedOut.into()),
                count => Ok(count),
            }
        }
    }
    let refused =
        |bytes| Request::read(&mut Late(bytes), &Limits::default(), |_| Ok(())).unwrap_err();
    assert!(matches!(refused(b""), Refused::Gone(_)));
    for begun in [
        &b"P"[..],
        b"POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\n{",
        b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{",
    ] {
        assert!(matches!(refused(begun), Refused::Answered { status: 408, .. }));
    }
}

#[test]
fn ambiguous_lengths_are_refused() {
    for headers in [
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: 2\r\ncontent-length: 2\r\n",
        "Content-Length: 2, 2\r\n",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Content-Length : 2\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: +2\r\n",
        "Content-Length: 0x2\r\n",
        "Content-Length: 2.0\r\n",
        "Content-Length: 2 2\r\n",
        "Content-Length: \r\n",
        "Content-Length: \u{662}\r\n",
    ] {
        assert_eq!(refusal(post(headers, "2\r\n{}\r\n0\r\n\r\n")), 400, "{headers:?}");
    }
    for headers in ["chunked, gzip", "gzip, chunked", "identity", "", "chunked;q=1", "xchunked"] {
        let text = post(&format!("Transfer-Encoding: {headers}\r\n"), "0\r\n\r\n");
        assert_eq!(refusal(text), 501, "{headers:?}");
    }
    let old = "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(refusal(old), 400);
}

#[test]
fn bad_chunks_are_refused() {
    for body in [
        "\r\n\r\n",
        ";x\r\n\r\n",
        "-1\r\n",
        "+2\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        " 2\r\n{}\r\n0\r\n\r\n",
        "2\n{}\n0\n\n",
        "2\r\n{}0\r\n\r\n",
        "2\r\n{}x\r\n0\r\n\r\n",
        "1\r\n{}\r\n0\r\n\r\n",
        "3\r\n{}\r\n0\r\n\r\n",
        &format!("2;{}\r\n", "x".repeat(10_000)),
        &format!("0\r\nT: {}\r\n", "x".repeat(10_000)),
    ] {
        assert_eq!(refusal(chunked(body)), 400, "{body:?}");
    }
    assert_eq!(refusal(chunked(&format!("0\r\n{}", "T: t\r\n".repeat(65)))), 431);
    read(chunked(&format!("0\r\n{}\r\n", "T: t\r\n".repeat(64)))).unwrap();
}

#[test]
fn every_limit_is_exact() {
    let limits = Limits::default();
    let body = "x".repeat(limits.body);
    let length = |length: usize| format!("Content-Length: {length}\r\n");
    assert_eq!(read(post(&length(limits.body), &body)).unwrap().body.len(), limits.body);
    assert_eq!(refusal(post(&length(limits.body + 1), &body)), 413);
    let whole = format!("{:x}\r\n{body}\r\n", limits.body);
    read(chunked(&format!("{whole}0\r\n\r\n"))).unwrap();
    assert_eq!(refusal(chunked(&format!("{whole}1\r\nx\r\n0\r\n\r\n"))), 413);
    for digits in ["18446744073709551615", "18446744073709551616", "9".repeat(400).as_str()] {
        assert_eq!(refusal(post(&format!("Content-Length: {digits}\r\n"), "")), 413, "{digits}");
    }
    for digits in ["ffffffffffffffff", "10000000000000000", "f".repeat(200).as_str()] {
        assert_eq!(refusal(chunked(&format!("{digits}\r\n"))), 413, "{digits}");
    }
    // `Host` is one header, and the bare head has its length.
    read(post(&"A: b\r\n".repeat(limits.headers - 1), "")).unwrap();
    assert_eq!(refusal(post(&"A: b\r\n".repeat(limits.headers), "")), 431);
    let room = limits.head - post("A: \r\n", "").len();
    read(post(&format!("A: {}\r\n", "b".repeat(room)), "")).unwrap();
    assert_eq!(refusal(post(&format!("A: {}\r\n", "b".repeat(room + 1)), "")), 431);
}

#[test]
fn only_posts_of_http_1_by_no_browser_are_heard() {
    assert_eq!(refusal("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), 405);
    assert_eq!(refusal("post / HTTP/1.1\r\nHost: h\r\n\r\n"), 405);
    assert_eq!(refusal("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
    assert_eq!(refusal("POST / HTTP/1.2\r\n\r\n"), 505);
    assert_eq!(refusal(post("Origin: null\r\n", "")), 403);
    let garbage: [&[u8]; 10] = [
        b"GET /\r\n",
        b"GET\r\n\r\n",
        b"POST /x\r\n\r\n",
        b"POST  HTTP/1.1\r\n\r\n",
        b"POST /\0 HTTP/1.1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nA\r\n\r\n",
        b"POST /x HTTP/1.1\r\nA: \0\r\n\r\n",
        b"POST /x HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\xff\xfe\xfd",
    ];
    for bytes in garbage {
        assert_eq!(refusal(bytes), 400, "{}", bytes.escape_ascii());
    }
}

#[test]
fn where_nothing_is_to_be_done_only_gets_and_heads_are_heard() {
    let limits = Limits { methods: Methods::Get, body: 0, ..Limits::default() };
    let read =
        |text: &str| Request::read(&mut text.as_bytes(), &limits, |_| panic!("told to proceed"));
    let get = read("GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert_eq!((get.path.as_str(), get.head_only, get.named), ("/status", false, false));
    let head = read("HEAD / HTTP/1.1\r\nHost: rebound.example\r\n\r\n").unwrap();
    assert_eq!((head.path.as_str(), head.head_only, head.named), ("/", true, true));
    for (text, expected) in [
        ("POST / HTTP/1.1\r\n\r\n", 405),
        ("get / HTTP/1.1\r\n\r\n", 405),
        ("OPTIONS / HTTP/1.1\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\nOrigin: null\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", 413),
        ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 413),
    ] {
        let Err(Refused::Answered { status, .. }) = read(text) else { panic!("{text:?}") };
        assert_eq!(status, expected, "{text:?}");
    }
}
