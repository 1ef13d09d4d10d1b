//! A claim that goes on while others are bound.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Claim, RivalPolicy};
use crate::error::Result;
use crate::kernel::{Deed, Link, Mac, Sighting, Wire};

/// Probes in a window: one may be lost, even two (`PROBE_NUM` of RFC 5227).
const PROBES: u32 = 3;

/// The time from one probe to the next, of many addresses: 50,000 frames in a second flood
/// neither a switch nor the hosts, which all look at every one.
const PACE: Duration = Duration::from_micros(20);

/// A rival that has let go is believed after this part of a window. It has answered every probe
/// before, so three that it leaves unanswered, on end, are as good as a whole window in which
/// nobody was ever heard.
const BRIEF: u32 = 10;

/// More than can wait to be heard: what is heard after so many came later, in a flood.
const WAITING: usize = 1 << 16;

/// How long a host that has won may take to bind the address.
pub(super) const BINDING_TIME: Duration = Duration::from_secs(1);

/// The longest time that is waited, whatever is asked for.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

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
    pub(super) now: Instant,
    begun: bool,
    /// Free without asking.
    unasked: Vec<IpAddr>,
    asked: BTreeMap<IpAddr, Candidate>,
    /// How many times addresses were added.
    batches: u64,
    rivals: Vec<(IpAddr, Mac)>,
}

/// An address that is being asked for.
#[derive(Debug)]
struct Candidate {
    /// Those that were added with it come with it.
    batch: u64,
    policy: RivalPolicy,
    /// From one probe to the next, and from the last to the end of the window.
    cadence: Duration,
    deadline: Instant,
    /// Probes sent in this window.
    sent: u32,
    /// When to send the next one or, after the last, when the window ends.
    due: Instant,
    rival: Option<Mac>,
    /// The rival was heard to have it no more, and has not answered since.
    left: bool,
}

impl Candidate {
    /// From one probe to the next, now.
    fn pace(&self) -> Duration {
        if self.left { self.cadence / BRIEF } else { self.cadence }
    }

    /// That host looks for the address, so it does not have it. If it is the rival, it had it until
    /// now: whether that is news.
    fn may_have_left(&mut self, mac: Mac, now: Instant) -> bool {
        let news = self.rival == Some(mac) && !self.left;
        if news {
            self.left = true;
            self.sent = 0;
            self.due = now;
        }
        news
    }

    fn is_free(&self, now: Instant) -> bool {
        self.sent == PROBES && self.due <= now
    }

    /// Who keeps it, once the deadline has come.
    fn lost(&self, now: Instant) -> Option<Mac> {
        self.rival.filter(|_| now >= self.deadline && !self.is_free(now))
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
        let mut this = Self {
            link: link.clone(),
            own: own.iter().copied().chain(link.mac).collect(),
            now: Instant::now(),
            begun: false,
            unasked: Vec::new(),
            asked: BTreeMap::new(),
            batches: 0,
            rivals: Vec::new(),
        };
        this.add(addresses, rules);
        this
    }

    /// Begins to claim these too, by rules of their own.
    pub fn add(&mut self, addresses: &[IpAddr], rules: &Claim) {
        let now = self.now.max(Instant::now());
        self.now = now;
        let ask = rules.policy != RivalPolicy::TakeOver
            && !rules.window.is_zero()
            && self.link.running
            && !self.link.loopback
            && self.link.mac.is_some();
        if !ask {
            return self.unasked.extend(addresses);
        }
        let fastest = PACE * u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        let cadence = (rules.window.min(LONGEST) / PROBES).max(fastest);
        let deadline = now + rules.deadline.min(LONGEST);
        self.batches += 1;
        let (batch, policy) = (self.batches, rules.policy);
        let starts = (0..).map(|place| now + PACE * place);
        self.asked.extend(addresses.iter().zip(starts).map(|(&address, due)| {
            let (sent, rival, left) = (0, None, false);
            (address, Candidate { batch, policy, cadence, deadline, sent, due, rival, left })
        }));
    }

    /// Claims this one no more.
    pub fn leave(&mut self, address: IpAddr) {
        self.asked.remove(&address);
        self.unasked.retain(|&other| other != address);
    }

    /// Waits until more addresses are known to be free, and yields them; none when every address
    /// is either free or in [`Claiming::rivals`].
    ///
    /// # Errors
    /// The kernel's, as [`crate::Error::Kernel`].
    pub fn step<W: Wire>(&mut self, wire: &mut W) -> Result<Option<Vec<IpAddr>>> {
        let free = self.advance(wire, None)?;
        Ok((!free.is_empty()).then_some(free))
    }

