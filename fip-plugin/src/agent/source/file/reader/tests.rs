use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::path::Path;

use super::*;

const ONE: &str = "203.0.113.1 172.16.0.2\n";

/// A directory of its own for a map.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fip-reader-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn map(&self) -> PathBuf {
        self.0.join("map")
    }

    fn reader(&self) -> Reader {
        Reader::new(self.map()).unwrap()
    }

    /// Puts another map, which is being written, in its place.
    fn make_anew(&self) -> File {
        fs::remove_file(self.map()).unwrap();
        begin(&self.map(), ONE)
    }

    /// Puts another map, which is whole, in its place.
    fn rename_over(&self) {
        drop(begin(&self.0.join("new"), ONE));
        fs::rename(self.0.join("new"), self.map()).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes a file that has this in it, and leaves it open.
fn begin(path: &Path, text: &str) -> File {
    let mut file = File::create_new(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// Makes the file look as if it was written to then. Of the one time alone the kernel would tell as
/// of a change of its content.
fn set_written(file: &File, time: SystemTime) {
    file.set_times(FileTimes::new().set_modified(time).set_accessed(time)).unwrap();
}

/// One look, during which that happens: between the file was found and it is opened, and between it
/// was read and what has happened is noted. The kernel's answer about writers may be another one.
fn look_while(
    reader: &mut Reader,
    (found, read): (impl FnOnce(), impl FnOnce()),
    answer: impl FnOnce(Option<bool>) -> Option<bool>,
) -> Sight {
    reader.watch.catch_up().unwrap();
    let path = reader.watch.follow(&reader.path).unwrap();
    let writes = reader.watch.writes();
    found();
    let mut content = content::read(&path).unwrap();
    content.held = answer(content.held);
    read();
    reader.watch.catch_up().unwrap();
    reader.judge(&content, writes)
}

fn nothing() {}

fn as_it_is(held: Option<bool>) -> Option<bool> {
    held
}

#[test]
fn the_kernel_tells_who_has_it_open() {
    let place = Place::new("open");
    let writer = begin(&place.map(), ONE);
    assert_eq!(content::read(&place.map()).unwrap().held, Some(true));
    drop(writer);
    let reader = File::open(place.map()).unwrap();
    for _ in 0..2 {
        // The lease was given back, or the second one would be there already.
        assert_eq!(content::read(&place.map()).unwrap().held, Some(false));
        assert_eq!(super::super::lease::is_open_for_writing(&reader), Some(false));
    }
    let writer = File::options().append(true).open(place.map()).unwrap();
    assert_eq!(super::super::lease::is_open_for_writing(&reader), Some(true));
    drop(writer);
    assert_eq!(super::super::lease::is_open_for_writing(&File::open("/dev/null").unwrap()), None);
}

#[test]
fn what_nobody_has_open_is_whole_at_once() {
    let place = Place::new("whole");
    drop(begin(&place.map(), ONE));
    let sight = look_while(&mut place.reader(), (nothing, nothing), as_it_is);
    assert!(sight.sure && sight.found.is_ok());
}

#[test]
fn what_somebody_has_open_is_whole_when_it_was_left_alone_for_long() {
    let place = Place::new("held");
    let writer = begin(&place.map(), ONE);
    let mut reader = place.reader();
    for age in [Duration::ZERO, HELD / 2] {
        set_written(&writer, SystemTime::now() - age);
        assert!(!look_while(&mut reader, (nothing, nothing), as_it_is).sure);
        // However quiet it is.
        reader.watch.rested();
        assert_eq!(reader.watch.writing(), Writing::Resting);
        assert!(!look_while(&mut reader, (nothing, nothing), as_it_is).sure);
        assert!(reader.due().is_some_and(|due| due <= Instant::now() + HELD - age));
    }
    set_written(&writer, SystemTime::now() - HELD);
    assert!(look_while(&mut reader, (nothing, nothing), as_it_is).sure);
}

#[test]
fn where_the_kernel_does_not_tell_a_moment_of_silence_counts() {
    let place = Place::new("silence");
    let writer = begin(&place.map(), ONE);
    let mut reader = place.reader();
    set_written(&writer, SystemTime::now() + HELD);
    // From the future is old.
    assert!(look_while(&mut reader, (nothing, nothing), |_| None).sure);
    // What is written just now may go on, until it is quiet.
    let begun = Instant::now();
    set_written(&writer, SystemTime::now());
    let mut reader = place.reader();
    let sight = look_while(&mut reader, (nothing, nothing), |_| None);
    assert!(!sight.sure || begun.elapsed() >= STILL);
    reader.watch.rested();
    assert!(look_while(&mut reader, (nothing, nothing), |_| None).sure);
}

#[test]
fn who_opens_it_after_the_question_is_seen() {
    let place = Place::new("after");
    drop(begin(&place.map(), ONE));
    let write = || fs::write(place.map(), ONE).unwrap();
    let sight = look_while(&mut place.reader(), (nothing, write), as_it_is);
    assert!(!sight.sure && sight.outdated);
    let mut writer = None;
    let truncate = || writer = Some(File::create(place.map()).unwrap());
    let mut reader = place.reader();
    let sight = look_while(&mut reader, (nothing, truncate), as_it_is);
    assert!(!sight.sure && reader.watch.writing() == Writing::Underway);
}

#[test]
fn who_opened_it_before_it_was_watched_and_closes_it_meanwhile_is_seen() {
    let place = Place::new("between");
    let mut writer = begin(&place.map(), ONE);
    let mut reader = place.reader();
    let end = move || writer.write_all(ONE.as_bytes()).unwrap();
    let sight = look_while(&mut reader, (nothing, end), as_it_is);
    assert!(!sight.sure && sight.outdated);
    assert_eq!(reader.watch.writing(), Writing::Closed);
    assert!(look_while(&mut reader, (nothing, nothing), as_it_is).sure);
}

#[test]
fn half_a_map_is_not_whole_because_somebody_else_has_closed_it() {
    let place = Place::new("other");
    drop(begin(&place.map(), ONE));
    let mut reader = place.reader();
    assert!(look_while(&mut reader, (nothing, nothing), as_it_is).sure);
    let other = File::options().write(true).open(place.map()).unwrap();
    let mut writer = File::create(place.map()).unwrap();
    writer.write_all(ONE.as_bytes()).unwrap();
    assert!(!look_while(&mut reader, (nothing, nothing), as_it_is).sure);
    drop(other);
    assert!(!look_while(&mut reader, (nothing, nothing), as_it_is).sure);
    assert!(reader.due().is_some(), "if it is never closed, it counts when it was left alone");
    drop(writer);
    assert!(look_while(&mut reader, (nothing, nothing), as_it_is).sure);
}

#[test]
fn another_file_in_its_place_is_not_taken_for_it() {
    let place = Place::new("exchanged");
    drop(begin(&place.map(), ONE));
    let mut reader = place.reader();
    assert!(look_while(&mut reader, (nothing, nothing), as_it_is).sure);
    // What was known of the first one says nothing about it.
    let mut writer = None;
    let sight = look_while(&mut reader, (|| writer = Some(place.make_anew()), nothing), as_it_is);
    assert!(!sight.sure && sight.outdated);
    // Even if it is replaced by a whole one before that is noted.
    let exchange = || writer = Some(place.make_anew());
    assert!(!look_while(&mut reader, (exchange, || place.rename_over()), as_it_is).sure);
    // A rename alone leaves a whole one in either's place.
    assert!(look_while(&mut reader, (|| place.rename_over(), nothing), as_it_is).sure);
}

#[test]
fn a_file_that_takes_the_place_of_a_renamed_one_before_it_is_found_is_not_taken_for_it() {
    let place = Place::new("renamed");
    drop(begin(&place.map(), ONE));
    let mut reader = place.reader();
    assert!(look_while(&mut reader, (nothing, nothing), as_it_is).sure);
    place.rename_over();
    reader.watch.catch_up().unwrap();
    let _writer = place.make_anew();
    // Found as what was renamed; that it is another one is told only then.
    reader.watch.follow(&reader.path).unwrap();
    reader.watch.catch_up().unwrap();
    assert!(!look_while(&mut reader, (nothing, nothing), as_it_is).sure);
}
