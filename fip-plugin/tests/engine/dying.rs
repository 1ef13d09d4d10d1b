//! A driver that dies of a call.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::thread::{self, JoinHandle};

use crate::docker::Plugin;

/// In place of a plugin that does not run: answers calls as one does, up to this one. That is heard,
/// and not answered; then its thread ends, and nobody listens any more.
pub(crate) fn dies_of(call: &'static str, plugin: &Plugin) -> JoinHandle<()> {
    let socket = plugin.socket();
    if fs::exists(&socket).unwrap() {
        // A killed one cleared nothing away.
        fs::remove_file(&socket).unwrap();
    }
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || hear_until(&listener, call))
}

fn hear_until(listener: &UnixListener, last: &str) {
    for stream in listener.incoming() {
        let mut stream = BufReader::new(stream.unwrap());
        let (mut head, mut body) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).unwrap() > 0, "half a head: {head}");
        }
        for line in head.lines().filter_map(|line| line.strip_prefix("Content-Length: ")) {
            body = line.parse().unwrap();
        }
        stream.read_exact(&mut vec![0; body]).unwrap();
        if head.contains(last) {
            return;
        }
        // What Activate has to tell; others are content with anything.
        let answer = r#"{"Implements":["NetworkDriver"]}"#;
        let length = answer.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close");
        write!(stream.get_mut(), "{head}\r\n\r\n{answer}").unwrap();
    }
}
