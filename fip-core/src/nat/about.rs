//! What has to be known of the elements to change a few bindings, however many there are.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::binding::LinkName;

use super::{Elements, Family, INTERNAL, Key, MASQUERADED, THROUGH, Value};

/// What a change is about.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The floating addresses whose bindings change: no other translation does.
    pub floating: BTreeSet<IpAddr>,
    /// The fixed addresses that they shall lead to.
    pub fixed: BTreeSet<IpAddr>,
    /// The links that shall carry them.
    pub uplinks: BTreeSet<LinkName>,
    /// The subnets of this host.
    pub subnets: Vec<IpNetwork>,
}

/// The table's maps, to be searched.
pub trait Maps {
    /// Why a search failed.
    type Error;

    /// What the key leads to.
    fn get(&mut self, key: &Key) -> Result<Option<Value>, Self::Error>;

    /// Hands on the elements of a map, in any order, until `each` wants no more of them.
    fn visit(
        &mut self,
        map: &'static str,
        each: &mut dyn FnMut(Key, Value) -> bool,
    ) -> Result<(), Self::Error>;
}

/// So many of the elements that a change of what it is about is the same as if all were known: the
/// bindings of the floating addresses, what is where theirs shall be, all networks and bridges, and
/// of the other bindings one each for what is still of use because of them (a network, a family).
///
/// # Errors
/// Those of the search.
pub fn elements_about<M: Maps>(about: &About, maps: &mut M) -> Result<Elements, M::Error> {
    let mut found = Elements::new();
    for &floating in &about.floating {
        look_up(maps, Key::Dnat(floating), &mut found)?;
    }
    let families: BTreeSet<Family> = about.floating.iter().copied().map(Family::of).collect();
    for family in families {
        maps.visit(family.port(), &mut |key, value| {
            if about.is_of(&key) {
                found.insert(key, value);
            }
            true
        })?;
        take_all(maps, family.hairpin(), &mut found)?;
    }
    let networks = about.networks(&found);
    about.look_up_egress(maps, &mut found)?;
    for map in [THROUGH, MASQUERADED, INTERNAL] {
        take_all(maps, map, &mut found)?;
    }
    for family in Family::ALL {
        let networks = networks.iter().filter(|network| Family::of(network.ip()) == family);
        about.look_for_others(maps, family, networks.copied().collect(), &mut found)?;
    }
    Ok(found)
}

impl About {
    fn is_of(&self, key: &Key) -> bool {
        matches!(key, Key::Dnat(floating) | Key::Port(floating, ..) if self.floating.contains(floating))
    }

    /// The networks that may be of use no longer: those of the fixed addresses that are bound now.
    fn networks(&self, found: &Elements) -> Vec<IpNetwork> {
        let fixed: Vec<IpAddr> = found.values().filter_map(Value::fixed).collect();
        let known = found.keys().filter_map(|key| match key {
            Key::Hairpin(network) => Some(*network),
            _ => None,
        });
        let all: BTreeSet<IpNetwork> = known.chain(self.subnets.iter().copied()).collect();
        let is_concerned = |network: &IpNetwork| fixed.iter().any(|fixed| network.contains(*fixed));
        all.into_iter().filter(is_concerned).collect()
    }

    /// From where the fixed addresses send, and whose those floating addresses are.
    fn look_up_egress<M: Maps>(&self, maps: &mut M, found: &mut Elements) -> Result<(), M::Error> {
        let noted = found.values().filter_map(|value| value.note()?.uplink.clone());
        let uplinks: BTreeSet<LinkName> = noted.chain(self.uplinks.iter().cloned()).collect();
        let bound = found.values().filter_map(Value::fixed);
        let fixed: BTreeSet<IpAddr> = bound.chain(self.fixed.iter().copied()).collect();
        for uplink in &uplinks {
            for &fixed in &fixed {
                let egress = look_up(maps, Key::Snat(uplink.clone(), fixed), found)?;
                if let Some(Value::Snat(holder)) = egress {
                    look_up(maps, Key::Dnat(holder), found)?;
                }
            }
        }
        Ok(())
    }

    /// Finds a binding of another floating address of this family, and one in each network, as far
    /// as there are such.
    fn look_for_others<M: Maps>(
        &self,
        maps: &mut M,
        family: Family,
        mut networks: Vec<IpNetwork>,
        found: &mut Elements,
    ) -> Result<(), M::Error> {
        let mut any = false;
        for map in [family.dnat(), family.port()] {
            if any && networks.is_empty() {
                break;
            }
            maps.visit(map, &mut |key, value| {
                let Some(fixed) = value.fixed().filter(|_| !self.is_of(&key)) else { return true };
                let before = networks.len();
                networks.retain(|network| !network.contains(fixed));
                if !any || networks.len() < before {
                    found.insert(key, value);
                }
                any = true;
                !networks.is_empty()
            })?;
        }
        Ok(())
    }
}

fn look_up<M: Maps>(
    maps: &mut M,
    key: Key,
    found: &mut Elements,
) -> Result<Option<Value>, M::Error> {
    let value = maps.get(&key)?;
    if let Some(value) = &value {
        found.insert(key, value.clone());
    }
    Ok(value)
}

fn take_all<M: Maps>(
    maps: &mut M,
    map: &'static str,
    found: &mut Elements,
) -> Result<(), M::Error> {
    maps.visit(map, &mut |key, value| {
        found.insert(key, value);
        true
    })
}

/// All elements, in memory.
impl Maps for Elements {
    type Error = Infallible;

    fn get(&mut self, key: &Key) -> Result<Option<Value>, Infallible> {
        Ok(Elements::get(self, key).cloned())
    }

    fn visit(
        &mut self,
        map: &'static str,
        each: &mut dyn FnMut(Key, Value) -> bool,
    ) -> Result<(), Infallible> {
        let mut of_map = self.iter().filter(|(key, _)| key.map() == map);
        let unwanted = |(key, value): &(&Key, &Value)| !each((*key).clone(), (*value).clone());
        let _ = of_map.find(unwanted);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nat::Note;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn another_binding_of_the_same_network_is_found_behind_those_of_others() {
        let dnat = |floating: &str, fixed: &str| {
            (Key::Dnat(ip(floating)), Value::Dnat(ip(fixed), Note::read("owner=cli")))
        };
        let mut all: Elements = [
            dnat("192.0.2.1", "172.18.0.2"),
            dnat("192.0.2.2", "172.19.0.2"),
            dnat("192.0.2.3", "172.19.0.3"),
            dnat("192.0.2.4", "172.19.0.4"),
        ]
        .into();
        let subnets = vec!["172.18.0.0/16".parse().unwrap(), "172.19.0.0/16".parse().unwrap()];
        let floating = [ip("192.0.2.4")].into();
        let about = About { floating, subnets, ..About::default() };
        let Ok(found) = elements_about(&about, &mut all);
        let found: Vec<String> = found.keys().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1", "192.0.2.2", "192.0.2.4"]);
    }
}
