//! Whether an address is free on the LAN, and telling the LAN that we have it.
//!
//! Two hosts must never answer for one address, and a planned move must be as fast as the old
//! host lets go. So before an address is bound it is probed (RFC 5227, RFC 4862): a [`Claim`]
//! says for how long, and what to do about a rival that answers.
//!
//! Two hosts that probe for the same address at the same time both hear a probe and no answer.
//! If both gave way, as RFC 5227 has it, they would do so again and again; if neither did, both
//! would win. So the one with the lower Ethernet address goes on and the other takes it for a
//! rival: each can tell from the other's probe alone, and exactly one of two different addresses
//! is the lower. The one that gives way then leaves the winner a second to bind the address before
//! it asks again, for until then nobody answers. A host that follows RFC 5227 to the letter gives
//! way to us either way.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kernel::{Link, Mac, Sighting, Wire};

mod announce;

pub use announce::Announcements;

/// Probes in a window: one may be lost, even two (`PROBE_NUM` of RFC 5227).
const PROBES: u32 = 3;

/// The time from one probe to the next, of many addresses: 50,000 frames in a second flood
/// neither a switch nor the hosts, which all look at every one.
const PACE: Duration = Duration::from_micros(20);

/// How long a host that has won may take to bind the address.
const BINDING_TIME: Duration = Duration::from_secs(1);

/// The longest time that is waited, whatever is asked for.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What to do if another host answers for an address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RivalPolicy {
    /// Wait until it falls silent, or the deadline has come.
    #[default]
    Wait,
    /// Leave the address to it.
    Refuse,
    /// Do not even ask.
    TakeOver,
}

impl RivalPolicy {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::Wait, Self::Refuse, Self::TakeOver];
}

impl fmt::Display for RivalPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Wait => "wait",
            Self::Refuse => "refuse",
            Self::TakeOver => "take-over",
        })
    }
}

impl FromStr for RivalPolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.to_string() == text)
            .ok_or_else(|| Error::parse(text, "a rival policy (wait, refuse or take-over)"))
    }
}

/// How to find out whether an address is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// What to do about a rival.
    pub policy: RivalPolicy,
    /// How long nobody may answer three probes for an address to be free; zero to not ask.
    pub window: Duration,
    /// How long to wait for a rival to fall silent ([`RivalPolicy::Wait`]).
    pub deadline: Duration,
}

impl Default for Claim {
    /// Wait up to 5 s for a silence of 100 ms.
    fn default() -> Self {
        Self {
            policy: RivalPolicy::default(),
            window: Duration::from_millis(100),
            deadline: Duration::from_secs(5),
        }
    }
}

/// How a claim ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claimed {
    /// The addresses that nobody else has.
    pub free: Vec<IpAddr>,
    /// The others, with who has them.
    pub rivals: Vec<(IpAddr, Mac)>,
}

/// Finds out which of the addresses are free on the link, all at the same time. `own` are the
/// Ethernet addresses of this host's other links, as for [`Claiming::new`].
///
/// # Errors
/// The kernel's, as [`Error::Kernel`]. A rival is a result, not an error.
pub fn claim<W: Wire>(
    wire: &mut W,
    link: &Link,
    own: &[Mac],
    addresses: &[IpAddr],
    rules: &Claim,
) -> Result<Claimed> {
    let mut claiming = Claiming::new(link, own, addresses, rules);
    let mut free = Vec::new();
    while let Some(more) = claiming.step(wire)? {
        free.extend(more);
    }
    Ok(Claimed { free, rivals: claiming.rivals })
}

/// A claim under way: yields the free addresses as they are known, so that they can be bound
/// while others still wait for their rivals.
///
/// Addresses that nobody was heard to have come together, after one window; the others each when
/// their rival has been silent for a window. Nobody is asked on a link that is not running or
/// has no Ethernet address, where there is nobody to ask: there all are free.
#[derive(Debug)]
pub struct Claiming {
    link: Link,
    /// The Ethernet addresses of this host.
    own: Vec<Mac>,
    policy: RivalPolicy,
    /// From one probe of an address to the next, and from the last to the end of the window.
    cadence: Duration,
    deadline: Instant,
    now: Instant,
    begun: bool,
    /// Free without asking.
    unasked: Vec<IpAddr>,
    asked: BTreeMap<IpAddr, Candidate>,
    rivals: Vec<(IpAddr, Mac)>,
}

/// An address that is being asked for.
#[derive(Debug)]
struct Candidate {
    /// Probes sent in this window.
    sent: u32,
    /// When to send the next one or, after the last, when the window ends.
    due: Instant,
    rival: Option<Mac>,
}

impl Candidate {
    fn is_free(&self, now: Instant) -> bool {
        self.sent == PROBES && self.due <= now
    }
}

