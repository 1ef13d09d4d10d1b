//! One floating address: who wants it, what it leads to, and what comes next.

use std::time::{Duration, Instant};

use fip_core::Binding;
use fip_core::kernel::Mac;

use super::super::wanted::{Want, alike};
use super::Trouble;

/// What failed is tried again, at first after this time.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// And then this often: another host lets go of an address without telling.
const RETRY_LAST: Duration = Duration::from_secs(2);
/// What was refused or yielded is tried again only when something changes; if that is after this time,
/// also when it is nothing that is known to matter.
const STALE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Address {
    pub(super) wanted: Vec<Want>,
    /// What leads to workloads now.
    pub(super) held: Vec<Binding>,
    /// The watch holds it, or held it until it was yielded.
    pub(super) watched: bool,
    pub(super) stage: Stage,
    pub(super) trouble: Option<Trouble>,
    /// How often it failed in a row.
    pub(super) failures: u32,
    /// Since when it is wanted as it is.
    pub(super) asked: Instant,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// What is to be done can be done.
    Open,
    /// Others are asked whether they have it.
    Claiming,
    /// It failed: when to try again, if ever.
    Resting(Option<Instant>),
    /// Another host has it.
    Yielded(Yielded),
}

/// An address that another host has claimed.
#[derive(Debug)]
pub(super) struct Yielded {
    pub(super) to: Mac,
    /// The runs of workloads that do not get it; if none are told, those that are wanted first.
    pub(super) runs: Option<Vec<(String, u64)>>,
    pub(super) since: Instant,
}

/// What comes next.
pub(super) enum Step {
    Nothing,
    /// Give what is held to others, or to nobody.
    Exchange,
    Claim,
    /// Not before.
    Wait(Instant),
}

impl Address {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            wanted: Vec::new(),
            held: Vec::new(),
            watched: false,
            stage: Stage::Open,
            trouble: None,
            failures: 0,
            asked: now,
        }
    }

    pub(super) fn runs(&self) -> Vec<(String, u64)> {
        let owned = |(id, run): (&str, u64)| (id.to_owned(), run);
        self.wanted.iter().map(|want| owned(want.run())).collect()
    }

    /// Nobody wants it, and nobody holds it.
    pub(super) fn is_idle(&self) -> bool {
        !self.watched && self.wanted.is_empty()
    }

    pub(super) fn claims(&self) -> bool {
        matches!(self.stage, Stage::Claiming) && !self.wanted.is_empty()
    }

    pub(super) fn yielded_to(&self) -> Option<Mac> {
        if let Stage::Yielded(Yielded { to, .. }) = self.stage { Some(to) } else { None }
    }

    pub(super) fn is_bound(&self) -> bool {
        !self.wanted.is_empty() && alike(&self.held, &self.wanted)
    }

    /// `unknown`: a workload may want it, of which nothing is known.
    pub(super) fn want(&mut self, wanted: Vec<Want>, unknown: bool, now: Instant) {
        let before = std::mem::replace(&mut self.wanted, wanted);
        let anew = !before.iter().map(Want::run).eq(self.wanted.iter().map(Want::run));
        let other = before != self.wanted;
        if other {
            self.asked = now;
        }
        match &mut self.stage {
            Stage::Yielded(..) if unknown => {}
            _ if self.wanted.is_empty() => self.begin_anew(),
            Stage::Yielded(Yielded { runs, since, .. }) => {
                let owned = |(id, run): (&str, u64)| (id.to_owned(), run);
                let wanted: Vec<_> = self.wanted.iter().map(|want| owned(want.run())).collect();
                let runs = runs.get_or_insert_with(|| wanted.clone());
                if wanted.iter().any(|run| !runs.contains(run)) {
                    self.begin_anew();
                } else if now >= *since + STALE {
                    // The other host may have let go of it, or yielded to us at the same time.
                    self.begin_anew();
                    self.failures = 1;
                }
            }
            Stage::Resting(due) => {
                let lasting = due.is_none();
                let stale = lasting && now >= self.asked + STALE;
                if anew || stale || (lasting && other) {
                    self.asked = now;
                    self.begin_anew();
                }
            }
            Stage::Open | Stage::Claiming => {}
        }
    }

    fn begin_anew(&mut self) {
        self.stage = Stage::Open;
        (self.trouble, self.failures) = (None, 0);
    }

    pub(super) fn step(&self, now: Instant) -> Step {
        match self.stage {
            Stage::Claiming | Stage::Yielded(..) | Stage::Resting(None) => Step::Nothing,
            Stage::Resting(Some(due)) if now < due => Step::Wait(due),
            _ if self.wanted.is_empty() && self.watched => Step::Exchange,
            _ if self.wanted.is_empty() => Step::Nothing,
            _ if self.held.is_empty() => Step::Claim,
            Stage::Resting(_) => Step::Exchange,
            Stage::Open if self.is_bound() => Step::Nothing,
            Stage::Open => Step::Exchange,
        }
    }

    /// It cannot be had now. Whether that is news.
    pub(super) fn fail(&mut self, trouble: Trouble, now: Instant) -> bool {
        let pause = if self.failures == 0 { RETRY_FIRST } else { RETRY_LAST };
        self.failures += 1;
        self.stage = Stage::Resting((!trouble.lasting).then(|| now + pause));
        let news = self.trouble.as_ref() != Some(&trouble);
        self.trouble = Some(trouble);
        news
    }
}
