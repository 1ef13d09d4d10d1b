//! The thread that makes true what the ledger says.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fip_core::error::{Error, Result};
use fip_core::fip::{Report, Watch};
use fip_core::kernel::Kernel;
use fip_core::{Binding, Owner};

use super::claims::{Answer, Claims};
use super::desk::Desk;
use super::ledger::{Order, Trouble};
use super::tell::{self, Outcome};
use crate::agent::actuator::{Bell, Signal};
use crate::keeper::{Keeper, claimed};

/// How long new wishes may wait while others are claimed.
const SLICE: Duration = Duration::from_millis(10);

/// So many addresses are bound in one step: what it takes to plan and to send them is memory that
/// the process has from then on.
const AT_ONCE: usize = 256;

pub(super) struct Worker<K: Kernel> {
    pub(super) desk: Arc<Desk>,
    pub(super) keeper: Arc<Keeper<K>>,
    pub(super) claims: Claims<K>,
    pub(super) owner: Owner,
    pub(super) bell: Bell,
}

impl<K> Worker<K>
where
    K: Kernel + Send + 'static,
    K::Monitor: Send,
{
    /// Works until all is to stop.
    pub(super) fn run(mut self) {
        while let Some(due) = self.desk.due(self.claims.are_over()) {
            if due.exchange && self.make(Vec::new()).is_err() {
                return;
            }
            self.desk.look(|ledger| self.claims.retain(|address| ledger.claims(address)));
            let answers = self.claims.advance(&due.claim, Instant::now() + SLICE);
            let free = self.take(answers);
            if !free.is_empty() && self.make(free).is_err() {
                return;
            }
        }
    }

    /// Takes note of what cannot be had; yields what can.
    fn take(&self, answers: Vec<Answer>) -> Vec<IpAddr> {
        let mut free = Vec::new();
        for (address, answer) in answers {
            match answer {
                Ok(()) => free.push(address),
                Err(trouble) => self.fail(address, &trouble),
            }
        }
        free
    }

    fn fail(&self, address: IpAddr, trouble: &Trouble) {
        let wanted = self.desk.change(|ledger| {
            let wanted = ledger.wanted(address);
            // It may not be wanted any more.
            let news =
                ledger.claims(address) && ledger.fail(address, trouble.clone(), Instant::now());
            news.then_some(wanted)
        });
        if let Some(wanted) = wanted {
            tell::failed(address, &wanted, trouble);
            self.bell.ring(Signal::Progress);
        }
    }

    /// Binds what was found free, and gives what is held to whom it is for now. The keeper's thread
    /// does it, in step with what the watch tells.
    ///
    /// # Errors
    /// If that thread has ended.
    fn make(&self, free: Vec<IpAddr>) -> Result<()> {
        let (desk, owner, bell) = (Arc::clone(&self.desk), self.owner.clone(), self.bell.clone());
        self.keeper.run(move |watch| {
            let orders = desk.change(|ledger| ledger.exchanges(Instant::now()));
            carry_out(&desk, &bell, orders, |orders| {
                let floating: Vec<IpAddr> = orders.iter().map(|order| order.address).collect();
                watch.exchange(&owner, &floating, &bindings(orders))
            });
            for some in free.chunks(AT_ONCE) {
                let orders = desk.change(|ledger| ledger.holds(some));
                carry_out(&desk, &bell, orders, |orders| hold(watch, &owner, orders));
            }
            bell.ring(Signal::Progress);
            Ok(())
        })
    }
}

fn bindings(orders: &[Order]) -> Vec<Binding> {
    orders.iter().flat_map(Order::bindings).cloned().collect()
}

fn hold<K: Kernel>(watch: &mut Watch<K>, owner: &Owner, orders: &[Order]) -> Result<Report> {
    watch.hold_each(owner, &bindings(orders), &claimed())
}

/// Carries out all these orders in one step, and takes note of how that went.
fn carry_out(
    desk: &Desk,
    bell: &Bell,
    orders: Vec<Order>,
    make: impl FnOnce(&[Order]) -> Result<Report>,
) {
    if orders.is_empty() {
        return;
    }
    let began = Instant::now();
    let made = make(&orders);
    let outcomes = desk.change(|ledger| {
        let now = Instant::now();
        let mut outcomes = Vec::with_capacity(orders.len());
        for order in orders {
            let outcome = match trouble(&made, order.address) {
                None => {
                    ledger.done(&order);
                    Outcome::Done
                }
                Some((trouble, refused)) => {
                    if refused {
                        ledger.refuse(&order)
                    } else {
                        ledger.doubt(&order)
                    };
                    let news = ledger.fail(order.address, trouble.clone(), now);
                    Outcome::Failed { trouble, news }
                }
            };
            outcomes.push((order, outcome));
        }
        outcomes
    });
    tell::made(bell, &outcomes, began, made.as_ref().ok());
}

/// Why it was not made so, if it was not; and whether it was refused, or failed.
fn trouble(made: &Result<Report>, address: IpAddr) -> Option<(Trouble, bool)> {
    let refused = match made {
        Err(error) => return Some((Trouble::from(error), false)),
        Ok(report) => report.refused.iter().find(|(refused, _)| *refused == address),
    };
    refused.map(|(_, error): &(IpAddr, Error)| (Trouble::from(error), true))
}
