//! The floating addresses lead straight to the workloads' own addresses: no second network, no
//! plugin, any runtime.
//!
//! The table of nf_tables alone says what is bound, by the owner `agent`: an agent that starts goes
//! on with what another one left. Two threads work here. The keeper's holds the bindings, and hears
//! of other hosts. The worker's asks the LAN for what is wanted anew, on a handle of its own, and has
//! the keeper bind what is free. Between them is the ledger.

mod claims;
mod desk;
mod heard;
mod ledger;
mod plan;
mod tell;
mod wanted;
mod worker;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use fip_core::claim::Claim;
use fip_core::error::{Chain, Error, Result};
use fip_core::fip::{BindOptions, Watch};
use fip_core::kernel::{Kernel, Mac};
use fip_core::{Binding, FloatingIps, LinkName, Options, Owner};

use super::{Actuator, Bell, Failure, Held, Holder, Progress};
use crate::agent::model::{Wish, Workload};
use crate::keeper::Keeper;
use claims::Claims;
use desk::Desk;
use ledger::Ledger;
use wanted::{Terms, Wanted};
use worker::Worker;

/// Who holds the bindings, on every host.
const OWNER: &str = "agent";

/// Makes another handle on the kernel.
pub type Open<K> = Arc<dyn Fn() -> Result<K> + Send + Sync>;

/// How addresses are bound.
#[derive(Debug, Clone, Default)]
pub struct DirectConfig {
    /// The link that shall carry them; each the one that suits it if none.
    pub uplink: Option<LinkName>,
    /// What to do about another host that has one. When the deadline has come it is asked again every
    /// two seconds, for as long as the address is wanted.
    pub claim: Claim,
    /// How the rules are made.
    pub options: Options,
}

/// Binds floating addresses to the workloads' own addresses.
///
/// When it is dropped, everything stays bound.
pub struct DirectActuator<K: Kernel> {
    open: Open<K>,
    options: Options,
    terms: Terms,
    desk: Arc<Desk>,
    keeper: Arc<Keeper<K>>,
    worker: Option<JoinHandle<()>>,
}

impl<K> DirectActuator<K>
where
    K: Kernel + Send + 'static,
    K::Monitor: Send,
{
    /// Goes on with what is bound already; `open` gives handles on the kernel.
    ///
    /// # Errors
    /// If the kernel cannot be read, or there is no memory for threads.
    pub fn start(open: Open<K>, config: DirectConfig, bell: Bell) -> Result<Self> {
        let DirectConfig { uplink, claim, options } = config;
        let terms = Terms { owner: OWNER.parse()?, uplink };
        let mut fips = FloatingIps::new(open()?, options.clone());
        let held = fips.bindings(&terms.owner)?;
        let held: Vec<Binding> = held.into_iter().map(|held| placed(held, &terms)).collect();
        let desk = Arc::new(Desk::new(Ledger::new(held.clone(), Instant::now())));
        let owners = vec![terms.owner.clone()];
        let watching = BindOptions { claim, ..BindOptions::default() };
        let listener = heard::listener(Arc::clone(&desk), bell.clone());
        let keeper = Arc::new(Keeper::start(fips, owners, held, watching, listener)?);
        let worker = Worker {
            desk: Arc::clone(&desk),
            keeper: Arc::clone(&keeper),
            claims: Claims::new(Arc::clone(&open), claim),
            owner: terms.owner.clone(),
            bell,
        };
        let thread = thread::Builder::new().name("worker".to_owned());
        let worker = thread.spawn(move || worker.run());
        let worker = Some(worker.map_err(|error| Error::kernel("start a thread", error))?);
        Ok(Self { open, options, terms, desk, keeper, worker })
    }

    /// Does something in the keeper's thread.
    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Watch<K>, &Owner) -> Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let owner = self.terms.owner.clone();
        self.keeper.run(move |watch| work(watch, &owner)).map_err(|error| failure(&error))
    }
}

