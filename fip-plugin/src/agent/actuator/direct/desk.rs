//! Where the threads meet.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::ledger::{Due, Ledger};

/// The ledger, for all threads.
pub(super) struct Desk {
    papers: Mutex<Papers>,
    news: Condvar,
}

pub(super) struct Papers {
    pub(super) ledger: Ledger,
    ended: bool,
}

impl Desk {
    pub(super) fn new(ledger: Ledger) -> Self {
        let papers = Mutex::new(Papers { ledger, ended: false });
        Self { papers, news: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the ledger.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.lock().ledger)
    }

    /// Changes it, and tells those who wait for that.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let result = change(&mut self.lock().ledger);
        self.news.notify_all();
        result
    }

    /// Has everybody stop.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.news.notify_all();
    }

    /// What is to be done now; if that is nothing, and `patient`, waits until there is something.
    /// None when all is to stop.
    pub(super) fn due(&self, patient: bool) -> Option<Due> {
        let mut papers = self.lock();
        loop {
            let now = Instant::now();
            let due = papers.ledger.due(now);
            if papers.ended {
                return None;
            }
            if !patient || !due.is_empty() {
                return Some(due);
            }
            papers = match due.next {
                None => self.news.wait(papers).unwrap_or_else(PoisonError::into_inner),
                Some(next) => {
                    let left = next.saturating_duration_since(now);
                    self.news.wait_timeout(papers, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Waits until nothing is to be done, and nothing being done, that has not failed yet.
    pub(super) fn settle(&self) {
        let mut papers = self.lock();
        while !papers.ended && papers.ledger.is_busy(Instant::now()) {
            papers = self.news.wait(papers).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
