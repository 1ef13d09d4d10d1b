//! The thread that holds all bindings of the plugin: what others undo (`nft flush ruleset`, a
//! firewall's restart) is done again at once, and a rival's newer claim is yielded to.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use fip_core::claim::{Claim, RivalPolicy};
use fip_core::error::{Chain, Error, Result};
use fip_core::fip::{BindOptions, Event, OnRival, Watch};
use fip_core::kernel::{Kernel, Waker};
use fip_core::{Binding, FloatingIps, Owner};

/// After the kernel's notifications could not be read, they are tried again after this time.
const PAUSE: Duration = Duration::from_secs(1);

type Task<K> = Box<dyn FnOnce(&mut Watch<K>) + Send>;

/// The way to the thread. It ends with this.
pub(super) struct Keeper<K: Kernel> {
    tasks: Sender<Task<K>>,
    waker: Waker,
}

impl<K> Keeper<K>
where
    K: Kernel + Send + 'static,
    K::Monitor: Send,
{
    /// Starts the thread, which holds these of these owners, and none of theirs besides.
    pub(super) fn start(
        fips: FloatingIps<K>,
        owners: Vec<Owner>,
        desired: Vec<Binding>,
    ) -> Result<Self> {
        let watch = fips.watch(owners, desired, BindOptions::default(), OnRival::Yield)?;
        let waker = watch.waker();
        let (tasks, queue) = channel();
        let thread = thread::Builder::new().name("keeper".to_owned());
        let started = thread.spawn(move || keep(watch, &queue));
        started.map_err(|error| Error::kernel("start a thread", error))?;
        Ok(Self { tasks, waker })
    }

    /// Has the thread do something, and waits for it.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Watch<K>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let gone = || Error::Busy("the plugin is about to stop".to_owned());
        let (answer, done) = channel();
        let task = Box::new(move |watch: &mut Watch<K>| {
            // Who does not wait for the answer any more has no use for it.
            let _ = answer.send(work(watch));
        });
        self.tasks.send(task).map_err(|_| gone())?;
        self.waker.wake();
        done.recv().map_err(|_| gone())?
    }
}

impl<K: Kernel> Drop for Keeper<K> {
    fn drop(&mut self) {
        // The thread ends when it finds that nobody can send tasks any more.
        self.tasks = channel().0;
        self.waker.wake();
    }
}

/// How addresses are bound that were found free before.
pub(super) fn claimed() -> BindOptions {
    let claim = Claim { policy: RivalPolicy::TakeOver, ..Claim::default() };
    BindOptions { claim, ..BindOptions::default() }
}

fn keep<K: Kernel>(mut watch: Watch<K>, queue: &Receiver<Task<K>>) {
    use std::sync::mpsc::TryRecvError::Disconnected;
    // While no plugin ran here, nobody yielded.
    if let Err(error) = watch.look_for_rivals() {
        log::warn!("no search for other hosts with our addresses: {}", Chain(&error));
    }
    loop {
        match watch.next(None) {
            Ok(event) => event.iter().for_each(tell),
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

fn tell(event: &Event) {
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
        Event::Failed(error) => log::warn!("{}", super::failure::with_hint(error)),
        Event::Woken => {}
    }
}

/// How long something took, in milliseconds, for the log.
pub(super) fn since(began: Instant) -> String {
    format!("{:.1} ms", began.elapsed().as_secs_f64() * 1e3)
}
