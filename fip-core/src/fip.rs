//! Binding and unbinding: the one place where rules, addresses, claims and flows meet.
//!
//! The order is always the same, so that what is interrupted attracts no packets and is finished
//! by calling again: addresses that go, then the rules (one transaction), then addresses that
//! come, then the announcement, then the tracked connections.

mod goal;
mod plan;
mod status;
mod view;
mod watch;

use std::collections::HashSet;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::address::AddressBinder;
use crate::binding::{Binding, Owner, Protocol};
use crate::bridge::ensure_forwarding;
use crate::claim::{Announcements, Claim, Claiming, RivalPolicy};
use crate::conntrack::Strays;
use crate::error::{Error, Result};
use crate::kernel::host::Host;
use crate::kernel::{AddressChange, Commit, Kernel, Link, Mac};
use crate::nat::{self, Family, Mark};
use crate::netns::NetNs;

use goal::{Goal, Wanted};
pub use plan::Plan;
pub use status::Status;
use view::View;
pub use watch::{Event, OnRival, Watch};

/// How long to go on when other writers change the ruleset again and again.
const PATIENCE: Duration = Duration::from_secs(30);

/// How all bindings of a host are made.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The bit that our connections carry. If none, the present table's, else `0x1000`.
    pub mark: Option<Mark>,
    /// Go on although tables of iptables-legacy are in use, which cannot be looked into.
    pub allow_legacy_iptables: bool,
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
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The changes, as text, in their order; empty if all was so already.
    pub changes: Vec<String>,
    /// What works against it, though it was done.
    pub warnings: Vec<String>,
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
    announcements: Announcements,
    /// An earlier call, of this process or another one, may have ended before it forgot the
    /// connections that it changed.
    unsure: bool,
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
        Self { kernel, options, view: None, announcements: Announcements::default(), unsure: true }
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
        self.reach(&Goal::Bind { binding, replace: options.replace }, options)
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
        self.reach(&Goal::Own { owner, bindings }, options)
    }

    /// What [`FloatingIps::bind_with`] would do.
    ///
    /// # Errors
    /// As there, but nobody is asked for rivals.
    pub fn plan_bind(&mut self, binding: &Binding, replace: bool) -> Result<Plan> {
        self.plan_goal(&Goal::Bind { binding, replace })
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
        self.plan_goal(&Goal::Own { owner, bindings })
    }

    /// All bindings of all owners, and how they are.
    ///
    /// # Errors
    /// If the kernel cannot be read.
    pub fn list(&mut self) -> Result<Vec<Status>> {
        let view = View::read(&mut self.kernel)?;
        let counters = self.kernel.counters()?;
        let list = status::list(&view, counters);
        self.view = Some(view);
        Ok(list)
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

    /// Announces the newly bound addresses again, as often as was asked for, and waits for it.
    ///
    /// # Errors
    /// If the link refuses.
    pub fn finish_announcements(&mut self) -> Result<()> {
        while let Some(due) = self.announcements.next_due() {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            self.announcements.run_due(&mut self.kernel, Instant::now())?;
        }
        Ok(())
    }

    fn plan_goal(&mut self, goal: &Goal<'_>) -> Result<Plan> {
        self.view = None;
        Ok(self.plan_now(goal, &HashSet::new())?.plan)
    }

    /// The way to the goal, leaving alone the addresses `held` by rivals.
    fn plan_now(&mut self, goal: &Goal<'_>, held: &HashSet<IpAddr>) -> Result<Step> {
        self.view = self.view.take().filter(|view| !view.is_outdated());
        if self.view.is_none() && !matches!(goal, Goal::Unbind { .. }) {
            self.check_host()?;
        }
        let view = match &mut self.view {
            Some(view) => {
                view.refresh_links(&mut self.kernel)?;
                view
            }
            none => none.insert(View::read(&mut self.kernel)?),
        };
        let mut wanted = goal.wanted(view)?;
        wanted.retain(|floating, _| !held.contains(floating));
        let mut plan = plan::plan(&mut self.kernel, view, &wanted, self.options.mark)?;
        if matches!(goal, Goal::Unbind { .. }) {
            // They are about what stays.
            plan.warnings.clear();
        }
        Ok(Step { wanted, plan })
    }

    fn check_host(&mut self) -> Result<()> {
        let tables = self.kernel.legacy_tables()?;
        let harmful: Vec<&str> = tables
            .iter()
            .map(String::as_str)
            .filter(|table| ["filter", "nat"].contains(table))
            .collect();
        if harmful.is_empty() || self.options.allow_legacy_iptables {
            return Ok(());
        }
        Err(Error::Unsupported {
            what: format!(
                "this host uses iptables-legacy (tables {}), which cannot be looked into: its rules \
                 may drop floating traffic",
                harmful.join(", ")
            ),
            hint: "switch it to iptables-nft (update-alternatives --set iptables /usr/sbin/iptables-nft; \
                   reboot), or bind with --allow-legacy-iptables and accept its mark there by hand"
                .to_owned(),
        })
    }

    fn reach(&mut self, goal: &Goal<'_>, options: &BindOptions) -> Result<Report> {
        let began = Instant::now();
        let step = self.current_step(goal)?;
        if step.plan.claims.is_empty() {
            let mut report = Report::default();
            self.carry_out(step, goal, &HashSet::new(), options, &mut report)?;
            return Ok(report);
        }
        self.reach_claiming(goal, step, options, began)
    }

    /// The plan for the ruleset as it is now. A stale one would be refused at the commit, but one
    /// that finds nothing to do, or no way, commits nothing.
    fn current_step(&mut self, goal: &Goal<'_>) -> Result<Step> {
        let step = self.plan_now(goal, &HashSet::new());
        let commits = step.as_ref().is_ok_and(|step| !step.plan.rules.is_empty());
        let known = self.view.as_ref().map(|view| view.snapshot.generation);
        if !commits && known.is_some() && known != Some(self.kernel.generation()?) {
            self.view = None;
            return self.plan_now(goal, &HashSet::new());
        }
        step
    }

    /// Claims the new addresses first; those that are free are bound while the others wait.
    fn reach_claiming(
        &mut self,
        goal: &Goal<'_>,
        step: Step,
        options: &BindOptions,
        began: Instant,
    ) -> Result<Report> {
        let mut report = Report::default();
        if options.claim.policy == RivalPolicy::TakeOver {
            self.carry_out(step, goal, &HashSet::new(), options, &mut report)?;
            return Ok(report);
        }
        let plan = step.plan;
        let mut held: HashSet<IpAddr> =
            plan.claims.iter().flat_map(|(_, list)| list.iter().copied()).collect();
        let mut rivals: Vec<(IpAddr, Link, Mac)> = Vec::new();
        for (link, addresses) in &plan.claims {
            let mut claiming = Claiming::new(link, addresses, &options.claim);
            while let Some(free) = claiming.step(&mut self.kernel)? {
                report.waited = began.elapsed();
                free.iter().for_each(|address| _ = held.remove(address));
                // Who refuses wants all or nothing.
                if options.claim.policy != RivalPolicy::Refuse {
                    let step = self.plan_now(goal, &held)?;
                    self.carry_out(step, goal, &held, options, &mut report)?;
                }
            }
            rivals.extend(
                claiming.rivals().iter().map(|(address, mac)| (*address, link.clone(), *mac)),
            );
        }
        if let Some((address, link, mac)) = rivals.into_iter().next() {
            return Err(Error::Rival { address, link: link.name, mac });
        }
        if options.claim.policy == RivalPolicy::Refuse {
            let step = self.plan_now(goal, &held)?;
            self.carry_out(step, goal, &held, options, &mut report)?;
        }
        Ok(report)
    }

    /// Takes the step, or plans and takes another one, until nobody interferes.
    fn carry_out(
        &mut self,
        mut step: Step,
        goal: &Goal<'_>,
        held: &HashSet<IpAddr>,
        options: &BindOptions,
        report: &mut Report,
    ) -> Result<()> {
        let began = Instant::now();
        // Until this call has come to its end.
        let unsure = std::mem::replace(&mut self.unsure, true);
        while !self.commit(&step, options)? {
            // The addresses that go are gone all the same.
            report.changes.extend(step.plan.removals());
            if began.elapsed() > PATIENCE {
                return Err(Error::Busy("other programs kept changing the ruleset".to_owned()));
            }
            self.view = None;
            step = self.plan_now(goal, held)?;
        }
        // Rules that are there already may be the work of a call that did not come so far.
        let sweep = step.plan.rules.is_empty() || matches!(goal, Goal::Own { .. });
        if unsure && sweep {
            self.forget_strays()?;
        }
        self.unsure = unsure && !sweep;
        report.changes.extend(step.plan.lines());
        report.warnings.extend(step.plan.warnings);
        report.committed += began.elapsed();
        Ok(())
    }

    /// Forgets the connections that are not as the bindings say.
    fn forget_strays(&mut self) -> Result<()> {
        let Some(view) = &self.view else { return Ok(()) };
        let bound = nat::bindings(view.elements());
        let bindings = bound.iter().map(|bound| &bound.binding);
        let mark = self.options.mark.or(view.mark()).unwrap_or_default();
        let strays = Strays::new(bindings, mark, view.links.own());
        self.kernel.forget_strays(&strays)
    }

    /// Does what is planned; false if the plan is out of date.
    fn commit(&mut self, Step { wanted, plan }: &Step, options: &BindOptions) -> Result<bool> {
        let Some(view) = &mut self.view else { return Ok(false) };
        let (add, remove): (Vec<_>, Vec<_>) = plan
            .addresses
            .iter()
            .cloned()
            .partition(|change| matches!(change, AddressChange::Add(_)));
        AddressBinder::new(&mut self.kernel, &mut view.links).change(&remove)?;
        if !plan.rules.is_empty() {
            forwarding(&mut self.kernel, view, wanted)?;
            match self.kernel.commit(&plan.rules, view.snapshot.generation) {
                Ok(Commit::Done) => view.note(&plan.rules),
                Ok(Commit::Stale) => return Ok(false),
                Err(error) => {
                    // Whatever made it fail, what we know of the ruleset is in doubt.
                    self.view = None;
                    return Err(error);
                }
            }
        }
        AddressBinder::new(&mut self.kernel, &mut view.links).change(&add)?;
        if options.announcements > 0 && !plan.claims.is_empty() {
            let now = Instant::now();
            for (link, addresses) in &plan.claims {
                self.announcements.add(link, addresses, options.announcements, now);
            }
            self.announcements.run_due(&mut self.kernel, now)?;
        }
        if !plan.flows.is_empty() {
            self.kernel.forget(&plan.flows)?;
        }
        Ok(true)
    }
}

/// What is wanted, and the way there.
struct Step {
    wanted: Wanted,
    plan: Plan,
}

/// Lets this host forward for the families that are bound, and have not been looked at yet.
fn forwarding<K: Kernel>(kernel: &mut K, view: &mut View, wanted: &Wanted) -> Result<()> {
    for binding in wanted.values().flatten() {
        let family = Family::of(binding.floating());
        if !view.forwarding.contains(&family) {
            let uplink = view.links.uplink(binding.floating(), binding.uplink())?;
            ensure_forwarding(kernel, family, Some(&uplink.name))?;
            view.forwarding.insert(family);
        }
    }
    Ok(())
}
