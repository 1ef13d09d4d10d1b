//! What both daemons do alike: log, and end when they are told to.

use std::io;
use std::thread;

use log::LevelFilter;
use nix::sys::signal::{SigSet, Signal};

/// Logs to standard error, without a time: the service manager adds it. Libraries are heard from
/// warnings on.
pub fn start_log(level: LevelFilter) {
    let mut log = env_logger::Builder::new();
    log.filter_level(level.min(LevelFilter::Warn)).filter_module("fip_plugin", level);
    log.filter_module("fip_agent", level);
    log.format_target(false).init();
}

/// The signals that ask for the end (SIGINT and SIGTERM), held back.
#[derive(Debug)]
pub struct Signals(SigSet);

impl Signals {
    /// Holds them back in this thread, and in all that it starts from now on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn hold() -> io::Result<Self> {
        let set = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
        set.thread_block()?;
        Ok(Self(set))
    }

    /// Calls this once one of them has come, in a thread of its own.
    ///
    /// # Errors
    /// If there is no memory for a thread.
    pub fn then(self, end: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let wait = move || {
            if self.0.wait().is_ok() {
                end();
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
        Ok(())
    }
}
