//! The thread that holds all bindings of a program: what others undo (`nft flush ruleset`, a
//! firewall's restart) is done again at once, and a rival's newer claim is yielded to.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fip_core::claim::{Claim, RivalPolicy};
use fip_core::error::{Chain, Error, Result};
use fip_core::fip::{BindOptions, Event, OnRival, Watch};
use fip_core::kernel::{Kernel, Waker};
use fip_core::{Binding, FloatingIps, Owner};

/// After the kernel's notifications could not be read, they are tried again after this time.
const PAUSE: Duration = Duration::from_secs(1);

type Task<K> = Box<dyn FnOnce(&mut Watch<K>) + Send>;

/// The way to the thread. It ends with this, and has ended when this is gone: what it held is
/// another's to change then.
pub(crate) struct Keeper<K: Kernel> {
    tasks: Sender<Task<K>>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl<K> Keeper<K>
where
    K: Kernel + Send + 'static,
    K::Monitor: Send,
{
    /// Starts the thread, which holds these of these owners, and none of theirs besides. What
    /// happens is told to `heard`, in that thread.
    pub(crate) fn start(
        fips: FloatingIps<K>,
        owners: Vec<Owner>,
        desired: Vec<Binding>,
        options: BindOptions,
        heard: impl FnMut(&Event) + Send + 'static,
    ) -> Result<Self> {
        let watch = fips.watch(owners, desired, options, OnRival::Yield)?;
        let waker = watch.waker();
        let (tasks, queue) = channel();
        let thread = thread::Builder::new().name("keeper".to_owned());
        let started = thread.spawn(move || keep(watch, &queue, heard));
        let thread = started.map_err(|error| Error::kernel("start a thread", error))?;
        Ok(Self { tasks, waker, thread: Some(thread) })
    }

    /// Has the thread do something, and waits for it.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Watch<K>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, done) = channel();
        self.send(move |watch| {
            // Who does not wait for the answer any more has no use for it.
            let _ = answer.send(work(watch));
        })?;
        done.recv().map_err(|_| gone())?
    }

    /// Has the thread do something, some time.
    pub(crate) fn send(&self, work: impl FnOnce(&mut Watch<K>) + Send + 'static) -> Result<()> {
        self.tasks.send(Box::new(work)).map_err(|_| gone())?;
        self.waker.wake();
        Ok(())
    }
}

impl<K: Kernel> Drop for Keeper<K> {
    fn drop(&mut self) {
        // The thread ends when it finds that nobody can send tasks any more.
        self.tasks = channel().0;
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            // A panic in it was told already.
            let _ = thread.join();
        }
    }
}

fn gone() -> Error {
    Error::Busy("this program is about to stop".to_owned())
}

/// How addresses are bound that were found free before.
pub(crate) fn claimed() -> BindOptions {
    let claim = Claim { policy: RivalPolicy::TakeOver, ..Claim::default() };
    BindOptions { claim, ..BindOptions::default() }
}

fn keep<K: Kernel>(mut watch: Watch<K>, queue: &Receiver<Task<K>>, mut heard: impl FnMut(&Event)) {
    use std::sync::mpsc::TryRecvError::Disconnected;
    // While no such program ran here, nobody yielded.
    if let Err(error) = watch.look_for_rivals() {
        log::warn!("no search for other hosts with our addresses: {}", Chain(&error));
    }
    loop {
        match watch.next(None) {
            Ok(event) => event.iter().for_each(&mut heard),
            Err(error) => {
                log::error!("the kernel's notifications cannot be read: {}", Chain(&error));
                thread::sleep(PAUSE);
            }
        }
        loop {
            match queue.try_recv() {
                Ok(task) => task(&mut watch),
                Err(Disconnected) => return,
                Err(_) => break,
            }
        }
    }
}

/// Tells in the log what happened; a failure in the words of `explain`.
pub(crate) fn note(event: &Event, explain: impl Fn(&Error) -> String) {
    match event {
        Event::Repaired(report) => {
            report.changes.iter().for_each(|change| log::warn!("repaired: {change}"));
        }
        Event::Rival { address, link, mac, .. } => {
            log::warn!("{address} was yielded to {mac}, which claims it on {link}");
        }
        Event::Announced { link, addresses } => {
            log::info!("{link} has carrier again: {addresses} addresses announced");
        }
        Event::Warning(warning) => log::info!("{warning}"),
        Event::Failed(error) => log::warn!("{}", explain(error)),
        Event::Challenged { address, link, mac } => {
            log::debug!("{mac} asks for {address} on {link}");
        }
        Event::Woken => {}
    }
}

/// How long something took, in milliseconds, for the log.
pub(crate) fn since(began: Instant) -> String {
    format!("{:.1} ms", began.elapsed().as_secs_f64() * 1e3)
}
