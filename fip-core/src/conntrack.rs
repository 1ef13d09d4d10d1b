//! Which tracked connections a change of bindings makes wrong.
//!
//! Translation is decided once for a connection, so a long-lived flow would go on to the old
//! workload, or untranslated, until it falls silent. Exactly the flows whose translation changes
//! are forgotten; the next packet of each is translated anew, or answered by the new host.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use crate::binding::{Binding, Protocol};
use crate::kernel::{Flows, Which};
use crate::nat::{Elements, Key, Mark, Value};

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
        bindings.for_each(|binding| this.add(binding));
        this
    }

    fn add(&mut self, binding: &Binding) {
        if binding.is_whole_address() {
            self.whole = Some(binding.fixed());
            self.egress = binding.egress().then(|| binding.fixed());
        }
        self.ports.extend(
            binding
                .ports()
                .iter()
                .map(|port| ((port.protocol, port.port), (binding.fixed(), port.fixed_port))),
        );
    }

    fn port(&self, port: (Protocol, u16)) -> Option<(IpAddr, u16)> {
        self.ports.get(&port).copied().or_else(|| Some((self.whole?, port.1)))
    }
}

/// A tracked connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The number of the protocol (IANA protocol numbers).
    pub protocol: u8,
    /// Who started it.
    pub source: IpAddr,
    /// Where it was to go, before any translation.
    pub destination: IpAddr,
    /// The port there; 0 for protocols without ports.
    pub port: u16,
    /// Who answers.
    pub answerer: IpAddr,
    /// From which port; 0 for protocols without ports.
    pub answering_port: u16,
    /// To whom the answers go, before they are translated back.
    pub answered: IpAddr,
    /// The connection mark.
    pub mark: u32,
}

impl Flows {
    /// Whether the connection is one of these.
    pub fn include(&self, connection: &Connection) -> bool {
        let inbound = connection.destination == self.floating;
        let outbound = !inbound && connection.answered == self.floating;
        let listed = |ports: &[(Protocol, u16)]| {
            ports.iter().any(|(protocol, port)| {
                protocol.number() == connection.protocol && *port == connection.port
            })
        };
        match &self.which {
            Which::Only(ports) => inbound && listed(ports),
            Which::Except(ports) => outbound || (inbound && !listed(ports)),
            Which::Outbound => outbound,
        }
    }
}

/// What tells the connections that are not translated as all bindings together say: left over by
/// a call that ended between its changes and forgetting.
#[derive(Debug, Clone)]
pub struct Strays<'e> {
    elements: &'e Elements,
    mark: Mark,
    own: HashSet<IpAddr>,
}

impl<'e> Strays<'e> {
    /// Of the table with these elements, which uses this mark, on a host that has these addresses
    /// of its `own`.
    pub fn new(elements: &'e Elements, mark: Mark, own: impl Iterator<Item = IpAddr>) -> Self {
        Self { elements, mark, own: own.collect() }
    }

    fn whole(&self, floating: IpAddr) -> Option<IpAddr> {
        self.elements.get(&Key::Dnat(floating))?.fixed()
    }

    fn is_bound(&self, floating: IpAddr) -> bool {
        let mut ports = self.elements.range(Key::Port(floating, Protocol::Tcp, 0)..);
        let is_port = |key: &Key| matches!(key, Key::Port(of, ..) if *of == floating);
        self.whole(floating).is_some() || ports.next().is_some_and(|(key, _)| is_port(key))
    }

    /// Who shall answer a connection to the floating address, and from which port.
    fn answerer(&self, connection: &Connection) -> Option<(IpAddr, u16)> {
        let floating = connection.destination;
        let Some(protocol) = Protocol::from_number(connection.protocol) else {
            return Some((self.whole(floating)?, connection.answering_port));
        };
        match self.elements.get(&Key::Port(floating, protocol, connection.port)) {
            Some(Value::Port(fixed, port, _)) => Some((*fixed, *port)),
            _ => Some((self.whole(floating)?, connection.port)),
        }
    }

    /// Whose connections leave with the floating address.
    fn egress(&self, floating: IpAddr) -> Option<IpAddr> {
        let whole = self.elements.get(&Key::Dnat(floating))?;
        let (fixed, uplink) = (whole.fixed()?, whole.note()?.uplink.clone()?);
        let sent = self.elements.get(&Key::Snat(uplink, fixed));
        (sent == Some(&Value::Snat(floating))).then_some(fixed)
    }

    /// Whether the connection is one of these. One to or from an address that is not bound is, if
    /// it was our doing: it bears the mark, is translated, and the address is not the host's, for
    /// other programs may use the same mark, and they translate the host's addresses.
    pub fn include(&self, connection: &Connection) -> bool {
        let ours = connection.mark & self.mark.bits() != 0;
        let gone = |address| ours && !self.own.contains(address);
        let translated = connection.answerer != connection.destination;
        if let Some(wanted) = self.answerer(connection) {
            return wanted != (connection.answerer, connection.answering_port);
        }
        if translated {
            let bound = self.is_bound(connection.destination);
            return if bound { ours } else { gone(&connection.destination) };
        }
        if connection.answered == connection.source {
            return false;
        }
        match self.is_bound(connection.answered) {
            true => ours && self.egress(connection.answered) != Some(connection.source),
            false => gone(&connection.answered),
        }
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
    use crate::nat;

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
        assert_eq!(which(std::slice::from_ref(&whole), &[whole.clone(), port]), []);
        let other = binding("172.18.0.2", &["tcp:80:8080"]);
        assert_eq!(
            which(std::slice::from_ref(&whole), &[whole.clone(), other]),
            [Which::Only(vec![HTTP])]
        );
    }

