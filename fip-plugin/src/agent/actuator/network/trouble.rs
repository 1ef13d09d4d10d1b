//! What fails is tried again, ever more rarely, and told once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// It is tried again, at first after this time.
const FIRST: Duration = Duration::from_millis(250);
/// And at last this often.
const LAST: Duration = Duration::from_secs(10);
/// An attempt that took longer has waited for another host already, and needs no longer rest.
const LONG: Duration = Duration::from_secs(1);
/// Of one thing, no more reasons than these are told: some are different each time.
const TOLD_MAX: usize = 16;

/// One thing that does not succeed.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    failures: u32,
    until: Option<Instant>,
    why: Option<String>,
    told: BTreeSet<String>,
}

impl Trouble {
    /// It failed, or failed again, and is not tried before the time that this sets. True if the
    /// reason is to be told.
    pub(super) fn fail(&mut self, now: Instant, why: Option<&str>) -> bool {
        let long = self.until.is_some_and(|begun| now.saturating_duration_since(begun) > LONG);
        let last = if long { LONG } else { LAST };
        let delay = FIRST.saturating_mul(1 << self.failures.min(16)).min(last);
        self.failures += 1;
        self.until = Some(now + delay);
        self.why = why.map(str::to_owned);
        let room = self.told.len() < TOLD_MAX;
        why.is_some_and(|why| room && self.told.insert(why.to_owned()))
    }

    /// The reason, if it is one that people want to know.
    pub(super) fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// When it is tried again, if that is not already so.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_once() {
        let (mut trouble, now) = (Trouble::default(), Instant::now());
        assert!(trouble.fail(now, Some("a")));
        assert!(trouble.fail(now, Some("b")));
        assert!(!trouble.fail(now, Some("a")));
        assert!(!trouble.fail(now, None));
        assert_eq!(trouble.why(), None);
        assert!(!trouble.fail(now, Some("b")));
        assert_eq!(trouble.why(), Some("b"));
        let told = (0..100).filter(|n| trouble.fail(now, Some(&n.to_string()))).count();
        assert_eq!(told, TOLD_MAX - 2);
    }

    #[test]
    fn it_is_tried_ever_more_rarely() {
        let (mut trouble, now) = (Trouble::default(), Instant::now());
        assert_eq!(trouble.until(now), None);
        for millis in [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000] {
            trouble.fail(now, None);
            assert_eq!(trouble.until(now), Some(now + Duration::from_millis(millis)));
        }
        (0..100).for_each(|_| _ = trouble.fail(now, None));
        assert_eq!(trouble.until(now), Some(now + LAST));
        assert_eq!(trouble.until(now + LAST), None);
    }

    #[test]
    fn what_takes_long_is_tried_again_soon() {
        let (mut trouble, mut now) = (Trouble::default(), Instant::now());
        for millis in [250, 500, 1000, 1000, 1000] {
            now += 2 * LONG;
            trouble.fail(now, None);
            let until = now + Duration::from_millis(millis);
            assert_eq!(trouble.until(now), Some(until));
            now = until;
        }
    }
}
