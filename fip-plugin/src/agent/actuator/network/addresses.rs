//! Which floating addresses are here, and what is told of their comings and goings.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use super::sight::There;
use crate::agent::actuator::Signal;

#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// Where each one leads to: a container's id.
    present: BTreeMap<IpAddr, String>,
    /// The endpoints that were there at the first look: nothing came with them.
    old: Option<BTreeSet<String>>,
}

impl Addresses {
    /// What is to be told of this look. `asked`: since when a container has been waiting for an
    /// address.
    pub(super) fn update(
        &mut self,
        there: &BTreeMap<String, There>,
        asked: impl Fn(&str, IpAddr) -> Option<Instant>,
    ) -> Vec<Signal> {
        let endpoint = |there: &There| Some(there.attached.as_ref()?.endpoint.clone());
        let old = self.old.get_or_insert_with(|| there.values().filter_map(endpoint).collect());
        let mut present = BTreeMap::new();
        let mut signals = Vec::new();
        for (container, there) in there {
            let is_old = endpoint(there).is_some_and(|endpoint| old.contains(&endpoint));
            for address in there.floating() {
                let known = self.present.get(&address) == Some(container);
                if let Some(asked) = asked(container, address).filter(|_| !known && !is_old) {
                    signals.push(Signal::Came { address, took: asked.elapsed() });
                }
                present.insert(address, container.clone());
            }
        }
        let gone = self.present.keys().filter(|address| !present.contains_key(address));
        signals.extend(gone.map(|&address| Signal::Left { address }));
        self.present = present;
        signals
    }
}

#[cfg(test)]
mod tests {
    use super::super::sight::{Attached, Whose};
    use super::*;
    use crate::options::parse_floating;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn there(container: &str, endpoint: &str, whose: Whose) -> BTreeMap<String, There> {
        let attached = Some(Attached { endpoint: endpoint.to_owned(), whose });
        let there = There { name: "web".to_owned(), running: true, shares: false, attached };
        [(container.to_owned(), there)].into()
    }

    fn ours() -> Whose {
        Whose::Ours(parse_floating("192.0.2.1").unwrap())
    }

    /// What is told of a look: `+` and `-`.
    fn told(addresses: &mut Addresses, there: &BTreeMap<String, There>) -> String {
        let signals = addresses.update(there, |_, _| Some(Instant::now()));
        let sign = |signal| match signal {
            Signal::Came { address, .. } => format!("+{address}"),
            Signal::Left { address } => format!("-{address}"),
            other => panic!("{other:?}"),
        };
        signals.into_iter().map(sign).collect()
    }

    #[test]
    fn an_address_comes_moves_and_leaves() {
        let mut addresses = Addresses::default();
        assert_eq!(told(&mut addresses, &BTreeMap::new()), "");
        assert_eq!(told(&mut addresses, &there("a", "1", Whose::Unknown)), "");
        assert_eq!(told(&mut addresses, &there("a", "1", ours())), "+192.0.2.1");
        assert_eq!(told(&mut addresses, &there("a", "1", ours())), "");
        assert_eq!(told(&mut addresses, &there("b", "2", ours())), "+192.0.2.1");
        let mut stopped = there("b", "", ours());
        stopped.values_mut().for_each(|there| there.running = false);
        assert_eq!(told(&mut addresses, &stopped), "-192.0.2.1");
        assert_eq!(told(&mut addresses, &there("b", "3", ours())), "+192.0.2.1");
        assert_eq!(told(&mut addresses, &BTreeMap::new()), "-192.0.2.1");
    }

    #[test]
    fn what_was_there_before_has_not_come() {
        let mut addresses = Addresses::default();
        assert_eq!(told(&mut addresses, &there("a", "1", Whose::Unknown)), "");
        assert_eq!(told(&mut addresses, &there("a", "1", ours())), "");
        assert_eq!(told(&mut addresses, &there("a", "2", ours())), "");
        assert_eq!(told(&mut addresses, &BTreeMap::new()), "-192.0.2.1");
        assert_eq!(told(&mut addresses, &there("a", "2", ours())), "+192.0.2.1");
    }

    #[test]
    fn nobody_asked_for_what_is_only_left_over() {
        let mut addresses = Addresses::default();
        assert_eq!(addresses.update(&BTreeMap::new(), |_, _| None), []);
        assert_eq!(addresses.update(&there("a", "1", ours()), |_, _| None), []);
        assert_eq!(
            addresses.update(&BTreeMap::new(), |_, _| None),
            [Signal::Left { address: ADDRESS }]
        );
    }
}
