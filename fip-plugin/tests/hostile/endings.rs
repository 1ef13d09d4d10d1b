//! How the server ends.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use fip_plugin::http::Limits;

use crate::server::{Server, alone, ask, echo, impatient, post, receive, wait_for};

#[test]
fn the_end_is_a_file_that_stays_readable() {
    let _alone = alone();
    let stop = fip_plugin::http::Stop::new().unwrap();
    assert!(!stop.is_asked());
    stop.clone().ask();
    assert!(stop.is_asked());
    stop.ask();
    assert!(stop.is_asked() && stop.is_asked());
}

#[test]
fn a_request_that_is_being_handled_gets_its_answer() {
    let _alone = alone();
    let (called, calls) = channel();
    let (go, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let done = Arc::new(AtomicBool::new(false));
    let finished = Arc::clone(&done);
    let mut server = Server::start(Limits::default(), move |request| {
        called.send(()).unwrap();
        gate.lock().unwrap().recv().unwrap();
        // Long enough that a server which does not wait is gone.
        thread::sleep(Duration::from_millis(50));
        finished.store(true, Ordering::SeqCst);
        echo(request)
    });
    let mut stream = server.unix();
    stream.write_all(&post("late")).unwrap();
    calls.recv().unwrap();
    server.stop.ask();
    wait_for("the socket to be removed", || (!server.path.exists()).then_some(()));
    go.send(()).unwrap();
    server.join();
    assert!(done.load(Ordering::SeqCst));
    assert_eq!(receive(stream).body, b"late");
}

#[test]
fn a_request_that_has_begun_may_be_completed() {
    let _alone = alone();
    let mut server = Server::echo(Limits::default());
    let whole = post("in two parts");
    let mut stream = server.tcp();
    stream.write_all(&whole[..20]).unwrap();
    server.stop.ask();
    wait_for("the socket to be removed", || (!server.path.exists()).then_some(()));
    // Longer than one is waited for who has not said anything.
    thread::sleep(Duration::from_millis(300));
    assert_eq!(ask(stream, &whole[20..]).body, b"in two parts");
    server.join();
}

#[test]
fn who_was_here_before_the_end_is_served() {
    let _alone = alone();
    for _ in 0..20 {
        let mut server = Server::echo(Limits::default());
        let mut clients: Vec<_> = (0..20).map(|_| server.unix()).collect();
        for client in &mut clients {
            client.write_all(&post("here")).unwrap();
        }
        server.stop.ask();
        for client in clients {
            assert_eq!(receive(client).body, b"here");
        }
        server.join();
    }
}

#[test]
fn who_says_nothing_does_not_hold_up_the_end() {
    let _alone = alone();
    // An hour: the test would not end.
    let patience = Duration::from_secs(3600);
    let mut server = Server::echo(Limits { patience, ..Limits::default() });
    let silent = (server.unix(), server.tcp());
    server.assert_alive();
    server.stop.ask();
    server.join();
    drop(silent);
}

#[test]
fn a_handler_that_never_returns_does_not_hold_up_the_end_for_ever() {
    let _alone = alone();
    let (called, calls) = channel();
    let (go, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let mut server = Server::start(impatient(), move |request| {
        called.send(()).unwrap();
        let _ = gate.lock().unwrap().recv();
        echo(request)
    });
    let mut stream = server.unix();
    stream.write_all(&post("x")).unwrap();
    calls.recv().unwrap();
    server.stop.ask();
    server.join();
    drop(go);
}

#[test]
fn the_end_comes_also_when_all_places_are_taken() {
    let _alone = alone();
    let limits = Limits { connections: 2, ..impatient() };
    let mut server = Server::echo(limits);
    let silent: Vec<_> = (0..10).map(|_| server.unix()).collect();
    let stop = server.stop.clone();
    thread::spawn(move || stop.ask()).join().unwrap();
    server.join();
    drop(silent);
}
