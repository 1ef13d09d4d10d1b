use std::sync::Arc;

use super::super::sight::Attached;
use super::super::stage::wish;
use super::*;
use crate::options::parse_floating;

const A: &str = "192.0.2.1";
const B: &str = "192.0.2.2";

fn running() -> There {
    There { name: "web".to_owned(), running: true, shares: false, attached: None }
}

fn stopped() -> There {
    There { running: false, ..running() }
}

fn ours(asks: &str) -> Whose {
    Whose::Ours(parse_floating(asks).unwrap())
}

impl There {
    fn on(self, whose: Whose) -> Self {
        let endpoint = if self.running { "ep" } else { "" }.to_owned();
        Self { attached: Some(Attached { endpoint, whose }), ..self }
    }
}

/// The wish's state and the container's job, if the wish is for 192.0.2.1, and there is this.
fn of(presence: Presence, there: There) -> (State, Option<Job>) {
    let there = [("c".to_owned(), there)].into();
    let mut plan = plan(&[wish("c", A).present(presence)], &there, &BTreeSet::new());
    (plan.states.remove("w-c").unwrap(), plan.jobs.remove("c"))
}

fn present() -> Presence {
    Presence::Running(Vec::new())
}

#[test]
fn what_runs_is_connected_as_it_asks() {
    let connect = || Some(Job::Connect(A.to_owned()));
    assert_eq!(of(present(), running()), (State::Pending, connect()));
    let ask = Some(Job::Ask("ep".to_owned()));
    assert_eq!(of(present(), running().on(Whose::Unknown)), (State::Pending, ask));
    assert_eq!(of(present(), running().on(ours(A))), (State::Bound, None));
    let anew = Some(Job::Reconnect(A.to_owned()));
    assert_eq!(of(present(), running().on(ours(B))), (State::Pending, anew.clone()));
    assert_eq!(of(present(), running().on(Whose::Ours(Vec::new()))), (State::Pending, anew));
}

#[test]
fn what_the_user_has_connected_is_left_alone() {
    assert_eq!(of(present(), running().on(Whose::Users)), (State::Bound, None));
    assert_eq!(of(Presence::Stopped, stopped().on(Whose::Users)), (State::Stopped, None));
    let there = [("c".to_owned(), running().on(Whose::Users))].into();
    assert_eq!(plan(&[], &there, &BTreeSet::new()).jobs, BTreeMap::new());
}

#[test]
fn the_same_in_other_words_is_the_same() {
    let there = [("c".to_owned(), running().on(ours("192.0.2.1 192.0.2.2")))].into();
    let plan = plan(&[wish("c", "192.0.2.1,192.0.2.2")], &there, &BTreeSet::new());
    assert_eq!(plan.jobs, BTreeMap::new());
}

#[test]
fn what_does_not_run_stays_connected_and_is_not_connected_anew() {
    for presence in [Presence::Stopped, present()] {
        assert_eq!(of(presence.clone(), stopped()), (State::Stopped, None));
        assert_eq!(of(presence.clone(), stopped().on(ours(A))), (State::Stopped, None));
        let ask = Some(Job::Ask(String::new()));
        assert_eq!(of(presence.clone(), stopped().on(Whose::Unknown)), (State::Stopped, ask));
        let anew = Some(Job::Reconnect(A.to_owned()));
        assert_eq!(of(presence, stopped().on(ours(B))), (State::Stopped, anew));
    }
    // Docker's word, which may be older or newer than the source's.
    assert_eq!(of(Presence::Stopped, running()), (State::Stopped, None));
    assert_eq!(of(Presence::Stopped, running().on(ours(A))), (State::Bound, None));
}

#[test]
fn what_nobody_knows_keeps_what_it_has() {
    let unknown = |there| of(Presence::Unknown, there);
    for whose in [Whose::Unknown, Whose::Users, ours(A), ours(B)] {
        assert_eq!(unknown(running().on(whose.clone())), (State::Bound, None));
        assert_eq!(unknown(stopped().on(whose)), (State::Waiting(UNKNOWN.to_owned()), None));
    }
    assert_eq!(unknown(running()), (State::Waiting(UNKNOWN.to_owned()), None));
}

