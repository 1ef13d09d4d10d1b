//! Where the loop, the keeper and the workers meet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::work::{Outcome, Task};
use crate::agent::model::{Presence, State, Wish};

/// What lies on the desk, and a bell beside it.
#[derive(Debug, Default)]
pub(super) struct Desk {
    papers: Mutex<Papers>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct Papers {
    /// What is wished for; nothing is done as long as there is none.
    pub(super) wishes: Option<Vec<Wish>>,
    /// How often it was asked for.
    pub(super) round: u64,
    /// Since when each workload is waiting for its addresses, and what it asked for then.
    pub(super) since: BTreeMap<String, (Asked, Instant)>,
    /// What has become of the wishes.
    pub(super) states: BTreeMap<String, State>,
    /// The containers at work.
    pub(super) at_work: BTreeSet<String>,
    /// What has ended since the keeper last looked.
    pub(super) finished: Vec<(Task, Outcome)>,
    /// There is something for the keeper to do.
    pub(super) news: bool,
    /// The keeper waits for that.
    pub(super) asleep: bool,
    /// The end.
    pub(super) closed: bool,
}

/// What makes a wish a new one: what it asks for, and the start of its workload.
pub(super) type Asked = (String, u64);

pub(super) fn asked(Wish { workload, .. }: &Wish) -> Asked {
    (workload.asks.clone(), workload.run)
}

/// What the keeper has to go by.
pub(super) struct Orders {
    pub(super) wishes: Vec<Wish>,
    pub(super) round: u64,
    pub(super) finished: Vec<(Task, Outcome)>,
    pub(super) at_work: BTreeSet<String>,
}

impl Desk {
    pub(super) fn lock(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what lies there, and tells everybody.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Papers) -> T) -> T {
        let mut papers = self.lock();
        let result = change(&mut papers);
        papers.news = true;
        self.changed.notify_all();
        result
    }

    /// Lays down what a worker has done.
    pub(super) fn finish(&self, task: Task, outcome: Outcome) {
        self.change(|papers| {
            papers.at_work.remove(&task.container);
            papers.finished.push((task, outcome));
        });
    }

    /// Sleeps until there is something to do, or the time has come. None at the end.
    pub(super) fn orders(&self, due: Option<Instant>) -> Option<Orders> {
        let mut papers = self.lock();
        papers.asleep = true;
        self.changed.notify_all();
        loop {
            if papers.closed {
                return None;
            }
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            let ready = papers.news || left.is_some_and(|left| left.is_zero());
            if ready && papers.wishes.is_some() {
                papers.asleep = false;
                papers.news = false;
                return papers.orders();
            }
            papers = match left.filter(|_| papers.wishes.is_some()) {
                None => self.changed.wait(papers).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let woken = self.changed.wait_timeout(papers, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Waits until nothing is under way, and nothing new begins.
    pub(super) fn wait_until_idle(&self) {
        let idle = |papers: &mut Papers| {
            let ready = papers.news && papers.wishes.is_some();
            !papers.asleep || ready || !papers.at_work.is_empty()
        };
        let papers = self.changed.wait_while(self.lock(), idle);
        drop(papers.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Papers {
    /// Takes the wishes in.
    pub(super) fn wish(&mut self, wishes: &[Wish], now: Instant) {
        let mut since = BTreeMap::new();
        for wish in wishes {
            let Wish { workload, .. } = wish;
            if matches!(workload.presence, Presence::Running(_)) {
                let asked = asked(wish);
                let known = self.since.remove(&workload.id).filter(|(before, _)| *before == asked);
                if known.is_none() {
                    self.states.remove(&workload.id);
                }
                since.insert(workload.id.clone(), known.unwrap_or((asked, now)));
            }
        }
        self.since = since;
        self.wishes = Some(wishes.to_vec());
        self.round += 1;
    }

    /// What has become of wishes; not of those in whose place there is another one by now. Whether
    /// that is news.
    pub(super) fn become_of(
        &mut self,
        wishes: &[Wish],
        mut states: BTreeMap<String, State>,
    ) -> bool {
        for wish in wishes {
            let id = &wish.workload.id;
            if self.since.get(id).is_some_and(|(now, _)| *now != asked(wish)) {
                states.remove(id);
            }
        }
        let news = self.states != states;
        self.states = states;
        news
    }

    /// Whoever had the address waits for it anew.
    pub(super) fn lost(&mut self, address: IpAddr) {
        for wish in self.wishes.iter().flatten() {
            if wish.floating.iter().any(|floating| floating.address == address)
                && let Some((_, since)) = self.since.get_mut(&wish.workload.id)
            {
                *since = Instant::now();
            }
        }
    }

    fn orders(&mut self) -> Option<Orders> {
        Some(Orders {
            wishes: self.wishes.clone()?,
            round: self.round,
            finished: std::mem::take(&mut self.finished),
            at_work: self.at_work.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::wish;
    use super::*;

    #[test]
    fn what_became_of_an_earlier_wish_is_not_told_of_the_later_one() {
        let wishes = ["192.0.2.1", "192.0.2.2"].map(|address| [wish("c", address)]);
        let mut papers = Papers::default();
        wishes.iter().for_each(|wishes| papers.wish(wishes, Instant::now()));
        let bound: BTreeMap<_, _> = [("w-c".to_owned(), State::Bound)].into();
        assert!(!papers.become_of(&wishes[0], bound.clone()));
        assert_eq!(papers.states, BTreeMap::new());
        assert!(papers.become_of(&wishes[1], bound.clone()));
        assert!(!papers.become_of(&wishes[1], bound.clone()), "it is no news");
        assert_eq!(papers.states, bound);
    }
}
