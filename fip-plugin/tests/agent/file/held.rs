//! Somebody has the file open for writing, which the kernel tells although nobody saw it opened.

use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::os::unix::fs::chown;
use std::time::{Duration, SystemTime};

use super::alone::is_alone_by;
use super::stage::Stage;

const ONE: &str = "203.0.113.1 172.16.0.2\n";
const TWO: &str = "203.0.113.1 172.16.0.2\n203.0.113.2 172.16.0.3\n";
const SAYS_ONE: [(&str, &str); 1] = [("203.0.113.1", "172.16.0.2")];
const SAYS_TWO: [(&str, &str); 2] = [("203.0.113.1", "172.16.0.2"), ("203.0.113.2", "172.16.0.3")];

/// Whoever has a file open may be in the middle of it until it is left alone for ten seconds.
const LONG_AGO: Duration = Duration::from_secs(11);

/// Makes the file look as if nothing was written to it since then. Of the one time alone the kernel
/// would tell as of a change of its content.
fn set_back(file: &File, by: Duration) {
    let then = SystemTime::now() - by;
    file.set_times(FileTimes::new().set_modified(then).set_accessed(then)).unwrap();
}

#[test]
fn half_a_file_that_was_made_before_anybody_looked_counts_when_it_is_closed() {
    let stage = Stage::new();
    let mut file = File::create_new(stage.map()).unwrap();
    file.write_all(ONE.as_bytes()).unwrap();
    let follower = stage.follow();
    // Although it is quiet, and its lines are whole.
    follower.complains_of("has not finished");
    // Although something else has happened to it.
    set_back(&file, Duration::from_secs(1));
    drop(file);
    follower.says(&SAYS_ONE);
    // And the same in the place of one that is watched.
    fs::remove_file(stage.map()).unwrap();
    follower.complains_of("No such file");
    let mut beside = File::create_new(stage.path("beside")).unwrap();
    beside.write_all(ONE.as_bytes()).unwrap();
    fs::hard_link(stage.path("beside"), stage.map()).unwrap();
    follower.complains_of("has not finished");
    beside.write_all(&TWO.as_bytes()[ONE.len()..]).unwrap();
    drop(beside);
    follower.says(&SAYS_TWO);
}

#[test]
fn what_is_open_but_was_left_alone_for_long_counts() {
    let stage = Stage::new();
    let mut file = File::create_new(stage.map()).unwrap();
    file.write_all(ONE.as_bytes()).unwrap();
    set_back(&file, LONG_AGO);
    let follower = stage.follow();
    follower.says(&SAYS_ONE);
    // Half a line is none, however old.
    let late = Stage::new();
    let mut file = File::create_new(late.map()).unwrap();
    file.write_all(ONE.trim_end().as_bytes()).unwrap();
    set_back(&file, LONG_AGO);
    late.follow().complains_of("line 1, the last one, has no end");
}

#[test]
fn what_is_open_counts_when_it_has_been_left_alone_for_long_enough() {
    let stage = Stage::new();
    let mut file = File::create_new(stage.map()).unwrap();
    file.write_all(ONE.as_bytes()).unwrap();
    // It is old enough in a few seconds, of which nothing tells.
    set_back(&file, Duration::from_secs(6));
    let follower = stage.follow();
    let mut answers = follower.answers();
    let listing = answers.find_map(Result::ok).expect("a listing");
    assert_eq!(listing.workloads[0].asks, "203.0.113.1");
}

#[test]
fn what_was_cut_by_its_path_counts_although_nothing_is_closed() {
    let stage = Stage::new();
    stage.place(TWO);
    let follower = stage.follow();
    follower.says(&SAYS_TWO);
    nix::unistd::truncate(&stage.map(), ONE.len() as i64).unwrap();
    follower.says(&SAYS_ONE);
    nix::unistd::truncate(&stage.map(), 0).unwrap();
    follower.complains_of("it is empty");
}

#[test]
fn where_the_kernel_does_not_tell_what_is_left_alone_for_a_moment_counts() {
    // Of a file of another user only the capability lets it tell.
    let confined = ["setpriv", "--bounding-set=-lease", "--inh-caps=-all"];
    let test = "file::held::where_the_kernel_does_not_tell_what_is_left_alone_for_a_moment_counts";
    if !is_alone_by(&confined, test) {
        return;
    }
    let stage = Stage::new();
    let mut file = File::create_new(stage.map()).unwrap();
    file.write_all(ONE.as_bytes()).unwrap();
    chown(stage.map(), Some(1), None).unwrap();
    let follower = stage.follow();
    follower.says(&SAYS_ONE);
    // From here on it is seen to be written.
    file.write_all(&TWO.as_bytes()[ONE.len()..]).unwrap();
    follower.complains_of("has not finished");
    drop(file);
    follower.says(&SAYS_TWO);
}
