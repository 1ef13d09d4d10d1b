//! An engine whose events are read as long as somebody wants to know.

use std::io::{ErrorKind, Read, Write};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use fip_plugin::agent::source::docker::Followed;
use fip_plugin::docker::{Change, Docker, Filter};

use super::liar::{Dir, PATIENT, SHORT};
use super::scripted::{Scripted, container, tell};

/// Follows; what is heard comes out of the channel. The last is there as long as the thread.
fn follow(docker: &Docker) -> (Followed, Receiver<Option<Change>>, Weak<()>) {
    let (sender, heard) = mpsc::channel();
    let thread = Arc::new(());
    let lives = Arc::downgrade(&thread);
    let followed = Followed::new(docker, move |change| {
        _ = &thread;
        _ = sender.send(change.cloned());
    });
    (followed.unwrap(), heard, lives)
}

fn wait_for_end(thread: &Weak<()>) {
    let until = Instant::now() + PATIENT;
    while thread.strong_count() > 0 {
        assert!(Instant::now() < until, "the thread is still there");
        thread::sleep(Duration::from_millis(1));
    }
}

fn next(heard: &Receiver<Option<Change>>) -> Option<Change> {
    heard.recv_timeout(PATIENT).expect("nothing was heard")
}

#[test]
fn the_end_of_a_connection_is_heard_once_and_so_is_the_next_one() {
    let daemon = Scripted::new(&[]);
    let (_followed, heard, _) = follow(&daemon.docker());
    for cut in ["{\"Type\":\"contai", "<html>\n"] {
        // One that refuses is not heard of.
        daemon.follower().write_all(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n").unwrap();
        let mut stream = daemon.followed();
        assert_eq!(next(&heard), None, "it has come");
        tell(&mut stream, "container", "start", "c");
        assert_eq!(next(&heard), Some(Change::Started("c".to_owned())));
        stream.write_all(cut.as_bytes()).unwrap();
        drop(stream);
        assert_eq!(next(&heard), None, "it has ended by {cut:?}");
    }
    assert!(heard.try_recv().is_err());
}

#[test]
fn nothing_is_left_of_one_who_does_not_want_to_know_any_more() {
    let daemon = Scripted::new(&[]);
    let (followed, heard, thread) = follow(&daemon.docker());
    let mut stream = daemon.followed();
    next(&heard);
    drop(followed);
    wait_for_end(&thread);
    assert_eq!(stream.read(&mut [0]).unwrap_or_default(), 0, "the connection is open");
    assert!(heard.recv().is_err(), "he was told that the connection ended");

    let (followed, _, thread) = follow(&daemon.docker());
    let mut waiting = daemon.follower();
    drop(followed);
    wait_for_end(&thread);
    let end = waiting.read(&mut [0]);
    assert!(matches!(end, Ok(0)) || end.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
}

#[test]
fn one_who_waits_for_an_engine_can_be_ended_too() {
    let nowhere = Dir::new();
    let (followed, heard, thread) = follow(&nowhere.docker(SHORT));
    // Into the pauses between two attempts, which grow to five seconds.
    thread::sleep(Duration::from_millis(250));
    drop(followed);
    wait_for_end(&thread);
    assert!(heard.recv().is_err(), "there was no connection");
}

#[test]
fn a_list_that_is_behind_is_asked_for_again() {
    let daemon = Scripted::new(&[container("c", "running", "")]);
    let (followed, heard, _) = follow(&daemon.docker());
    let mut stream = daemon.followed();
    next(&heard);
    tell(&mut stream, "network", "connect", "n");
    let network = "n".to_owned();
    assert_eq!(next(&heard), Some(Change::Connected { container: "c".to_owned(), network }));
    let list = thread::scope(|scope| {
        let list = scope.spawn(|| followed.list(&Filter::All).unwrap());
        daemon.wait_for_asked(2);
        daemon.lists(&[container("c", "running", "e")]);
        list.join().unwrap()
    });
    assert_eq!(list[0].networks["net"].endpoint_id, "e");
    let before = daemon.asked();
    followed.list(&Filter::All).unwrap();
    assert_eq!(daemon.asked(), before + 1);
}
