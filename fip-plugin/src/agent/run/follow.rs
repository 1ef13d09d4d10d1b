//! The thread that listens to the source.

use std::io;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use super::News;
use crate::agent::source::OpenSource;

/// A source that fails is asked again, at first after this time.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// And at last this often.
const RETRY_LAST: Duration = Duration::from_secs(5);

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
            // Some sources sleep before they fail again: they need no rest.
            let again = failed && asked.elapsed() < delay;
            delay = if again { (delay * 2).min(RETRY_LAST) } else { RETRY_FIRST };
            if failed {
                thread::sleep(delay);
            }
        }
    };
    thread::Builder::new().name("source".to_owned()).spawn(follow)?;
    Ok(())
}