    /// The same, but waits no longer than `until`. Nothing is left to wait for if
    /// [`Claiming::is_over`] then.
    ///
    /// # Errors
    /// As [`Claiming::step`].
    pub fn step_until<W: Wire>(&mut self, wire: &mut W, until: Instant) -> Result<Vec<IpAddr>> {
        self.advance(wire, Some(until))
    }

    /// Whether every address is either free or in [`Claiming::rivals`].
    pub fn is_over(&self) -> bool {
        self.asked.is_empty() && self.unasked.is_empty()
    }

    /// The addresses that other hosts have, and who was heard last to have them.
    pub fn rivals(&self) -> &[(IpAddr, Mac)] {
        &self.rivals
    }

    /// Takes them out.
    pub fn take_rivals(&mut self) -> Vec<(IpAddr, Mac)> {
        std::mem::take(&mut self.rivals)
    }

    fn advance<W: Wire>(&mut self, wire: &mut W, until: Option<Instant>) -> Result<Vec<IpAddr>> {
        let mut free = std::mem::take(&mut self.unasked);
        while free.is_empty() && !self.asked.is_empty() {
            self.probe(wire)?;
            self.listen(wire, until)?;
            free = self.settle();
            if until.is_some_and(|until| until <= self.now) {
                break;
            }
        }
        if self.asked.is_empty() && std::mem::take(&mut self.begun) {
            wire.stop_listening(&self.link)?;
        }
        Ok(free)
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
        let now = self.now.max(Instant::now());
        for address in addresses {
            if let Some(candidate) = self.asked.get_mut(&address) {
                candidate.sent += 1;
                candidate.due = now + candidate.pace();
            }
        }
        Ok(())
    }

    /// Listens until something is due, or it is time, or a rival lets go.
    fn listen<W: Wire>(&mut self, wire: &mut W, time: Option<Instant>) -> Result<()> {
        let event = self.next_event();
        let until = time.map_or(event, |time| time.min(event));
        let mut waiting = WAITING;
        while waiting > 0 {
            let Some(sighting) = wire.heard(&self.link, until)? else {
                break;
            };
            if self.note(&sighting) {
                return Ok(());
            }
            // Who was held up still hears what was said in time: an answer that nobody takes note
            // of would make an address free that a rival has.
            waiting -= usize::from(self.now.max(Instant::now()) > until);
        }
        self.now = self.now.max(until);
        Ok(())
    }

    fn next_event(&self) -> Instant {
        let pending = self.asked.values().filter(|candidate| !candidate.is_free(self.now));
        let event = |candidate: &Candidate| match candidate.rival {
            Some(_) => candidate.due.min(candidate.deadline),
            None => candidate.due,
        };
        pending.map(event).min().unwrap_or(self.now)
    }

    /// Takes note of who was heard: whether that makes anything due at once.
    fn note(&mut self, sighting: &Sighting) -> bool {
        let ours = self.own.contains(&sighting.mac);
        let probing = sighting.deed == Deed::Probes;
        let gives_way = probing && self.link.mac < Some(sighting.mac);
        if ours || gives_way {
            return false;
        }
        let Some(candidate) = self.asked.get_mut(&sighting.address) else {
            return false;
        };
        if sighting.deed == Deed::Seeks {
            return candidate.may_have_left(sighting.mac, self.now);
        }
        candidate.left = false;
        if candidate.policy == RivalPolicy::Refuse {
            self.rivals.push((sighting.address, sighting.mac));
            self.asked.remove(&sighting.address);
        } else {
            // A new window. Its first probe keeps the cadence, not to answer every answer at once.
            candidate.sent = 0;
            if probing {
                candidate.due = candidate.due.max(self.now.max(Instant::now()) + BINDING_TIME);
            }
            candidate.rival = Some(sighting.mac);
        }
        false
    }

    /// Gives up what is contested at its deadline, and takes out the free addresses, once those
    /// that were added with them and that nobody contests are complete.
    fn settle(&mut self) -> Vec<IpAddr> {
        let now = self.now;
        self.rivals.extend(self.asked.iter().filter_map(|(&a, c)| Some((a, c.lost(now)?))));
        self.asked.retain(|_, candidate| candidate.lost(now).is_none());
        let unfinished = |c: &&Candidate| c.rival.is_none() && !c.is_free(now);
        let unfinished: BTreeSet<u64> =
            self.asked.values().filter(unfinished).map(|c| c.batch).collect();
        let complete = |c: &Candidate| c.is_free(now) && !unfinished.contains(&c.batch);
        let free = self.asked.iter().filter(|(_, c)| complete(c)).map(|(&a, _)| a).collect();
        self.asked.retain(|_, candidate| !complete(candidate));
        free
    }
}