#[test]
fn nothing_goes_while_one_is_not_known_by_its_container() {
    let mut unknown = wish("web", A).present(Presence::Unknown);
    Arc::make_mut(&mut unknown.workload).container = None;
    let there = [("c".to_owned(), running().on(ours(A)))].into();
    let plan = plan(&[unknown], &there, &BTreeSet::new());
    assert_eq!(plan.jobs, BTreeMap::new());
    assert_eq!(plan.states["w-web"], State::Waiting(UNKNOWN.to_owned()));
}

#[test]
fn ours_that_nobody_wishes_for_goes() {
    let there = [
        ("a".to_owned(), running().on(ours(A))),
        ("b".to_owned(), stopped().on(ours(B))),
        ("c".to_owned(), running().on(Whose::Unknown)),
        ("d".to_owned(), stopped().on(Whose::Unknown)),
        ("e".to_owned(), running()),
    ];
    let jobs = plan(&[], &there.into(), &BTreeSet::new()).jobs;
    let expected = [
        ("a".to_owned(), Job::Disconnect),
        ("b".to_owned(), Job::Disconnect),
        ("c".to_owned(), Job::Ask("ep".to_owned())),
        ("d".to_owned(), Job::Ask(String::new())),
    ];
    assert_eq!(jobs, expected.into());
}

#[test]
fn one_that_would_not_start_with_it_is_disconnected() {
    let jobs = |other: &str, there: There, refused: &[&str]| {
        let there = [("c".to_owned(), there), ("d".to_owned(), running())].into();
        let wishes = [wish("c", A).present(Presence::Stopped), wish("d", other)];
        let refused = refused.iter().map(|&id| id.to_owned()).collect();
        plan(&wishes, &there, &refused).jobs.remove("c")
    };
    let has = || stopped().on(ours(A));
    assert_eq!(jobs(B, has(), &[]), None);
    assert_eq!(jobs(A, has(), &[]), Some(Job::Disconnect), "another one has it");
    assert_eq!(jobs("192.0.2.1:tcp:80", has(), &[]), None, "a port of it is not all of it");
    assert_eq!(jobs(B, has(), &["c"]), Some(Job::Disconnect), "it was refused");
    assert_eq!(jobs(A, stopped().on(Whose::Users), &["c"]), None);
    assert_eq!(jobs(A, running().on(ours(A)), &["c"]), None);
}

#[test]
fn of_two_wishes_for_a_container_the_older_counts() {
    let mut second = wish("c", B);
    Arc::make_mut(&mut second.workload).id = "w-2".to_owned();
    Arc::make_mut(&mut second.workload).age = 7;
    let there = [("c".to_owned(), running())].into();
    for wishes in [[wish("c", A), second.clone()], [second, wish("c", A)]] {
        let plan = plan(&wishes, &there, &BTreeSet::new());
        assert_eq!(plan.jobs, [("c".to_owned(), Job::Connect(A.to_owned()))].into());
        assert_eq!(plan.states["w-c"], State::Pending);
        assert!(matches!(&plan.states["w-2"], State::Refused(why) if why.starts_with("c is the")));
    }
}

#[test]
fn what_docker_cannot_connect_is_told() {
    let plan_of = |wish: Wish, there: There| {
        plan(&[wish], &[("c".to_owned(), there)].into(), &BTreeSet::new())
    };
    let shares = plan_of(wish("c", A), There { shares: true, ..running() });
    assert_eq!(shares.states["w-c"], State::Refused(SHARES.to_owned()));
    assert_eq!(shares.jobs, BTreeMap::new());
    let mut alien = wish("c", A);
    Arc::make_mut(&mut alien.workload).container = None;
    assert_eq!(plan_of(alien, running()).states["w-c"], State::Refused(NO_CONTAINER.to_owned()));
    let gone = plan_of(wish("gone", A), running());
    assert_eq!(gone.states["w-gone"], State::Waiting(GONE.to_owned()));
    let gone = plan_of(wish("gone", A).present(Presence::Stopped), running());
    assert_eq!(gone.states["w-gone"], State::Stopped);
}