    const MARK: u32 = 0x1000;

    /// A connection of a client to the floating address, translated to `answerer` (or not).
    fn connection(protocol: u8, port: u16, answerer: &str, answering_port: u16) -> Connection {
        let client = "192.0.2.99".parse().unwrap();
        let answerer = answerer.parse().unwrap();
        let floating: IpAddr = "192.0.2.1".parse().unwrap();
        let mark = if answerer == floating { 0 } else { MARK };
        Connection {
            protocol,
            source: client,
            destination: floating,
            port,
            answerer,
            answering_port,
            answered: client,
            mark,
        }
    }

    fn elements(bindings: &[Binding]) -> Elements {
        let uplink = "eth0".parse().unwrap();
        bindings.iter().flat_map(|binding| nat::elements(binding, &uplink, None)).collect()
    }

    fn strays(elements: &Elements) -> Strays<'_> {
        let own = ["192.0.2.11".parse().unwrap()];
        Strays::new(elements, Mark::new(MARK).unwrap(), own.into_iter())
    }

    #[test]
    fn what_is_translated_otherwise_is_a_stray() {
        let bound =
            elements(&[binding("172.18.0.2", &[]), binding("172.18.0.3", &["tcp:80:8080"])]);
        let bound = strays(&bound);
        for (protocol, port, answerer, answering_port, stray) in [
            (17, 53, "172.18.0.2", 53, false),
            (17, 53, "172.18.0.4", 53, true),
            (17, 53, "192.0.2.1", 53, true),
            (6, 80, "172.18.0.3", 8080, false),
            (6, 80, "172.18.0.3", 80, true),
            (6, 80, "172.18.0.2", 80, true),
            (1, 0, "172.18.0.2", 0, false),
            (1, 0, "172.18.0.4", 0, true),
        ] {
            let connection = connection(protocol, port, answerer, answering_port);
            assert_eq!(bound.include(&connection), stray, "{connection:?}");
        }
    }

    #[test]
    fn of_what_is_not_bound_only_our_own_doing_is_a_stray() {
        let translated = connection(17, 53, "172.18.0.2", 53);
        let untranslated = connection(17, 53, "192.0.2.1", 53);
        let others = Connection { mark: 0, ..translated.clone() };
        let nothing = Elements::new();
        let unbound = strays(&nothing);
        assert!(unbound.include(&translated));
        assert!(!unbound.include(&untranslated));
        assert!(!unbound.include(&others), "another program translates it");
        let own = Connection { destination: "192.0.2.11".parse().unwrap(), ..translated.clone() };
        assert!(!unbound.include(&own), "another program uses the same mark");
        // The address is bound, but not this port.
        let port = elements(&[binding("172.18.0.3", &["tcp:80"])]);
        let port = strays(&port);
        assert!(port.include(&translated));
        assert!(!port.include(&untranslated), "the host's own service");
        assert!(!port.include(&others));
    }

    #[test]
    fn what_another_workload_started_is_a_stray() {
        let from = |source: &str, answered: &str| Connection {
            source: source.parse().unwrap(),
            answered: answered.parse().unwrap(),
            destination: "192.0.2.99".parse().unwrap(),
            ..connection(6, 443, "192.0.2.99", 443)
        };
        let bound = elements(&[binding("172.18.0.2", &[])]);
        let bound = strays(&bound);
        assert!(!bound.include(&from("172.18.0.2", "192.0.2.1")));
        assert!(bound.include(&from("172.18.0.4", "192.0.2.1")));
        assert!(bound.include(&from("172.18.0.4", "192.0.2.7")), "its address is gone");
        assert!(!bound.include(&from("172.18.0.4", "192.0.2.11")), "it has the host's address");
        assert!(!bound.include(&from("172.18.0.4", "172.18.0.4")), "nobody translates it");
        let others = Connection { mark: 0, ..from("172.18.0.4", "192.0.2.1") };
        assert!(!bound.include(&others));
        let silent = elements(&[binding("172.18.0.2", &[]).with_egress(false)]);
        let silent = strays(&silent);
        assert!(silent.include(&from("172.18.0.2", "192.0.2.1")));
    }

    #[test]
    fn flows_are_chosen_by_port_and_direction() {
        let flows = |which| Flows { floating: "192.0.2.1".parse().unwrap(), which };
        let http = connection(6, 80, "172.18.0.2", 80);
        let dns = connection(17, 80, "172.18.0.2", 80);
        let out = Connection {
            destination: "192.0.2.99".parse().unwrap(),
            answered: "192.0.2.1".parse().unwrap(),
            ..http.clone()
        };
        for (which, chosen) in [
            (Which::Only(vec![HTTP]), [true, false, false]),
            (Which::Except(vec![HTTP]), [false, true, true]),
            (Which::Except(vec![]), [true, true, true]),
            (Which::Outbound, [false, false, true]),
        ] {
            let flows = flows(which);
            assert_eq!([&http, &dns, &out].map(|c| flows.include(c)), chosen, "{flows:?}");
        }
    }

    #[test]
    fn egress_alone_concerns_only_what_the_workload_started() {
        let whole = binding("172.18.0.2", &[]);
        assert_eq!(
            which(std::slice::from_ref(&whole), &[whole.clone().with_egress(false)]),
            [Which::Outbound]
        );
    }
}
