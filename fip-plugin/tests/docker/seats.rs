//! How many machines there are at once.

use std::num::NonZero;
use std::sync::{Condvar, Mutex};
use std::thread::available_parallelism;

static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// Room for one machine, until dropped.
pub(crate) struct Seat(());

impl Seat {
    /// Waits for room for `N` machines. They are had together or not at all: two tests that hold
    /// one each and wait for a second would wait for ever.
    pub(crate) fn take<const N: usize>() -> [Self; N] {
        // Two hosts must be possible everywhere.
        let all = available_parallelism().map_or(2, NonZero::get).max(2);
        assert!(N <= all, "{N} machines at once, and only {all} may be");
        let taken = TAKEN.lock().unwrap();
        let mut taken = FREED.wait_while(taken, |taken| *taken + N > all).unwrap();
        *taken += N;
        std::array::from_fn(|_| Self(()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap() -= 1;
        FREED.notify_all();
    }
}
