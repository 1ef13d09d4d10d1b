//! Binding and unbinding: the one place where rules, addresses, claims and flows meet.
//!
//! The order is always the same, so that what is interrupted attracts no packets and is finished
//! by calling again: addresses that go, then the rules (one transaction), then addresses that
//! come, then the announcement, then the tracked connections.

mod bridges;
mod goal;
mod hold;
mod plan;
mod reach;
mod status;
mod view;
mod watch;

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::address::Links;
use crate::binding::{Binding, LinkName, Owner, Protocol};
use crate::bridge;
use crate::claim::{Announcements, Claim};
use crate::error::{Error, Result};
use crate::kernel::host::Host;
use crate::kernel::{Hold, Kernel, Mac};
pub use crate::nat::BridgeRules;
use crate::nat::{Family, Mark};
use crate::netns::NetNs;

use goal::Goal;
pub use plan::Plan;
pub use status::Status;
use view::View;
pub use watch::{Event, OnRival, Watch};

/// How often the state is read again when the ruleset changes meanwhile.
const ATTEMPTS: usize = 64;

/// How all bindings of a host are made.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The bit that our connections carry. If none, the present table's, else `0x1000`.
    pub mark: Option<Mark>,
    /// Go on although tables of iptables-legacy are in use, which cannot be looked into.
    pub allow_legacy_iptables: bool,
    /// How links hold floating addresses. If none, what is there and is answered stays as it is,
    /// and what is new is held by a route where neighbours get an answer for that, else as an
    /// address.
    pub hold: Option<Hold>,
}

/// How a binding is made.
#[derive(Debug, Clone)]
pub struct BindOptions {
    /// A binding of the same owner in its way gives way.
    pub replace: bool,
    /// What to do about another host that uses the address.
    pub claim: Claim,
    /// How often the address is announced: at once, and again every 1.1 s
    /// ([`FloatingIps::finish_announcements`]).
    pub announcements: u32,
}

impl Default for BindOptions {
    fn default() -> Self {
        Self { replace: false, claim: Claim::default(), announcements: 2 }
    }
}

/// What was done.
#[derive(Debug, Default)]
pub struct Report {
    /// The changes, as text, in their order; empty if all was so already.
    pub changes: Vec<String>,
    /// What works against it, though it was done.
    pub warnings: Vec<String>,
    /// What could not be had, where that did not end the call ([`FloatingIps::watch`]).
    pub refused: Vec<(IpAddr, Error)>,
    /// How long it took until the addresses were free.
    pub waited: Duration,
    /// How long the changes took then.
    pub committed: Duration,
}

/// The floating addresses of a host.
///
/// Keeps what it knows of the host between calls; what others change meanwhile is noticed. Any
/// number of these may work at the same time, in one process or in many.
pub struct FloatingIps<K> {
    kernel: K,
    options: Options,
    view: Option<View>,
    /// How many goals there were, with the present one.
    goals: usize,
    announcements: Announcements,
    /// An earlier call, of this process or another one, may have ended before it forgot the
    /// connections that it changed.
    unsure: bool,
    /// The reading of the host by which the last goal was reached.
    reached: Option<Arc<()>>,
}

impl FloatingIps<Host> {
    /// The floating addresses of this host (of the network namespace of the calling thread).
    ///
    /// # Errors
    /// If netlink sockets cannot be had.
    pub fn open(options: Options) -> Result<Self> {
        Ok(Self::new(Host::open()?, options))
    }

    /// The floating addresses in another network namespace.
    ///
    /// # Errors
    /// As [`FloatingIps::open`], and if there is no such namespace.
    pub fn open_in(netns: &NetNs, options: Options) -> Result<Self> {
        Ok(Self::new(Host::open_in(netns)?, options))
    }
}

impl<K: Kernel> FloatingIps<K> {
    /// The floating addresses of this kernel.
    pub fn new(kernel: K, options: Options) -> Self {
        let announcements = Announcements::default();
        Self { kernel, options, view: None, goals: 0, announcements, unsure: true, reached: None }
    }

