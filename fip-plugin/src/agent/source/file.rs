//! Workloads as a file maps them: `FLOATING FIXED` and `FLOATING CONTAINER` lines, or JSON, as
//! confd and its like write them.

mod containers;
mod content;
mod json;
mod lease;
mod map;
mod names;
mod reader;
mod trouble;
mod walk;
mod watch;

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::{Listing, Source, SourceError};
use crate::agent::model::Workload;
use crate::docker::Docker;
use crate::http::wait::{is_ready, readable, wait};
use containers::Containers;
use map::{Entry, Target};
use names::{Known, workloads};
use reader::Reader;
use trouble::Trouble;

/// What a map comes to, shared with those who are told.
type Workloads = Vec<Arc<Workload>>;

/// The map in a file.
///
/// The file is followed by its path, by the kernel's word (inotify): it may be written anew, be
/// renamed over, be removed and made again with its directory, and every link on the way to it may
/// be changed. Only a file system that is mounted over it is not noticed.
///
/// A file that is not there, that is being written, is empty, lacks the end of its last line, or is
/// no map, is an error, once: then the next call sleeps until it has changed. What only trying
/// again can tell the end of, as too many open files, is an error of each call.
///
/// A map counts as soon as it is whole: when it is put there by a rename, when whoever writes it
/// closes it, and when nobody has it open for writing, which the kernel tells of the files that this
/// process owns (or with `CAP_LEASE`). One that was made before anybody looked, and is open, counts
/// when nothing was written to it for ten seconds. Where the kernel does not tell, as on NFS, it
/// counts after a tenth of a second in which nothing happens to it.
///
/// Docker is asked for containers only while the map names one. What it does not know does not run;
/// while it does not answer, its containers are [unknown](crate::agent::model::Presence::Unknown)
/// and all else goes on.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    docker: Docker,
    reader: Option<Reader>,
    /// As it was read last; nothing if it has changed since.
    map: Option<Result<Vec<Entry>, Trouble>>,
    containers: Option<Containers>,
    told: Option<Result<Workloads, SourceError>>,
    /// Whether to look again without waiting for a change.
    again: bool,
}

impl FileSource {
    /// The map at `path`, and the Docker whose containers it may name. Opens and asks nothing yet.
    pub fn new(path: PathBuf, docker: Docker) -> Self {
        Self { path, docker, reader: None, map: None, containers: None, told: None, again: true }
    }

    /// Sleeps until the map or a container may have changed.
    fn sleep(&mut self) -> io::Result<()> {
        let Some(reader) = self.reader.as_mut().filter(|_| !self.again) else {
            self.map = None;
            return Ok(());
        };
        loop {
            if reader.has_changed()? {
                self.map = None;
                return Ok(());
            }
            let mut files = vec![readable(reader.as_fd())];
            files.extend(self.containers.iter().map(|containers| readable(containers.as_fd())));
            let again = self.containers.as_ref().and_then(Containers::again);
            match wait(&mut files, again.into_iter().chain(reader.due()).min()) {
                Err(error) if error.kind() != io::ErrorKind::TimedOut => return Err(error),
                Ok(()) if !files[1..].iter().any(is_ready) => {}
                Err(_) if reader.is_due() => {}
                _ => return Ok(()),
            }
        }
    }

    fn look(&mut self) -> Result<Workloads, Trouble> {
        let map = match self.map.take() {
            Some(map) => map,
            None => self.read(),
        };
        let result = map.as_ref().map_err(Trouble::clone).and_then(|map| self.workloads(map));
        // Without containers only another map can change anything.
        self.map = self.containers.is_some().then_some(map);
        result
    }

    fn read(&mut self) -> Result<Vec<Entry>, Trouble> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => Reader::new(self.path.clone())?,
        };
        self.reader.insert(reader).read()
    }

    fn workloads(&mut self, map: &[Entry]) -> Result<Workloads, Trouble> {
        if !map.iter().any(|entry| matches!(entry.target, Target::Container(_))) {
            self.containers = None;
            return Ok(shared(workloads(map, &Known::default())));
        }
        let containers = match self.containers.take() {
            Some(containers) => containers,
            None => {
                Containers::new(&self.docker).map_err(|error| Trouble { error, passing: true })?
            }
        };
        let containers = self.containers.insert(containers);
        containers.ask();
        Ok(shared(workloads(map, &containers.known())))
    }
}

/// In a list of its own: it stays, and what it was made of was larger.
fn shared(workloads: Vec<Workload>) -> Workloads {
    let mut shared = Vec::with_capacity(workloads.len());
    shared.extend(workloads.into_iter().map(Arc::new));
    shared
}

impl Source for FileSource {
    fn next(&mut self) -> Result<Listing, SourceError> {
        loop {
            let slept = self.sleep();
            let noticed = Instant::now();
            let now = slept.map_err(|error| Trouble::reading(&self.path, &error));
            let now = now.and_then(|()| self.look());
            self.again = now.as_ref().is_err_and(|trouble| trouble.passing);
            let now = now.map_err(|trouble| trouble.error);
            if self.again || self.told.as_ref() != Some(&now) {
                self.told = Some(now.clone());
                return now.map(|workloads| Listing { workloads, noticed });
            }
        }
    }
}
