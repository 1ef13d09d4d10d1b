//! An end on request.

use std::thread;

use nix::sys::signal::{SigSet, Signal};

use crate::harness::Scratch;

/// Ends the program on SIGINT, SIGTERM and SIGHUP, without the files it made. Namespaces and
/// processes end with it by themselves. To be called before any other thread is started.
pub(crate) fn end_on_request() {
    let mut signals = SigSet::empty();
    signals.extend([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    signals.thread_block().expect("cannot block signals");
    thread::spawn(move || {
        let signal = signals.wait().expect("cannot wait for signals");
        Scratch::remove_own();
        std::process::exit(128 + signal as i32);
    });
}
