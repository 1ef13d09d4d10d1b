//! Keeping a desired state true: repaired from the kernel's notifications, as they come.

mod hold;
mod next;
mod rivals;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::binding::{Binding, LinkName, Owner};
use crate::claim::Claim;
use crate::error::{Chain, Error, Result};
use crate::kernel::{Kernel, Link, Mac, Monitor, Waker};

use super::goal::{Goal, Wanted, by_address};
use super::{BindOptions, BridgeRules, FloatingIps, Report};

/// After a failure the repair is tried again, at first after this time.
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// And at last this often.
const RETRY_LAST: Duration = Duration::from_secs(30);
/// Repairs that follow one another within this time may be a fight with another program. They are
/// spaced out, at last by 1 s (a power of two of milliseconds).
const FIGHT: Duration = Duration::from_secs(1);
const STREAK_MAX: u32 = 10;

/// What to do when another host claims an address that we hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnRival {
    /// The newer claim wins: withdraw the binding until it is desired anew.
    #[default]
    Yield,
    /// Announce the address again.
    Defend,
}

impl std::str::FromStr for OnRival {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "yield" => Ok(Self::Yield),
            "defend" => Ok(Self::Defend),
            _ => Err(Error::parse(text, "a policy for rivals (yield or defend)")),
        }
    }
}

/// What a [`Watch`] tells its caller.
#[derive(Debug)]
pub enum Event {
    /// The state had been changed by others, or could not be reached before, and is right again.
    Repaired(Report),
    /// Another host claimed an address that we held.
    Rival {
        /// The floating address.
        address: IpAddr,
        /// The link on which the other host was heard.
        link: LinkName,
        /// The other host.
        mac: Mac,
        /// What was done about it.
        done: OnRival,
    },
    /// Another host asks whether an address that we hold is free, as one does that wants it. It
    /// has the kernel's answer that it is not; whether to leave it to that host is the caller's
    /// choice ([`Watch::yield_to`]). Told at most once a second for each address.
    Challenged {
        /// The floating address.
        address: IpAddr,
        /// The link on which the other host was heard.
        link: LinkName,
        /// The other host.
        mac: Mac,
    },
    /// The link has carrier again, and the addresses on it were announced.
    Announced {
        /// The link.
        link: LinkName,
        /// How many addresses.
        addresses: usize,
    },
    /// Something works against a binding now, that did not before.
    Warning(String),
    /// The state could not be reached. It is tried again, and when something changes.
    Failed(Error),
    /// [`Waker::wake`] was called.
    Woken,
}

/// Holds the bindings of some owners and the rules of some bridges, until dropped; they stay then.
pub struct Watch<K: Kernel> {
    fips: FloatingIps<K>,
    monitor: K::Monitor,
    owners: BTreeSet<Owner>,
    desired: Wanted,
    bridges: Vec<BridgeRules>,
    options: BindOptions,
    on_rival: OnRival,
    uplinks: Vec<Link>,
    yielded: HashSet<IpAddr>,
    defended: HashMap<IpAddr, Instant>,
    /// When a challenge was last told, of those addresses of which it was told lately.
    challenged: HashMap<IpAddr, Instant>,
    warned: HashSet<String>,
    /// What failed the last time, and how long was waited for the next.
    failures: HashSet<String>,
    delay: Duration,
    /// When to look at everything again.
    retry: Option<Instant>,
    /// The reading of the host in which all was last found or made as desired.
    right: Option<Arc<()>>,
    /// No repair before this, and how many repairs have followed one another.
    pause: Instant,
    streak: u32,
    events: VecDeque<Event>,
}

impl<K: Kernel> FloatingIps<K> {
    /// Makes these the bindings of the owners, exactly, and keeps them so. Each binding is of one
    /// of these owners. What cannot be reached at once (a rival, a link that is not there yet) is
    /// an [`Event`], and goes on being tried.
    ///
    /// # Errors
    /// If the kernel's notifications cannot be had.
    pub fn watch(
        self,
        owners: impl IntoIterator<Item = Owner>,
        desired: Vec<Binding>,
        options: BindOptions,
        on_rival: OnRival,
    ) -> Result<Watch<K>> {
        let mut watch = Watch {
            monitor: self.kernel.monitor()?,
            fips: self,
            owners: owners.into_iter().collect(),
            desired: by_address(desired),
            bridges: Vec::new(),
            options,
            on_rival,
            uplinks: Vec::new(),
            yielded: HashSet::new(),
            defended: HashMap::new(),
            challenged: HashMap::new(),
            warned: HashSet::new(),
            failures: HashSet::new(),
            delay: RETRY_FIRST,
            retry: None,
            right: None,
            pause: Instant::now(),
            streak: 0,
            events: VecDeque::new(),
        };
        watch.repair();
        Ok(watch)
    }
}

impl<K: Kernel> Watch<K> {
    /// Changes what is held, of the same owners. An address that was yielded to a rival is claimed
    /// again only if it was not desired in between.
    pub fn set_desired(&mut self, desired: Vec<Binding>) {
        self.desired = by_address(desired);
        self.yielded.retain(|address| self.desired.contains_key(address));
        self.repair();
    }

    /// Changes which bridges' rules are held. Those of a bridge that is not given are left alone,
    /// also if they were held before ([`FloatingIps::remove_bridge_rules`]).
    pub fn set_bridges(&mut self, bridges: Vec<BridgeRules>) {
        self.bridges = bridges;
        self.repair();
    }