impl Claiming {
    /// Begins to claim the addresses now. The window is longer than asked for if there are
    /// thousands of them, to spread the probes.
    ///
    /// `own` are the Ethernet addresses of this host's other links: an answer by one of them is no
    /// rival's. Linux answers by every card on the LAN for the addresses of all its cards (sysctl
    /// `arp_ignore` 0).
    pub fn new(link: &Link, own: &[Mac], addresses: &[IpAddr], rules: &Claim) -> Self {
        let now = Instant::now();
        let ask = rules.policy != RivalPolicy::TakeOver
            && !rules.window.is_zero()
            && link.running
            && !link.loopback
            && link.mac.is_some();
        let (asked, unasked) = if ask { (addresses, &[][..]) } else { (&[][..], addresses) };
        let starts = (0..).map(|place| now + PACE * place);
        let candidates = asked.iter().zip(starts).map(|(&address, due)| {
            let candidate = Candidate { sent: 0, due, rival: None };
            (address, candidate)
        });
        let fastest = PACE * u32::try_from(asked.len()).unwrap_or(u32::MAX);
        Self {
            link: link.clone(),
            own: own.iter().copied().chain(link.mac).collect(),
            policy: rules.policy,
            cadence: (rules.window.min(LONGEST) / PROBES).max(fastest),
            deadline: now + rules.deadline.min(LONGEST),
            now,
            begun: false,
            unasked: unasked.to_vec(),
            asked: candidates.collect(),
            rivals: Vec::new(),
        }
    }

    /// Waits until more addresses are known to be free, and yields them; none when every address
    /// is either free or in [`Claiming::rivals`].
    ///
    /// # Errors
    /// The kernel's, as [`Error::Kernel`].
    pub fn step<W: Wire>(&mut self, wire: &mut W) -> Result<Option<Vec<IpAddr>>> {
        if !self.unasked.is_empty() {
            return Ok(Some(std::mem::take(&mut self.unasked)));
        }
        while !self.asked.is_empty() {
            self.probe(wire)?;
            self.listen(wire)?;
            let free = self.settle();
            if !free.is_empty() {
                return Ok(Some(free));
            }
        }
        if std::mem::take(&mut self.begun) {
            wire.stop_listening(&self.link)?;
        }
        Ok(None)
    }

    /// The addresses that other hosts have, and who was heard last to have them.
    pub fn rivals(&self) -> &[(IpAddr, Mac)] {
        &self.rivals
    }

    /// Sends the probes that are due.
    fn probe<W: Wire>(&mut self, wire: &mut W) -> Result<()> {
        if !std::mem::replace(&mut self.begun, true) {
            // What an earlier claim that was given up has left says nothing about now.
            wire.stop_listening(&self.link)?;
        }
        self.now = self.now.max(Instant::now());
        let due = |candidate: &Candidate| candidate.sent < PROBES && candidate.due <= self.now;
        let addresses: Vec<_> =
            self.asked.iter().filter(|(_, c)| due(c)).map(|(&address, _)| address).collect();
        if addresses.is_empty() {
            return Ok(());
        }
        wire.probe(&self.link, &addresses)?;
        // A late probe delays those after it: they must be spread over a window.
        let next = self.now.max(Instant::now()) + self.cadence;
        for address in addresses {
            if let Some(candidate) = self.asked.get_mut(&address) {
                candidate.sent += 1;
                candidate.due = next;
            }
        }
        Ok(())
    }

    /// Listens until something is due.
    fn listen<W: Wire>(&mut self, wire: &mut W) -> Result<()> {
        let until = self.next_event();
        while let Some(sighting) = wire.heard(&self.link, until)? {
            self.note(&sighting);
            if self.now.max(Instant::now()) > until + self.cadence {
                break; // A flood: what is heard now came after `until`.
            }
        }
        self.now = self.now.max(until);
        Ok(())
    }

    fn next_event(&self) -> Instant {
        let pending = self.asked.values().filter(|candidate| !candidate.is_free(self.now));
        let event = |candidate: &Candidate| match candidate.rival {
            Some(_) => candidate.due.min(self.deadline),
            None => candidate.due,
        };
        pending.map(event).min().unwrap_or(self.now)
    }

    fn note(&mut self, sighting: &Sighting) {
        let ours = self.own.contains(&sighting.mac);
        let gives_way = sighting.probing && self.link.mac < Some(sighting.mac);
        if ours || gives_way {
            return;
        }
        let Some(candidate) = self.asked.get_mut(&sighting.address) else {
            return;
        };
        if self.policy == RivalPolicy::Refuse {
            self.rivals.push((sighting.address, sighting.mac));
            self.asked.remove(&sighting.address);
        } else {
            // A new window. Its first probe keeps the cadence, not to answer every answer at once.
            candidate.sent = 0;
            if sighting.probing {
                candidate.due = candidate.due.max(self.now.max(Instant::now()) + BINDING_TIME);
            }
            candidate.rival = Some(sighting.mac);
        }
    }

    /// Gives up what is contested at the deadline, and takes out the free addresses, once those
    /// that nobody contests are complete.
    fn settle(&mut self) -> Vec<IpAddr> {
        let now = self.now;
        let free = |candidate: &Candidate| candidate.is_free(now);
        if now >= self.deadline {
            let lost = |c: &Candidate| c.rival.filter(|_| !free(c));
            self.rivals.extend(self.asked.iter().filter_map(|(&a, c)| Some((a, lost(c)?))));
            self.asked.retain(|_, candidate| lost(candidate).is_none());
        }
        if self.asked.values().any(|c| c.rival.is_none() && !free(c)) {
            return Vec::new();
        }
        let addresses = self.asked.iter().filter(|(_, c)| free(c)).map(|(&a, _)| a).collect();
        self.asked.retain(|_, candidate| !free(candidate));
        addresses
    }
}

#[cfg(test)]
mod tests;
