//! The file is written again and again while it is read.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use fip_plugin::agent::source::Listing;

use super::stage::{Stage, rename_over};
use crate::lab::wait_for;

const REWRITES: u32 = 1000;
const LINES: u32 = 20;

/// What is told, and takes nothing away, if a writer does not come to rest, or pauses where there is
/// no file or nothing in it.
const PAUSES: [&str; 3] = ["has not finished", "No such file", "it is empty"];

/// The lines of one generation: each of them shows to which one it belongs.
fn lines(generation: u32) -> Vec<String> {
    let [_, _, c, d] = generation.to_be_bytes();
    (1..=LINES).map(|line| format!("203.0.113.{line} 172.{}.{c}.{d}\n", 17 - line % 2)).collect()
}

/// The generation of a listing; panics if it is not one, and the whole of it.
fn generation(listing: &Listing) -> u32 {
    let first = listing.workloads[0].name.rsplit('.').take(2);
    let bytes: Vec<u32> = first.map(|byte| byte.parse().unwrap()).collect();
    let generation = bytes[1] << 8 | bytes[0];
    let odd: Vec<_> = (1..=LINES).step_by(2).map(|line| format!("203.0.113.{line}")).collect();
    let even: Vec<_> = (2..=LINES).step_by(2).map(|line| format!("203.0.113.{line}")).collect();
    let [_, _, c, d] = generation.to_be_bytes();
    let found: Vec<_> =
        listing.workloads.iter().map(|w| (w.name.clone(), w.asks.clone())).collect();
    let expected =
        [(format!("172.16.{c}.{d}"), odd.join(", ")), (format!("172.17.{c}.{d}"), even.join(", "))];
    assert_eq!(found, expected, "not the whole of one generation");
    generation
}

/// Rewrites the map that often, with a pause in the middle until something is listed. All that is
/// listed meanwhile is a generation, each later than the one before, and the last one comes. Returns
/// how many did.
fn rewritten(excused: &[&str], write: impl Fn(&Path, u32) + Sync) -> u32 {
    let stage = Stage::new();
    write(&stage.map(), 0);
    let follower = stage.follow();
    let mut answers = follower.answers();
    assert_eq!(generation(&answers.next().unwrap().unwrap()), 0);
    let map = stage.map();
    let listed = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (1..=REWRITES / 2).for_each(|generation| write(&map, generation));
            wait_for("a listing", || (listed.load(Ordering::Relaxed) > 0).then_some(()));
            (REWRITES / 2 + 1..=REWRITES).for_each(|generation| write(&map, generation));
        });
        let (mut last, mut count) = (0, 0);
        for answer in answers {
            match answer {
                Ok(listing) => {
                    let now = generation(&listing);
                    assert!(now > last, "{now} after {last}");
                    (last, count) = (now, count + 1);
                    listed.store(now, Ordering::Relaxed);
                }
                Err(error) => {
                    assert!(excused.iter().any(|text| error.what.contains(text)), "{error:?}")
                }
            }
            if last == REWRITES {
                break;
            }
        }
        assert_eq!(last, REWRITES, "the last one was never listed");
        count
    })
}

#[test]
fn a_thousand_renames_end_at_the_last_one_and_show_no_half() {
    let count = rewritten(&[], |map, generation| rename_over(map, &lines(generation).concat()));
    assert!(count > 1);
}

#[test]
fn a_thousand_rewrites_in_place_end_at_the_last_one_and_show_no_half() {
    rewritten(&PAUSES, |map, generation| {
        let mut file = File::create(map).unwrap();
        for line in lines(generation) {
            file.write_all(line.as_bytes()).unwrap();
        }
    });
}

#[test]
fn a_thousand_files_made_anew_end_at_the_last_one_and_show_no_half() {
    rewritten(&PAUSES, |map, generation| {
        let _ = fs::remove_file(map);
        let mut file = File::create_new(map).unwrap();
        for line in lines(generation) {
            file.write_all(line.as_bytes()).unwrap();
        }
    });
}

#[test]
fn lines_that_are_written_slowly_count_when_the_file_is_closed() {
    let stage = Stage::new();
    stage.place("203.0.113.9 172.16.0.9\n");
    let follower = stage.follow();
    follower.says(&[("203.0.113.9", "172.16.0.9")]);
    let mut file = File::create(stage.map()).unwrap();
    file.write_all(b"203.0.113.1 172.16.0.2\n").unwrap();
    // Although its lines are whole.
    follower.complains_of("has not finished");
    file.write_all(b"203.0.113.2 172.16.0.3\n").unwrap();
    file.write_all(b"203.0.113.3 172.16.").unwrap();
    file.write_all(b"0.4\n").unwrap();
    drop(file);
    follower.says(&[
        ("203.0.113.1", "172.16.0.2"),
        ("203.0.113.2", "172.16.0.3"),
        ("203.0.113.3", "172.16.0.4"),
    ]);
}
