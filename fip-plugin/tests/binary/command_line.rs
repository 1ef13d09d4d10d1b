//! Wrong ways to start it.

use std::fs;

use crate::daemon::Place;

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    let place = Place::new();
    let long = "x".repeat(200);
    let cases: [(&[&str], &[&str]); 17] = [
        (&[], &["Usage: fip-plugin"]),
        (&["sevre"], &["unrecognized subcommand 'sevre'", "serve"]),
        (&["serve", "now"], &["unexpected argument 'now'"]),
        (&["serve", "--sokcet", "/x"], &["unexpected argument '--sokcet'", "--socket"]),
        (&["serve", "--socket"], &["--socket <PATH>", "a value is required"]),
        (&["serve", "--listen", "everywhere"], &["'everywhere' for '--listen"]),
        (&["serve", "--listen", "203.0.113.1:65536"], &["--listen"]),
        (&["serve", "--uplink", "eth0/../x"], &["eth0/../x", "--uplink"]),
        (&["serve", "--uplink", ""], &["--uplink"]),
        (&["serve", "--allow", "192.168.99.0/33"], &["192.168.99.0/33", "--allow"]),
        (&["serve", "--allow", "192.168.99.9-192.168.99.1"], &["192.168.99.9-192.168.99.1"]),
        (&["serve", "--allow", &long], &["--allow"]),
        (&["serve", "--rival", "fight"], &["fight", "--rival"]),
        (&["serve", "--probe", "soon"], &["soon", "--probe", "100ms"]),
        (&["serve", "--deadline=-1s"], &["-1s", "--deadline"]),
        (&["serve", "--mark", "3"], &["--mark"]),
        (&["serve", "--log-level", "loud"], &["loud", "--log-level"]),
    ];
    for (args, words) in cases {
        let done = place.run(args);
        assert_eq!(done.code, Some(2), "{args:?}: {}", done.stderr);
        for word in words {
            assert!(done.stderr.contains(word), "{args:?}: no {word:?} in: {}", done.stderr);
        }
    }
    assert!(!place.socket().exists());
}

#[test]
fn what_cannot_be_had_is_a_failure_with_the_reason() {
    let place = Place::new();
    let file = place.state().join("canary");
    let file = file.display().to_string();
    let below = format!("{file}/state");
    for (args, words) in [
        (&["--state-dir", &below][..], &[file.as_str(), "Not a directory"][..]),
        (&["--socket", &file], &[&file, "socket"]),
        (&["--docker", "ssh://somewhere"], &["ssh://somewhere"]),
        (&["--listen", "203.0.113.77:4711"], &["203.0.113.77:4711"]),
    ] {
        let args = place.arguments(args).into_iter();
        // The later one of two counts for nothing: the first has to go.
        let mut kept: Vec<String> = Vec::new();
        for word in args {
            if let Some(at) = kept.iter().position(|other| *other == word && word.starts_with("--"))
            {
                kept.drain(at..at + 2);
            }
            kept.push(word);
        }
        let kept: Vec<&str> = kept.iter().map(String::as_str).collect();
        let done = place.run(&kept);
        assert_eq!(done.code, Some(1), "{kept:?}: {}", done.stderr);
        for word in words {
            assert!(done.stderr.contains(word), "{kept:?}: no {word:?} in: {}", done.stderr);
        }
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "canary");
}
