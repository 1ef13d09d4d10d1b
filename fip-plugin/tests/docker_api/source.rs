//! The source of workloads, with an engine that does not always tell the truth.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use fip_plugin::agent::model::{Presence, Workload};
use fip_plugin::agent::source::docker::DockerSource;
use fip_plugin::agent::source::{Source, SourceError};

use super::liar::PATIENT;
use super::scripted::{Scripted, container, tell};

/// Nobody waits as long as this.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

type Answer = Result<Vec<Workload>, SourceError>;

/// A source in a thread of its own: one that sleeps for ever does not take the test along.
struct Asked {
    ask: Sender<()>,
    answers: Receiver<Answer>,
}

impl Asked {
    fn ask(&self) {
        self.ask.send(()).unwrap();
    }

    fn answer(&self) -> Answer {
        self.answers.recv_timeout(PATIENT).expect("the source sleeps")
    }
}

fn source(daemon: &Scripted, labels: &[&str], resync: Duration) -> Asked {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    let mut source = DockerSource::new(daemon.docker(), labels, resync);
    let (ask, asked) = mpsc::channel();
    let (sender, answers) = mpsc::channel();
    thread::spawn(move || {
        for () in asked {
            // The test may be over.
            let answer = source.next();
            _ =
                sender.send(answer.map(|listing| {
                    listing.workloads.into_iter().map(Arc::unwrap_or_clone).collect()
                }));
        }
    });
    Asked { ask, answers }
}

fn next(source: &Asked) -> Answer {
    source.ask();
    source.answer()
}

/// A source that follows a container, and the connection over which it is told what happens.
fn followed(daemon: &Scripted) -> (Asked, UnixStream) {
    let source = source(daemon, &["a"], NEVER);
    assert_eq!(next(&source).unwrap().len(), 1);
    source.ask();
    let stream = daemon.followed();
    assert_eq!(source.answer().unwrap().len(), 1);
    (source, stream)
}

#[test]
fn one_look_follows_nobody() {
    let daemon = Scripted::new(&[container("c", "running", "e")]);
    let workloads = next(&source(&daemon, &["a"], NEVER)).unwrap();
    let expected = Workload {
        id: "c".to_owned(),
        name: "c".to_owned(),
        container: Some("c".to_owned()),
        asks: "192.168.99.200".to_owned(),
        age: 1,
        run: 0,
        presence: Presence::Running(vec![[172, 17, 0, 2].into()]),
    };
    assert_eq!(workloads, [expected]);
    assert_eq!(daemon.asked(), 1);
}

#[test]
fn several_labels_are_one_wish() {
    let daemon = Scripted::new(&[container("c", "running", "e")]);
    let asks = |labels| next(&source(&daemon, labels, NEVER)).unwrap().pop().map(|w| w.asks);
    assert_eq!(asks(&["b"]).as_deref(), Some("192.168.99.201"));
    assert_eq!(asks(&["b", "none", "a"]).as_deref(), Some("192.168.99.201, 192.168.99.200"));
    assert_eq!(asks(&["none"]), None, "whatever the filter lets through");
    assert_eq!(asks(&["none", "neither"]), None);
}

#[test]
fn a_bad_answer_is_an_error_and_is_asked_for_again_at_once() {
    let good = [container("c", "running", "e")];
    let daemon = Scripted::new(&good);
    let (source, mut stream) = followed(&daemon);
    for (status, body) in [
        (200, "null"),
        (200, ""),
        (200, "{}"),
        (200, "[null]"),
        (200, "[{\"Id\":"),
        (204, ""),
        (301, ""),
        (404, "[]"),
        (500, r#"{"message":"no"}"#),
    ] {
        daemon.says(status, body);
        tell(&mut stream, "network", "create", "n");
        for _ in 0..2 {
            let error = next(&source).unwrap_err();
            assert!(error.what.contains("GET /containers/json"), "{error}");
        }
        daemon.lists(&good);
        assert_eq!(next(&source).unwrap().len(), 1, "{status} {body}");
    }
}

#[test]
fn that_all_is_gone_is_not_believed_at_once() {
    let good = [container("c", "running", "e")];
    let daemon = Scripted::new(&good);
    let (source, mut stream) = followed(&daemon);
    let before = daemon.says(200, "[]");
    tell(&mut stream, "network", "create", "n");
    source.ask();
    daemon.wait_for_asked(before + 1);
    daemon.lists(&good);
    assert_eq!(source.answer().unwrap().len(), 1, "it was back when it was looked at again");
    daemon.says(200, "[]");
    tell(&mut stream, "network", "create", "n");
    assert_eq!(next(&source).unwrap(), [], "it stayed away");
}

#[test]
fn that_all_is_gone_is_believed_if_docker_tells_so() {
    let daemon = Scripted::new(&[container("c", "running", "e")]);
    let (source, mut stream) = followed(&daemon);
    let before = daemon.says(200, "[]");
    tell(&mut stream, "container", "destroy", "c");
    assert_eq!(next(&source).unwrap(), []);
    assert_eq!(daemon.asked(), before + 1);
    let back = [container("c", "running", "e")];
    daemon.lists(&back);
    tell(&mut stream, "container", "create", "c");
    assert_eq!(next(&source).unwrap().len(), 1);
}

#[test]
fn what_has_died_does_not_run_whatever_is_listed() {
    let daemon = Scripted::new(&[container("c", "running", "e")]);
    let (source, mut stream) = followed(&daemon);
    let before = next_after(&source, &mut stream, "die");
    assert_eq!(before.presence, Presence::Stopped);
    let after = next_after(&source, &mut stream, "start");
    assert!(matches!(after.presence, Presence::Running(_)));
    assert_ne!(after.run, before.run);
}

fn next_after(source: &Asked, stream: &mut UnixStream, action: &str) -> Workload {
    tell(stream, "container", action, "c");
    next(source).unwrap().remove(0)
}

#[test]
fn what_was_not_told_is_seen_when_the_connection_is_back() {
    let daemon = Scripted::new(&[container("c", "running", "e")]);
    let (source, mut stream) = followed(&daemon);
    let first = next_after(&source, &mut stream, "start");
    for cut in ["{\"Type\":\"container\",\"Act", "nonsense\n", ""] {
        stream.write_all(cut.as_bytes()).unwrap();
        drop(stream);
        // Its end is a reason to look, too.
        assert_eq!(next(&source).unwrap()[0].presence, first.presence);
        daemon.lists(&[container("c", "exited", "")]);
        stream = daemon.followed();
        assert_eq!(next(&source).unwrap()[0].presence, Presence::Stopped, "after {cut:?}");
        daemon.lists(&[container("c", "running", "e")]);
        let again = next_after(&source, &mut stream, "start");
        assert_eq!(again.presence, first.presence);
    }
    // Stopped and started unseen.
    let last = next_after(&source, &mut stream, "rename");
    daemon.lists(&[container("c", "running", "other")]);
    drop(stream);
    while next(&source).unwrap()[0].run == last.run {}
}

#[test]
fn an_engine_that_tells_nothing_is_looked_at_now_and_then() {
    let daemon = Scripted::new(&[container("c", "running", "e")]);
    let source = source(&daemon, &["a"], Duration::from_millis(10));
    next(&source).unwrap();
    daemon.lists(&[container("c", "exited", "")]);
    assert_eq!(next(&source).unwrap()[0].presence, Presence::Stopped);
}
