//! What the board makes of what it is told.

use std::thread;

use super::facts::MOVES;
use super::*;

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn workload() -> Workload {
    Workload {
        id: "0123".to_owned(),
        name: "web".to_owned(),
        container: None,
        asks: "192.0.2.1, 192.0.2.2:tcp:80".to_owned(),
        age: 1,
        run: 1,
        presence: Presence::Running(vec!["172.17.0.2".parse().unwrap()]),
    }
}

fn came(last: u8) -> Signal {
    Signal::Came { address: address(last), took: Duration::from_millis(100) }
}

#[test]
fn each_signal_is_counted_where_it_belongs() {
    let board = Board::new("docker", "direct");
    let mac = "02:00:5e:10:00:01".parse().unwrap();
    let listed = Some(Duration::from_millis(7));
    board.signal(&came(1), listed);
    board.signal(&came(2), None);
    board.signal(&Signal::Left { address: address(1) }, None);
    board.signal(&Signal::Rival { address: address(2), mac }, None);
    board.signal(&Signal::Repaired(3), None);
    board.signal(&Signal::Repaired(2), None);
    board.signal(&Signal::Challenged { address: address(2), mac }, None);
    board.signal(&Signal::Progress, None);
    let facts = board.look();
    let counters = [facts.came, facts.left, facts.repairs, facts.rivals, facts.challenges];
    assert_eq!(counters, [2, 2, 5, 1, 1]);
    let moves: Vec<_> = facts.moves.iter().map(|moved| (moved.address, moved.happened)).collect();
    let took = Duration::from_millis(100);
    let expected = [
        (address(1), Happened::Came { listed, took }),
        (address(2), Happened::Came { listed: None, took }),
        (address(1), Happened::Left),
        (address(2), Happened::Yielded(mac)),
    ];
    assert_eq!(moves, expected);
}

#[test]
fn only_the_last_moves_are_remembered() {
    let board = Board::new("docker", "direct");
    for last in 0..=u8::MAX {
        board.signal(&came(last), None);
    }
    let facts = board.look();
    assert_eq!((facts.came, facts.moves.len()), (256, MOVES));
    assert_eq!(facts.moves.back().unwrap().address, address(255));
    assert_eq!(facts.moves.front().unwrap().address, address(156));
}

#[test]
fn a_source_is_up_from_a_good_answer_to_a_bad_one() {
    let board = Board::new("docker", "direct");
    let is_up = || board.look().source.is_up();
    let error = SourceError { what: "gone".to_owned(), hint: None };
    assert!(!is_up());
    board.source_failed(&error);
    assert!(!is_up());
    board.listed(3);
    assert!(is_up());
    board.source_failed(&error);
    board.source_failed(&error);
    assert!(!is_up());
    // What it said last is still what is held.
    assert_eq!(board.look().source.answer.unwrap().workloads, 3);
    board.listed(0);
    assert!(is_up());
    assert_eq!(board.look().source.failures, 3);
}

#[test]
fn the_age_of_a_source_is_that_of_its_answer() {
    let board = Board::new("docker", "direct");
    thread::sleep(Duration::from_millis(20));
    let old = board.look().source.age();
    assert!(old >= Duration::from_millis(20));
    let before = std::time::Instant::now();
    board.listed(0);
    assert!(board.look().source.age() <= before.elapsed());
}

#[test]
fn entries_tell_what_was_read_of_a_label() {
    let workload = Arc::new(workload());
    let floating = crate::options::parse_floating(&workload.asks).unwrap();
    let wished = Entry::wished(Wish { workload: workload.clone(), floating }, State::Bound);
    assert_eq!((wished.floating.len(), wished.fixed().len()), (2, 1));
    let refused = Entry::refused(workload.clone(), "no".to_owned());
    assert_eq!(refused.state, State::Refused("no".to_owned()));
    assert_eq!((refused.floating.len(), &refused.workload.asks), (0, &workload.asks));
    let board = Board::new("docker", "direct");
    let pending = Entry { state: State::Pending, ..wished.clone() };
    board.set_states(vec![wished, refused, pending]);
    assert_eq!(board.look().bound(), 2);
}

#[test]
fn times_fall_into_the_buckets_that_hold_them() {
    let mut histogram = Histogram::default();
    for micros in [0, 500, 501, 5_000_000, 5_000_001] {
        histogram.observe(Duration::from_micros(micros));
    }
    let buckets: Vec<_> = histogram.buckets().collect();
    assert_eq!(buckets[..2], [(0.0005, 2), (0.001, 3)]);
    assert_eq!(buckets.last(), Some(&(5.0, 4)));
    assert_eq!((histogram.count(), histogram.sum), (5, Duration::from_micros(10_001_002)));
}

#[test]
fn a_writer_that_panicked_does_not_take_the_board_with_it() {
    let board = Board::new("docker", "direct");
    let other = board.clone();
    let panicked = thread::spawn(move || {
        let _facts = other.facts();
        panic!("as it should");
    });
    assert!(panicked.join().is_err());
    board.listed(1);
    assert!(board.look().source.is_up());
}
