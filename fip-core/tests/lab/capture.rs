//! Who says that an address is his: a packet capture at the switch.

use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::ns::Ns;
use super::process::Running;
use super::wait_for;

/// A frame about who has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Claim {
    /// This hardware address answers for it or announces it.
    Holds(String),
    /// This hardware address asks whether someone has it, before claiming it.
    Probes(String),
}

/// Who said that the address was his, one after the other.
pub(crate) fn holders(claims: &[Claim]) -> Vec<&str> {
    let mut holders: Vec<&str> = claims.iter().filter_map(holder).collect();
    holders.dedup();
    holders
}

fn holder(claim: &Claim) -> Option<&str> {
    match claim {
        Claim::Holds(mac) => Some(mac),
        Claim::Probes(_) => None,
    }
}

/// A capture by `tcpdump`, of ARP and neighbour discovery frames as they enter a namespace.
pub(crate) struct Capture {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Capture {
    /// From its return on, every frame is seen.
    pub(crate) fn start(ns: &Ns) -> Self {
        let mut child = ns
            .command("setpriv")
            .args(["--pdeathsig", "KILL", "tcpdump", "-Z", "root", "-i", "any", "-Q", "in"])
            // What is short has room for thousands: of whole packets the buffer holds eight, and a
            // burst of announcements would be lost in part.
            .args(["-n", "-e", "-l", "-s", "256", "--immediate-mode", "arp or icmp6"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cannot start tcpdump");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let mut complaints = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = |line: std::io::Result<String>| line.unwrap().starts_with("listening on");
        assert!(complaints.any(listening), "tcpdump does not listen");
        std::thread::spawn(move || complaints.for_each(drop));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let seen = lines.clone();
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).for_each(|line| seen.lock().unwrap().push(line));
        });
        Self { child, lines }
    }

    /// The frames so far, as tcpdump prints them. A switch shows what it takes in for itself
    /// (broadcasts) a second time, on its bridge `lan`: that is left out.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|line| line.split(' ').nth(1) != Some("lan")).cloned().collect()
    }

    /// What was said of the address so far, in order.
    pub(crate) fn claims(&self, address: IpAddr) -> Vec<Claim> {
        self.lines().iter().filter_map(|line| claim(line, address)).collect()
    }

    /// Waits for a frame of the address.
    pub(crate) fn wait_for_claim(&self, address: IpAddr, wanted: &Claim) {
        wait_for(&format!("{wanted:?} of {address}"), || {
            self.claims(address).contains(wanted).then_some(())
        });
    }

    /// Waits until everything that was sent before is in [`Capture::lines`]: sends a frame of its
    /// own from `ns` (a machine with a card `eth0` whose frames are captured) and waits for that.
    pub(crate) fn catch_up(&self, ns: &Ns) {
        let mark = "192.0.2.99";
        let marks = || self.lines().iter().filter(|line| line.contains(mark)).count();
        let before = marks();
        let _arping = Running::start(ns, "arping", &["-c1", "-D", "-I", "eth0", mark], "");
        wait_for("the capture to catch up", || (marks() > before).then_some(()));
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the frame says of the address, if anything.
fn claim(line: &str, address: IpAddr) -> Option<Claim> {
    let words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let after = |key: &str| {
        let at = words.iter().position(|word| *word == key)?;
        words.get(at + 1).copied()
    };
    let sender = || after("ifindex").and_then(|_| words.iter().find(|w| is_mac(w)));
    let text = address.to_string();
    let is_it = |word: Option<&str>| word == Some(text.as_str());
    let mac = sender()?.to_string();
    let holds = is_it(after("Reply")) // ARP reply
        || (is_it(after("who-has")) && is_it(after("tell"))) // ARP announcement
        || (line.contains("neighbor advertisement") && is_it(after("is")));
    let probes = (is_it(after("who-has")) && after("tell") == Some("0.0.0.0"))
        || (line.contains("neighbor solicitation")
            && line.contains(" :: > ")
            && line.contains(&format!("who has {text},")));
    match (holds, probes) {
        (true, _) => Some(Claim::Holds(mac)),
        (_, true) => Some(Claim::Probes(mac)),
        _ => None,
    }
}

fn is_mac(word: &str) -> bool {
    word.len() == 17 && word.bytes().filter(|byte| *byte == b':').count() == 5
}
