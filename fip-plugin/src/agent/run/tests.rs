use std::net::IpAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use fip_core::kernel::Mac;

use super::*;
use crate::agent::actuator::{Held, Holder};
use crate::agent::model::{Presence, Wish};
use crate::agent::source::Source;

const PATIENCE: Duration = Duration::from_secs(20);

type Answer = Result<Listing, SourceError>;

/// Answers what the test says, when it says so.
struct Told(Arc<Mutex<Receiver<Answer>>>);

impl Source for Told {
    fn next(&mut self) -> Answer {
        let answer = self.0.lock().unwrap().recv();
        answer.unwrap_or_else(|_| {
            loop {
                thread::park();
            }
        })
    }
}

/// What an actuator was asked.
#[derive(Debug, PartialEq)]
enum Asked {
    Pursue(Vec<String>),
    GiveUp(IpAddr),
    Settle,
}

struct Recorder {
    asked: Sender<Asked>,
    /// How often it cannot tell what is there.
    blind: usize,
    /// How often a wish is pending before it is bound.
    slow: usize,
    bell: Bell,
}

impl Actuator for Recorder {
    fn pursue(&mut self, wishes: &[Wish]) -> Progress {
        let names = wishes.iter().map(|wish| wish.workload.name.clone()).collect();
        self.asked.send(Asked::Pursue(names)).unwrap();
        let state = if self.slow > 0 { State::Pending } else { State::Bound };
        if self.slow > 0 {
            self.slow -= 1;
            let bell = self.bell.clone();
            thread::spawn(move || bell.ring(Signal::Progress));
        }
        let states = wishes.iter().map(|wish| (wish.workload.id.clone(), state.clone()));
        Progress { states: states.collect(), again: None }
    }

    fn plan(&mut self, wishes: &[Wish]) -> Result<Vec<String>, Failure> {
        Ok(wishes.iter().map(|wish| format!("+ {}", wish.workload.name)).collect())
    }

    fn held(&mut self) -> Result<Vec<Held>, Failure> {
        if self.blind > 0 {
            self.blind -= 1;
            return Err(Failure { what: "cannot see".to_owned(), hint: None });
        }
        let by = Holder::Container("young".to_owned());
        Ok(vec![Held { floating: ip("192.0.2.9"), by }])
    }

    fn give_up(&mut self, address: IpAddr, _: Mac) {
        self.asked.send(Asked::GiveUp(address)).unwrap();
    }

    fn settle(&mut self) {
        self.asked.send(Asked::Settle).unwrap();
    }

