//! Reads a map whenever it has changed, as soon as it is whole.
//!
//! The kernel tells three things: what has happened to the file since it is watched (inotify),
//! whether anybody has it open for writing (a lease), and when it was written to last. A map is
//! whole
//! - when it was put there by a rename;
//! - when nobody has it open for writing. That is asked after it was read, and before the events
//!   are: whoever has written to it meanwhile is either still there or has left an event, and who
//!   comes later has not changed what was read;
//! - when it was made before it was watched, or was closed since by one who could write to it, and
//!   somebody has it open, but it was not written to for long ([`HELD`]);
//! - where there are no leases: when it was closed after it was written; or nobody was seen to write
//!   to it, and nothing has happened to it for a moment ([`STILL`]).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::content::{self, Content};
use super::map::{Entry, parse};
use super::trouble::Trouble;
use super::watch::{Watch, Writing};
use crate::http::wait::{readable, wait};

/// What nobody was seen to write to its end is whole when nothing has happened to it for so long, if
/// the kernel does not tell whether anybody still has it open.
const STILL: Duration = Duration::from_millis(100);

/// What somebody has open of whom it is not known whether he writes to it is whole when nothing was
/// written to it for so long. Few who write a map pause longer before its end; and some have their
/// files open for as long as they run, so that to wait for the end would be to wait for ever.
const HELD: Duration = Duration::from_secs(10);

/// What does not come to rest is told after this time.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads a map in a file, and watches that.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    watch: Watch,
    /// When what somebody has open will have been left alone for long enough.
    due: Option<Instant>,
}

/// What one look at the file shows.
struct Sight {
    found: Result<Vec<Entry>, Trouble>,
    /// Whether nobody can be in the middle of changing it.
    sure: bool,
    /// Whether there is something newer to see, and perhaps all of it.
    outdated: bool,
}

impl Reader {
    pub(super) fn new(path: PathBuf) -> Result<Self, Trouble> {
        let watch = Watch::new().map_err(|error| Trouble::reading(&path, &error))?;
        Ok(Self { path, watch, due: None })
    }

    /// Whether something has happened to the file since it was read, or enough time has passed.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub(super) fn has_changed(&mut self) -> io::Result<bool> {
        Ok(self.watch.catch_up()? || self.watch.is_lost() || self.is_due())
    }

    /// When to read again although nothing has happened to the file.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether that is now.
    pub(super) fn is_due(&self) -> bool {
        self.due.is_some_and(|due| Instant::now() >= due)
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
                let passing = self.watch.writing() != Writing::Underway && self.due.is_none();
                return Err(Trouble::unfinished(&self.path, passing));
            }
            if sight.outdated {
                continue;
            }
            self.rest(deadline).map_err(|error| Trouble::reading(&self.path, &error))?;
        }
    }

    fn look(&mut self) -> Sight {
        self.due = None;
        self.try_look().unwrap_or_else(|error| {
            let trouble = Trouble::reading(&self.path, &error);
            let sure = trouble.passing || self.watch.writing() == Writing::Resting;
            Sight { found: Err(trouble), sure, outdated: false }
        })
    }

    fn try_look(&mut self) -> io::Result<Sight> {
        self.watch.catch_up()?;
        let path = self.watch.follow(&self.path)?;
        let writes = self.watch.writes();
        let content = content::read(&path)?;
        self.watch.catch_up()?;
        Ok(self.judge(&content, writes))
    }

    /// Whether to believe what was read since there were so many writes, now that all is noted that
    /// has happened meanwhile.
    fn judge(&mut self, content: &Content, writes: u64) -> Sight {
        let found = parse(&content.bytes).map_err(|wrong| Trouble::content(&self.path, wrong));
        let written = writes != self.watch.writes();
        let unchanged = content.still && !written && !self.watch.is_exchanged();
        if unchanged && content.held == Some(false) {
            self.watch.closed();
        }
        let held = content.held == Some(true);
        let whole = match self.watch.writing() {
            Writing::Underway => false,
            Writing::Done => found.is_ok(),
            _ if held && !is_old(content.written, HELD) => {
                let age = content.written.elapsed().unwrap_or(HELD);
                self.due = Some(Instant::now() + HELD.saturating_sub(age));
                false
            }
            Writing::Closed => found.is_ok(),
            Writing::Unknown => found.is_ok() && is_old(content.written, STILL),
            Writing::Resting => true,
        };
        let ended = written && self.watch.writing() != Writing::Underway;
        Sight { found, sure: whole && unchanged, outdated: ended || self.watch.is_lost() }
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
fn is_old(written: SystemTime, enough: Duration) -> bool {
    written.elapsed().map_or(true, |age| age >= enough)
}

/// Readable when something may have happened to the file.
impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

#[cfg(test)]
mod tests;
