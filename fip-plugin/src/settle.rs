//! The way back for a workload's replies, once Docker has moved its link.
//!
//! The driver makes a pair of links and answers Join. Only then does Docker move the far end into
//! the container's network namespace (which Docker before 28 has not even made by then), rename
//! it, give it its addresses and set it up: all of that 45 to 350 ms later. Source routes
//! ([`fip_core::source_route`]) can be set no earlier, and Docker waits for nobody. So each
//! endpoint gets a thread of its own that waits for the kernel's news of these steps, sets the
//! routes, and ends.

mod job;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fip_core::kernel::{Kernel, Mac, Waker};
use fip_core::netns::NetNs;
use fip_core::source_route;
use fip_core::{Error, LinkName, Result};
use ipnetwork::IpNetwork;
use log::warn;

/// How long after Join Docker may take. It takes some 350 ms; on a host whose kernel is busy with the
/// end of many network namespaces, half a minute.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Opens the kernel, in the host's network namespace.
pub type Open<K> = Arc<dyn Fn() -> Result<K> + Send + Sync>;

/// An endpoint that has joined.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub endpoint: String,
    /// The file of the container's network namespace (`SandboxKey` of Join). It need not exist yet.
    pub sandbox: PathBuf,
    /// The name that the far end has as long as it is in the host's namespace (`SrcName`).
    pub far: LinkName,
    /// The Ethernet address of the far end, by which it is known under its new name.
    pub mac: Mac,
    /// The fixed addresses with the prefix lengths of their subnets, each with its gateway.
    pub routes: Vec<(IpNetwork, IpAddr)>,
}

/// Sets source routes when their time has come.
pub struct Settler<K> {
    open: Open<K>,
    patience: Duration,
    under_way: Mutex<HashMap<String, UnderWay>>,
}

/// A job's thread.
struct UnderWay {
    stop: Arc<Stop>,
    thread: JoinHandle<()>,
}

impl<K: Kernel + 'static> Settler<K> {
    /// A settler that gives a job up [`PATIENCE`] after its start.
    pub fn new(open: Open<K>) -> Self {
        Self::with_patience(open, PATIENCE)
    }

    /// The same with another patience.
    pub fn with_patience(open: Open<K>, patience: Duration) -> Self {
        Self { open, patience, under_way: Mutex::default() }
    }

    /// Starts the job, and returns at once. An earlier job of the same endpoint is cancelled.
    ///
    /// How it ends is logged: what was set, or in one line why nothing was.
    pub fn start(&self, job: Job) {
        let deadline = Instant::now() + self.patience;
        let mut under_way = self.lock();
        if let Some(earlier) = under_way.remove(&job.endpoint) {
            earlier.end();
        }
        under_way.retain(|_, job| !job.thread.is_finished());
        let endpoint = job.endpoint.clone();
        let stop = Arc::new(Stop::default());
        let (open, stopped) = (Arc::clone(&self.open), Arc::clone(&stop));
        let thread = thread::Builder::new().name("settle".to_owned());
        match thread.spawn(move || job::run(&open, &job, deadline, &stopped)) {
            Ok(thread) => {
                under_way.insert(endpoint, UnderWay { stop, thread });
            }
            Err(error) => warn!("endpoint {endpoint}: no thread to set source routes: {error}"),
        }
    }

    /// Whether the namespace is there, as far as can be seen from here.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub fn is_there(&self, sandbox: &Path) -> Result<bool> {
        match (self.open)()?.in_netns(&netns(sandbox)?) {
            Err(error) if is_no_namespace(&error) => Ok(false),
            inside => inside.map(|_| true),
        }
    }

    /// Takes away what a job has set for these fixed addresses, and tells what that was, in the
    /// manner of ip(8). A namespace that is gone is fine: its rules went with it.
    ///
    /// # Errors
    /// The first thing that the kernel refused; the other addresses are tried all the same.
    pub fn undo(&self, sandbox: &Path, fixed: &[IpAddr]) -> Result<Vec<String>> {
        let mut inside = match (self.open)()?.in_netns(&netns(sandbox)?) {
            Err(error) if is_no_namespace(&error) => return Ok(Vec::new()),
            inside => inside?,
        };
        let mut changes = Ok(Vec::new());
        for &address in fixed {
            match (source_route::remove(&mut inside, address), &mut changes) {
                (Ok(made), Ok(changes)) => changes.extend(made),
                (Err(error), Ok(_)) => changes = Err(error),
                (_, Err(_)) => {}
            }
        }
        changes
    }
}

impl<K> Settler<K> {
    /// Ends the endpoint's job, if it is still under way. When this returns, it sets nothing more.
    pub fn cancel(&self, endpoint: &str) {
        let found = self.lock().remove(endpoint);
        if let Some(job) = found {
            job.end();
        }
    }

    /// How many jobs are under way.
    pub fn under_way(&self) -> usize {
        self.lock().values().filter(|job| !job.thread.is_finished()).count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, UnderWay>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Drop for Settler<K> {
    fn drop(&mut self) {
        let jobs = std::mem::take(&mut *self.lock());
        jobs.into_values().for_each(UnderWay::end);
    }
}

impl UnderWay {
    /// Ends the job, and waits for that.
    fn end(self) {
        self.stop.stop();
        // What a panic has to say, it has said already.
        let _ = self.thread.join();
    }
}

/// Ends a job, whatever it is waiting for.
#[derive(Default)]
struct Stop(Mutex<(bool, Option<Waker>)>);

impl Stop {
    fn stop(&self) {
        let mut state = self.lock();
        state.0 = true;
        if let Some(waker) = &state.1 {
            waker.wake();
        }
    }

    /// From now on this is what has to be woken.
    fn waits_at(&self, waker: Waker) {
        self.lock().1 = Some(waker);
    }

    fn is_stopped(&self) -> bool {
        self.lock().0
    }

    fn lock(&self) -> MutexGuard<'_, (bool, Option<Waker>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn netns(sandbox: &Path) -> Result<NetNs> {
    sandbox.to_string_lossy().parse()
}

/// Whether there is no namespace, or only the empty file that one will be mounted on.
fn is_no_namespace(error: &Error) -> bool {
    error.is_not_found() || matches!(error, Error::Unsupported { .. })
}
