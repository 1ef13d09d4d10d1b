//! Notices what happens to a file that is known by its path (inotify(7)).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

use super::walk::walk;

/// What happens to a directory itself.
const ITSELF: AddWatchFlags = AddWatchFlags::IN_MOVE_SELF
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR)
    .union(AddWatchFlags::IN_DONT_FOLLOW);

/// And to the names in it. Nothing is heard of what is written to its files.
const NAMES: AddWatchFlags = ITSELF
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_ATTRIB);

/// What happens to the file itself.
const CONTENT: AddWatchFlags = AddWatchFlags::IN_MODIFY
    .union(AddWatchFlags::IN_CLOSE_WRITE)
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_DONT_FOLLOW);

/// Whether somebody is at work on the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    /// That was not seen.
    Unknown,
    /// It was changed, and whoever did it has not closed it yet.
    Underway,
    /// It was closed by somebody who could write to it. Another one may have it open still.
    Closed,
    /// It was put there as a whole, or nobody had it open. If it is truncated now, that may show
    /// before it is told.
    Done,
    /// Nobody is: nothing has happened for long enough.
    Resting,
}

/// Watches a file, and every directory (and link) on the way to it. What is not there is waited
/// for where it would be made.
#[derive(Debug)]
pub(super) struct Watch {
    inotify: Inotify,
    /// The names that are looked up in each directory on the way.
    names: BTreeMap<WatchDescriptor, BTreeSet<OsString>>,
    file: Option<WatchDescriptor>,
    /// Whether the path has to be looked up again.
    lost: bool,
    /// Whether all that is new there came by renames.
    renamed: bool,
    writing: Writing,
    writes: u64,
}

impl Watch {
    pub(super) fn new() -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        Ok(Self {
            inotify,
            names: BTreeMap::new(),
            file: None,
            lost: true,
            renamed: false,
            writing: Writing::Unknown,
            writes: 0,
        })
    }

    /// Whether somebody is at work on the file.
    pub(super) fn writing(&self) -> Writing {
        self.writing
    }

    /// Another number after each change of the file's content.
    pub(super) fn writes(&self) -> u64 {
        self.writes
    }

    /// Looks the path up, and watches from now on what is on the way, be the file there or not.
    ///
    /// The result is the path of the file without links.
    ///
    /// # Errors
    /// As the system says it, if there is no regular file.
    pub(super) fn follow(&mut self, path: &Path) -> io::Result<PathBuf> {
        let mut names: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let mut steps = Vec::new();
        // A directory is watched before it is looked into: nothing is missed in between.
        let found = walk(path, |directory, name| {
            let watch = self.inotify.add_watch(directory, NAMES)?;
            names.entry(watch).or_default().insert(name.to_owned());
            steps.push((watch, directory.to_owned(), directory.join(name)));
            Ok(())
        });
        let missed = !self.calm(&steps);
        let found = found.and_then(|path| Ok((self.inotify.add_watch(&path, CONTENT)?, path)));
        let file = found.as_ref().ok().map(|(watch, _)| *watch);
        self.unwatch(&names, file);
        // What was taken for the end of one that came by a rename may be that of another one.
        let ended = matches!(self.writing, Writing::Closed | Writing::Done);
        let doubtful = ended && self.is_exchanged();
        if file != self.file || self.writing == Writing::Unknown || doubtful {
            self.writing = if self.renamed { Writing::Done } else { Writing::Unknown };
        }
        (self.names, self.file, self.lost, self.renamed) = (names, file, missed, false);
        found.map(|(_, path)| path)
    }

    /// Where a step leads into a directory that is watched itself, the names beside it do not
    /// matter: many come and go in `/tmp`. False if such a directory is not the same any more.
    fn calm(&self, steps: &[(WatchDescriptor, PathBuf, PathBuf)]) -> bool {
        let last = steps.len().saturating_sub(1);
        let leads_on = |at: usize| at < last && steps[at].2 == steps[at + 1].1;
        let needed: BTreeSet<_> =
            (0..steps.len()).filter(|at| !leads_on(*at)).map(|at| steps[at].0).collect();
        let mut calm = steps.iter().filter(|(watch, ..)| !needed.contains(watch));
        calm.all(|(watch, directory, _)| {
            self.inotify.add_watch(directory, ITSELF).is_ok_and(|same| same == *watch)
        })
    }

    /// Ends the watches that the present way does not need any more.
    fn unwatch(
        &self,
        names: &BTreeMap<WatchDescriptor, BTreeSet<OsString>>,
        file: Option<WatchDescriptor>,
    ) {
        let old = self.names.keys().copied().chain(self.file);
        for watch in old.filter(|old| !names.contains_key(old) && Some(*old) != file) {
            // Fails for what does not exist any more: then the watch has ended by itself.
            let _ = self.inotify.rm_watch(watch);
        }
    }

    /// Takes note of that nobody has the file open for writing, nor had when all that was told so far
    /// had been done to it.
    pub(super) fn closed(&mut self) {
        if self.writing != Writing::Resting {
            self.writing = Writing::Done;
        }
    }

    /// Takes note of that nothing has happened for long.
    pub(super) fn rested(&mut self) {
        if self.writing != Writing::Underway {
            self.writing = Writing::Resting;
        }
    }

    /// Whether [`Watch::follow`] may find another file now.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Whether since [`Watch::follow`] another file may have come into the place of the one that it
    /// found, and be one that is made there bit by bit.
    pub(super) fn is_exchanged(&self) -> bool {
        self.lost && !self.renamed
    }

    /// Takes note of all that has happened so far. Whether anything has.
    pub(super) fn catch_up(&mut self) -> io::Result<bool> {
        let mut happened = false;
        loop {
            match self.inotify.read_events() {
                Ok(events) => {
                    for event in &events {
                        happened |= self.note(event);
                    }
                }
                Err(Errno::EAGAIN) => return Ok(happened),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Whether this is about the file or the way to it.
    fn note(&mut self, event: &InotifyEvent) -> bool {
        let mask = event.mask;
        if mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            (self.lost, self.renamed, self.writing) = (true, false, Writing::Unknown);
            self.writes += 1;
            return true;
        }
        if Some(event.wd) == self.file {
            self.note_content(mask);
            return true;
        }
        let Some(names) = self.names.get(&event.wd) else { return false };
        // Without a name it is about the directory itself.
        if event.name.as_ref().is_some_and(|name| !names.contains(name)) {
            return false;
        }
        self.renamed = mask.contains(AddWatchFlags::IN_MOVED_TO) && (self.renamed || !self.lost);
        self.lost = true;
        true
    }

    fn note_content(&mut self, mask: AddWatchFlags) {
        if mask.contains(AddWatchFlags::IN_MODIFY) {
            self.writing = Writing::Underway;
            self.writes += 1;
        }
        if mask.contains(AddWatchFlags::IN_CLOSE_WRITE) {
            self.writing = Writing::Closed;
        }
        // The file is no more, or its file system is not.
        if mask.contains(AddWatchFlags::IN_IGNORED) {
            self.lost = true;
        }
    }
}

/// Readable when something has happened.
impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
