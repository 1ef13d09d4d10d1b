//! The loop between a source and an actuator.
//!
//! It sleeps until there is news: a listing, a failure of the source, a ring of the actuator. Only
//! a listing changes what shall be: as long as the source fails, what it said last stays true.

mod challenge;
mod follow;
mod tell;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use fip_core::error::{Chain, Result};

use super::actuator::{Actuator, Bell, Failure, Progress, Signal};
use super::board::{Board, Entry};
use super::model::{State, Workload};
use super::sift::{Refusal, Sifted, Sifter};
use super::source::{Listing, OpenSource, SourceError};
use crate::allow::AllowList;
use crate::ask::shown;
use challenge::Challenges;
use tell::Told;

/// What the loop cannot do now is tried again after this time.
const RETRY: Duration = Duration::from_secs(1);

/// Tells what may be claimed now; anything if none. The addresses of a host can change.
pub type Allow = Box<dyn FnMut() -> Result<Option<AllowList>> + Send>;

/// How the agent works.
pub struct Config {
    /// Makes sources.
    pub open: OpenSource,
    /// What may be claimed.
    pub allow: Allow,
    /// How long addresses are held while the source fails; for ever if none.
    pub hold_for: Option<Duration>,
    /// Where the state is told.
    pub board: Board,
}

/// What reaches the loop.
enum News {
    Listed(Listing),
    Failed(SourceError),
    /// What a second source answers, that was asked because of a challenge.
    Looked(Result<Listing, SourceError>),
    Rung(Signal),
    Stop,
}

/// Ends [`Agent::run`] from another thread.
#[derive(Clone)]
pub struct Stopper(Sender<News>);

impl Stopper {
    /// Asks for the end. Returns at once.
    pub fn stop(&self) {
        // If nobody listens any more, it has ended.
        let _ = self.0.send(News::Stop);
    }
}

/// A source, an actuator, and what happens between them.
pub struct Agent {
    config: Config,
    actuator: Box<dyn Actuator>,
    sender: Sender<News>,
    news: Receiver<News>,
    /// None until the actuator has told what is there already.
    sifter: Option<Sifter>,
    /// What the source said last, if it ever did.
    listed: Option<Vec<Arc<Workload>>>,
    /// When it said so.
    accepted: Option<Instant>,
    /// What has become of it.
    entries: Arc<[Entry]>,
    challenges: Challenges,
    told: Told,
    /// When to go on, if there is no news before.
    again: Option<Instant>,
    /// When everything is let go of, if the source fails until then.
    end: Option<Instant>,
}

