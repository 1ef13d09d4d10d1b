//! On a kernel in memory.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use fip_core::kernel::fake::FakeKernel;
use fip_core::kernel::{Deed, Nft, Sighting};

use super::super::Signal;
use super::*;
use crate::agent::model::{Presence, State, Workload};
use crate::options::parse_floating;

const RIVAL: Mac = Mac([2, 0, 0, 0, 0, 0x99]);
const PATIENCE: Duration = Duration::from_secs(10);

struct Scene {
    kernel: FakeKernel,
    actuator: DirectActuator<FakeKernel>,
    signals: Receiver<Signal>,
    heard: Vec<Signal>,
}

impl Scene {
    fn new() -> Self {
        Self::on(&FakeKernel::new())
    }

    fn on(kernel: &FakeKernel) -> Self {
        let (sender, signals) = channel();
        let bell = Bell::new(move |signal| _ = sender.send(signal));
        let kernel = kernel.clone();
        let handle = kernel.clone();
        let open: Open<FakeKernel> = Arc::new(move || Ok(handle.clone()));
        let actuator = DirectActuator::start(open, DirectConfig::default(), bell).unwrap();
        Self { kernel, actuator, signals, heard: Vec::new() }
    }

    /// The states, once nothing is pending.
    fn pursue(&mut self, wishes: &[Wish]) -> Vec<State> {
        self.until(wishes, |states| states.iter().all(|state| *state != State::Pending))
    }

