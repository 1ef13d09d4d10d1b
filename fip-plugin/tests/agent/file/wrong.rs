//! What is no map is an error, and told once.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::stage::Stage;

const GOOD: &str = "203.0.113.1 172.16.0.2\n";

#[test]
fn what_is_no_map_is_held_until_it_is_one_again() {
    let stage = Stage::new();
    stage.place(GOOD);
    let follower = stage.follow();
    follower.says(&[("203.0.113.1", "172.16.0.2")]);
    let oversized = "# much\n".repeat(1 << 20);
    for (text, reason) in [
        ("", "is empty"),
        ("203.0.113.1 172.16.0.2", "line 1, the last one, has no end"),
        ("203.0.113.1\n", "line 1 says only one thing"),
        (r#"{"203.0.113.1": "172.16.0.2""#, "JSON breaks off"),
        (r#"{"203.0.113.1": "172.16.0.2", "203.0.113.1": "172.16.0.3"}"#, "there twice"),
        ("# \u{fffd}\n203.0.113.1 ?\n", "line 2 is wrong"),
        (&oversized, "larger than 4 MiB"),
    ] {
        stage.place(text);
        follower.complains_of(reason);
        // The same again is not told again: the next answer is another one.
        stage.place(text);
    }
    fs::write(stage.map(), b"203.0.113.1 a\n\xff\xfe\n").unwrap();
    follower.complains_of("line 2 is not UTF-8");
    stage.place(GOOD);
    follower.says(&[("203.0.113.1", "172.16.0.2")]);
    // A text that is no floating address is not this source's affair.
    stage.place("203.0.113.1 172.16.0.2\nnonsense 172.16.0.3\n");
    follower.says(&[("203.0.113.1", "172.16.0.2"), ("nonsense", "172.16.0.3")]);
}

#[test]
fn what_is_no_file_is_not_opened() {
    let stage = Stage::new();
    let follower = stage.follow();
    follower.complains_of("No such file");
    let replace = |make: &dyn Fn(&Path)| {
        make(&stage.path("next"));
        fs::rename(stage.path("next"), stage.map()).unwrap();
    };
    // To open that for reading would wait for a writer.
    replace(&|path| mkfifo(path, Mode::S_IRWXU).unwrap());
    follower.complains_of("not a regular file");
    replace(&|path| symlink("map", path).unwrap());
    follower.complains_of("symbolic links");
    replace(&|path| symlink("/dev/zero", path).unwrap());
    follower.complains_of("not a regular file");
    replace(&|path| symlink(".", path).unwrap());
    follower.complains_of("Is a directory");
    File::create(stage.path("file")).unwrap();
    replace(&|path| symlink("file/map", path).unwrap());
    follower.complains_of("Not a directory");
    stage.place(GOOD);
    follower.says(&[("203.0.113.1", "172.16.0.2")]);
}
