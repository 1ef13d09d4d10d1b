//! Which tracked connections a change of bindings makes wrong.
//!
//! Translation is decided once for a connection, so a long-lived flow would go on to the old
//! workload, or untranslated, until it falls silent. Exactly the flows whose translation changes
//! are forgotten; the next packet of each is translated anew, or answered by the new host.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::binding::{Binding, Protocol};
use crate::kernel::{Flows, Which};

/// How one floating address is translated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Translation {
    whole: Option<IpAddr>,
    egress: Option<IpAddr>,
    ports: BTreeMap<(Protocol, u16), (IpAddr, u16)>,
}

impl Translation {
    fn of<'b>(bindings: impl Iterator<Item = &'b Binding>) -> Self {
        let mut this = Self::default();
        for binding in bindings {
            if binding.is_whole_address() {
                this.whole = Some(binding.fixed());
                this.egress = binding.egress().then(|| binding.fixed());
            }
            this.ports.extend(binding.ports().iter().map(|port| {
                ((port.protocol, port.port), (binding.fixed(), port.fixed_port))
            }));
        }
        this
    }

    fn port(&self, port: (Protocol, u16)) -> Option<(IpAddr, u16)> {
        self.ports.get(&port).copied().or_else(|| Some((self.whole?, port.1)))
    }
}

/// The flows of `floating` whose translation differs between its bindings `before` and `after`.
pub fn outdated<'b>(
    floating: IpAddr,
    before: impl Iterator<Item = &'b Binding>,
    after: impl Iterator<Item = &'b Binding>,
) -> Vec<Flows> {
    let (before, after) = (Translation::of(before), Translation::of(after));
    let ports: BTreeMap<(Protocol, u16), bool> = before
        .ports
        .keys()
        .chain(after.ports.keys())
        .map(|&port| (port, before.port(port) != after.port(port)))
        .collect();
    let mut which = Vec::new();
    if before.whole != after.whole {
        which.push(Which::Except(ports.keys().copied().collect()));
    } else if before.egress != after.egress {
        which.push(Which::Outbound);
    }
    let changed: Vec<_> = ports.into_iter().filter_map(|(port, new)| new.then_some(port)).collect();
    if !changed.is_empty() {
        which.push(Which::Only(changed));
    }
    which.into_iter().map(|which| Flows { floating, which }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(fixed: &str, ports: &[&str]) -> Binding {
        let floating = "192.0.2.1".parse().unwrap();
        let whole = Binding::new(floating, fixed.parse().unwrap()).unwrap();
        ports.iter().fold(whole, |binding, port| binding.port(port.parse().unwrap()))
    }

    fn which(before: &[Binding], after: &[Binding]) -> Vec<Which> {
        let floating = "192.0.2.1".parse().unwrap();
        outdated(floating, before.iter(), after.iter()).into_iter().map(|f| f.which).collect()
    }

    const HTTP: (Protocol, u16) = (Protocol::Tcp, 80);

    #[test]
    fn nothing_changed_nothing_forgotten() {
        let both = [binding("172.18.0.2", &[]), binding("172.18.0.3", &["tcp:80"])];
        assert_eq!(which(&both, &both), []);
    }

    #[test]
    fn a_whole_address_leaves_port_bindings_alone() {
        let (whole, port) = (binding("172.18.0.2", &[]), binding("172.18.0.3", &["tcp:80"]));
        let both = [whole.clone(), port.clone()];
        assert_eq!(which(&both, &[port]), [Which::Except(vec![HTTP])]);
        assert_eq!(which(&both, &[whole]), [Which::Only(vec![HTTP])]);
    }

    #[test]
    fn a_port_that_stays_with_its_workload_is_kept() {
        let whole = binding("172.18.0.2", &[]);
        let port = binding("172.18.0.2", &["tcp:80"]);
        assert_eq!(which(&[whole.clone()], &[whole.clone(), port]), []);
        let other = binding("172.18.0.2", &["tcp:80:8080"]);
        assert_eq!(which(&[whole.clone()], &[whole, other]), [Which::Only(vec![HTTP])]);
    }

    #[test]
    fn egress_alone_concerns_only_what_the_workload_started() {
        let whole = binding("172.18.0.2", &[]);
        assert_eq!(which(&[whole.clone()], &[whole.with_egress(false)]), [Which::Outbound]);
    }
}
