//! Bindings as elements of the maps, and back.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::{Key, Note, Value};
use crate::binding::{Binding, LinkName, Owner, PortForward};

/// The elements of the maps.
pub type Elements = BTreeMap<Key, Value>;

/// The elements that make a binding, with its floating address on `uplink`, and the fixed address
/// in the subnet `network` of this host (if it is on link).
pub fn elements(binding: &Binding, uplink: &LinkName, network: Option<IpNetwork>) -> Elements {
    let hairpin = network.map(|network| (Key::Hairpin(network), Value::Member));
    translations(binding, uplink).chain(hairpin).collect()
}

/// Those of them that translate.
pub(crate) fn translations(
    binding: &Binding,
    uplink: &LinkName,
) -> impl Iterator<Item = (Key, Value)> {
    let (floating, fixed) = (binding.floating(), binding.fixed());
    let note = Note { owner: binding.owner().clone(), uplink: Some(uplink.clone()) };
    let whole = binding.is_whole_address().then(|| Value::Dnat(fixed, note.clone()));
    let ports = binding.ports().iter().map(move |port| {
        let key = Key::Port(floating, port.protocol, port.port);
        (key, Value::Port(fixed, port.fixed_port, note.clone()))
    });
    let egress = binding.egress().then(|| Key::Snat(uplink.clone(), fixed));
    whole
        .map(|value| (Key::Dnat(floating), value))
        .into_iter()
        .chain(ports)
        .chain(egress.map(|key| (key, Value::Snat(floating))))
}

/// A binding as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The binding; its uplink is the one that carries it.
    pub binding: Binding,
    /// The maps' keys that make it.
    pub keys: Vec<Key>,
}

/// Reads the bindings back from the elements. Ports of one floating address that lead to one
/// fixed address and are of one owner are one binding.
pub fn bindings(elements: &Elements) -> Vec<Bound> {
    bindings_among(elements.iter(), elements)
}

/// The bindings that some of the elements make.
pub(crate) fn bindings_among<'e>(
    some: impl Iterator<Item = (&'e Key, &'e Value)>,
    all: &Elements,
) -> Vec<Bound> {
    let mut found: Vec<Bound> = Vec::new();
    // Where each binding of ports is; every whole address is one of its own.
    let mut of_ports: HashMap<(IpAddr, IpAddr, &Owner), usize> = HashMap::new();
    for (key, value) in some {
        let (Some(fixed), Some(note)) = (value.fixed(), value.note()) else { continue };
        let (floating, port) = match (key, value) {
            (Key::Dnat(floating), _) => (*floating, None),
            (Key::Port(floating, protocol, port), Value::Port(_, fixed_port, _)) => {
                let (protocol, port, fixed_port) = (*protocol, *port, *fixed_port);
                (*floating, Some(PortForward { protocol, port, fixed_port }))
            }
            _ => continue,
        };
        let place = match port {
            Some(_) => *of_ports.entry((floating, fixed, &note.owner)).or_insert(found.len()),
            None => found.len(),
        };
        if place == found.len() {
            let Some(mut binding) = binding(floating, fixed, note) else {
                of_ports.remove(&(floating, fixed, &note.owner));
                continue;
            };
            if port.is_none() {
                let egress = note.uplink.clone().map(|uplink| Key::Snat(uplink, fixed));
                let egress = egress.and_then(|key| all.get(&key));
                binding = binding.with_egress(egress == Some(&Value::Snat(floating)));
            }
            found.push(Bound { binding, keys: Vec::with_capacity(1) });
        }
        let bound = &mut found[place];
        bound.keys.push(key.clone());
        if let Some(port) = port {
            bound.binding.insert_port(port);
        }
    }
    let place = |b: &Binding| (b.floating(), b.fixed(), !b.is_whole_address());
    found.sort_by(|Bound { binding: a, .. }, Bound { binding: b, .. }| {
        place(a).cmp(&place(b)).then_with(|| a.owner().cmp(b.owner()))
    });
    found
}

/// The binding without its ports; none if there can be no such.
fn binding(floating: IpAddr, fixed: IpAddr, note: &Note) -> Option<Binding> {
    let binding = Binding::new(floating, fixed).ok()?.owned_by(note.owner.clone());
    Some(match &note.uplink {
        Some(uplink) => binding.on(uplink.clone()),
        None => binding,
    })
}
