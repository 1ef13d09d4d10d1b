//! The connection that tells that the daemon has gone.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fip_plugin::docker::DockerError;

use super::liar::{Daemon, PATIENT, SHORT, raw, says};

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn only_the_end_ends_it() {
    const EVENT: &[u8] =
        b"6e\r\n{\"Type\":\"daemon\",\"Action\":\"reload\",\"Actor\":{\"ID\":\"x\",\"Attributes\":\
        {\"debug\":\"false\",\"name\":\"h\",\"storage\":\"x\"}}}\r\n";
    assert_eq!(EVENT.len(), 0x6e + 6);
    let ending = Arc::new(AtomicBool::new(false));
    let flag = ending.clone();
    let daemon = raw(move |stream| {
        // Longer than the client waits for anything else, and more than a socket buffers.
        let mut tell = || {
            stream.write_all(HEAD)?;
            thread::sleep(SHORT * 3);
            (0..50_000).try_for_each(|_| stream.write_all(EVENT))
        };
        // A client that did not get the head in time has gone.
        flag.store(tell().is_ok(), Ordering::SeqCst);
    });
    let docker = daemon.docker(SHORT);
    // A busy machine may need more than the short time.
    let follower = (0..100).find_map(|_| docker.follow().ok());
    follower.expect("the daemon answers").wait_for_end();
    assert!(ending.load(Ordering::SeqCst), "the daemon was still there");
}

#[test]
fn every_end_ends_it() {
    for end in ["", "0\r\n\r\n", "5\r\n{", "no chunk\r\n"] {
        let daemon = says([HEAD, end.as_bytes()].concat());
        daemon.docker(PATIENT).follow().unwrap().wait_for_end();
    }
}

#[test]
fn hardly_anything_is_asked_for() {
    let daemon = Daemon::new(|_| (200, String::new()));
    daemon.docker().follow().unwrap().wait_for_end();
    // {"event":["reload"],"type":["daemon"]}
    let filters = "%7B%22event%22%3A%5B%22reload%22%5D%2C%22type%22%3A%5B%22daemon%22%5D%7D";
    assert_eq!(daemon.asked()[0].url, format!("/events?filters={filters}"));
}

#[test]
fn a_daemon_that_is_not_ready_is_an_error() {
    let silent = raw(|_| thread::sleep(Duration::MAX));
    let DockerError::Unreachable { source, .. } = silent.docker(SHORT).follow().unwrap_err() else {
        panic!("there was no answer");
    };
    assert_eq!(source.kind(), io::ErrorKind::TimedOut);
    for status in [204, 301, 404, 500] {
        let daemon = Daemon::new(move |_| (status, r#"{"message":"no"}"#.to_owned()));
        let error = daemon.docker().follow().unwrap_err();
        assert!(error.to_string().contains(&format!("HTTP status {status}")), "{error}");
    }
}
