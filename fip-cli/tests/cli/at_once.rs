//! Many commands at the same time.

use std::collections::BTreeSet;

use crate::lab::Fip;
use crate::scene::Scene;

const PROCESSES: usize = 16;

/// Runs the commands, sixteen at a time; all shall succeed.
fn all_at_once(fip: &Fip<'_>, commands: &[String]) {
    std::thread::scope(|scope| {
        for worker in 0..PROCESSES {
            scope.spawn(move || {
                commands.iter().skip(worker).step_by(PROCESSES).for_each(|c| _ = fip.ok(c));
            });
        }
    });
}

fn floating(number: usize) -> String {
    format!("198.51.100.{number}")
}

fn bind(number: usize) -> String {
    let options = "-i eth0 --probe 0 --announce 1";
    format!("bind {} 172.18.1.{number} {options}", floating(number))
}

fn unbind(number: usize) -> String {
    format!("unbind {}", floating(number))
}

/// Panics unless exactly these are bound, on the card as well as in the table.
fn assert_bound(scene: &Scene, numbers: impl Iterator<Item = usize>) {
    let expected: BTreeSet<String> = numbers.map(floating).collect();
    let listed = scene.fip().list();
    let bound: BTreeSet<String> =
        listed.iter().map(|row| row["floating"].as_str().unwrap().to_owned()).collect();
    assert_eq!(bound, expected);
    assert_eq!(listed.len(), expected.len());
    assert!(listed.iter().all(|row| row["state"] == "active"), "{listed:#?}");
    let on_card: BTreeSet<String> = scene
        .a
        .carried("eth0")
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3)?.strip_suffix("/32"))
        .map(str::to_owned)
        .collect();
    assert_eq!(on_card, expected);
}

#[test]
fn sixteen_processes_lose_none_of_two_hundred_bindings() {
    let scene = Scene::new();
    let before = scene.state();
    let first: Vec<String> = (1..=200).map(bind).collect();
    all_at_once(&scene.fip(), &first);
    assert_bound(&scene, 1..=200);

    // A hundred go while fifty come, and while a hundred are bound again.
    let mixed: Vec<String> = (1..=100)
        .flat_map(|n| {
            let new = (n <= 50).then(|| bind(n + 200));
            [Some(unbind(n)), Some(bind(n + 100)), new]
        })
        .flatten()
        .collect();
    all_at_once(&scene.fip(), &mixed);
    assert_bound(&scene, 101..=250);

    let all: Vec<String> = (101..=250).map(unbind).collect();
    all_at_once(&scene.fip(), &all);
    assert_bound(&scene, 0..0);
    scene.state().assert_is(&before, "after the last unbind");
}
