use std::time::Duration;

use fip_core::{LinkName, Owner};

use super::super::tests::wish;
use super::super::wanted::Terms;
use super::*;

const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn running(name: &str, asks: &str, fixed: &str) -> Wish {
    wish(name, 1, asks, Presence::Running(vec![ip(fixed)]))
}

/// A ledger, and the time.
struct Scene {
    ledger: Ledger,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        let now = Instant::now();
        Self { ledger: Ledger::new(vec![], now), now }
    }

    fn want(&mut self, wishes: &[Wish]) {
        let terms = Terms { owner: "agent".parse::<Owner>().unwrap(), uplink: None::<LinkName> };
        let wanted = Wanted::of(wishes, |address| self.ledger.held(address), &terms);
        self.ledger.want(wanted, self.now);
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// What is to be done: `?` claims, `!` exchanges.
    fn due(&mut self) -> Vec<String> {
        let due = self.ledger.due(self.now);
        let asked = due.claim.iter().map(|asking| {
            let again = if asking.again { " again" } else { "" };
            format!("? {}{again}", asking.binding.floating())
        });
        let asked: Vec<String> = asked.collect();
        let mut orders = Vec::new();
        if due.exchange {
            orders = self.ledger.exchanges(self.now);
            orders.iter().for_each(|order| self.ledger.done(order));
        }
        asked.into_iter().chain(orders.iter().map(|order| format!("! {}", shown(order)))).collect()
    }

    /// These are found free, and bound.
    fn hold(&mut self, free: &[&str]) -> Vec<String> {
        let free: Vec<IpAddr> = free.iter().map(|text| ip(text)).collect();
        let orders = self.ledger.holds(&free);
        orders.iter().for_each(|order| self.ledger.done(order));
        orders.iter().map(shown).collect()
    }

    fn bind(&mut self, wish: &Wish) {
        self.want(std::slice::from_ref(wish));
        let all: Vec<String> = wish.floating.iter().map(|f| f.address.to_string()).collect();
        self.due();
        self.hold(&all.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(self.ledger.state(wish), State::Bound);
    }

    fn fail(&mut self, address: &str, why: &str, lasting: bool) -> bool {
        self.ledger.fail(ip(address), Trouble { why: why.to_owned(), lasting }, self.now)
    }
}

fn shown(order: &Order) -> String {
    let fixed: Vec<String> = order.bindings().map(|b| b.fixed().to_string()).collect();
    format!("{} -> {}", order.address, fixed.join(" "))
}

const A: &str = "192.0.2.20";
const B: &str = "192.0.2.21";

#[test]
fn what_is_new_is_claimed_then_bound_and_then_left_alone() {
    let mut scene = Scene::new();
    let web = running("web", A, "172.18.0.2");
    scene.want(std::slice::from_ref(&web));
    assert_eq!(scene.ledger.state(&web), State::Pending);
    assert_eq!(scene.due(), [format!("? {A}")]);
    assert_eq!(scene.due(), [""; 0], "once");
    assert!(scene.ledger.is_busy(scene.now));
    assert_eq!(scene.hold(&[A, B]), [format!("{A} -> 172.18.0.2")]);
    scene.want(std::slice::from_ref(&web));
    assert_eq!((scene.due().len(), scene.ledger.state(&web)), (0, State::Bound));
    assert!(!scene.ledger.is_busy(scene.now));
}

#[test]
fn what_leads_elsewhere_is_exchanged_without_a_claim() {
    let mut scene = Scene::new();
    scene.bind(&running("web", A, "172.18.0.2"));
    scene.want(&[running("web", A, "172.18.0.3")]);
    assert_eq!(scene.due(), [format!("! {A} -> 172.18.0.3")]);
    // To another workload, and to nobody.
    scene.want(&[running("other", A, "172.18.0.4")]);
    assert_eq!(scene.due(), [format!("! {A} -> 172.18.0.4")]);
    scene.want(&[wish("other", 1, A, Presence::Stopped)]);
    assert_eq!(scene.due(), [format!("! {A} -> ")]);
    assert!(scene.ledger.addresses.is_empty());
}

#[test]
fn what_is_found_is_held_until_something_else_is_wanted() {
    let found = Binding::new(ip(A), ip("172.18.0.2")).unwrap();
    let found = found.owned_by("agent".parse().unwrap()).on("eth0".parse().unwrap());
    let mut scene = Scene::new();
    scene.ledger = Ledger::new(vec![found], scene.now);
    assert_eq!(scene.due(), [""; 0], "nobody has said anything yet");
    let web = running("web", A, "172.18.0.2");
    scene.want(std::slice::from_ref(&web));
    assert_eq!((scene.due().len(), scene.ledger.state(&web)), (0, State::Bound));
    scene.want(&[]);
    assert_eq!(scene.due(), [format!("! {A} -> ")]);
}

#[test]
fn a_claim_ends_with_the_wish() {
    let mut scene = Scene::new();
    scene.want(&[running("web", A, "172.18.0.2")]);
    scene.due();
    scene.want(&[running("web", A, "172.18.0.3")]);
    assert!(scene.ledger.claims(ip(A)), "it is about the address");
    assert_eq!(scene.due(), [""; 0]);
    scene.want(&[]);
    assert!(!scene.ledger.claims(ip(A)));
    assert_eq!(scene.hold(&[A]), [""; 0]);
    scene.want(&[running("web", A, "172.18.0.3")]);
    assert_eq!(scene.due(), [format!("? {A}")]);
    assert_eq!(scene.hold(&[A]), [format!("{A} -> 172.18.0.3")]);
}

#[test]
fn what_ends_while_it_is_bound_is_released_again() {
    let mut scene = Scene::new();
    scene.want(&[running("web", A, "172.18.0.2")]);
    scene.due();
    let orders = scene.ledger.holds(&[ip(A)]);
    scene.want(&[]);
    scene.ledger.done(&orders[0]);
    assert_eq!(scene.due(), [format!("! {A} -> ")]);
}

#[test]
fn rivals_are_asked_again_and_again() {
    let mut scene = Scene::new();
    let both = [running("web", A, "172.18.0.2"), running("db", B, "172.18.0.3")];
    scene.want(&both);
    scene.due();
    scene.hold(&[B]);
    for (round, pause) in [1, 2, 2, 2].into_iter().enumerate() {
        let first = round == 0;
        assert_eq!(scene.fail(A, "in use", false), first, "told once");
        assert_eq!(scene.ledger.state(&both[0]), State::Waiting("in use".to_owned()));
        assert_eq!(scene.ledger.state(&both[1]), State::Bound);
        assert!(!scene.ledger.is_busy(scene.now), "it has failed");
        scene.pass(pause - 1);
        scene.want(&both);
        assert_eq!(scene.due(), [""; 0]);
        scene.pass(1);
        assert_eq!(scene.due(), [format!("? {A} again")]);
        assert_eq!(scene.ledger.state(&both[0]), State::Waiting("in use".to_owned()));
    }
    // A workload that starts anew does not wait for that.
    scene.fail(A, "in use", false);
    scene.want(&[wish("web", 2, A, Presence::Running(vec![ip("172.18.0.2")]))]);
    assert!(scene.due().contains(&format!("? {A}")));
}

#[test]
fn what_is_refused_is_not_tried_again_as_long_as_nothing_changes() {
    let mut scene = Scene::new();
    let web = running("web", A, "172.18.0.2");
    scene.want(std::slice::from_ref(&web));
    scene.due();
    scene.fail(A, "the gateway", true);
    assert_eq!(scene.ledger.state(&web), State::Refused("the gateway".to_owned()));
    assert_eq!(scene.ledger.due(scene.now).next, None, "no timer");
    scene.pass(29);
    scene.want(std::slice::from_ref(&web));
    assert_eq!(scene.due(), [""; 0]);
    // The host may have changed.
    scene.pass(1);
    scene.want(std::slice::from_ref(&web));
    assert_eq!(scene.due(), [format!("? {A}")]);
    scene.fail(A, "the gateway", true);
    scene.want(&[running("web", A, "172.18.0.3")]);
    assert_eq!(scene.due(), [format!("? {A}")]);
}

#[test]
fn what_was_yielded_stays_so_until_the_workload_starts_anew() {
    let mut scene = Scene::new();
    let web = running("web", A, "172.18.0.2");
    scene.bind(&web);
    scene.ledger.yielded(ip(A), MAC, scene.now);
    let yielded = State::Yielded(MAC.to_string());
    let unknown = wish("web", 0, A, Presence::Unknown);
    for wish in [&web, &running("web", A, "172.18.0.3"), &unknown, &web] {
        scene.want(std::slice::from_ref(wish));
        assert_eq!((scene.due().len(), scene.ledger.state(wish)), (0, yielded.clone()));
    }
    let anew = wish("web", 2, A, Presence::Running(vec![ip("172.18.0.3")]));
    scene.want(std::slice::from_ref(&anew));
    assert_eq!(scene.due(), [format!("? {A}")]);
    assert_eq!(scene.hold(&[A]), [format!("{A} -> 172.18.0.3")]);
    // Or was not wanted in between.
    scene.ledger.yielded(ip(A), MAC, scene.now);
    scene.want(&[]);
    assert_eq!(scene.due(), [format!("! {A} -> ")], "the watch forgets it");
    scene.want(std::slice::from_ref(&anew));
    assert_eq!(scene.due(), [format!("? {A}")]);
}

#[test]
fn what_was_yielded_is_asked_for_again_after_a_while_if_the_source_still_says_so() {
    let mut scene = Scene::new();
    let web = running("web", A, "172.18.0.2");
    scene.bind(&web);
    scene.ledger.yielded(ip(A), MAC, scene.now);
    scene.pass(29);
    scene.want(std::slice::from_ref(&web));
    assert_eq!(scene.due(), [""; 0]);
    scene.pass(10);
    assert_eq!(scene.due(), [""; 0], "nobody has said so");
    scene.want(std::slice::from_ref(&web));
    assert_eq!(scene.due(), [format!("? {A} again")], "politely");
}

#[test]
fn what_was_yielded_before_anything_was_wanted_stays_with_the_rival() {
    let mut scene = Scene::new();
    let found = Binding::new(ip(A), ip("172.18.0.2")).unwrap();
    scene.ledger = Ledger::new(vec![found], scene.now);
    scene.ledger.yielded(ip(A), MAC, scene.now);
    let web = running("web", A, "172.18.0.2");
    scene.want(std::slice::from_ref(&web));
    assert_eq!((scene.due().len(), scene.ledger.state(&web)), (0, State::Yielded(MAC.to_string())));
    scene.want(&[wish("web", 2, A, Presence::Running(vec![ip("172.18.0.2")]))]);
    assert_eq!(scene.due(), [format!("? {A}")]);
}

#[test]
fn of_whom_nothing_is_known_keeps_what_it_has_and_gets_no_more() {
    let mut scene = Scene::new();
    scene.bind(&running("web", A, "172.18.0.2"));
    let unknown = wish("web", 0, A, Presence::Unknown);
    let new = wish("new", 0, B, Presence::Unknown);
    scene.want(&[unknown.clone(), new.clone()]);
    assert_eq!((scene.due().len(), scene.ledger.state(&unknown)), (0, State::Bound));
    assert!(matches!(scene.ledger.state(&new), State::Waiting(_)));
}

#[test]
fn what_fails_half_way_is_tried_again() {
    let mut scene = Scene::new();
    let web = running("web", A, "172.18.0.2");
    scene.want(std::slice::from_ref(&web));
    scene.due();
    let orders = scene.ledger.holds(&[ip(A)]);
    scene.ledger.doubt(&orders[0]);
    scene.fail(A, "kernel", false);
    assert_eq!(scene.ledger.state(&web), State::Waiting("kernel".to_owned()));
    scene.pass(1);
    assert_eq!(scene.due(), [format!("! {A} -> 172.18.0.2")]);
    assert_eq!(scene.ledger.state(&web), State::Bound);
    // And so is a release.
    scene.want(&[]);
    scene.ledger.due(scene.now);
    let orders = scene.ledger.exchanges(scene.now);
    scene.ledger.doubt(&orders[0]);
    scene.fail(A, "kernel", false);
    assert_eq!(scene.due(), [""; 0]);
    scene.pass(1);
    assert_eq!(scene.due(), [format!("! {A} -> ")]);
    assert!(scene.ledger.addresses.is_empty());
}
