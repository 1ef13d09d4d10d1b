//! How the thread that reads Docker's events wakes the one that lists.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::docker::Change;

/// What has happened since it was last asked.
#[derive(Debug, Default)]
pub(in crate::agent::source) struct News {
    /// When the first of it was noticed.
    pub(in crate::agent::source) noticed: Option<Instant>,
    /// How often each container was started.
    pub(in crate::agent::source) starts: BTreeMap<String, u64>,
    /// The containers that have ended before any start of them was told.
    pub(in crate::agent::source) ended: BTreeSet<String>,
    /// The containers that are no more.
    pub(in crate::agent::source) removed: BTreeSet<String>,
    /// Whether anything else may have happened.
    pub(in crate::agent::source) gap: bool,
}

impl News {
    /// Takes over later news.
    pub(in crate::agent::source) fn add(&mut self, later: Self) {
        self.noticed = self.noticed.or(later.noticed);
        let first = later.ended.into_iter().filter(|id| !self.starts.contains_key(id));
        self.ended.extend(first);
        for (id, starts) in later.starts {
            *self.starts.entry(id).or_default() += starts;
        }
        self.removed.extend(later.removed);
        self.gap |= later.gap;
    }
}

/// Wakes one thread.
#[derive(Debug, Default)]
pub(in crate::agent::source) struct Bell {
    news: Mutex<News>,
    rung: Condvar,
}

impl Bell {
    /// Tells what has happened; none if that is not known.
    pub(in crate::agent::source) fn ring(&self, change: Option<&Change>) {
        let mut news = self.lock();
        news.noticed.get_or_insert_with(Instant::now);
        match change {
            None => news.gap = true,
            Some(Change::Started(id)) => *news.starts.entry(id.clone()).or_default() += 1,
            Some(Change::Died(id)) if !news.starts.contains_key(id) => {
                news.ended.insert(id.clone());
            }
            Some(Change::Removed(id)) => _ = news.removed.insert(id.clone()),
            Some(_) => {}
        }
        self.rung.notify_one();
    }

    /// Sleeps until there is something to take; at most so long.
    pub(in crate::agent::source) fn wait(&self, time: Duration) {
        let quiet = |news: &mut News| news.noticed.is_none();
        // What a thread that has panicked leaves is good: nothing panics in the middle of it.
        _ = self.rung.wait_timeout_while(self.lock(), time, quiet);
    }

    /// What has happened since this was last called.
    pub(in crate::agent::source) fn take(&self) -> News {
        mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_of_what_was_not_started_before() {
        let (started, died) = (Change::Started("c".to_owned()), Change::Died("c".to_owned()));
        for (changes, ended) in [([&died, &started], true), ([&started, &died], false)] {
            let bell = Bell::default();
            let mut news = News::default();
            for change in changes {
                bell.ring(Some(change));
                news.add(bell.take());
            }
            assert_eq!(news.ended.contains("c"), ended, "one after the other");
            changes.iter().for_each(|change| bell.ring(Some(change)));
            assert_eq!(bell.take().ended.contains("c"), ended, "both at once");
        }
    }
}
