//! Tests that need a process of their own.

use std::process::Command;

/// Set in the process of a test that is alone.
const ALONE: &str = "FIP_TEST_ALONE";

/// Runs the test in a process in which nothing else is; returns whether this is that process.
pub(super) fn is_alone(test: &str) -> bool {
    is_alone_by(&[], test)
}

/// The same, started by another program, which takes it and its arguments as its last ones.
pub(super) fn is_alone_by(starter: &[&str], test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let itself = std::env::current_exe().unwrap();
    let mut words = starter.iter().map(AsRef::as_ref).chain([itself.as_os_str()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["--exact", test, "--nocapture"]).env(ALONE, "1");
    let done = command.output().unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    let why = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && told.contains("1 passed"), "{:?}\n{told}\n{why}", done.status);
    false
}