    /// Ends a wait of [`Watch::next`] from another thread.
    pub fn waker(&self) -> Waker {
        self.monitor.waker()
    }

    /// The floating addresses, for what is not about the desired state.
    pub fn floating_ips(&mut self) -> &mut FloatingIps<K> {
        &mut self.fips
    }

    /// Makes the desired state true, if it is not.
    fn repair(&mut self) {
        let began = Instant::now();
        let kept = self.desired.iter().filter(|(floating, _)| !self.yielded.contains(floating));
        let bindings: Vec<Binding> = kept.flat_map(|(_, list)| list).cloned().collect();
        let options = self.impatient();
        // One that cannot be had must not keep the others from being repaired.
        let (owners, bridges) = (&self.owners, &self.bridges);
        let goal = Goal::Own { owners, bindings: &bindings, bridges, partial: true };
        let outcome = self.fips.reach(&goal, &options);
        let followed = self.follow_links();
        let outcome = outcome.and_then(|report| followed.map(|()| report));
        self.rest(began, outcome.as_ref().is_ok_and(|report| !report.changes.is_empty()));
        self.right = None;
        match outcome {
            Ok(report) => self.succeeded(report),
            Err(error) => self.failed(vec![error]),
        }
    }

    /// How to repair: a rival is not waited for, where all others would wait too.
    fn impatient(&self) -> BindOptions {
        let claim = Claim { deadline: self.options.claim.window, ..self.options.claim };
        BindOptions { claim, ..self.options.clone() }
    }

    fn succeeded(&mut self, mut report: Report) {
        let refused: Vec<Error> = report.refused.drain(..).map(|(_, error)| error).collect();
        self.retry = None;
        self.right = self.fips.reached.clone();
        self.failed(refused);
        let warnings: HashSet<String> = report.warnings.drain(..).collect();
        for warning in warnings.difference(&self.warned) {
            self.events.push_back(Event::Warning(warning.clone()));
        }
        self.warned = warnings;
        if !report.changes.is_empty() {
            self.events.push_back(Event::Repaired(report));
        }
    }

    /// A failure is told once, and tried again ever more rarely as long as nothing changes.
    fn failed(&mut self, errors: Vec<Error>) {
        let told = std::mem::take(&mut self.failures);
        self.failures = errors.iter().map(|error| Chain(error).to_string()).collect();
        if errors.is_empty() {
            return;
        }
        let same = self.failures == told;
        // Rivals let go without telling.
        let rivals = errors.iter().any(Error::is_conflict);
        self.delay = if same && !rivals { (self.delay * 2).min(RETRY_LAST) } else { RETRY_FIRST };
        self.retry = Some(Instant::now() + self.delay);
        let new = errors.into_iter().filter(|error| !told.contains(&Chain(error).to_string()));
        self.events.extend(new.map(Event::Failed));
    }

    /// When to repair next at the earliest: not all the time is spent on it, and whoever undoes
    /// our repairs again and again meets ever fewer of them.
    fn rest(&mut self, began: Instant, changed: bool) {
        let now = Instant::now();
        let again = changed && began < self.pause + FIGHT;
        self.streak = if again { (self.streak + 1).min(STREAK_MAX) } else { 0 };
        let patience = if again { Duration::from_millis(1 << self.streak) } else { Duration::ZERO };
        self.pause = now + patience.max(now - began);
    }

    /// Listens on the links that carry our addresses, and sees which have carrier again. One that
    /// carries none any more is listened to as long as it exists: the next address comes soon, and
    /// to stop and begin again takes the kernel longer than all else.
    fn follow_links(&mut self) -> Result<()> {
        let Some(view) = &self.fips.view else {
            // A failure has left nothing known of the host; the next look at it will tell.
            return Ok(());
        };
        let held = self.held();
        let carrying = held.values().map(|(link, _)| link.clone());
        let silent = self.uplinks.iter().filter(|old| !held.contains_key(&old.index));
        let silent = silent.filter_map(|old| view.links.with_index(old.index).cloned());
        let uplinks = carrying.chain(silent).collect();
        let before = std::mem::replace(&mut self.uplinks, uplinks);
        let known = |link: &Link| before.iter().find(|old| old.index == link.index);
        if before.len() != self.uplinks.len()
            || self.uplinks.iter().any(|link| known(link).is_none_or(|old| old.mac != link.mac))
        {
            self.monitor.listen_on(&self.uplinks)?;
        }
        for (link, addresses) in held.into_values() {
            if link.running && known(&link).is_some_and(|old| !old.running) {
                self.returned(&link, &addresses)?;
            }
        }
        Ok(())
    }

    /// The links that carry addresses of ours, with these.
    fn held(&self) -> BTreeMap<u32, (Link, Vec<IpAddr>)> {
        let mut held: BTreeMap<u32, (Link, Vec<IpAddr>)> = BTreeMap::new();
        let Some(view) = &self.fips.view else { return held };
        for &floating in self.desired.keys() {
            for address in view.links.carrying(floating) {
                if let Some(link) = view.links.with_index(address.link) {
                    let entry =
                        held.entry(link.index).or_insert_with(|| (link.clone(), Vec::new()));
                    entry.1.push(floating);
                }
            }
        }
        held
    }
}
