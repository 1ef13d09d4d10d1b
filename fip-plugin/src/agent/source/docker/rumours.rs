//! What Docker has told, but perhaps not written down yet.
//!
//! Docker's events of a container's end, of its new name, and of its being connected and
//! disconnected, are some milliseconds ahead of its lists: it tells, then writes to disk, then
//! changes what it lists.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::docker::{Attachment, Change, Container};

/// A list that contradicts for longer is right: what was told later did not arrive.
const AHEAD: Duration = Duration::from_secs(3);

/// The rumours; until a list agrees.
#[derive(Debug, Clone, Default)]
pub(super) struct Rumours(Arc<Mutex<Heard>>);

#[derive(Debug, Default)]
struct Heard {
    /// The containers that have died, and were not started since.
    died: BTreeMap<String, Instant>,
    /// The new names of containers.
    renamed: BTreeMap<String, (String, Instant)>,
    /// Whether a container is connected to a network.
    connected: BTreeMap<Pair, (bool, Instant)>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    container: String,
    network: String,
}

impl Rumours {
    /// Takes note.
    pub(super) fn heard(&self, change: &Change) {
        let (mut heard, now) = (self.lock(), Instant::now());
        let mut connected = |container: &str, network: &str, on| {
            let pair = Pair { container: container.to_owned(), network: network.to_owned() };
            heard.connected.insert(pair, (on, now));
        };
        match change {
            Change::Connected { container, network } => connected(container, network, true),
            Change::Disconnected { container, network } => connected(container, network, false),
            Change::Died(id) => _ = heard.died.insert(id.clone(), now),
            Change::Started(id) | Change::Removed(id) => _ = heard.died.remove(id),
            Change::Renamed { container, name } if !name.is_empty() => {
                heard.renamed.insert(container.clone(), (name.clone(), now));
            }
            Change::Created(_) | Change::Renamed { .. } | Change::Network => {}
        }
    }

    /// Nothing of it is to be relied on any more.
    pub(super) fn forget(&self) {
        *self.lock() = Heard::default();
    }

    /// Makes containers that have died not run, and gives them their new names. Tells whether the
    /// list agrees with all else.
    pub(super) fn correct(&self, containers: &mut [Container]) -> bool {
        let mut heard = self.lock();
        heard.died.retain(|_, at| at.elapsed() < AHEAD);
        heard.renamed.retain(|_, (_, at)| at.elapsed() < AHEAD);
        for container in containers.iter_mut() {
            match container.running {
                true => container.running = !heard.died.contains_key(&container.id),
                false => _ = heard.died.remove(&container.id),
            }
            match heard.renamed.get(&container.id) {
                Some((name, _)) if *name != container.name => container.name.clone_from(name),
                _ => _ = heard.renamed.remove(&container.id),
            }
        }
        let known: BTreeMap<_, _> = containers.iter().map(|c| (c.id.as_str(), c)).collect();
        heard.connected.retain(|pair, (on, at)| {
            let container = known.get(pair.container.as_str()).filter(|c| c.running);
            container.is_some_and(|c| is_connected(c, &pair.network) != *on) && at.elapsed() < AHEAD
        });
        heard.connected.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_connected(container: &Container, network: &str) -> bool {
    let is_it = |its: &&Attachment| its.network_id == network;
    container.networks.values().find(is_it).is_some_and(|its| !its.endpoint_id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(running: bool, endpoint: &str) -> [Container; 1] {
        let (network_id, endpoint_id) = ("n".to_owned(), endpoint.to_owned());
        let attachment = Attachment { network_id, endpoint_id, ..Attachment::default() };
        let networks = [("net".to_owned(), attachment)].into();
        [Container { id: "c".to_owned(), running, networks, ..Container::default() }]
    }

    fn told(changes: &[Change]) -> Rumours {
        let rumours = Rumours::default();
        changes.iter().for_each(|change| rumours.heard(change));
        rumours
    }

    fn connected() -> Change {
        Change::Connected { container: "c".to_owned(), network: "n".to_owned() }
    }

    fn disconnected() -> Change {
        Change::Disconnected { container: "c".to_owned(), network: "n".to_owned() }
    }

    fn died() -> Change {
        Change::Died("c".to_owned())
    }

    #[test]
    fn what_has_died_does_not_run_until_it_is_started() {
        let rumours = told(&[died()]);
        let runs = |rumours: &Rumours, listed| {
            let mut list = list(listed, "e");
            assert!(rumours.correct(&mut list));
            list[0].running
        };
        assert!(!runs(&rumours, true));
        assert!(!runs(&rumours, true), "Docker has still not written it down");
        assert!(!runs(&rumours, false), "now it has");
        assert!(runs(&rumours, true), "it was started");
        for change in [Change::Started("c".to_owned()), Change::Removed("c".to_owned())] {
            assert!(runs(&told(&[died(), change]), true));
        }
        assert!(runs(&told(&[Change::Died("other".to_owned())]), true));
        let rumours = told(&[died(), connected()]);
        rumours.forget();
        assert!(runs(&rumours, true));
    }

    #[test]
    fn what_has_a_new_name_has_it_at_once() {
        let renamed =
            |name: &str| Change::Renamed { container: "c".to_owned(), name: name.to_owned() };
        let rumours = told(&[renamed("b"), renamed("c")]);
        let name = |listed: &str| {
            let [mut container] = list(true, "e");
            container.name = listed.to_owned();
            let mut list = [container];
            assert!(rumours.correct(&mut list));
            let [container] = list;
            container.name
        };
        assert_eq!(name("a"), "c");
        assert_eq!(name("b"), "c", "Docker has still not written it down");
        assert_eq!(name("c"), "c", "now it has");
        assert_eq!(name("d"), "d", "it was renamed");
    }

    #[test]
    fn a_list_that_is_behind_does_not_agree() {
        for (changes, running, endpoint, agrees) in [
            ([connected()].as_slice(), true, "e", true),
            (&[connected()], true, "", false),
            (&[disconnected()], true, "e", false),
            (&[disconnected()], true, "", true),
            (&[disconnected(), connected()], true, "e", true),
            (&[connected(), disconnected()], true, "e", false),
            // What does not run has no endpoints, whatever it will be connected to.
            (&[connected()], false, "", true),
            (&[died(), disconnected()], true, "e", true),
        ] {
            let agreed = told(changes).correct(&mut list(running, endpoint));
            assert_eq!(agreed, agrees, "{changes:?} {running} {endpoint:?}");
        }
        assert!(told(&[connected()]).correct(&mut []), "it is not asked for");
    }

    #[test]
    fn a_list_that_agrees_is_not_waited_for_again() {
        let rumours = told(&[connected()]);
        assert!(!rumours.correct(&mut list(true, "")));
        assert!(rumours.correct(&mut list(true, "e")));
        assert!(rumours.correct(&mut list(true, "")));
    }

    #[test]
    fn a_rumour_does_not_last() {
        let renamed = Change::Renamed { container: "c".to_owned(), name: "new".to_owned() };
        let rumours = told(&[died(), disconnected(), renamed]);
        let before = Instant::now().checked_sub(AHEAD).unwrap();
        let mut heard = rumours.lock();
        heard.died.values_mut().for_each(|at| *at = before);
        heard.renamed.values_mut().for_each(|(_, at)| *at = before);
        heard.connected.values_mut().for_each(|(_, at)| *at = before);
        drop(heard);
        let mut list = list(true, "e");
        assert!(rumours.correct(&mut list) && list[0].running);
        assert_eq!(list[0].name, "", "as it is listed");
    }
}
