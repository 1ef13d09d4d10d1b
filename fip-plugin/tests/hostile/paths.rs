//! The unix socket as a file.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use fip_plugin::http::{ListenError, Listener};
use nix::sys::stat::{Mode, umask};

use crate::server::{Directory, Server, alone};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn there_is_no_moment_at_which_others_could_connect() {
    let _alone = alone();
    let directory = Directory::new();
    let path = directory.join("fip.sock");
    let before = umask(Mode::empty());
    let modes = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let looks = || fs::symlink_metadata(&path).ok();
            let seen = std::iter::repeat_with(looks).flatten().take(1000);
            seen.map(|file| file.permissions().mode() & 0o7777).collect::<BTreeSet<_>>()
        });
        while !watcher.is_finished() {
            drop(Listener::unix(&path).unwrap());
        }
        watcher.join().unwrap()
    });
    umask(before);
    assert_eq!(modes, BTreeSet::from([0o600]));
}

#[test]
fn missing_directories_are_made() {
    let _alone = alone();
    let directory = Directory::new();
    let before = umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let path = directory.join("docker/plugins/fip.sock");
    let listener = Listener::unix(&path).unwrap();
    umask(before);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o755);
    assert_eq!(listener.to_string(), format!("unix://{}", path.display()));
}

#[test]
fn a_socket_that_nobody_serves_is_replaced() {
    let _alone = alone();
    let directory = Directory::new();
    let path = directory.join("fip.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(UnixStream::connect(&path).is_err());
    let listener = Listener::unix(&path).unwrap();
    UnixStream::connect(&path).unwrap();
    drop(listener);
    drop(UnixDatagram::bind(&path).unwrap());
    Listener::unix(&path).unwrap();
}

#[test]
fn a_socket_that_somebody_serves_is_left_alone() {
    let _alone = alone();
    let server = Server::echo(fip_plugin::http::Limits::default());
    for _ in 0..100 {
        let error = Listener::unix(&server.path).unwrap_err();
        assert!(matches!(error, ListenError::Live(_)), "{error}");
        assert!(error.to_string().contains(&server.path.display().to_string()));
    }
    server.assert_alive();
}

#[test]
fn a_server_that_does_not_answer_is_alive_all_the_same() {
    let _alone = alone();
    let directory = Directory::new();
    let path = directory.join("full.sock");
    let full = UnixListener::bind(&path).unwrap();
    nix::sys::socket::listen(&full, nix::sys::socket::Backlog::new(1).unwrap()).unwrap();
    let waiting = [UnixStream::connect(&path).unwrap(), UnixStream::connect(&path).unwrap()];
    let error = Listener::unix(&path).unwrap_err();
    assert!(matches!(error, ListenError::Live(_)), "{error}");
    drop(waiting);

    let path = directory.join("datagram.sock");
    let _datagram = UnixDatagram::bind(&path).unwrap();
    let error = Listener::unix(&path).unwrap_err();
    assert!(matches!(error, ListenError::Live(_)), "{error}");
}

#[test]
fn what_is_no_socket_is_never_removed() {
    let _alone = alone();
    let directory = Directory::new();
    let refused = |path: &Path| {
        let error = Listener::unix(path).unwrap_err();
        assert!(matches!(error, ListenError::NotSocket(_)), "{error}");
        assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
    };
    let file = directory.join("file");
    fs::write(&file, "precious").unwrap();
    refused(&file);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");

    let empty = directory.join("empty");
    fs::create_dir(&empty).unwrap();
    refused(&empty);
    assert!(empty.is_dir());

    let dangling = directory.join("dangling");
    std::os::unix::fs::symlink(directory.join("nowhere"), &dangling).unwrap();
    refused(&dangling);
    assert!(dangling.is_symlink() && !dangling.exists());

    let dead = directory.join("dead.sock");
    drop(UnixListener::bind(&dead).unwrap());
    let pointer = directory.join("pointer");
    std::os::unix::fs::symlink(&dead, &pointer).unwrap();
    refused(&pointer);
    assert!(fs::symlink_metadata(&dead).unwrap().file_type().is_socket());
}

#[test]
fn the_file_goes_with_the_server_but_not_a_successors() {
    let _alone = alone();
    let mut server = Server::echo(fip_plugin::http::Limits::default());
    assert!(server.path.exists());
    server.stop.ask();
    server.join();
    assert!(!server.path.exists());

    let directory = Directory::new();
    let path = directory.join("fip.sock");
    let old = Listener::unix(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let new = Listener::unix(&path).unwrap();
    drop(old);
    UnixStream::connect(&path).unwrap();
    drop(new);
    assert!(!path.exists());
}

#[test]
fn places_that_cannot_be_are_named() {
    let _alone = alone();
    let directory = Directory::new();
    fs::write(directory.join("file"), "").unwrap();
    let long = directory.join(&"x".repeat(108));
    for path in [directory.join("file/fip.sock"), long] {
        let error = Listener::unix(&path).unwrap_err();
        let text = format!("cannot listen on {}", path.display());
        assert!(matches!(error, ListenError::System { .. }), "{error}");
        assert_eq!(error.to_string(), text);
    }
    let first = Listener::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = first.local_tcp().unwrap();
    assert_eq!(first.to_string(), format!("tcp://{address}"));
    let error = Listener::tcp(address).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
}
