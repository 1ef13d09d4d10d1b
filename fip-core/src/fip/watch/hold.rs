//! One workload more or less, without a look at all the others.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use crate::binding::{Binding, Owner};
use crate::error::Result;
use crate::kernel::{Kernel, Monitor};

use super::super::goal::{Goal, by_address, supersede};
use super::super::{BindOptions, Report};
use super::Watch;

impl<K: Kernel> Watch<K> {
    /// Binds these besides what is held, and holds them from now on; all of them, or none. Their
    /// owners are held from now on too, also after an error: another binding of theirs goes with
    /// the next repair. An address that was yielded to a rival is claimed again.
    ///
    /// A rival is waited for as the options say, and meanwhile nothing is repaired.
    ///
    /// # Errors
    /// As [`super::FloatingIps::bind_with`]. Then none of these bindings is there: what was made so
    /// far is undone, at once or, if that fails too, with the next repair.
    pub fn hold(&mut self, bindings: &[Binding], options: &BindOptions) -> Result<Report> {
        let owners: BTreeSet<Owner> = bindings.iter().map(|b| b.owner().clone()).collect();
        self.owners.extend(owners.iter().cloned());
        let new = by_address(bindings.iter().cloned());
        let addresses: Vec<IpAddr> = new.keys().copied().collect();
        let goal = Goal::Bind { bindings, replace: options.replace };
        let report = match self.fips.reach(&goal, options) {
            Ok(report) => report,
            Err(error) => {
                // The error to tell is the first one.
                let _ = self.restore(owners, &addresses, &self.impatient());
                return Err(error);
            }
        };
        for (floating, list) in new {
            self.yielded.remove(&floating);
            let before = self.desired.remove(&floating).unwrap_or_default();
            let mut all = list.iter().fold(before, supersede);
            all.extend(list);
            self.desired.insert(floating, all);
        }
        if self.listen_too(&addresses).is_err() {
            self.look_again();
        }
        Ok(report)
    }

    /// Makes these all that the owner has of their floating addresses, in one step, and holds them
    /// from now on. Each is on its own: one that cannot be had is in [`Report::refused`], and not
    /// held. An address that was yielded to a rival is claimed again.
    ///
    /// A rival is waited for as the options say, and meanwhile nothing is repaired.
    ///
    /// # Errors
    /// What the kernel refuses. All of it is held, and tried again with the next repair.
    pub fn hold_each(
        &mut self,
        owner: &Owner,
        bindings: &[Binding],
        options: &BindOptions,
    ) -> Result<Report> {
        let floating: Vec<IpAddr> = by_address(bindings.iter().cloned()).into_keys().collect();
        floating.iter().for_each(|address| _ = self.yielded.remove(address));
        self.exchange_with(owner, &floating, bindings, options)
    }

    /// Makes these all that the owner has of these floating addresses, in one step: those that are
    /// held get other workloads, or none. As [`Watch::hold_each`], but an address that was yielded
    /// to a rival stays so as long as it is desired.
    ///
    /// # Errors
    /// As [`Watch::hold_each`].
    pub fn exchange(
        &mut self,
        owner: &Owner,
        floating: &[IpAddr],
        bindings: &[Binding],
    ) -> Result<Report> {
        self.exchange_with(owner, floating, bindings, &self.impatient())
    }

    fn exchange_with(
        &mut self,
        owner: &Owner,
        floating: &[IpAddr],
        bindings: &[Binding],
        options: &BindOptions,
    ) -> Result<Report> {
        self.owners.insert(owner.clone());
        self.let_go(floating, |binding| binding.owner() == owner);
        for (address, list) in by_address(bindings.iter().cloned()) {
            let desired = self.desired.entry(address).or_default();
            // It stays: no room for more than there is.
            desired.reserve_exact(list.len());
            desired.extend(list);
        }
        self.yielded.retain(|address| self.desired.contains_key(address));
        let report = self.restore([owner.clone()].into(), floating, options)?;
        let refused: Vec<IpAddr> = report.refused.iter().map(|(address, _)| *address).collect();
        if !refused.is_empty() {
            self.let_go(&refused, |binding| binding.owner() == owner);
            // What was there before of one that is refused now must not stay.
            self.restore([owner.clone()].into(), &refused, options)?;
        }
        if self.listen_too(floating).is_err() {
            self.look_again();
        }
        Ok(report)
    }

    /// Unbinds what the owner has of these floating addresses for the workload that has the fixed
    /// ones, and holds it no longer. What is not bound is no error, nor is an address that another
    /// owner has by now.
    ///
    /// # Errors
    /// What the kernel refuses. It is tried again with the next repair.
    pub fn release(
        &mut self,
        owner: &Owner,
        floating: &[IpAddr],
        fixed: &[IpAddr],
    ) -> Result<Report> {
        self.let_go(floating, |b| b.owner() == owner && fixed.contains(&b.fixed()));
        self.yielded.retain(|address| self.desired.contains_key(address));
        self.restore([owner.clone()].into(), floating, &self.impatient())
    }

    /// Desires these bindings of these addresses no more.
    fn let_go(&mut self, floating: &[IpAddr], which: impl Fn(&Binding) -> bool) {
        for address in floating {
            if let Some(list) = self.desired.get_mut(address) {
                list.retain(|binding| !which(binding));
                if list.is_empty() {
                    self.desired.remove(address);
                }
            }
        }
    }

    /// Makes what these owners have of these addresses what is desired of them.
    fn restore(
        &mut self,
        mut owners: BTreeSet<Owner>,
        floating: &[IpAddr],
        options: &BindOptions,
    ) -> Result<Report> {
        let kept = floating.iter().filter(|address| !self.yielded.contains(address));
        let lists = kept.filter_map(|address| self.desired.get(address));
        let bindings: Vec<Binding> = lists.flatten().cloned().collect();
        owners.extend(bindings.iter().map(|binding| binding.owner().clone()));
        let goal = Goal::Restore { owners: &owners, floating, bindings: &bindings };
        let outcome = self.fips.reach(&goal, options);
        if outcome.is_err() {
            self.look_again();
        }
        outcome
    }

    /// Has everything looked at as soon as may be.
    fn look_again(&mut self) {
        self.right = None;
        self.retry = Some(self.pause.max(Instant::now()));
    }

    /// Listens on the links that carry these addresses too.
    fn listen_too(&mut self, floating: &[IpAddr]) -> Result<()> {
        let Some(view) = &self.fips.view else { return Ok(()) };
        let mut uplinks = self.uplinks.clone();
        for address in floating.iter().flat_map(|floating| view.links.carrying(*floating)) {
            if uplinks.iter().all(|link| link.index != address.link) {
                uplinks.extend(view.links.with_index(address.link).cloned());
            }
        }
        if uplinks.len() > self.uplinks.len() {
            self.monitor.listen_on(&uplinks)?;
            self.uplinks = uplinks;
        }
        Ok(())
    }
}