    /// The kernel, for what is not about floating addresses.
    pub fn kernel(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// Binds with the default options.
    ///
    /// # Errors
    /// See [`FloatingIps::bind_with`].
    pub fn bind(&mut self, binding: &Binding) -> Result<Report> {
        self.bind_with(binding, &BindOptions::default())
    }

    /// Makes the workload reachable at the floating address. Binding again what is bound does
    /// nothing.
    ///
    /// # Errors
    /// - [`Error::Bound`]: the address, or a port of it, is bound otherwise.
    /// - [`Error::Rival`]: another host has it.
    /// - [`Error::Refused`], [`Error::NoUplink`], [`Error::NotFound`]: it cannot be bound here.
    /// - [`Error::Unsupported`]: this host has no nf_tables, or uses iptables-legacy.
    ///
    /// After these nothing has changed. After [`Error::Kernel`] call again to finish.
    pub fn bind_with(&mut self, binding: &Binding, options: &BindOptions) -> Result<Report> {
        let bindings = std::slice::from_ref(binding);
        self.reach(&Goal::Bind { bindings, replace: options.replace }, options)
    }

    /// Undoes a binding, or with ports, the translation of those ports. What is not bound is no
    /// error.
    ///
    /// # Errors
    /// [`Error::Bound`] if another owner holds it.
    pub fn unbind(
        &mut self,
        floating: IpAddr,
        ports: &[(Protocol, u16)],
        owner: &Owner,
    ) -> Result<Report> {
        self.reach(&Goal::Unbind { floating, ports, owner }, &BindOptions::default())
    }

    /// Makes these the bindings of the owner, exactly; those of others are not touched.
    ///
    /// # Errors
    /// As [`FloatingIps::bind_with`]. Where rivals hold some addresses past the deadline, the
    /// others are bound, and the error names one of those that are not.
    pub fn reconcile(
        &mut self,
        owner: &Owner,
        bindings: &[Binding],
        options: &BindOptions,
    ) -> Result<Report> {
        let (owners, bindings) = owned(owner, bindings);
        self.reach(&own(&owners, &bindings), options)
    }

    /// What [`FloatingIps::bind_with`] would do.
    ///
    /// # Errors
    /// As there, but nobody is asked for rivals.
    pub fn plan_bind(&mut self, binding: &Binding, replace: bool) -> Result<Plan> {
        self.plan_goal(&Goal::Bind { bindings: std::slice::from_ref(binding), replace })
    }

    /// What [`FloatingIps::unbind`] would do.
    ///
    /// # Errors
    /// As there.
    pub fn plan_unbind(
        &mut self,
        floating: IpAddr,
        ports: &[(Protocol, u16)],
        owner: &Owner,
    ) -> Result<Plan> {
        self.plan_goal(&Goal::Unbind { floating, ports, owner })
    }

    /// What [`FloatingIps::reconcile`] would do.
    ///
    /// # Errors
    /// As there, but nobody is asked for rivals.
    pub fn plan(&mut self, owner: &Owner, bindings: &[Binding]) -> Result<Plan> {
        let (owners, bindings) = owned(owner, bindings);
        self.plan_goal(&own(&owners, &bindings))
    }

    /// All bindings of all owners, and how they are.
    ///
    /// # Errors
    /// If the kernel cannot be read.
    pub fn list(&mut self) -> Result<Vec<Status>> {
        let (mut view, counters) = View::read_counted(&mut self.kernel)?;
        view.links.look_at_holders(&mut self.kernel)?;
        let mut forwards = BTreeSet::new();
        for family in Family::ALL {
            if bridge::forwards(&mut self.kernel, family)? {
                forwards.insert(family);
            }
        }
        let list = status::list(&view, &counters, &forwards);
        self.view = Some(view);
        Ok(list)
    }

    /// The floating addresses that a link still carries, in order, though no binding is about them:
    /// what remains if somebody deletes the rules. They lead to this host itself.
    /// [`FloatingIps::unbind`], by any owner, removes them.
    ///
    /// # Errors
    /// If the kernel cannot be read; [`crate::Error::Busy`] if the ruleset changes all the time.
    pub fn strays(&mut self) -> Result<Vec<(IpAddr, LinkName)>> {
        for _ in 0..ATTEMPTS {
            let view = match &mut self.view {
                Some(view) => view,
                none => none.insert(View::read(&mut self.kernel)?),
            };
            // An address comes after its rules and goes before them: links that were read while
            // the ruleset was as it is known fit it.
            view.refresh_links(&mut self.kernel)?;
            if view.snapshot.generation == self.kernel.generation()? {
                return Ok(status::strays(view));
            }
            self.view = None;
        }
        Err(Error::Busy("the nf_tables ruleset changed each time it was read".to_owned()))
    }

    /// The bindings of one owner.
    ///
    /// # Errors
    /// If the kernel cannot be read.
    pub fn bindings(&mut self, owner: &Owner) -> Result<Vec<Binding>> {
        let view = View::read(&mut self.kernel)?;
        let bindings = goal::bindings_of_owner(&view, owner);
        self.view = Some(view);
        Ok(bindings)
    }

    /// Announces the newly bound addresses again, as often as was asked for, and waits for it. What
    /// somebody unbinds meanwhile is announced no more.
    ///
    /// # Errors
    /// If the link refuses.
    pub fn finish_announcements(&mut self) -> Result<()> {
        while let Some(due) = self.announcements.next_due() {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            self.run_announcements()?;
        }
        Ok(())
    }

    /// Makes the announcements that are due, of what the links still carry: another process may
    /// have unbound some of it, and another host may have it by now.
    fn run_announcements(&mut self) -> Result<()> {
        let now = Instant::now();
        if self.announcements.next_due().is_none_or(|due| due > now) {
            return Ok(());
        }
        // Links that cannot be read are taken to be as they were: a round is not put off for ever.
        let read = self.forget_withdrawn();
        read.and(self.announcements.run_due(&mut self.kernel, now))
    }

    fn forget_withdrawn(&mut self) -> Result<()> {
        match &mut self.view {
            // What was done is known; to look again would be to wait.
            Some(view) if view.is_narrow() => self.announcements.retain_carried(&view.links),
            Some(view) => {
                view.refresh_links(&mut self.kernel)?;
                self.announcements.retain_carried(&view.links);
            }
            None => self.announcements.retain_carried(&Links::read(&mut self.kernel)?),
        }
        Ok(())
    }

    /// Whether what is known of the host is that reading, and is still so but for our own changes.
    fn is_still(&mut self, reading: &Arc<()>) -> Result<bool> {
        let Some(view) = self.view.as_mut().filter(|view| !view.is_outdated()) else {
            return Ok(false);
        };
        view.refresh_links(&mut self.kernel)?;
        Ok(Arc::ptr_eq(&view.reading(), reading)
            && view.snapshot.generation == self.kernel.generation()?)
    }

    /// The Ethernet addresses of this host, of all its links.
    fn macs(&self) -> Vec<Mac> {
        self.view.iter().flat_map(|view| view.links.macs()).collect()
    }

    fn plan_goal(&mut self, goal: &Goal<'_>) -> Result<Plan> {
        self.view = None;
        let step = self.plan_now(goal, &HashSet::new());
        self.view = self.view.take().filter(|view| !view.is_narrow());
        Ok(step?.plan)
    }
}

/// The bindings as this owner's, whoever they say.
fn owned(owner: &Owner, bindings: &[Binding]) -> (BTreeSet<Owner>, Vec<Binding>) {
    let owned = bindings.iter().map(|binding| binding.clone().owned_by(owner.clone()));
    ([owner.clone()].into(), owned.collect())
}

fn own<'a>(owners: &'a BTreeSet<Owner>, bindings: &'a [Binding]) -> Goal<'a> {
    Goal::Own { owners, bindings, bridges: &[], partial: false }
}
