//! Too many, too much, all at once.

use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use fip_plugin::http::Limits;

use crate::server::{Server, alone, ask, echo, http_threads, impatient, json, post, wait_for};

#[test]
fn requests_are_handled_at_the_same_time() {
    let _alone = alone();
    let limits = Limits::default();
    let count = limits.connections;
    // Each waits for all others.
    let barrier = Barrier::new(count);
    let server = Server::start(limits, move |request| {
        barrier.wait();
        echo(request)
    });
    thread::scope(|scope| {
        let clients: Vec<_> =
            (0..count).map(|_| scope.spawn(|| ask(server.unix(), &post("x")).status)).collect();
        assert!(clients.into_iter().all(|client| client.join().unwrap() == 200));
    });
}

#[test]
fn the_limit_holds_for_all_doors_together_and_nobody_is_turned_away() {
    let _alone = alone();
    let now = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let counted = (Arc::clone(&now), Arc::clone(&most));
    let limits = Limits { connections: 3, ..Limits::default() };
    let server = Server::start(limits, move |request| {
        counted.1.fetch_max(counted.0.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::yield_now();
        counted.0.fetch_sub(1, Ordering::SeqCst);
        echo(request)
    });
    thread::scope(|scope| {
        for client in 0..40 {
            let server = &server;
            scope.spawn(move || {
                for _ in 0..10 {
                    let status = match client % 2 {
                        0 => ask(server.unix(), &post("x")).status,
                        _ => ask(server.tcp(), &post("x")).status,
                    };
                    assert_eq!(status, 200);
                }
            });
        }
    });
    let most = most.load(Ordering::SeqCst);
    assert!((1..=3).contains(&most), "{most} at a time");
}

#[test]
fn those_who_occupy_all_places_lose_them() {
    let _alone = alone();
    let limits = Limits { connections: 8, ..impatient() };
    let server = Server::echo(limits);
    let occupants: Vec<_> = (0..20).map(|_| server.unix()).collect();
    server.assert_alive();
    drop(occupants);
}

#[test]
fn a_thousand_connections_come_and_go() {
    let _alone = alone();
    let server = Server::echo(Limits::default());
    let whole = post("hello");
    thread::scope(|scope| {
        for worker in 0..4 {
            let (server, whole) = (&server, &whole);
            scope.spawn(move || {
                for i in 0..250 {
                    let part = &whole[..(worker * 250 + i) % (whole.len() + 1)];
                    if i % 2 == 0 {
                        let _ = server.unix().write_all(part);
                    } else {
                        let _ = server.tcp().write_all(part);
                    }
                }
            });
        }
    });
    server.assert_alive();
}

#[test]
fn a_client_may_leave_before_its_answer() {
    let _alone = alone();
    let (called, calls) = channel();
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(gone);
    let server = Server::start(Limits::default(), move |request| {
        if request.body == b"leave" {
            called.send(()).unwrap();
            gone.lock().unwrap().recv().unwrap();
            // More than any socket buffer holds.
            return json(vec![b'x'; 8 << 20]);
        }
        echo(request)
    });
    let mut stream = server.unix();
    stream.write_all(&post("leave")).unwrap();
    calls.recv().unwrap();
    drop(stream);
    go.send(()).unwrap();
    server.assert_alive();
}

#[test]
fn a_client_that_does_not_read_its_answer_is_left() {
    let _alone = alone();
    let (called, calls) = channel();
    let server = Server::start(impatient(), move |_| {
        called.send(()).unwrap();
        json(vec![b'x'; 8 << 20])
    });
    let mut stream = server.unix();
    stream.write_all(&post("")).unwrap();
    calls.recv().unwrap();
    wait_for("the server to give up", || (http_threads() == 0).then_some(()));
    drop(stream);
}

#[test]
fn a_panic_is_an_answer() {
    let _alone = alone();
    let server = Server::start(Limits::default(), |request| {
        assert_ne!(request.body, b"panic", "as it should");
        echo(request)
    });
    let answer = ask(server.unix(), &post("panic"));
    assert_eq!(answer.status, 500);
    assert_eq!(answer.body, br#"{"Err":"internal error, see the log"}"#);
    server.assert_alive();
}

/// Memory in use, in bytes: `VmRSS` now, `VmHWM` at its highest since it was forgotten.
fn memory(field: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    let kib: usize = line.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
    kib << 10
}

#[test]
fn memory_stays_within_its_bounds() {
    let _alone = alone();
    let limits = Limits::default();
    // All places taken by requests as large as they may be; as much again for stacks, buffers,
    // what the allocator keeps, and the clients.
    let bound = 2 * limits.connections * (limits.body + limits.head);
    let clients = limits.connections;
    let server = Server::start(limits, |_| json(Vec::new()));
    let piece = vec![b'x'; 1 << 20];
    // Forget the highest (proc(5), clear_refs).
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory("VmRSS:");
    let sent = AtomicUsize::new(0);
    thread::scope(|scope| {
        for client in 0..clients {
            let (server, piece, sent) = (&server, &piece, &sent);
            scope.spawn(move || {
                let heads = [
                    "POST /x HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n",
                    "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n",
                    "POST /x HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
                    "POST /x HTTP/1.1\r\nA: ",
                ];
                for round in 0..8 {
                    let mut stream = server.unix();
                    let head = heads[(client + round) % heads.len()];
                    let mut taken = stream.write_all(head.as_bytes());
                    for _ in 0..16 {
                        taken = taken.and_then(|()| stream.write_all(piece));
                        if taken.is_ok() {
                            sent.fetch_add(piece.len(), Ordering::SeqCst);
                        }
                    }
                }
            });
        }
    });
    let grown = memory("VmHWM:").saturating_sub(before);
    println!("{} MiB grown while {} MiB came", grown >> 20, sent.load(Ordering::SeqCst) >> 20);
    assert!(grown <= bound, "{grown} bytes are more than {bound}");
    assert_eq!(ask(server.unix(), &post("x")).status, 200);
}
