//! Following a Docker engine.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use fip_core::error::Chain;

use super::rumours::Rumours;
use crate::agent::source::SourceError;
use crate::ask::Switch;
use crate::docker::{Change, Changes, Container, Docker, DockerError, Filter};

/// An engine that does not answer is tried again, at first after this time.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// And at last this often.
const RETRY_LAST: Duration = Duration::from_secs(5);
/// A list that is behind the events is asked for again, at first after this time.
const AGAIN: Duration = Duration::from_millis(5);

/// An engine whose events are read in a thread of its own, until this is dropped.
#[derive(Debug)]
pub struct Followed {
    docker: Docker,
    rumours: Rumours,
    switch: Switch,
    /// Its end wakes the thread where it does not wait for the engine.
    _alive: Sender<()>,
}

impl Followed {
    /// Follows the engine. Calls `notify` in another thread: with whatever happens to containers and
    /// networks, and without anything when the connection has come (back) or has ended: then anything
    /// may have happened.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub fn new(
        docker: &Docker,
        notify: impl Fn(Option<&Change>) + Send + 'static,
    ) -> Result<Self, SourceError> {
        let (switch, rumours) = (Switch::default(), Rumours::default());
        let (alive, ended) = mpsc::channel();
        let reader = Reader {
            docker: docker.with_switch(&switch),
            rumours: rumours.clone(),
            switch: switch.clone(),
            ended,
            notify,
        };
        let thread = thread::Builder::new().name("docker-events".to_owned());
        let spawned = thread.spawn(move || reader.run());
        spawned.map_err(|error| SourceError {
            what: format!("no thread can be started to read Docker's events: {error}"),
            hint: None,
        })?;
        Ok(Self { docker: docker.clone(), rumours, switch, _alive: alive })
    }

    /// The containers now: as Docker lists them, once it lists what it has told already.
    ///
    /// # Errors
    /// If the engine does not answer, or not credibly.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Container>, SourceError> {
        let mut pause = AGAIN;
        loop {
            let mut containers = self.docker.containers(filter)?;
            if self.rumours.correct(&mut containers) {
                return Ok(containers);
            }
            thread::sleep(pause);
            pause *= 2;
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.switch.off();
    }
}

/// Reads the events.
struct Reader<N> {
    docker: Docker,
    rumours: Rumours,
    switch: Switch,
    ended: Receiver<()>,
    notify: N,
}

impl<N: Fn(Option<&Change>)> Reader<N> {
    fn run(self) {
        let mut delay = RETRY_FIRST;
        loop {
            let begun = Instant::now();
            let error = match self.docker.changes() {
                Ok(changes) => self.read(changes),
                Err(error) => error,
            };
            if self.switch.is_off() {
                return;
            }
            // A connection that was good for a while: only the engine was started anew.
            if begun.elapsed() > RETRY_LAST {
                delay = RETRY_FIRST;
            }
            log::debug!("Docker's events are asked for again in {delay:?}: {}", Chain(&error));
            if self.ended.recv_timeout(delay) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
            delay = (delay * 2).min(RETRY_LAST);
        }
    }

    /// Until the connection has ended, and why it has.
    fn read(&self, mut changes: Changes) -> DockerError {
        // Some of these may have been started while nobody listened.
        self.rumours.forget();
        (self.notify)(None);
        let error = loop {
            match changes.wait() {
                Ok(change) => {
                    self.rumours.heard(&change);
                    (self.notify)(Some(&change));
                }
                Err(error) => break error,
            }
        };
        if !self.switch.is_off() {
            (self.notify)(None);
        }
        error
    }
}

impl From<DockerError> for SourceError {
    fn from(error: DockerError) -> Self {
        Self { what: Chain(&error).to_string(), hint: error.hint() }
    }
}
