//! The facts on the board.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use fip_core::kernel::Mac;

use super::Entry;
use crate::agent::actuator::{Failure, Signal};
use crate::agent::model::State;
use crate::agent::source::SourceError;

/// How many moves are remembered.
pub(in crate::agent) const MOVES: usize = 100;

/// All of them.
#[derive(Debug, Clone)]
pub(in crate::agent) struct Facts {
    pub(in crate::agent) source: Source,
    pub(in crate::agent) attach: String,
    pub(in crate::agent) failure: Option<Failure>,
    pub(in crate::agent) entries: Arc<[Entry]>,
    /// The newest last.
    pub(in crate::agent) moves: VecDeque<Move>,
    pub(in crate::agent) came: u64,
    pub(in crate::agent) left: u64,
    pub(in crate::agent) repairs: u64,
    pub(in crate::agent) rivals: u64,
    pub(in crate::agent) challenges: u64,
    pub(in crate::agent) reconciles: Histogram,
}

impl Facts {
    pub(super) fn new(source: &str, attach: &str) -> Self {
        Self {
            source: Source::new(source),
            attach: attach.to_owned(),
            failure: None,
            entries: Arc::new([]),
            moves: VecDeque::new(),
            came: 0,
            left: 0,
            repairs: 0,
            rivals: 0,
            challenges: 0,
            reconciles: Histogram::default(),
        }
    }

    pub(super) fn happen(&mut self, signal: &Signal, listed: Option<Duration>) {
        match *signal {
            Signal::Progress => {}
            Signal::Came { address, took } => {
                self.came += 1;
                self.remember(address, Happened::Came { listed, took });
            }
            Signal::Left { address } => {
                self.left += 1;
                self.remember(address, Happened::Left);
            }
            Signal::Repaired(changes) => self.repairs += changes as u64,
            Signal::Rival { address, mac } => {
                self.left += 1;
                self.rivals += 1;
                self.remember(address, Happened::Yielded(mac));
            }
            Signal::Challenged { .. } => self.challenges += 1,
        }
    }

    fn remember(&mut self, address: IpAddr, happened: Happened) {
        if self.moves.len() == MOVES {
            self.moves.pop_front();
        }
        self.moves.push_back(Move { at: SystemTime::now(), address, happened });
    }

    /// How many floating addresses lead to their workloads.
    pub(in crate::agent) fn bound(&self) -> usize {
        let bound = self.entries.iter().filter(|entry| entry.state == State::Bound);
        bound.map(|entry| entry.floating.len()).sum()
    }
}

/// What is known of the source.
#[derive(Debug, Clone)]
pub(in crate::agent) struct Source {
    pub(in crate::agent) name: String,
    /// The last good answer.
    pub(in crate::agent) answer: Option<Answer>,
    /// What it said last, if that was no answer.
    pub(in crate::agent) error: Option<SourceError>,
    pub(in crate::agent) failures: u64,
    started: Instant,
}

/// A good answer of the source.
#[derive(Debug, Clone, Copy)]
pub(in crate::agent) struct Answer {
    pub(in crate::agent) workloads: usize,
    pub(in crate::agent) at: SystemTime,
    came: Instant,
}

impl Source {
    fn new(name: &str) -> Self {
        let started = Instant::now();
        Self { name: name.to_owned(), answer: None, error: None, failures: 0, started }
    }

    pub(super) fn answered(&mut self, workloads: usize) {
        self.answer = Some(Answer { workloads, at: SystemTime::now(), came: Instant::now() });
        self.error = None;
    }

    pub(super) fn failed(&mut self, error: &SourceError) {
        self.error = Some(error.clone());
        self.failures += 1;
    }

    /// The last look was good.
    pub(in crate::agent) fn is_up(&self) -> bool {
        self.answer.is_some() && self.error.is_none()
    }

    /// Time since the last good answer; since the start, if there was none.
    pub(in crate::agent) fn age(&self) -> Duration {
        self.answer.map_or(self.started, |answer| answer.came).elapsed()
    }
}

/// What became of a floating address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::agent) struct Move {
    pub(in crate::agent) at: SystemTime,
    pub(in crate::agent) address: IpAddr,
    pub(in crate::agent) happened: Happened,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::agent) enum Happened {
    /// To a workload of this host, with the phases: from the source's notice until the actuator was
    /// asked, and from then on.
    Came { listed: Option<Duration>, took: Duration },
    /// From this host.
    Left,
    /// To another host.
    Yielded(Mac),
}

/// How long something takes, as Prometheus counts it.
#[derive(Debug, Clone, Default)]
pub(in crate::agent) struct Histogram {
    /// How many took at most [`Histogram::BOUNDS`], each counted once; the last: all longer ones.
    counts: [u64; Self::BOUNDS.len() + 1],
    pub(in crate::agent) sum: Duration,
}

impl Histogram {
    /// In microseconds: from an nf_tables batch of one element to a host that does not get on.
    const BOUNDS: [u64; 9] =
        [500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000, 5_000_000];

    pub(super) fn observe(&mut self, took: Duration) {
        let fits = |bound: &u64| took <= Duration::from_micros(*bound);
        let bucket = Self::BOUNDS.iter().position(fits).unwrap_or(Self::BOUNDS.len());
        self.counts[bucket] += 1;
        self.sum += took;
    }

    /// How many there were.
    pub(in crate::agent) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Each bound in seconds, and how many took at most that.
    pub(in crate::agent) fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let counts = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        Self::BOUNDS.iter().map(|bound| Duration::from_micros(*bound).as_secs_f64()).zip(counts)
    }
}
