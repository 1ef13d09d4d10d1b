//! The file comes, changes and goes.

use std::fs;
use std::os::unix::fs::symlink;

use super::stage::{Stage, at, rename_over};

const ONE: &str = "203.0.113.1 172.16.0.2\n";
const TWO: &str = "203.0.113.1 172.16.0.2\n203.0.113.2 172.16.0.3\n";
const SAYS_ONE: [(&str, &str); 1] = [("203.0.113.1", "172.16.0.2")];
const SAYS_TWO: [(&str, &str); 2] = [("203.0.113.1", "172.16.0.2"), ("203.0.113.2", "172.16.0.3")];

#[test]
fn what_the_map_says_is_what_is_listed() {
    let stage = Stage::new();
    stage.place(
        "# web\n203.0.113.1:tcp:80 172.16.0.2\n2001:db8::1 2001:db8::2\n\n203.0.113.2 172.16.0.2\n",
    );
    let expected = [
        at("172.16.0.2", "203.0.113.1:tcp:80, 203.0.113.2", 2),
        at("2001:db8::2", "2001:db8::1", 3),
    ];
    let follower = stage.follow();
    assert_eq!(follower.answer().unwrap(), expected);
    stage.place("# none\n");
    assert_eq!(follower.answer().unwrap(), []);
}

#[test]
fn every_way_to_write_it_is_noticed() {
    let stage = Stage::new();
    let map = stage.map();
    stage.place(ONE);
    let follower = stage.follow();
    follower.says(&SAYS_ONE);
    rename_over(&map, TWO);
    follower.says(&SAYS_TWO);
    fs::write(&map, ONE).unwrap();
    follower.says(&SAYS_ONE);
    fs::write(&map, TWO).unwrap();
    follower.says(&SAYS_TWO);
    // Removed, and made anew in place.
    fs::remove_file(&map).unwrap();
    follower.complains_of("cannot read the map");
    fs::write(&map, ONE).unwrap();
    follower.says(&SAYS_ONE);
    // Moved away, and moved back.
    fs::rename(&map, stage.path("away")).unwrap();
    follower.complains_of("No such file");
    fs::rename(stage.path("away"), &map).unwrap();
    follower.says(&SAYS_ONE);
    // Another name of a file that was there before.
    fs::write(stage.path("other"), TWO).unwrap();
    fs::remove_file(&map).unwrap();
    follower.complains_of("No such file");
    fs::hard_link(stage.path("other"), &map).unwrap();
    follower.says(&SAYS_TWO);
    fs::write(stage.path("other"), ONE).unwrap();
    follower.says(&SAYS_ONE);
}

#[test]
fn its_directories_may_go_and_come_back() {
    let stage = Stage::new();
    let (outer, inner) = (stage.path("outer"), stage.path("outer/inner"));
    let away = stage.path("away");
    fs::create_dir_all(&inner).unwrap();
    symlink(inner.join("map"), stage.map()).unwrap();
    rename_over(&inner.join("map"), ONE);
    let follower = stage.follow();
    follower.says(&SAYS_ONE);
    fs::remove_dir_all(&outer).unwrap();
    follower.complains_of("No such file");
    fs::create_dir_all(&inner).unwrap();
    fs::write(inner.join("map"), TWO).unwrap();
    follower.says(&SAYS_TWO);
    // A whole tree is exchanged, two levels above the file.
    fs::rename(&outer, &away).unwrap();
    follower.complains_of("No such file");
    rename_over(&away.join("inner/map"), ONE);
    fs::rename(&away, &outer).unwrap();
    follower.says(&SAYS_ONE);
    // What is not there at the beginning is waited for as well.
    let late = Stage::new();
    let follower = Stage::follow(&late);
    follower.complains_of("No such file");
    late.place(TWO);
    follower.says(&SAYS_TWO);
}

#[test]
fn links_may_be_changed_anywhere_on_the_way() {
    let stage = Stage::new();
    // As Kubernetes mounts a ConfigMap: map -> ..data/map, ..data -> ..1
    for (directory, text) in [("..1", ONE), ("..2", TWO)] {
        fs::create_dir(stage.path(directory)).unwrap();
        fs::write(stage.path(directory).join("map"), text).unwrap();
    }
    let lead_to = |directory: &str| {
        symlink(directory, stage.path("..data_tmp")).unwrap();
        fs::rename(stage.path("..data_tmp"), stage.path("..data")).unwrap();
    };
    lead_to("..1");
    symlink("..data/map", stage.map()).unwrap();
    let follower = stage.follow();
    follower.says(&SAYS_ONE);
    lead_to("..2");
    follower.says(&SAYS_TWO);
    fs::remove_dir_all(stage.path("..1")).unwrap();
    // The file at the end of the links, in place and over it.
    fs::write(stage.path("..2/map"), ONE).unwrap();
    follower.says(&SAYS_ONE);
    rename_over(&stage.path("..2/map"), TWO);
    follower.says(&SAYS_TWO);
    // The first link: relative, up and down, and over another name.
    fs::create_dir(stage.path("d")).unwrap();
    rename_over(&stage.path("d/m"), ONE);
    symlink("d/../d/./m", stage.path("next")).unwrap();
    fs::rename(stage.path("next"), stage.map()).unwrap();
    follower.says(&SAYS_ONE);
    rename_over(&stage.path("..2/map"), "# nobody looks here any more\n");
    rename_over(&stage.path("d/m"), TWO);
    follower.says(&SAYS_TWO);
}
