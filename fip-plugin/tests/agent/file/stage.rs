//! A directory with a map in it, and whoever follows that.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use fip_plugin::agent::model::{Presence, Workload};
use fip_plugin::agent::source::file::FileSource;
use fip_plugin::agent::source::{Listing, Source, SourceError};
use fip_plugin::docker::Docker;

use crate::lab::PATIENCE;

/// A directory that goes with the test.
pub(super) struct Stage(PathBuf);

impl Stage {
    pub(super) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // In a directory of this process, so that no other one wakes up those who watch it.
        let name = format!("fip-map-{}/{count}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Where the map is.
    pub(super) fn map(&self) -> PathBuf {
        self.path("map")
    }

    /// Puts the map there as a whole.
    pub(super) fn place(&self, text: &str) {
        rename_over(&self.map(), text);
    }

    /// The map's source, with a Docker that is not there.
    pub(super) fn source(&self) -> FileSource {
        let socket = format!("unix://{}", self.path("no-docker.sock").display());
        FileSource::new(self.map(), Docker::new(&socket, Duration::from_secs(2)).unwrap())
    }

    /// Follows the map.
    pub(super) fn follow(&self) -> Follower {
        Follower::start(self.source())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        // The last one takes what is above with it.
        let _ = self.0.parent().map(fs::remove_dir);
    }
}

/// Writes beside and renames over.
pub(super) fn rename_over(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

/// Calls a source again and again, in a thread of its own.
pub(super) struct Follower(Receiver<Result<Listing, SourceError>>);

impl Follower {
    /// The thread ends when there is something new to tell and nobody to hear it: with the stage.
    pub(super) fn start(mut source: FileSource) -> Self {
        let (answers, follower) = channel();
        thread::spawn(move || while answers.send(source.next()).is_ok() {});
        Self(follower)
    }

    /// The next answer.
    #[track_caller]
    pub(super) fn answer(&self) -> Result<Vec<Workload>, SourceError> {
        let answer = self.0.recv_timeout(PATIENCE).expect("the source answers");
        answer.map(|listing| listing.workloads.into_iter().map(Arc::unwrap_or_clone).collect())
    }

    /// The next answer is this: pairs of what is asked for and the address where it shall lead.
    #[track_caller]
    pub(super) fn says(&self, expected: &[(&str, &str)]) {
        let found = self.answer().expect("a listing");
        let found: Vec<_> = found.iter().map(|found| (&*found.asks, &*found.name)).collect();
        assert_eq!(found, expected);
    }

    /// The next answer is an error that has this in it.
    #[track_caller]
    pub(super) fn complains_of(&self, text: &str) {
        let error = self.answer().expect_err("an error");
        assert!(error.what.contains(text) && error.hint.is_some(), "{error:?}");
    }

    /// One answer after the other, until none comes any more.
    pub(super) fn answers(&self) -> impl Iterator<Item = Result<Listing, SourceError>> {
        std::iter::from_fn(|| self.0.recv_timeout(PATIENCE).ok())
    }
}

/// The workload at that address of the inside.
pub(super) fn at(address: &str, asks: &str, age: u64) -> Workload {
    let fixed: IpAddr = address.parse().unwrap();
    Workload {
        id: format!("fixed:{fixed}"),
        name: fixed.to_string(),
        container: None,
        asks: asks.to_owned(),
        age,
        run: 0,
        presence: Presence::Running(vec![fixed]),
    }
}
