//! How often is asked at most.

use std::thread;
use std::time::{Duration, Instant};

/// How many polls may follow each other without a pause: a change of the environment gives two
/// versions, and often there are several at once.
const BURST: u32 = 4;
/// The time between polls after that.
const SPACING: Duration = Duration::from_secs(1);

/// Lets a few through at once, and then one a second.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// When as many as ever may be let through at once.
    rested: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rested: Instant::now() }
    }
}

impl Pace {
    /// Sleeps as long as it is too early.
    pub(super) fn wait(&mut self) {
        thread::sleep(self.pause(Instant::now()));
    }

    /// How long it is too early, for who comes now and then is let through.
    fn pause(&mut self, now: Instant) -> Duration {
        let from = self.rested.max(now);
        self.rested = from + SPACING;
        (self.rested - now).saturating_sub(SPACING * BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_pass_at_once_and_then_one_a_second() {
        let start = Instant::now();
        let mut pace = Pace { rested: start };
        for _ in 0..BURST {
            assert_eq!(pace.pause(start), Duration::ZERO);
        }
        assert_eq!(pace.pause(start), SPACING);
        assert_eq!(pace.pause(start + SPACING), SPACING);
    }

    #[test]
    fn time_without_polls_is_rest_but_no_more_than_a_few() {
        let start = Instant::now();
        let mut pace = Pace { rested: start };
        for _ in 0..BURST {
            pace.pause(start);
        }
        let later = start + SPACING * 2;
        assert_eq!(pace.pause(later), Duration::ZERO);
        assert_eq!(pace.pause(later), Duration::ZERO);
        assert_eq!(pace.pause(later), SPACING);
        let much_later = start + SPACING * 1000;
        for _ in 0..BURST {
            assert_eq!(pace.pause(much_later), Duration::ZERO);
        }
        assert_eq!(pace.pause(much_later), SPACING);
    }
}
