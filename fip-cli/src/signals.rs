//! Signals, as messages to the thread that works.

use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use nix::sys::signal::{SigSet, Signal};

use fip_core::kernel::Waker;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// End.
    Stop,
    /// Read the file again.
    Reload,
}

/// Signals that wait to be taken instead of ending the process.
pub(crate) struct Signals(SigSet);

impl Signals {
    /// Holds back SIGINT and SIGTERM and, if `reload`, SIGHUP. To be called before any thread is
    /// started: threads inherit it.
    pub(crate) fn hold(reload: bool) -> io::Result<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGINT);
        set.add(Signal::SIGTERM);
        if reload {
            set.add(Signal::SIGHUP);
        }
        set.thread_block()?;
        Ok(Self(set))
    }

    /// Takes the signals, in a thread that lives as long as the process: each becomes a request
    /// and wakes `waker`.
    pub(crate) fn take(self, waker: Waker) -> io::Result<Receiver<Request>> {
        let (sender, receiver) = channel();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            while let Ok(signal) = self.0.wait() {
                let request = match signal {
                    Signal::SIGHUP => Request::Reload,
                    _ => Request::Stop,
                };
                if sender.send(request).is_err() {
                    return;
                }
                waker.wake();
            }
        })?;
        Ok(receiver)
    }
}