impl Agent {
    /// An agent with the actuator that `make` makes.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn new<E>(
        config: Config,
        make: impl FnOnce(Bell) -> Result<Box<dyn Actuator>, E>,
    ) -> Result<Self, E> {
        let (sender, news) = channel();
        let ring = sender.clone();
        let bell = Bell::new(move |signal| _ = ring.send(News::Rung(signal)));
        Ok(Self {
            config,
            actuator: make(bell)?,
            sender,
            news,
            sifter: None,
            listed: None,
            accepted: None,
            entries: Arc::new([]),
            challenges: Challenges::default(),
            told: Told::default(),
            again: None,
            end: None,
        })
    }

    /// The way to end [`Agent::run`].
    pub fn stopper(&self) -> Stopper {
        Stopper(self.sender.clone())
    }

    /// Works until it is stopped. What is bound then stays bound.
    ///
    /// # Errors
    /// If there is no memory for a thread.
    pub fn run(mut self) -> io::Result<()> {
        follow::start(&self.config.open, self.sender.clone())?;
        loop {
            let Some(changed) = self.wait() else { return Ok(()) };
            if changed {
                self.go_on();
            }
        }
    }

    /// Looks once, does what is to be done, and returns when that is complete, or has failed: what
    /// became of each workload.
    ///
    /// # Errors
    /// [`Failure`] if the source does not answer, or the actuator cannot begin.
    pub fn once(mut self) -> Result<Arc<[Entry]>, Failure> {
        self.look()?;
        loop {
            let entries = self.pursue()?;
            if entries.iter().all(|entry| entry.state != State::Pending) {
                self.actuator.settle();
                return Ok(entries);
            }
            while self.wait() == Some(false) {}
        }
    }

    /// What [`Agent::once`] would do, a line each; `!` and what it would refuse.
    ///
    /// # Errors
    /// As there.
    pub fn plan(mut self) -> Result<Vec<String>, Failure> {
        self.look()?;
        let sifted = self.sift()?;
        let mut lines = self.actuator.plan(&sifted.wishes)?;
        lines.extend(sifted.refusals.iter().map(|refusal| {
            format!("! {}: {}", shown(&refusal.workload.name), shown(&refusal.why))
        }));
        Ok(lines)
    }

    fn look(&mut self) -> Result<(), Failure> {
        let looked = (self.config.open)().next();
        let listing = looked.map_err(|SourceError { what, hint }| Failure { what, hint })?;
        self.accept(listing);
        Ok(())
    }

    /// Sleeps until there is news or something is due, and takes it in: whether that changes
    /// anything. None if the end was asked for.
    fn wait(&mut self) -> Option<bool> {
        let due = self.again.into_iter().chain(self.end).min();
        let first = match due {
            None => self.news.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => self.news.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        let mut changed = self.expire();
        let mut next = first.ok();
        while let Some(news) = next {
            if matches!(news, News::Stop) {
                return None;
            }
            changed |= self.take(news);
            next = self.news.try_recv().ok();
        }
        Some(changed)
    }

    /// Does what is due: whether to go on.
    fn expire(&mut self) -> bool {
        let now = Instant::now();
        let over = self.end.take_if(|end| *end <= now).is_some();
        if over {
            log::warn!("the source has failed for too long (--hold-for): all addresses are let go");
            self.listed = Some(Vec::new());
        }
        self.again.take_if(|again| *again <= now).is_some() || over
    }

    /// Whether the news changes anything.
    fn take(&mut self, news: News) -> bool {
        match news {
            News::Listed(listing) => self.accept(listing),
            News::Failed(error) => {
                self.told.source_failed(&error);
                self.config.board.source_failed(&error);
                if let Some(time) = self.config.hold_for {
                    self.end.get_or_insert_with(|| Instant::now() + time);
                }
                return false;
            }
            News::Looked(looked) => return self.looked(looked),
            News::Rung(Signal::Progress) => {}
            News::Rung(signal) => {
                self.heard(&signal);
                return false;
            }
            News::Stop => return false,
        }
        true
    }

    fn accept(&mut self, Listing { workloads, noticed }: Listing) {
        self.told.source_answers();
        self.config.board.listed(workloads.len());
        self.told.listed(&workloads, noticed);
        self.listed = Some(workloads);
        self.accepted = Some(Instant::now());
        self.end = None;
    }

    fn heard(&mut self, signal: &Signal) {
        let listed = match *signal {
            Signal::Came { address, took } => {
                let workload = self.wish_for(address);
                workload.and_then(|workload| self.told.came(address, workload, took))
            }
            _ => None,
        };
        self.config.board.signal(signal, listed);
        if let Signal::Challenged { address, mac } = *signal {
            self.challenged(address, mac);
        }
    }

    /// Goes on with what the source said last.
    fn go_on(&mut self) {
        match self.pursue() {
            Ok(_) => {
                self.told.actuator_works();
                self.config.board.actuator_ok();
            }
            Err(failure) => {
                self.told.actuator_failed(&failure);
                self.config.board.actuator_failed(&failure);
                self.again = Some(Instant::now() + RETRY);
            }
        }
    }

    fn pursue(&mut self) -> Result<Arc<[Entry]>, Failure> {
        if self.listed.is_none() {
            return Ok(Arc::new([]));
        }
        let began = Instant::now();
        let Sifted { wishes, refusals } = self.sift()?;
        self.told.refused(&refusals);
        let Progress { mut states, again } = self.actuator.pursue(&wishes);
        self.config.board.reconciled(began.elapsed());
        self.again = again;
        let wished = wishes.into_iter().map(|wish| {
            let state = states.remove(&wish.workload.id).unwrap_or(State::Pending);
            Entry::wished(wish, state)
        });
        let refused =
            refusals.into_iter().map(|Refusal { workload, why }| Entry::refused(workload, why));
        self.entries = wished.chain(refused).collect();
        self.config.board.set_states(Arc::clone(&self.entries));
        Ok(Arc::clone(&self.entries))
    }

    fn sift(&mut self) -> Result<Sifted, Failure> {
        let allow = (self.config.allow)().map_err(|error| Failure {
            what: format!("cannot tell what may be claimed: {}", Chain(&error)),
            hint: error.hint(),
        })?;
        let sifter = match &mut self.sifter {
            Some(sifter) => sifter,
            none => none.insert(Sifter::new(self.actuator.held()?)),
        };
        let workloads = self.listed.as_deref().unwrap_or_default();
        Ok(sifter.sift(workloads, allow.as_ref()))
    }
}

#[cfg(test)]
mod tests;