impl<K> Actuator for DirectActuator<K>
where
    K: Kernel + Send + 'static,
    K::Monitor: Send,
{
    fn pursue(&mut self, wishes: &[Wish]) -> Progress {
        let (states, news) = self.desk.change(|ledger| {
            let wanted = Wanted::of(wishes, |address| ledger.held(address), &self.terms);
            let news = refusals(wishes, &wanted, ledger);
            ledger.want(wanted, Instant::now());
            let state = |wish: &Wish| (wish.workload.id.clone(), ledger.state(wish));
            (wishes.iter().map(state).collect(), news)
        });
        news.iter().for_each(|(name, why)| tell::refused(name, why));
        Progress { states, again: None }
    }

    fn plan(&mut self, wishes: &[Wish]) -> Result<Vec<String>, Failure> {
        let kernel = (self.open)().map_err(|error| failure(&error))?;
        let mut fips = FloatingIps::new(kernel, self.options.clone());
        let wanted = self.desk.look(|ledger| Wanted::of(wishes, |at| ledger.held(at), &self.terms));
        plan::lines(&mut fips, &self.terms.owner, wanted).map_err(|error| failure(&error))
    }

    fn held(&mut self) -> Result<Vec<Held>, Failure> {
        let bindings = self.ask(|watch, owner| watch.floating_ips().bindings(owner))?;
        let pairs: BTreeSet<(IpAddr, IpAddr)> =
            bindings.iter().map(|binding| (binding.floating(), binding.fixed())).collect();
        let held = |(floating, fixed)| Held { floating, by: Holder::Fixed(fixed) };
        Ok(pairs.into_iter().map(held).collect())
    }

    fn give_up(&mut self, address: IpAddr, to: Mac) {
        // It fails only when all is about to end.
        let _ = self.keeper.send(move |watch| watch.yield_to(address, to));
    }

    fn settle(&mut self) {
        self.desk.settle();
        let announced = self.ask(|watch, _| watch.floating_ips().finish_announcements());
        if let Err(failure) = announced {
            log::warn!("the addresses were not announced again: {failure}");
        }
    }

    fn drain(&mut self) -> Result<Vec<String>, Failure> {
        let desk = Arc::clone(&self.desk);
        self.ask(move |watch, owner| {
            let before = watch.floating_ips().bindings(owner)?;
            desk.change(|ledger| ledger.want(Wanted::default(), Instant::now()));
            watch.set_desired(Vec::new());
            watch.floating_ips().reconcile(owner, &[], &BindOptions::default())?;
            Ok(before.iter().map(ToString::to_string).collect())
        })
    }
}

impl<K: Kernel> Drop for DirectActuator<K> {
    fn drop(&mut self) {
        self.desk.end();
        if let Some(worker) = self.worker.take() {
            // If it panicked, that was told.
            let _ = worker.join();
        }
    }
}

/// The workloads, by name, that get nothing from now on, or for another reason than before.
fn refusals(wishes: &[Wish], wanted: &Wanted, ledger: &Ledger) -> Vec<(String, String)> {
    let refusal = |wish: &Wish| {
        let Workload { id, name, .. } = &*wish.workload;
        let why = wanted.refused.get(id).filter(|why| !ledger.refuses(id, why))?;
        Some((name.clone(), why.clone()))
    };
    wishes.iter().filter_map(refusal).collect()
}

/// A binding that is found, as it shall be held: on the link that carries it, whichever that is,
/// unless one is named.
fn placed(held: Binding, terms: &Terms) -> Binding {
    if terms.uplink.is_some() {
        return held;
    }
    let anywhere = Binding::new(held.floating(), held.fixed()).map(|binding| {
        binding
            .with_ports(held.ports().iter().copied())
            .with_egress(held.egress())
            .owned_by(held.owner().clone())
    });
    anywhere.unwrap_or(held)
}

/// The error with its reasons and the way out, in one line.
fn explain(error: &Error) -> String {
    let text = Chain(error).to_string();
    match hint(error) {
        Some(hint) => format!("{text}; {hint}"),
        None => text,
    }
}

/// The way out, for who works with an agent and not with `fip`.
fn hint(error: &Error) -> Option<String> {
    match error {
        Error::Bound { owner, .. } => {
            Some(format!("unbind it first as its owner (fip unbind --owner {owner} ...)"))
        }
        Error::Rival { .. } => Some("it is had as soon as that host lets go of it".to_owned()),
        Error::NoUplink(_) => {
            Some("name the link that shall carry it (--uplink), or add a default route".to_owned())
        }
        _ => error.hint(),
    }
}

fn failure(error: &Error) -> Failure {
    Failure { what: Chain(error).to_string(), hint: hint(error) }
}

#[cfg(test)]
mod tests;
