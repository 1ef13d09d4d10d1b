//! When the process runs out of what it needs.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use fip_plugin::http::Limits;

use crate::server::{PATIENCE, Server, alone, post, receive, wait_for};

/// What was logged as a warning.
struct Warnings(Mutex<Vec<String>>);

static WARNINGS: Warnings = Warnings(Mutex::new(Vec::new()));

impl log::Log for Warnings {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(record.args().to_string());
    }

    fn flush(&self) {}
}

/// Sets how many files this process may have open.
fn limit_files(soft: &str) {
    let (pid, limit) = (std::process::id().to_string(), format!("--nofile={soft}:"));
    let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap();
    assert!(status.success());
}

#[test]
fn running_out_of_files_is_survived() {
    let _alone = alone();
    log::set_logger(&WARNINGS).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let server = Server::echo(Limits::default());
    // It needs files to begin with, too.
    server.assert_alive();
    let soft = Command::new("prlimit")
        .args(["--pid", &std::process::id().to_string(), "--nofile", "--output=SOFT"])
        .args(["--noheadings"])
        .output()
        .unwrap();
    let soft = String::from_utf8(soft.stdout).unwrap().trim().to_owned();
    limit_files("100");
    let mut hoard = Vec::new();
    let mut clients = Vec::new();
    wait_for("the server to notice", || {
        while let Ok(file) = fs::File::open("/dev/null") {
            hoard.push(file);
        }
        // One for a client, none for the server's end of it. The server may be quicker: then it has
        // one that waited, and the next round is ours. It may be slow: then the clients have all.
        hoard.pop();
        if let Ok(mut client) = UnixStream::connect(&server.path) {
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.write_all(&post("patience")).unwrap();
            clients.push(client);
        }
        let lines = WARNINGS.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().any(|line| line.contains("Too many open files")).then_some(())
    });
    drop(hoard);
    limit_files(&soft);
    for client in clients {
        assert_eq!(receive(client).body, b"patience");
    }
    server.assert_alive();
}