    fn drain(&mut self) -> Result<Vec<String>, Failure> {
        unreachable!("the loop never drains")
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn listing(all: &[(&str, &str)]) -> Answer {
    let workload = |(age, (id, asks)): (usize, &(&str, &str))| Workload {
        id: (*id).to_owned(),
        name: (*id).to_owned(),
        container: Some((*id).to_owned()),
        asks: (*asks).to_owned(),
        age: age as u64,
        run: 0,
        presence: Presence::Running(vec![ip("172.17.0.2")]),
    };
    Ok(Listing {
        workloads: all.iter().enumerate().map(workload).map(Arc::new).collect(),
        noticed: Instant::now(),
    })
}

fn failure() -> Answer {
    Err(SourceError { what: "no answer".to_owned(), hint: None })
}

fn pursued(names: &[&str]) -> Asked {
    Asked::Pursue(names.iter().map(|name| (*name).to_owned()).collect())
}

/// An agent at work, and both of its ends.
struct Stage {
    say: Sender<Answer>,
    asked: Receiver<Asked>,
    bell: Bell,
    stopper: Stopper,
    thread: thread::JoinHandle<io::Result<()>>,
}

struct Setting {
    hold_for: Option<Duration>,
    blind: usize,
    slow: usize,
}

const PLAIN: Setting = Setting { hold_for: None, blind: 0, slow: 0 };

fn agent(setting: Setting) -> (Agent, Sender<Answer>, Receiver<Asked>, Bell) {
    let (say, answers) = channel();
    let answers = Arc::new(Mutex::new(answers));
    let (asked, asks) = channel();
    let config = Config {
        open: Arc::new(move || Box::new(Told(Arc::clone(&answers)))),
        allow: Box::new(|| Ok(Some("192.0.2.0/24".parse()?))),
        hold_for: setting.hold_for,
        board: Board::new("a test", "a recorder"),
    };
    let mut bells = None;
    let agent = Agent::new(config, |bell| {
        bells = Some(bell.clone());
        let Setting { blind, slow, .. } = setting;
        Ok::<_, Failure>(Box::new(Recorder { asked, blind, slow, bell }) as Box<dyn Actuator>)
    });
    (agent.unwrap(), say, asks, bells.unwrap())
}

fn stage(setting: Setting) -> Stage {
    let (agent, say, asked, bell) = agent(setting);
    let stopper = agent.stopper();
    Stage { say, asked, bell, stopper, thread: thread::spawn(move || agent.run()) }
}

impl Stage {
    fn says(&self, answer: Answer) {
        self.say.send(answer).unwrap();
    }

    fn expect(&self, expected: &Asked) {
        assert_eq!(&self.asked.recv_timeout(PATIENCE).unwrap(), expected);
    }

    /// Nothing was asked of the actuator until the end, which comes now.
    fn end(self) {
        self.stopper.stop();
        self.thread.join().unwrap().unwrap();
        assert_eq!(self.asked.try_iter().next(), None);
    }
}

#[test]
fn what_the_source_says_is_pursued() {
    let stage = stage(PLAIN);
    stage.says(listing(&[("web", "192.0.2.1"), ("bad", "203.0.113.1")]));
    stage.expect(&pursued(&["web"]));
    stage.says(listing(&[]));
    stage.expect(&pursued(&[]));
    stage.end();
}

#[test]
fn a_source_that_fails_removes_nothing() {
    let stage = stage(PLAIN);
    stage.says(listing(&[("web", "192.0.2.1")]));
    stage.expect(&pursued(&["web"]));
    stage.says(failure());
    stage.says(failure());
    stage.says(listing(&[("web", "192.0.2.1"), ("dns", "192.0.2.2")]));
    stage.expect(&pursued(&["web", "dns"]));
    stage.end();
}

#[test]
fn held_addresses_are_let_go_when_that_was_asked_for() {
    let stage = stage(Setting { hold_for: Some(Duration::from_millis(300)), ..PLAIN });
    stage.says(listing(&[("web", "192.0.2.1")]));
    stage.expect(&pursued(&["web"]));
    stage.says(failure());
    stage.expect(&pursued(&[]));
    stage.says(listing(&[("web", "192.0.2.1")]));
    stage.expect(&pursued(&["web"]));
    stage.end();
}

#[test]
fn nothing_is_pursued_before_it_is_known_what_is_there() {
    let stage = stage(Setting { blind: 1, ..PLAIN });
    stage.says(listing(&[("old", "192.0.2.9"), ("young", "192.0.2.9")]));
    stage.expect(&pursued(&["young"]));
    stage.end();
}

#[test]
fn a_ring_makes_it_go_on() {
    let stage = stage(PLAIN);
    stage.bell.ring(Signal::Progress);
    stage.says(listing(&[("web", "192.0.2.1")]));
    stage.expect(&pursued(&["web"]));
    stage.bell.ring(Signal::Progress);
    stage.expect(&pursued(&["web"]));
    stage.end();
}

/// Another host wants 192.0.2.1, which is bound.
fn challenge() -> Stage {
    let stage = stage(PLAIN);
    stage.says(listing(&[("web", "192.0.2.1")]));
    stage.expect(&pursued(&["web"]));
    stage.bell.ring(Signal::Challenged { address: ip("192.0.2.1"), mac: Mac([2, 0, 0, 0, 0, 1]) });
    stage
}

#[test]
fn a_challenged_address_is_kept_while_its_workload_runs() {
    let stage = challenge();
    // Whichever of the two sources hears it.
    stage.says(listing(&[("web", "192.0.2.1")]));
    stage.says(listing(&[("web", "192.0.2.1")]));
    stage.expect(&pursued(&["web"]));
    while let Ok(asked) = stage.asked.recv_timeout(Duration::from_millis(100)) {
        assert_eq!(asked, pursued(&["web"]));
    }
    stage.end();
}

#[test]
fn a_challenged_address_is_given_up_if_the_source_fails() {
    let stage = challenge();
    // Whichever of the two sources hears it, and however often the other one does before.
    let begun = Instant::now();
    let asked = loop {
        stage.says(failure());
        let asked = stage.asked.recv_timeout(Duration::from_millis(100));
        if asked.is_ok() || begun.elapsed() > PATIENCE {
            break asked;
        }
    };
    assert_eq!(asked, Ok(Asked::GiveUp(ip("192.0.2.1"))));
    stage.expect(&pursued(&["web"]));
    stage.end();
}

#[test]
fn a_challenge_for_what_nobody_has_is_none() {
    let stage = stage(PLAIN);
    stage.says(listing(&[("web", "192.0.2.1")]));
    stage.expect(&pursued(&["web"]));
    stage.bell.ring(Signal::Challenged { address: ip("192.0.2.7"), mac: Mac([2, 0, 0, 0, 0, 1]) });
    stage.says(failure());
    stage.says(listing(&[("web", "192.0.2.1")]));
    stage.expect(&pursued(&["web"]));
    stage.end();
}

#[test]
fn once_waits_until_nothing_is_pending() {
    let (agent, say, asked, ..) = agent(Setting { slow: 2, ..PLAIN });
    say.send(listing(&[("web", "192.0.2.1"), ("bad", "x")])).unwrap();
    let entries = agent.once().unwrap();
    let states: Vec<_> = entries.iter().map(|entry| entry.state.clone()).collect();
    assert!(matches!(&states[..], [State::Bound, State::Refused(_)]), "{states:?}");
    let asked: Vec<_> = asked.try_iter().collect();
    let web = || pursued(&["web"]);
    assert_eq!(asked, [web(), web(), web(), Asked::Settle]);
}

#[test]
fn once_fails_if_the_source_does() {
    let (agent, say, asked, ..) = agent(PLAIN);
    say.send(failure()).unwrap();
    assert_eq!(agent.once().unwrap_err().what, "no answer");
    assert_eq!(asked.try_iter().next(), None);
}

#[test]
fn a_plan_changes_nothing_and_names_what_is_refused() {
    let (agent, say, asked, ..) = agent(PLAIN);
    say.send(listing(&[("web", "192.0.2.1"), ("b\u{1b}ad", "203.0.113.1")])).unwrap();
    let lines = agent.plan().unwrap();
    assert_eq!(lines[0], "+ web");
    assert!(
        lines[1].starts_with("! b ad: 203.0.113.1 cannot be bound: only 192.0.2.0/24"),
        "{lines:?}"
    );
    assert_eq!(asked.try_iter().next(), None);
}
