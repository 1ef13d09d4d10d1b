//! Two hosts, each with a workload that tells which one it is, and a client that asks.

use std::fs::File;
use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::harness::Figures;
use crate::lab::{Family, Host, Lan, Ns, Workload, lan, wait_for};
use crate::load::probe::{Echo, Prober};

/// Who answers.
pub(super) const OLD: u8 = b'A';
pub(super) const NEW: u8 = b'B';

/// The link on the LAN, and the bridge with the workload.
pub(super) const UPLINK: &str = "eth0";
const BRIDGE: &str = "br-fip";

const PORT: u16 = 7;
/// How long is asked before the move. A neighbour's entry is older than the second (`locktime`) in
/// which it is not changed.
const BEFORE: Duration = Duration::from_millis(1300);
/// The move is over when this many answers on end came from the new host.
const OVER: u32 = 300;

/// A host, and what runs on it.
pub(super) struct Side {
    pub(super) host: Host,
    pub(super) fixed: IpAddr,
    pub(super) mac: String,
    _workload: Workload,
    _echo: Echo,
}

impl Side {
    fn new(network: &Lan, name: &str, number: u8, mark: u8, family: Family) -> Self {
        let host = network.host(name, number);
        let subnet = number + 7;
        host.bridge(BRIDGE, subnet);
        let workload = host.workload(name, BRIDGE, subnet, 2);
        let echo = Echo::start(&workload, PORT, mark);
        let (mac, fixed) = (host.mac(UPLINK), workload.address(family));
        Self { host, fixed, mac, _workload: workload, _echo: echo }
    }
}

/// Where an address moves from host A to host B.
pub(super) struct Scene {
    pub(super) a: Side,
    pub(super) b: Side,
    pub(super) floating: IpAddr,
    client: Ns,
    lan: Lan,
}

impl Scene {
    /// A new one: nobody has the floating address yet.
    pub(super) fn new(family: Family) -> Self {
        let network = Lan::new();
        let client = network.client();
        let a = Side::new(&network, "A", 11, OLD, family);
        let b = Side::new(&network, "B", 12, NEW, family);
        Self { a, b, floating: lan(family, 200), client, lan: network }
    }

    /// Whether that host holds the address, as an address or as a local route.
    pub(super) fn has(&self, host: &Ns) -> bool {
        let held = ["route show table local dev", "address show dev"]
            .map(|show| host.ip(&format!("{show} {UPLINK}")));
        held.concat().contains(&self.floating.to_string())
    }

    /// Host A is off the LAN from now on, as if it had lost its power.
    pub(super) fn kill_a(&self) {
        self.lan.switch.ip("link set A down");
    }

    /// Asks all the time while `event` moves the address; until B answers steadily, or that time has
    /// passed.
    pub(super) fn measure(&self, patience: Duration, event: impl FnOnce()) -> Figures {
        self.watched(NEW, patience, event)
    }

    /// The same where nothing moves.
    pub(super) fn measure_calm(&self) -> Figures {
        self.watched(OLD, Duration::from_secs(1), || thread::sleep(Duration::from_secs(1)))
    }

    fn watched(&self, end: u8, patience: Duration, event: impl FnOnce()) -> Figures {
        let prober = Prober::start(&self.client, (self.floating, PORT));
        let steady = u32::try_from(BEFORE.as_millis()).unwrap();
        assert!(prober.wait_for(OLD, steady, BEFORE * 4), "A does not answer at {}", self.floating);
        let neighbour = self.client.ip(&format!("neigh show {}", self.floating));
        assert!(neighbour.contains(&self.a.mac), "the client must hold A's address: {neighbour}");
        let began = Instant::now();
        event();
        let moved = prober.wait_for(end, OVER, patience);
        let ended = Instant::now();
        let record = prober.stop();
        if record.lost_before(began) > 0 {
            eprintln!("  {} probes were lost before the move", record.lost_before(began));
        }
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let mut figures = vec![
            ("lost", record.lost_after(began) as f64),
            ("late", record.late_after(began) as f64),
            ("outage ms", milliseconds(record.outage(began))),
        ];
        if end == NEW {
            let first = record.first(NEW, began).unwrap_or(ended - began);
            figures.push(("first answer ms", milliseconds(first)));
            figures.push(("dark at the end", if moved { 0.0 } else { 1.0 }));
        }
        figures
    }
}

/// A program under way. It is killed in the end.
pub(super) struct Program {
    child: Child,
    log: File,
}

impl Program {
    /// Starts it in the namespace.
    pub(super) fn start(ns: &Ns, words: &[&str]) -> Self {
        let mut command = ns.command("setpriv");
        command.args(["--pdeathsig", "KILL"]).args(words);
        let log = File::from(memfd_create("log", MFdFlags::MFD_CLOEXEC).unwrap());
        command.stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log.try_clone().unwrap());
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", words[0]));
        Self { child, log }
    }

    /// What it has said.
    pub(super) fn said(&self) -> String {
        let mut said = vec![0; 1 << 16];
        let length = self.log.read_at(&mut said, 0).unwrap();
        String::from_utf8_lossy(&said[..length]).into_owned()
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, by its name.
    pub(super) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send {name}");
    }

    /// Leaves it alone until it ends by itself.
    pub(super) fn leave(mut self) {
        thread::spawn(move || {
            let _ = self.child.wait();
        });
    }

    /// Waits until it ends by itself; panics if it does not, or fails.
    pub(super) fn finish(mut self, what: &str) {
        let status = wait_for(what, || self.child.try_wait().unwrap());
        assert!(status.success(), "{what}: {status}: {}", self.said());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
