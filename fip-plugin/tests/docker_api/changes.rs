//! The stream of events.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fip_plugin::docker::{Change, Changes, DockerError};

use super::liar::{Daemon, PATIENT, SHORT, raw, says};

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";

/// An event of Docker 20.10.
fn event(of: &str, action: &str, id: &str, attributes: &str) -> String {
    format!(
        r#"{{"status":"{action}","id":"{id}","from":"lab","Type":"{of}","Action":"{action}",
        "Actor":{{"ID":"{id}","Attributes":{attributes}}},"scope":"local","time":1795376122,
        "timeNano":1795376122000000000}}"#
    )
    .replace('\n', "")
}

/// All until the error.
fn all(mut changes: Changes) -> (Vec<Change>, DockerError) {
    let mut seen = Vec::new();
    loop {
        match changes.wait() {
            Ok(change) => seen.push(change),
            Err(error) => return (seen, error),
        }
    }
}

fn told(text: &str) -> (Vec<Change>, DockerError) {
    all(says(format!("{HEAD}{text}")).docker(PATIENT).changes().unwrap())
}

fn ended(error: &DockerError) -> bool {
    matches!(error, DockerError::Unreachable { source, .. }
        if source.kind() == io::ErrorKind::UnexpectedEof)
}

#[test]
fn what_happens_is_told_in_order() {
    let (container, network) = ("c".to_owned(), "n".to_owned());
    let labels = r#"{"image":"lab","name":"c1","fip.address":"192.168.99.200"}"#;
    let joined = r#"{"container":"c","name":"fip","type":"fip"}"#;
    let lines = [
        event("container", "create", "c", labels),
        event("network", "connect", "n", joined),
        event("container", "start", "c", labels),
        event("container", "exec_create: sh", "c", labels),
        event("container", "health_status: healthy", "c", labels),
        event("container", "rename", "c", labels),
        event("container", "die", "c", "null"),
        event("network", "disconnect", "n", joined),
        event("container", "destroy", "c", "{}"),
        event("network", "destroy", "n", joined),
        event("volume", "create", "v", "{}"),
        event("plugin", "", "", "null"),
    ];
    let (seen, error) = told(&(lines.join("\n") + "\n"));
    let expected = [
        Change::Created(container.clone()),
        Change::Connected { container: container.clone(), network: network.clone() },
        Change::Started(container.clone()),
        Change::Renamed { container: container.clone(), name: "c1".to_owned() },
        Change::Died(container.clone()),
        Change::Disconnected { container: container.clone(), network },
        Change::Removed(container),
        Change::Network,
    ];
    assert_eq!(seen, expected);
    assert!(ended(&error), "{error}");
}

#[test]
fn only_what_matters_is_asked_for() {
    let daemon = Daemon::new(|_| (200, String::new()));
    all(daemon.docker().changes().unwrap());
    let asked = &daemon.asked()[0].url;
    for word in ["type", "container", "network", "event", "start", "die", "connect", "destroy"] {
        assert!(asked.contains(&format!("%22{word}%22")), "{word}: {asked}");
    }
}

#[test]
fn what_happens_until_docker_listens_is_asked_for_too() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let daemon = Daemon::new(|_| (200, String::new()));
    let begun = now();
    all(daemon.docker().changes().unwrap());
    let asked = daemon.asked()[0].url.clone();
    let since = asked.split(['?', '&']).find_map(|part| part.strip_prefix("since="));
    let (seconds, nanos) = since.unwrap().split_once('.').unwrap();
    assert_eq!(nanos.len(), 9, "{asked}");
    let since = Duration::new(seconds.parse().unwrap(), nanos.parse().unwrap());
    assert!(begun <= since && since <= now(), "{asked}");
}

#[test]
fn an_event_may_come_in_pieces() {
    let event = event("container", "start", "c", "{}") + "\n";
    let daemon = raw(move |stream| {
        let mut tell = || {
            stream.write_all(HEAD.as_bytes())?;
            // Longer than any other answer may take.
            thread::sleep(SHORT * 2);
            event.bytes().try_for_each(|byte| stream.write_all(&[byte]))
        };
        // A client that did not get the head in time has gone.
        if tell().is_ok() {
            thread::sleep(PATIENT * 10);
        }
    });
    let docker = daemon.docker(SHORT);
    // A busy machine may need more than the short time.
    let changes = (0..100).find_map(|_| docker.changes().ok());
    let mut changes = changes.expect("the daemon answers");
    assert_eq!(changes.wait().unwrap(), Change::Started("c".to_owned()));
}

#[test]
fn an_event_that_is_cut_is_none() {
    let whole = event("container", "start", "c", "{}");
    for length in 0..=whole.len() {
        let (seen, error) = told(&whole[..length]);
        assert!(seen.is_empty() && ended(&error), "{length}: {seen:?} {error}");
    }
    let chunk = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n{whole}");
    let (seen, error) = all(says(chunk).docker(PATIENT).changes().unwrap());
    assert!(seen.is_empty() && ended(&error), "{error}");
}

#[test]
fn what_is_no_event_is_nonsense() {
    let good = event("container", "start", "c", "{}") + "\n";
    let deep = "[".repeat(100_000);
    let huge = event("container", "start", &"c".repeat(2 << 20), "{}");
    for line in [
        "",
        "null",
        "5",
        "[]",
        "{}",
        "<html>",
        "\u{0}\u{1b}[2J",
        &deep,
        &huge,
        r#"{"message":"the server is shutting down"}"#,
        &event("container", "start", "c", "5"),
        &event("container", "start", "c", r#"{"container":5}"#),
        r#"{"Type":"container","Action":"start","Actor":{"ID":5,"Attributes":{}}}"#,
        r#"{"Type":"container","Action":"start","Actor":null}"#,
    ] {
        let (seen, error) = told(&format!("{good}{line}\n{good}"));
        assert_eq!(seen, [Change::Started("c".to_owned())], "{line:.60}");
        assert!(matches!(error, DockerError::Nonsense { .. }), "{line:.60}: {error}");
        let text = error.to_string();
        assert!(text.contains("GET /events is not") && text.len() < 500, "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}

#[test]
fn a_line_without_end_takes_bounded_memory() {
    let daemon = raw(|stream| {
        let mut sent = stream.write_all(HEAD.as_bytes());
        while sent.is_ok() {
            sent = stream.write_all(&[b'x'; 1 << 16]);
        }
    });
    let (_, error) = all(daemon.docker(PATIENT).changes().unwrap());
    assert!(error.to_string().contains("more than 1048576 bytes"), "{error}");
}

#[test]
fn a_daemon_that_tells_nothing_is_an_error() {
    for status in [204, 301, 404, 500] {
        let daemon = Daemon::new(move |_| (status, r#"{"message":"no"}"#.to_owned()));
        let error = daemon.docker().changes().unwrap_err();
        assert!(error.to_string().contains(&format!("HTTP status {status}")), "{error}");
    }
    let silent = raw(|_| thread::sleep(PATIENT * 10));
    assert!(silent.docker(SHORT).changes().is_err());
}
