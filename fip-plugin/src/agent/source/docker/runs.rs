//! How often a container was started.

use std::collections::{BTreeMap, BTreeSet};

use super::bell::News;
use crate::docker::Container;

/// Counts the starts of containers: those that Docker told, and those that can only be concluded.
#[derive(Debug, Default)]
pub(in crate::agent::source) struct Runs(BTreeMap<String, Run>);

#[derive(Debug, Default)]
struct Run {
    count: u64,
    running: bool,
    /// It was listed as running, and no start was told since: Docker's lists are ahead of that.
    ahead: bool,
    endpoints: BTreeSet<String>,
}

impl Runs {
    /// The number of a container's run: another one after each start. A start that Docker may have
    /// told in vain shows in that all its endpoints are new ones.
    pub(in crate::agent::source) fn seen(&mut self, container: &Container, news: &News) -> u64 {
        let endpoints = container.networks.values().map(|its| &its.endpoint_id);
        let endpoints: BTreeSet<_> = endpoints.filter(|id| !id.is_empty()).cloned().collect();
        let told = news.starts.get(&container.id).copied().unwrap_or_default();
        let Some(before) = self.0.get_mut(&container.id) else {
            let ahead = container.running && told == 0;
            let run = Run { count: 0, running: container.running, ahead, endpoints };
            self.0.insert(container.id.clone(), run);
            return 0;
        };
        let others = !endpoints.is_empty() && endpoints.is_disjoint(&before.endpoints);
        let began = container.running && (!before.running || news.gap && others);
        // What is told first is then what was concluded before, unless it will never be told.
        let ahead = before.ahead && !news.gap && !news.ended.contains(&container.id);
        let new = told.saturating_sub(u64::from(ahead));
        let count = before.count + new.max(u64::from(began));
        let ahead = told == 0 && (ahead || began);
        *before = Run { count, running: container.running, ahead, endpoints };
        count
    }

    /// Forgets all other containers.
    pub(in crate::agent::source) fn forget_all_but(&mut self, ids: &[String]) {
        let ids: BTreeSet<&String> = ids.iter().collect();
        self.0.retain(|id, _| ids.contains(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::Attachment;

    fn container(running: bool, endpoints: &[&str]) -> Container {
        let networks = endpoints.iter().enumerate().map(|(number, endpoint)| {
            let endpoint_id = (*endpoint).to_owned();
            (number.to_string(), Attachment { endpoint_id, ..Attachment::default() })
        });
        let networks = networks.collect();
        Container { id: "c".to_owned(), running, networks, ..Container::default() }
    }

    fn told(starts: u64) -> News {
        News { starts: [("c".to_owned(), starts)].into(), ..News::default() }
    }

    fn restarted(starts: u64) -> News {
        News { ended: ["c".to_owned()].into(), ..told(starts) }
    }

    fn gap() -> News {
        News { gap: true, ..News::default() }
    }

    #[test]
    fn every_start_counts_and_nothing_else() {
        let mut runs = Runs::default();
        let none = News::default();
        assert_eq!(runs.seen(&container(false, &[""]), &none), 0);
        assert_eq!(runs.seen(&container(true, &["a"]), &told(1)), 1);
        assert_eq!(runs.seen(&container(true, &["b"]), &none), 1, "reconnected, all was told");
        assert_eq!(runs.seen(&container(true, &["b", "c"]), &gap()), 1, "connected unseen");
        assert_eq!(runs.seen(&container(true, &["c", "d"]), &gap()), 1, "moved unseen");
        assert_eq!(runs.seen(&container(true, &["e", "f"]), &gap()), 2, "restarted unseen");
        assert_eq!(runs.seen(&container(true, &["g"]), &restarted(3)), 5, "restarted three times");
        assert_eq!(runs.seen(&container(false, &[]), &none), 5);
        assert_eq!(runs.seen(&container(true, &[]), &gap()), 6, "started unseen");
        assert_eq!(runs.seen(&container(true, &[]), &gap()), 6, "it has no network at all");
        assert_eq!(runs.seen(&container(false, &[]), &told(1)), 7, "it ended at once");
    }

    #[test]
    fn a_start_that_is_listed_before_it_is_told_counts_once() {
        let none = News::default();
        for (first, second) in [(false, true), (true, true)] {
            let mut runs = Runs::default();
            assert_eq!(runs.seen(&container(first, &["a"]), &none), 0);
            let count = runs.seen(&container(second, &["a"]), &none);
            assert_eq!(count, u64::from(!first));
            assert_eq!(runs.seen(&container(true, &["a"]), &told(1)), count, "now it is told");
            assert_eq!(runs.seen(&container(true, &["b"]), &told(1)), count + 1, "another one");
        }
        // Of what ran before anybody listened no start is told.
        for news in [restarted(1), News { gap: true, ..told(1) }] {
            let mut runs = Runs::default();
            assert_eq!(runs.seen(&container(true, &["a"]), &gap()), 0);
            assert_eq!(runs.seen(&container(true, &["b"]), &news), 1);
        }
        // Told at last, it ended, and was started again.
        let mut runs = Runs::default();
        assert_eq!(runs.seen(&container(true, &["a"]), &none), 0);
        assert_eq!(runs.seen(&container(true, &["b"]), &told(2)), 1);
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut runs = Runs::default();
        runs.seen(&container(true, &[]), &told(1));
        runs.forget_all_but(&["other".to_owned()]);
        assert!(runs.0.is_empty());
    }
}
