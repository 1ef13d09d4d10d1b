//! A host with two workloads, and its agent's actuator.

use std::net::{IpAddr, UdpSocket};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fip_core::claim::Claim;
use fip_core::kernel::Nft;
use fip_core::kernel::host::Host as Kernel;
use fip_core::netns::NetNs;
use fip_core::{Binding, FloatingIps, Options};
use fip_plugin::agent::actuator::direct::{DirectActuator, DirectConfig};
use fip_plugin::agent::actuator::{Actuator, Bell, Signal};
use fip_plugin::agent::model::{Presence, State, Wish, Workload};
use fip_plugin::options::parse_floating;

use crate::lab::{Family, Host, Lan, Ns, PATIENCE, Whoami, Workload as Inside, lan, wait_for};

/// Where the workloads answer.
pub(super) const PORT: u16 = 80;

pub(super) struct Scene {
    pub(super) lan: Lan,
    pub(super) client: Arc<Ns>,
    pub(super) a: Host,
    pub(super) w2: Inside,
    _w3: Inside,
    _servers: [Whoami; 2],
}

impl Scene {
    pub(super) fn new() -> Self {
        let lan = Lan::new();
        let client = Arc::new(lan.client());
        let a = lan.host_a();
        a.bridge("br0", 18);
        let [w2, w3] = [("w2", 2), ("w3", 3)].map(|(name, n)| a.workload(name, "br0", 18, n));
        let servers = [Whoami::start(&w2, &[PORT]), Whoami::start(&w3, &[PORT])];
        Self { lan, client, a, w2, _w3: w3, _servers: servers }
    }

    pub(super) fn fips(&self) -> FloatingIps<Kernel> {
        FloatingIps::open_in(&netns(&self.a), Options::default()).unwrap()
    }

    pub(super) fn bound(&self) -> Vec<String> {
        let all = self.fips().list().unwrap().into_iter();
        all.map(|status| format!("{}: {}", status.binding.owner(), status.binding)).collect()
    }

    pub(super) fn generation(&self) -> u32 {
        Kernel::open_in(&netns(&self.a)).unwrap().generation().unwrap()
    }

    /// Binds as somebody else.
    pub(super) fn bind(&self, owner: &str, floating: IpAddr, fixed: IpAddr) -> String {
        let binding = Binding::new(floating, fixed).unwrap().owned_by(owner.parse().unwrap());
        self.fips().bind(&binding).unwrap();
        format!("{owner}: {binding}")
    }

    /// The Ethernet address at which the client finds this one.
    pub(super) fn neighbour(&self, floating: IpAddr) -> String {
        self.client.ip(&format!("neighbour show to {floating} dev eth0"))
    }

    /// Asks each millisecond from now on.
    pub(super) fn witness(&self, floating: IpAddr) -> Witness {
        Witness::start(&self.client, floating)
    }
}

pub(super) fn netns(ns: &Ns) -> NetNs {
    ns.path().to_str().unwrap().parse().unwrap()
}

/// Asks for both families' addresses of that number.
pub(super) fn asks(number: u8) -> String {
    Family::BOTH.map(|family| lan(family, number).to_string()).join(", ")
}

fn wish(name: &str, asks: &str, presence: Presence) -> Wish {
    let workload = Workload {
        id: format!("id-{name}"),
        name: name.to_owned(),
        container: None,
        asks: asks.to_owned(),
        age: 0,
        run: 1,
        presence,
    };
    Wish { workload: workload.into(), floating: parse_floating(asks).unwrap() }
}

pub(super) fn running(name: &str, asks: &str, fixed: &[IpAddr]) -> Wish {
    wish(name, asks, Presence::Running(fixed.to_vec()))
}

pub(super) fn stopped(name: &str, asks: &str) -> Wish {
    wish(name, asks, Presence::Stopped)
}

/// The same workload, started anew.
pub(super) fn again(mut wish: Wish) -> Wish {
    Arc::make_mut(&mut wish.workload).run += 1;
    wish
}

/// The actuator of a host, and what it tells.
pub(super) struct Agent {
    actuator: DirectActuator<Kernel>,
    bells: Receiver<Signal>,
    heard: Vec<Signal>,
}

impl Deref for Agent {
    type Target = DirectActuator<Kernel>;

    fn deref(&self) -> &Self::Target {
        &self.actuator
    }
}

impl DerefMut for Agent {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.actuator
    }
}

