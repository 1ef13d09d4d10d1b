//! One question to Docker's API, without the start of a `docker` command.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Posts the body; panics unless Docker does it.
pub(crate) fn post(socket: &Path, path: &str, body: &str) {
    let mut stream = UnixStream::connect(socket).expect("cannot connect to dockerd");
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{path} {body}: {answer}");
}
