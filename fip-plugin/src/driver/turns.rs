//! The order of calls: those for one endpoint follow one another, those for a network as a whole
//! follow and precede all others for it. Calls that do not meet go on side by side: one that waits
//! for a rival host holds up no other container.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::protocol::Id;

/// Who is under way, and who waits, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Turns {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    tickets: Vec<Ticket>,
}

#[derive(Debug)]
struct Ticket {
    number: u64,
    network: Id,
    /// None for the network as a whole.
    endpoint: Option<Id>,
}

impl Ticket {
    fn meets(&self, network: &Id, endpoint: Option<&Id>) -> bool {
        let together = self.endpoint.as_ref().is_none_or(|own| endpoint.is_none_or(|e| e == own));
        self.network == *network && together
    }
}

/// A call's turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    number: u64,
}

impl Turns {
    /// Waits for the turn of a call for the network as a whole.
    pub(super) fn network(&self, network: &Id) -> Turn<'_> {
        self.take(network, None)
    }

    /// Waits for the turn of a call for one endpoint.
    pub(super) fn endpoint(&self, network: &Id, endpoint: &Id) -> Turn<'_> {
        self.take(network, Some(endpoint))
    }

    fn take(&self, network: &Id, endpoint: Option<&Id>) -> Turn<'_> {
        let mut queue = self.lock();
        let number = queue.next;
        queue.next += 1;
        let ticket = Ticket { number, network: network.clone(), endpoint: endpoint.cloned() };
        queue.tickets.push(ticket);
        let blocked = |queue: &mut Queue| {
            let mut earlier = queue.tickets.iter().take_while(|ticket| ticket.number < number);
            earlier.any(|ticket| ticket.meets(network, endpoint))
        };
        let free = self.changed.wait_while(queue, blocked);
        drop(free.unwrap_or_else(PoisonError::into_inner));
        Turn { turns: self, number }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.lock().tickets.retain(|ticket| ticket.number != self.number);
        self.turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn id(text: &str) -> Id {
        text.parse().unwrap()
    }

    #[test]
    fn endpoints_do_not_wait_for_one_another() {
        let turns = Turns::default();
        let _one = turns.endpoint(&id("n"), &id("a"));
        let _two = turns.endpoint(&id("n"), &id("b"));
        let _other = turns.network(&id("m"));
    }

    #[test]
    fn a_network_waits_for_its_endpoints_and_holds_up_later_ones() {
        let turns = Turns::default();
        let (done, order) = channel();
        thread::scope(|scope| {
            let first = turns.endpoint(&id("n"), &id("a"));
            let (turns, done) = (&turns, &done);
            scope.spawn(move || {
                let _turn = turns.network(&id("n"));
                done.send("network").unwrap();
            });
            while turns.lock().tickets.len() < 2 {
                thread::yield_now();
            }
            scope.spawn(move || {
                let _turn = turns.endpoint(&id("n"), &id("b"));
                done.send("endpoint").unwrap();
            });
            while turns.lock().tickets.len() < 3 {
                thread::yield_now();
            }
            let nobody = order.recv_timeout(Duration::from_millis(20));
            assert_eq!(nobody, Err(RecvTimeoutError::Timeout));
            drop(first);
            assert_eq!([order.recv(), order.recv()], [Ok("network"), Ok("endpoint")]);
        });
    }
}