impl Agent {
    /// Rivals are waited for as long as a test waits for anything.
    pub(super) fn on(host: &Ns) -> Self {
        Self::with(host, Claim { deadline: Duration::from_secs(2), ..Claim::default() })
    }

    pub(super) fn with(host: &Ns, claim: Claim) -> Self {
        let (sender, bells) = channel();
        let bell = Bell::new(move |signal| _ = sender.send(signal));
        let netns = netns(host);
        let config = DirectConfig { claim, ..DirectConfig::default() };
        let open = Arc::new(move || Kernel::open_in(&netns));
        let actuator = DirectActuator::start(open, config, bell).unwrap();
        Self { actuator, bells, heard: Vec::new() }
    }

    /// The states, once nothing is pending or to be done.
    pub(super) fn pursue(&mut self, wishes: &[Wish]) -> Vec<State> {
        let states = self.until(wishes, |states| !states.contains(&State::Pending));
        self.actuator.settle();
        states
    }

    /// Only begins.
    pub(super) fn pursue_now(&mut self, wishes: &[Wish]) {
        self.actuator.pursue(wishes);
    }

    /// The states, once they are so.
    pub(super) fn until(&mut self, wishes: &[Wish], met: impl Fn(&[State]) -> bool) -> Vec<State> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let progress = self.actuator.pursue(wishes);
            let state = |wish: &Wish| progress.states[&wish.workload.id].clone();
            let states: Vec<State> = wishes.iter().map(state).collect();
            if met(&states) {
                return states;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.bells.recv_timeout(left) {
                Ok(signal) => self.heard.push(signal),
                Err(_) => panic!("waited in vain: {states:?}"),
            }
        }
    }

    /// What was told since this was last called.
    pub(super) fn signals(&mut self) -> Vec<Signal> {
        self.heard.extend(self.bells.try_iter());
        std::mem::take(&mut self.heard)
    }

    /// Waits for a signal, and takes it.
    pub(super) fn wait_for(&mut self, what: &str, wanted: impl Fn(&Signal) -> bool) -> Signal {
        wait_for(what, || {
            self.heard.extend(self.bells.try_iter());
            let at = self.heard.iter().position(&wanted)?;
            Some(self.heard.remove(at))
        })
    }
}

/// So many questions may be on their way at a time: the sockets take them, also while a busy machine
/// reads nothing.
const ON_THEIR_WAY: usize = 100;

/// Asks over UDP each millisecond, and counts the answers that are missing.
pub(super) struct Witness {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    missing: Arc<Mutex<Vec<String>>>,
    thread: JoinHandle<()>,
}

impl Witness {
    fn start(ns: &Arc<Ns>, to: IpAddr) -> Self {
        let socket = ns.run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
        socket.connect((to, PORT)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let missing = Arc::new(Mutex::new(Vec::new()));
        let thread = {
            let (stop, answers, missing) = (stop.clone(), answers.clone(), missing.clone());
            std::thread::spawn(move || ask(&socket, &stop, &answers, &missing))
        };
        let this = Self { stop, answers, missing, thread };
        this.wait_for_answers(10);
        this
    }

    pub(super) fn wait_for_answers(&self, count: usize) {
        let enough = self.answers.load(Ordering::Relaxed) + count;
        let answered = || (self.answers.load(Ordering::Relaxed) >= enough).then_some(());
        wait_for("answers over UDP", answered);
    }

    /// How many answers are missing in the end.
    pub(super) fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.missing.lock().unwrap().len()
    }
}

fn ask(socket: &UdpSocket, stop: &AtomicBool, answers: &AtomicUsize, missing: &Mutex<Vec<String>>) {
    let mut questions = 0;
    let mut end = None;
    while end.is_none_or(|end| Instant::now() < end) {
        if end.is_none() {
            if missing.lock().unwrap().len() < ON_THEIR_WAY {
                questions += 1;
                let question = questions.to_string();
                missing.lock().unwrap().push(question.clone());
                let _ = socket.send(question.as_bytes());
            }
            end = stop.load(Ordering::Relaxed).then(|| Instant::now() + PATIENCE);
        }
        let mut buffer = [0; 512];
        let Ok(length) = socket.recv(&mut buffer) else { continue };
        let reply: crate::lab::Reply = String::from_utf8_lossy(&buffer[..length]).parse().unwrap();
        let mut missing = missing.lock().unwrap();
        if let Some(at) = missing.iter().position(|question| *question == reply.question) {
            missing.remove(at);
            answers.fetch_add(1, Ordering::Relaxed);
        }
        if end.is_some() && missing.is_empty() {
            return;
        }
    }
}
