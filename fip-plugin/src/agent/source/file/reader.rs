//! Reads a map whenever it has changed, as soon as it is whole.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::content;
use super::map::{Entry, parse};
use super::trouble::Trouble;
use super::watch::{Watch, Writing};
use crate::http::wait::{readable, wait};

/// What nobody was seen to write to its end is whole when nothing has happened to it for so long.
const STILL: Duration = Duration::from_millis(100);

/// What does not come to rest is told after this time.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads a map in a file, and watches that.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    watch: Watch,
}

/// What one look at the file shows.
struct Sight {
    found: Result<Vec<Entry>, Trouble>,
    /// Whether nobody can be in the middle of changing it.
    sure: bool,
}

impl Reader {
    pub(super) fn new(path: PathBuf) -> Result<Self, Trouble> {
        let watch = Watch::new().map_err(|error| Trouble::reading(&path, &error))?;
        Ok(Self { path, watch })
    }

    /// Whether something has happened to the file since it was read.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub(super) fn has_changed(&mut self) -> io::Result<bool> {
        Ok(self.watch.catch_up()? || self.watch.is_lost())
    }

    /// The map as it is now; waits a moment for somebody who is just writing it.
    pub(super) fn read(&mut self) -> Result<Vec<Entry>, Trouble> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let sight = self.look();
            if sight.sure {
                return sight.found;
            }
            if Instant::now() >= deadline {
                // Of what is under way the end will be noticed.
                let passing = self.watch.writing() != Writing::Underway;
                return Err(Trouble::unfinished(&self.path, passing));
            }
            self.rest(deadline).map_err(|error| Trouble::reading(&self.path, &error))?;
        }
    }

    fn look(&mut self) -> Sight {
        self.try_look().unwrap_or_else(|error| {
            let trouble = Trouble::reading(&self.path, &error);
            let sure = trouble.passing || self.watch.writing() == Writing::Resting;
            Sight { found: Err(trouble), sure }
        })
    }

    fn try_look(&mut self) -> io::Result<Sight> {
        self.watch.catch_up()?;
        let path = self.watch.follow(&self.path)?;
        let writes = self.watch.writes();
        let content = content::read(&path)?;
        self.watch.catch_up()?;
        let found = parse(&content.bytes).map_err(|wrong| Trouble::content(&self.path, wrong));
        let whole = match self.watch.writing() {
            Writing::Unknown => found.is_ok() && is_old(content.written),
            Writing::Underway => false,
            Writing::Done => found.is_ok(),
            Writing::Resting => true,
        };
        let sure = whole && content.still && writes == self.watch.writes();
        Ok(Sight { found, sure })
    }

    /// Waits until something happens to the file, or nothing has for long enough.
    fn rest(&mut self, deadline: Instant) -> io::Result<()> {
        let until = match self.watch.writing() {
            Writing::Underway => deadline,
            _ => deadline.min(Instant::now() + STILL),
        };
        loop {
            match wait(&mut [readable(self.watch.as_fd())], Some(until)) {
                Ok(()) if self.watch.catch_up()? => return Ok(()),
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    self.watch.rested();
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// A clock that was set back must not make files new for ever: what is from the future is old.
fn is_old(written: SystemTime) -> bool {
    written.elapsed().map_or(true, |age| age >= STILL)
}

/// Readable when something may have happened to the file.
impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}
