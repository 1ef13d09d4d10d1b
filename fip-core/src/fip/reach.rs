//! The steps to a goal, in their order, taken again until nobody interferes.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::address::AddressBinder;
use crate::bridge::ensure_forwarding;
use crate::claim::{Claiming, RivalPolicy};
use crate::conntrack::Strays;
use crate::error::{Error, Result};
use crate::kernel::{AddressChange, Commit, Kernel};
use crate::nat::{Family, Key, Mark};

use super::goal::{Bridges, Goal, Refusals, Wanted};
use super::plan::{self, Plan};
use super::view::View;
use super::{BindOptions, FloatingIps, Report};

/// How long to go on when other writers change the ruleset again and again.
const PATIENCE: Duration = Duration::from_secs(30);

/// The successors of so many addresses that go at once are looked for.
const SOUGHT: usize = 64;

impl<K: Kernel> FloatingIps<K> {
    /// The way to the goal, leaving alone the addresses `held` by rivals.
    pub(super) fn plan_now(&mut self, goal: &Goal<'_>, held: &HashSet<IpAddr>) -> Result<Step> {
        self.view = self.view.take().filter(|view| !view.is_outdated());
        if self.view.is_none() && !goal.is_removal() {
            self.check_host()?;
        }
        let view = match &mut self.view {
            Some(view) => {
                view.refresh_links(&mut self.kernel)?;
                view
            }
            none => none.insert(read(&mut self.kernel, goal, self.goals, self.options.mark)?),
        };
        let mut refusals = Refusals::of(goal);
        let mut wanted = goal.wanted(view, &mut refusals)?;
        wanted.retain(|floating, _| !held.contains(floating));
        let (bridges, options) = (goal.bridges(), &self.options);
        let kernel = &mut self.kernel;
        let mut plan = plan::plan(kernel, view, &mut wanted, &bridges, options, &mut refusals)?;
        if goal.is_removal() {
            // They are about what stays.
            plan.warnings.clear();
        }
        Ok(Step { wanted, bridges, plan, refused: refusals.list, reading: view.reading() })
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

    /// Takes all the steps to the goal.
    pub(super) fn reach(&mut self, goal: &Goal<'_>, options: &BindOptions) -> Result<Report> {
        self.goals = self.goals.saturating_add(1);
        let outcome = self.reach_now(goal, options);
        self.view = self.view.take().filter(|view| !view.is_narrow());
        outcome
    }

    fn reach_now(&mut self, goal: &Goal<'_>, options: &BindOptions) -> Result<Report> {
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

    /// Claims the new addresses first, unless nobody is to be asked; those that are free are bound
    /// while the others wait.
    fn reach_claiming(
        &mut self,
        goal: &Goal<'_>,
        step: Step,
        options: &BindOptions,
        began: Instant,
    ) -> Result<Report> {
        let mut report = Report::default();
        if options.claim.policy == RivalPolicy::TakeOver || options.claim.window.is_zero() {
            self.carry_out(step, goal, &HashSet::new(), options, &mut report)?;
            return Ok(report);
        }
        let plan = step.plan;
        let mut held: HashSet<IpAddr> =
            plan.claims.iter().flat_map(|(_, list)| list.iter().copied()).collect();
        if options.claim.policy == RivalPolicy::Wait && matches!(goal, Goal::Own { .. }) {
            // What needs no claim waits for nobody.
            let step = self.plan_now(goal, &held)?;
            self.carry_out(step, goal, &held, options, &mut report)?;
        }
        // Who refuses wants all or nothing, and so does who binds.
        let at_once =
            options.claim.policy == RivalPolicy::Refuse || matches!(goal, Goal::Bind { .. });
        let mut rivals = Vec::new();
        for (link, addresses) in &plan.claims {
            let mut claiming = Claiming::new(link, &self.macs(), addresses, &options.claim);
            while let Some(free) = claiming.step(&mut self.kernel)? {
                report.waited = began.elapsed();
                free.iter().for_each(|address| _ = held.remove(address));
                if !at_once || held.is_empty() {
                    let step = self.plan_now(goal, &held)?;
                    self.carry_out(step, goal, &held, options, &mut report)?;
                }
            }
            rivals.extend(claiming.rivals().iter().map(|&(address, mac)| {
                (address, Error::Rival { address, link: link.name.clone(), mac })
            }));
        }
        if goal.is_partial() {
            report.refused.append(&mut rivals);
        } else if let Some((_, rival)) = rivals.into_iter().next() {
            return Err(rival);
        }
        if at_once && !held.is_empty() {
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
        loop {
            if self.is_current(&step.plan)? {
                report.changes.extend(self.forwarding(&step)?);
                if self.commit(&step, options)? {
                    break;
                }
                // The addresses that go are gone all the same.
                report.changes.extend(step.plan.removals());
            }
            if began.elapsed() > PATIENCE {
                return Err(Error::Busy("other programs kept changing the ruleset".to_owned()));
            }
            self.view = None;
            step = self.plan_now(goal, held)?;
        }
        // Rules that are there already may be the work of a call that did not come so far.
        let all_there = step.plan.rules.is_empty() && !goal.is_of_bridge();
        let sweep = all_there || matches!(goal, Goal::Own { .. });
        if unsure && sweep {
            self.forget_strays()?;
        }
        if unsure && step.plan.rules.is_empty() && matches!(goal, Goal::Bind { .. }) {
            self.announce_again(&step, options)?;
        }
        self.unsure = unsure && !sweep;
        self.reached = Some(step.reading);
        report.warnings = std::mem::take(&mut step.plan.warnings);
        report.changes.extend(step.plan.into_lines());
        report.refused = step.refused;
        report.committed += began.elapsed();
        Ok(())
    }

    /// An earlier call may have ended before it announced what it had bound. What this one has
    /// claimed it announces anyway.
    fn announce_again(&mut self, step: &Step, options: &BindOptions) -> Result<()> {
        let Some(view) = &self.view else { return Ok(()) };
        let rounds = options.announcements.min(1);
        let claimed = |address| step.plan.claims.iter().any(|(_, list)| list.contains(address));
        let others = step.wanted.keys().filter(|floating| !claimed(*floating));
        for address in others.flat_map(|floating| view.links.carrying(*floating)) {
            if let Some(link) = view.links.with_index(address.link) {
                self.announcements.add(link, &[address.network.ip()], rounds, Instant::now());
            }
        }
        self.run_announcements()
    }

    /// Forgets the connections that are not as the bindings say.
    fn forget_strays(&mut self) -> Result<()> {
        if self.view.as_ref().is_some_and(View::is_narrow) {
            self.view = Some(View::read(&mut self.kernel)?);
        }
        let Some(view) = &self.view else { return Ok(()) };
        let mark = self.options.mark.or(view.mark()).unwrap_or_default();
        let strays = Strays::new(view.elements(), mark, view.links.own());
        self.kernel.forget_strays(&strays)
    }

    /// Whether nobody changed the ruleset since. The kernel asks that of the rules; but the
    /// addresses that go, go before, and where no rule is to be changed the kernel is not asked.
    fn is_current(&mut self, plan: &Plan) -> Result<bool> {
        let asked = plan.removals().is_empty() && !plan.rules.is_empty();
        let known = self.view.as_ref().map(|view| view.snapshot.generation);
        Ok(asked || known == Some(self.kernel.generation()?))
    }

    /// Lets this host forward for the families that are bound, or that a bridge may send by another
    /// link, and that were not looked at since something changed. What was changed for that.
    fn forwarding(&mut self, step: &Step) -> Result<Vec<String>> {
        let mut changes = Vec::new();
        let Some(view) = &mut self.view else { return Ok(changes) };
        for binding in step.wanted.values().flatten() {
            let family = Family::of(binding.floating());
            if !view.forwarding.contains(&family) {
                let uplink = view.links.uplink(binding.floating(), binding.uplink())?;
                changes.extend(ensure_forwarding(&mut self.kernel, family, Some(&uplink.name))?);
                view.forwarding.insert(family);
            }
        }
        let outward = |key: &&Key| matches!(key, Key::Through(bridge, link) if bridge != link);
        let sending =
            step.bridges.values().filter_map(|rules| rules.keys().find(outward)?.bridge());
        let families: BTreeSet<_> = sending.flat_map(|bridge| view.families_of(bridge)).collect();
        for &family in families.difference(&view.forwarding.clone()) {
            changes.extend(ensure_forwarding(&mut self.kernel, family, None)?);
            view.forwarding.insert(family);
        }
        Ok(changes)
    }

    /// Does what is planned; false if the plan is out of date.
    fn commit(&mut self, Step { plan, .. }: &Step, options: &BindOptions) -> Result<bool> {
        let Some(view) = &mut self.view else { return Ok(false) };
        let [leave, come, replaced] = plan.address_steps();
        let gone: Vec<IpAddr> = leave.iter().map(|change| change.address().network.ip()).collect();
        self.announcements.remove(&gone);
        AddressBinder::new(&mut self.kernel, &mut view.links).change(leave)?;
        seek_successors(&mut self.kernel, view, leave, come);
        if !plan.rules.is_empty() {
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
        AddressBinder::new(&mut self.kernel, &mut view.links).change(come)?;
        AddressBinder::new(&mut self.kernel, &mut view.links).change(replaced)?;
        if options.announcements > 0 && !plan.claims.is_empty() {
            let now = Instant::now();
            for (link, addresses) in &plan.claims {
                self.announcements.add(link, addresses, options.announcements, now);
            }
            self.run_announcements()?;
        }
        if !plan.flows.is_empty() {
            self.kernel.forget(&plan.flows)?;
        }
        Ok(true)
    }
}

/// Looks for who has the addresses that this host has no more, so that whoever waits for them
/// hears of it. Only of a few: that is a move, and the kernel's room for neighbours is limited.
fn seek_successors<K: Kernel>(
    kernel: &mut K,
    view: &View,
    leave: &[AddressChange],
    come: &[AddressChange],
) {
    let address = |change: &AddressChange| change.address().network.ip();
    let stay: HashSet<IpAddr> = come.iter().map(address).collect();
    let mut gone: BTreeMap<u32, Vec<IpAddr>> = BTreeMap::new();
    for change in leave {
        let floating = address(change);
        if !stay.contains(&floating) && view.links.carrying(floating).next().is_none() {
            gone.entry(change.address().link).or_default().push(floating);
        }
    }
    for (link, mut addresses) in gone {
        addresses.truncate(SOUGHT);
        if view.links.with_index(link).is_some_and(|l| l.running && l.ethernet().is_some()) {
            // Unheard, the others find out by themselves.
            let _ = kernel.seek(link, &addresses);
        }
    }
}

/// Reads the host for the goal. Where it is the first one it may well be the only one, as on the
/// command line; a process that goes on keeps what it reads, so it reads all.
fn read<K: Kernel>(
    kernel: &mut K,
    goal: &Goal<'_>,
    goals: usize,
    mark: Option<Mark>,
) -> Result<View> {
    if goals <= 1
        && let Some(view) = View::read_for(kernel, goal)?
        && view.suffices(mark)
    {
        return Ok(view);
    }
    View::read(kernel)
}

/// What is wanted, and the way there.
pub(super) struct Step {
    pub(super) wanted: Wanted,
    bridges: Bridges,
    pub(super) plan: Plan,
    /// What cannot be had, of a goal that is content with the rest.
    refused: Vec<(IpAddr, Error)>,
    /// What was known of the host.
    reading: Arc<()>,
}
