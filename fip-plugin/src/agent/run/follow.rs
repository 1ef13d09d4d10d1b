//! The thread that listens to the source.

use std::io;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use super::News;
use crate::agent::source::OpenSource;

/// A source that fails is asked again, at first so long after the question before.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// And at last so long after it.
const RETRY_LAST: Duration = Duration::from_secs(5);
/// What takes so long to fail is not asked often: it needs no rest. Some sources sleep until
/// something changes, and then fail again.
const SLOW: Duration = Duration::from_secs(1);

/// Opens a source, and tells what it says until nobody listens any more.
pub(super) fn start(open: &OpenSource, sender: Sender<News>) -> io::Result<()> {
    let mut source = open();
    let follow = move || {
        let mut delay = RETRY_FIRST;
        loop {
            let asked = Instant::now();
            let answer = source.next();
            let failed = answer.is_err();
            if sender.send(answer.map_or_else(News::Failed, News::Listed)).is_err() {
                return;
            }
            if failed {
                thread::sleep(rest(&mut delay, asked.elapsed()));
            } else {
                delay = RETRY_FIRST;
            }
        }
    };
    thread::Builder::new().name("source".to_owned()).spawn(follow)?;
    Ok(())
}

/// How long to wait after a question that has failed, and took so long: that is part of the delay.
fn rest(delay: &mut Duration, took: Duration) -> Duration {
    *delay = if took >= SLOW { RETRY_FIRST } else { (*delay * 2).min(RETRY_LAST) };
    delay.saturating_sub(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rests(took: Duration) -> Vec<Duration> {
        let mut delay = RETRY_FIRST;
        (0..8).map(|_| rest(&mut delay, took)).collect()
    }

    #[test]
    fn a_source_that_fails_at_once_is_asked_ever_more_rarely() {
        let millis = [200, 400, 800, 1600, 3200, 5000, 5000, 5000];
        assert_eq!(rests(Duration::ZERO), millis.map(Duration::from_millis));
    }

    #[test]
    fn one_that_needs_long_to_fail_is_asked_no_more_often() {
        let millis = [0, 0, 300, 1100, 2700, 4500, 4500, 4500];
        assert_eq!(rests(Duration::from_millis(500)), millis.map(Duration::from_millis));
    }

    #[test]
    fn one_that_sleeps_before_it_fails_needs_no_rest() {
        assert_eq!(rests(SLOW), [Duration::ZERO; 8]);
    }
}