    fn until(&mut self, wishes: &[Wish], met: impl Fn(&[State]) -> bool) -> Vec<State> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let progress = self.actuator.pursue(wishes);
            let state = |wish: &Wish| progress.states[&wish.workload.id].clone();
            let states: Vec<State> = wishes.iter().map(state).collect();
            if met(&states) {
                self.actuator.desk.settle();
                // What was done is told in the keeper's thread, which comes to this then.
                self.actuator.ask(|_, _| Ok(())).unwrap();
                return states;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.signals.recv_timeout(left) {
                Ok(signal) => self.heard.push(signal),
                Err(_) => panic!("waited in vain: {states:?}"),
            }
        }
    }

    fn bound(&self) -> Vec<String> {
        let mut fips = FloatingIps::new(self.kernel.clone(), Options::default());
        let all = fips.list().unwrap().into_iter();
        all.map(|status| format!("{}: {}", status.binding.owner(), status.binding)).collect()
    }

    fn signals(&mut self) -> Vec<Signal> {
        self.heard.extend(self.signals.try_iter());
        std::mem::take(&mut self.heard)
    }

    fn hear(&self, address: &str, probing: bool) {
        let link = self.kernel.link(&"eth0".parse().unwrap()).unwrap().index;
        let deed = if probing { Deed::Probes } else { Deed::Holds };
        self.kernel.hear(Sighting { link, address: ip(address), mac: RIVAL, deed });
    }

    /// Waits for a signal.
    fn wait(&mut self, wanted: &Signal) {
        let deadline = Instant::now() + PATIENCE;
        while !self.heard.contains(wanted) {
            let left = deadline.saturating_duration_since(Instant::now());
            self.heard.push(self.signals.recv_timeout(left).unwrap());
        }
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What a workload asks for, in one of its runs.
pub(super) fn wish(name: &str, run: u64, asks: &str, presence: Presence) -> Wish {
    let workload = Workload {
        id: format!("id-{name}"),
        name: name.to_owned(),
        container: None,
        asks: asks.to_owned(),
        age: 0,
        run,
        presence,
    };
    Wish { workload: workload.into(), floating: parse_floating(asks).unwrap() }
}

fn running(name: &str, asks: &str, fixed: &str) -> Wish {
    wish(name, 1, asks, Presence::Running(vec![ip(fixed)]))
}

fn again(mut wish: Wish) -> Wish {
    Arc::make_mut(&mut wish.workload).run += 1;
    wish
}

const WEB: &str = "agent: 192.0.2.20 -> 172.18.0.2";

fn web() -> Wish {
    running("web", "192.0.2.20", "172.18.0.2")
}

#[test]
fn hundreds_are_one_transaction_and_bad_ones_hinder_nobody() {
    let kernel = FakeKernel::new();
    let mut cli = FloatingIps::new(kernel.clone(), Options::default());
    cli.bind(&Binding::new(ip("192.0.2.19"), ip("172.18.0.9")).unwrap()).unwrap();
    let mut scene = Scene::on(&kernel);
    let before = kernel.clone().generation().unwrap();
    let mut wishes = vec![
        running("own", "192.0.2.10", "172.18.0.2"),
        running("gateway", "192.0.2.1", "172.18.0.3"),
        running("cli", "192.0.2.19", "172.18.0.4"),
        running("egress", "192.0.2.18", "172.18.0.9"),
        running("none", "2001:db8::18", "172.18.0.5"),
    ];
    wishes.extend(
        (20..220)
            .map(|n| running(&n.to_string(), &format!("192.0.2.{n}"), &format!("172.18.1.{n}"))),
    );
    let states = scene.pursue(&wishes);
    assert!(states[5..].iter().all(|state| *state == State::Bound));
    for (place, kind, part) in [
        (0, "Refused", "own address"),
        (1, "Refused", "gateway"),
        (2, "Waiting", "by cli"),
        (3, "Waiting", "by cli"),
        (4, "Refused", "no IPv6 address"),
    ] {
        let text = format!("{:?}", states[place]);
        assert!(text.starts_with(kind) && text.contains(part), "{text}");
    }
    assert_eq!(kernel.clone().generation().unwrap(), before + 1);
    assert_eq!(scene.bound().len(), 201);
    let came = scene.signals().into_iter().filter(|s| matches!(s, Signal::Came { .. }));
    assert_eq!(came.count(), 200);
}

#[test]
fn another_fixed_address_leaves_the_floating_one_in_place() {
    let mut scene = Scene::new();
    assert_eq!(scene.pursue(&[web()]), [State::Bound]);
    let announced = scene.kernel.announced();
    let before = scene.kernel.clone().generation().unwrap();
    // To another workload, together with another fixed address.
    let other = running("other", "192.0.2.20", "172.18.0.3");
    assert_eq!(scene.pursue(std::slice::from_ref(&other)), [State::Bound]);
    assert_eq!(scene.bound(), ["agent: 192.0.2.20 -> 172.18.0.3"]);
    assert_eq!(scene.kernel.clone().generation().unwrap(), before + 1);
    assert_eq!(scene.kernel.announced(), announced);
    assert!(!scene.signals().iter().any(|signal| matches!(signal, Signal::Left { .. })));
    let stopped = wish("other", 1, "192.0.2.20", Presence::Stopped);
    assert_eq!(scene.pursue(&[stopped]), [State::Stopped]);
    assert_eq!(scene.bound(), [""; 0]);
    assert!(scene.signals().contains(&Signal::Left { address: ip("192.0.2.20") }));
}

#[test]
fn a_new_actuator_changes_nothing() {
    let kernel = FakeKernel::new();
    let mut first = Scene::on(&kernel);
    first.pursue(&[web()]);
    first.actuator.settle();
    drop(first);
    let before = (kernel.clone().generation().unwrap(), kernel.announced());
    let mut second = Scene::on(&kernel);
    let held = Held { floating: ip("192.0.2.20"), by: Holder::Fixed(ip("172.18.0.2")) };
    assert_eq!(second.actuator.held().unwrap(), [held]);
    second.actuator.settle();
    assert_eq!(second.bound(), [WEB], "nobody has said anything yet");
    assert_eq!(second.actuator.plan(&[web()]).unwrap(), [""; 0]);
    assert_eq!(second.pursue(&[web()]), [State::Bound]);
    assert_eq!((kernel.clone().generation().unwrap(), kernel.announced()), before);
    let came = |signal: &Signal| matches!(signal, Signal::Came { .. } | Signal::Repaired(_));
    assert!(!second.signals().iter().any(came));
    // What nobody wants any more goes with the first listing, and not before.
    assert_eq!(second.pursue(&[]), []);
    assert_eq!(second.bound(), [""; 0]);
}

#[test]
fn a_rival_is_waited_for() {
    let mut scene = Scene::new();
    scene.kernel.rival(ip("192.0.2.20"), RIVAL);
    let both = [web(), running("db", "192.0.2.21", "172.18.0.3")];
    let states = scene.pursue(&both);
    assert!(
        matches!(&states[0], State::Waiting(why) if why.contains(&RIVAL.to_string())),
        "{states:?}"
    );
    assert_eq!(states[1], State::Bound);
    scene.kernel.silence(ip("192.0.2.20"));
    scene.until(&both, |states| states[0] == State::Bound);
    assert_eq!(scene.bound().len(), 2);
}

#[test]
fn what_a_rival_claims_is_yielded_until_the_workload_starts_anew() {
    let mut scene = Scene::new();
    scene.pursue(&[web()]);
    scene.hear("192.0.2.20", false);
    scene.wait(&Signal::Rival { address: ip("192.0.2.20"), mac: RIVAL });
    assert_eq!(scene.pursue(&[web()]), [State::Yielded(RIVAL.to_string())]);
    scene.kernel.flush_ruleset();
    assert_eq!(scene.pursue(&[web()]), [State::Yielded(RIVAL.to_string())]);
    assert_eq!(scene.bound(), [""; 0]);
    assert!(!scene.signals().iter().any(|signal| matches!(signal, Signal::Repaired(_))));
    assert_eq!(scene.pursue(&[again(web())]), [State::Bound]);
    assert_eq!(scene.bound(), [WEB]);
}

#[test]
fn a_challenge_is_told_and_the_address_can_be_given_up() {
    let mut scene = Scene::new();
    scene.pursue(&[web()]);
    scene.hear("192.0.2.20", true);
    scene.wait(&Signal::Challenged { address: ip("192.0.2.20"), mac: RIVAL });
    assert_eq!(scene.pursue(&[web()]), [State::Bound], "nothing follows of itself");
    scene.actuator.give_up(ip("192.0.2.20"), RIVAL);
    scene.actuator.give_up(ip("192.0.2.99"), RIVAL);
    scene.wait(&Signal::Rival { address: ip("192.0.2.20"), mac: RIVAL });
    assert_eq!(scene.pursue(&[web()]), [State::Yielded(RIVAL.to_string())]);
    assert_eq!(scene.bound(), [""; 0]);
}

/// Whether a step failed.
fn fails_after(steps: usize) -> bool {
    let mut scene = Scene::new();
    scene.pursue(&[running("old", "192.0.2.21", "172.18.0.3")]);
    scene.kernel.fail_after(steps);
    let wishes = [web(), running("old", "192.0.2.22", "172.18.0.4")];
    scene.pursue(&wishes);
    let failed = scene.kernel.recover();
    scene.until(&wishes, |states| states.iter().all(|state| *state == State::Bound));
    let deadline = Instant::now() + PATIENCE;
    while scene.bound() != [WEB, "agent: 192.0.2.22 -> 172.18.0.4"] {
        assert!(Instant::now() < deadline, "{steps}: {:?}", scene.bound());
        let _ = scene.signals.recv_timeout(Duration::from_millis(10));
    }
    failed
}

#[test]
fn whatever_step_fails_it_is_right_in_the_end() {
    // They wait for their retries side by side.
    let failed: Vec<bool> = thread::scope(|scope| {
        let all: Vec<_> = (0..12).map(|steps| scope.spawn(move || fails_after(steps))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(failed[0] && failed.contains(&false), "{failed:?}");
}

#[test]
fn a_plan_tells_what_would_come_go_and_be_refused() {
    let mut scene = Scene::new();
    scene.pursue(&[web()]);
    let before = scene.bound();
    let wishes =
        [running("new", "192.0.2.21", "172.18.0.3"), running("gateway", "192.0.2.1", "172.18.0.4")];
    let lines = scene.actuator.plan(&wishes).unwrap();
    let has = |start: &str, part: &str| {
        lines.iter().any(|line| line.starts_with(start) && line.contains(part))
    };
    assert!(has("+ element", "192.0.2.21"), "{lines:#?}");
    assert!(has("+ local route", "192.0.2.21"), "{lines:#?}");
    assert!(has("- element", "192.0.2.20"), "{lines:#?}");
    assert!(has("- local route", "192.0.2.20"), "{lines:#?}");
    assert!(has("! gateway: 192.0.2.1: ", "gateway of the route"), "{lines:#?}");
    assert_eq!(scene.bound(), before);
}

#[test]
fn draining_leaves_nothing_of_the_agent() {
    let kernel = FakeKernel::new();
    let mut cli = FloatingIps::new(kernel.clone(), Options::default());
    cli.bind(&Binding::new(ip("192.0.2.19"), ip("172.18.0.9")).unwrap()).unwrap();
    let mut scene = Scene::on(&kernel);
    kernel.rival(ip("192.0.2.22"), RIVAL);
    scene.pursue(&[web(), running("waits", "192.0.2.22", "172.18.0.3")]);
    assert_eq!(scene.actuator.drain().unwrap(), ["192.0.2.20 -> 172.18.0.2"]);
    assert_eq!(scene.bound(), ["cli: 192.0.2.19 -> 172.18.0.9"]);
    assert_eq!(scene.actuator.drain().unwrap(), [""; 0]);
}
