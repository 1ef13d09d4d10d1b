//! A source that sleeps costs nothing, and one that is dropped leaves nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::thread;
use std::time::Duration;

use fip_plugin::agent::source::Source;

use super::alone::is_alone;
use super::stage::{Stage, rename_over};
use crate::lab::wait_for;

/// Longer than whoever wakes up now and then sleeps.
const LONG: Duration = Duration::from_millis(1200);

fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok()).collect()
}

/// The files that this process has open, by what they are.
fn open_files() -> Vec<String> {
    let files = fs::read_dir("/proc/self/fd").unwrap();
    let mut names: Vec<_> = files
        .filter_map(|file| fs::read_link(file.unwrap().path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .filter(|name| !name.ends_with("/fd"))
        .collect();
    names.sort();
    names
}

/// Whether that is watched by the file of which this is the `/proc/self/fdinfo`.
fn watches(info: &str, path: &Path) -> bool {
    let inode = format!(" ino:{:x} ", fs::metadata(path).unwrap().ino());
    info.lines().any(|line| line.starts_with("inotify ") && line.contains(&inode))
}

#[test]
fn a_dropped_source_leaves_no_thread_and_no_file() {
    if !is_alone("file::ending::a_dropped_source_leaves_no_thread_and_no_file") {
        return;
    }
    let stage = Stage::new();
    stage.place("203.0.113.1 172.16.0.2\n203.0.113.2 web\n");
    let before = (threads(), open_files());
    for _ in 0..20 {
        let mut source = stage.source();
        assert_eq!(source.next().unwrap().workloads.len(), 2);
        assert!(open_files().len() > before.1.len(), "nothing watches the file");
        assert!(threads().len() > before.0.len(), "nobody follows Docker");
        drop(source);
    }
    wait_for("no thread and no file of a source", || {
        (before == (threads(), open_files())).then_some(())
    });
}

#[test]
fn a_source_that_names_no_container_any_more_leaves_docker() {
    if !is_alone("file::ending::a_source_that_names_no_container_any_more_leaves_docker") {
        return;
    }
    let stage = Stage::new();
    let before = threads();
    stage.place("203.0.113.1 web\n");
    let mut source = stage.source();
    source.next().unwrap();
    stage.place("203.0.113.1 172.16.0.2\n");
    source.next().unwrap();
    wait_for("no thread that follows Docker", || (before == threads()).then_some(()));
}

#[test]
fn ways_that_are_not_gone_any_more_leave_no_watch() {
    let stage = Stage::new();
    let mut source = stage.source();
    for round in 0..50 {
        let directory = stage.path(&round.to_string());
        fs::create_dir(&directory).unwrap();
        rename_over(&directory.join("map"), &format!("203.0.113.1 172.16.0.{round}\n"));
        symlink(directory.join("map"), stage.path("next")).unwrap();
        fs::rename(stage.path("next"), stage.map()).unwrap();
        source.next().unwrap();
    }
    let file = fs::canonicalize(stage.map()).unwrap();
    let infos = fs::read_dir("/proc/self/fdinfo").unwrap();
    let mut infos = infos.filter_map(|info| fs::read_to_string(info.unwrap().path()).ok());
    let info = infos.find(|info| watches(info, &file)).expect("the file is watched");
    // The directories from the root on, and the file.
    let watched = info.lines().filter(|line| line.starts_with("inotify ")).count();
    assert_eq!(watched, file.components().count(), "{info}");
}

#[test]
fn a_source_that_waits_does_not_wake_up() {
    if !is_alone("file::ending::a_source_that_waits_does_not_wake_up") {
        return;
    }
    for text in [Some("203.0.113.1 172.16.0.2\n"), Some("half"), None] {
        let stage = Stage::new();
        if let Some(text) = text {
            stage.place(text);
        }
        let mut source = stage.source();
        assert_eq!(source.next().is_ok(), text.is_some_and(|text| text.ends_with('\n')));
        let (told, asleep) = std::sync::mpsc::channel();
        let waiting = thread::spawn(move || {
            told.send(fs::read_link("/proc/thread-self").unwrap()).unwrap();
            source.next()
        });
        let status = Path::new("/proc").join(asleep.recv().unwrap()).join("status");
        wait_for("a thread that sleeps and goes on sleeping", || {
            let before = switches(&status);
            thread::sleep(LONG);
            (before == switches(&status)).then_some(())
        });
        stage.place("203.0.113.1 172.16.0.3\n");
        assert_eq!(waiting.join().unwrap().unwrap().workloads.len(), 1);
    }
}

/// How often a thread has begun to wait.
fn switches(status: &Path) -> String {
    let status = fs::read_to_string(status).unwrap();
    let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"));
    line.expect("a count of switches").to_owned()
}
