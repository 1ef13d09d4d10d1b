//! Elements of our maps as nf_tables messages, and back. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::binding::{LinkName, Protocol};
use crate::kernel::Counter;
use crate::nat::skeleton::Field;
use crate::nat::{Family, INTERNAL, Key, MASQUERADED, Note, TABLE, THROUGH, Value};

use super::super::attributes::{Attributes, address_bytes, leading_address};
use super::super::message::{Message, Writer};
use super::table::{self, INET, msg};
use super::wire;

/// A set's elements travel in messages of at most this many bytes: an attribute's length is 16
/// bits.
const ELEMENTS_MAX: usize = 48 << 10;

/// The messages that delete these elements, or with their data, add them.
pub(super) fn encode(
    kind: u8,
    flags: u16,
    elements: &[(Key, Value)],
    messages: &mut Vec<(Message, u16)>,
) {
    let mut rest = elements;
    let mut comments = Comments::default();
    while let Some((first, _)) = rest.first() {
        let map = first.map();
        let with_data = kind == msg::NEWSETELEM;
        let mut taken = 0;
        let message = table::message(kind, INET, TABLE).with(|w| {
            // NFTA_SET_ELEM_LIST_SET, _ELEMENTS
            w.text(2, map).nest(3, |w| {
                let start = w.len();
                for (key, value) in rest {
                    if key.map() != map || w.len() - start > ELEMENTS_MAX {
                        break;
                    }
                    w.nest(wire::LIST_ELEM, |w| {
                        write_key(w, key);
                        if with_data {
                            write_value(w, value, &mut comments);
                        }
                    });
                    taken += 1;
                }
            });
        });
        messages.push((message, flags));
        rest = &rest[taken..];
    }
}

/// The question whether there is such an element.
pub(super) fn request(key: &Key) -> Message {
    table::message(msg::GETSETELEM, INET, TABLE).with(|w| {
        w.text(2, key.map());
        w.nest(3, |w| _ = w.nest(wire::LIST_ELEM, |w| write_key(w, key)));
    })
}

/// The comments of elements, of which most have the same as the one before.
#[derive(Default)]
struct Comments<'n> {
    last: Option<&'n Note>,
    data: Vec<u8>,
}

impl<'n> Comments<'n> {
    fn of(&mut self, note: &'n Note) -> &[u8] {
        if self.last != Some(note) {
            self.data = comment(&note.to_string());
            self.last = Some(note);
        }
        &self.data
    }
}

/// `NFTA_SET_ELEM_KEY`, `_KEY_END`
fn write_key(w: &mut Writer<'_>, key: &Key) {
    let (start, end) = key_bytes(key);
    w.nest(1, |w| _ = w.bytes(wire::DATA_VALUE, &start));
    if let Some(end) = end {
        w.nest(10, |w| _ = w.bytes(wire::DATA_VALUE, &end));
    }
}

/// `NFTA_SET_ELEM_DATA`, `_USERDATA`
fn write_value<'n>(w: &mut Writer<'_>, value: &'n Value, comments: &mut Comments<'n>) {
    if let Some(data) = data_bytes(value) {
        w.nest(2, |w| _ = w.bytes(wire::DATA_VALUE, &data));
    }
    if let Some(note) = value.note() {
        w.bytes(6, comments.of(note));
    }
}

/// A comment in user data (`NFTNL_UDATA_*_COMMENT`, both 0): type, length, NUL-terminated text.
pub(super) fn comment(text: &str) -> Vec<u8> {
    let mut data = vec![0, text.len() as u8 + 1];
    data.extend_from_slice(text.as_bytes());
    data.push(0);
    data
}

/// The comment in user data.
pub(super) fn read_comment(mut data: &[u8]) -> Option<&str> {
    while let [kind, length, rest @ ..] = data {
        let (value, next) = rest.split_at_checked(usize::from(*length))?;
        if *kind == 0 {
            return std::str::from_utf8(value.strip_suffix(&[0]).unwrap_or(value)).ok();
        }
        data = next;
    }
    None
}

fn key_bytes(key: &Key) -> (Vec<u8>, Option<Vec<u8>>) {
    match key {
        Key::Dnat(floating) => (address_bytes(*floating), None),
        Key::Port(floating, protocol, port) => {
            let mut bytes = address_bytes(*floating);
            bytes.extend([protocol.number(), 0, 0, 0]);
            bytes.extend(port.to_be_bytes());
            bytes.extend([0; 2]);
            (bytes, None)
        }
        Key::Snat(uplink, fixed) => {
            let mut bytes = name_bytes(uplink);
            bytes.extend(address_bytes(*fixed));
            (bytes, None)
        }
        Key::Hairpin(network) => {
            let twice = |address| address_bytes(address).repeat(2);
            (twice(network.network()), Some(twice(network.broadcast())))
        }
        Key::Through(bridge, link) | Key::Masquerade(bridge, link) => {
            ([name_bytes(bridge), name_bytes(link)].concat(), None)
        }
        Key::Internal(bridge) => (name_bytes(bridge), None),
    }
}

fn name_bytes(name: &LinkName) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 * Field::LinkName.size());
    bytes.extend_from_slice(name.as_str().as_bytes());
    bytes.resize(Field::LinkName.size(), 0);
    bytes
}

/// The name at the beginning of these bytes, and what follows it.
fn leading_name(bytes: &[u8]) -> Option<(LinkName, &[u8])> {
    let (name, rest) = bytes.split_at_checked(Field::LinkName.size())?;
    let name = std::str::from_utf8(name).ok()?.trim_end_matches('\0');
    Some((name.parse().ok()?, rest))
}

fn data_bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Dnat(fixed, _) => Some(address_bytes(*fixed)),
        Value::Port(fixed, port, _) => {
            let mut bytes = address_bytes(*fixed);
            bytes.extend(port.to_be_bytes());
            bytes.extend([0; 2]);
            Some(bytes)
        }
        Value::Snat(floating) => Some(address_bytes(*floating)),
        Value::Member => None,
    }
}

/// The elements that a message of a dump of `map` holds.
pub(super) fn read(map: &str, message: &Message) -> Vec<(Key, Value)> {
    let mut found = Vec::new();
    each_element(map, message, |element, _| found.push(element));
    found
}

/// The same, and what they have counted.
pub(super) fn read_counted(map: &str, message: &Message) -> (Vec<(Key, Value)>, Vec<Counter>) {
    let (mut found, mut counters) = (Vec::new(), Vec::new());
    each_element(map, message, |element, expr| {
        counters.extend(expr.and_then(|expr| read_counter(&element.0, expr)));
        found.push(element);
    });
    (found, counters)
}

/// Hands on the elements of a message, each with its expression.
fn each_element<'m>(
    map: &str,
    message: &'m Message,
    mut each: impl FnMut((Key, Value), Option<Attributes<'m>>),
) {
    // Most have the same comment as another one: it is read once, and its owner kept once.
    let mut notes: HashMap<&str, Note> = HashMap::new();
    let list = message.attributes().nested(3);
    for element in list.into_iter().flat_map(|list| list.each(wire::LIST_ELEM)) {
        // NFTA_SET_ELEM_KEY, _DATA, _USERDATA, _EXPR, _KEY_END
        let [_, key, data, _, _, _, comment, expr, _, _, end] = element.table();
        let value = |part: Option<&'m [u8]>| part.and_then(|p| Attributes(p).get(wire::DATA_VALUE));
        let note = || {
            let comment = comment.and_then(read_comment).unwrap_or_default();
            notes.entry(comment).or_insert_with(|| Note::read(comment)).clone()
        };
        let Some(key) = value(key) else { continue };
        if let Some(found) = read_one(map, key, value(end), value(data), note) {
            each(found, expr.map(Attributes));
        }
    }
}

fn read_one(
    map: &str,
    key: &[u8],
    end: Option<&[u8]>,
    data: Option<&[u8]>,
    note: impl FnOnce() -> Note,
) -> Option<(Key, Value)> {
    if [THROUGH, MASQUERADED, INTERNAL].contains(&map) {
        return Some((bridge_key(map, key)?, Value::Member));
    }
    let family = Family::ALL.into_iter().find(|family| {
        [family.dnat(), family.port(), family.snat(), family.hairpin()].contains(&map)
    })?;
    let address = |bytes| leading_address(bytes, family);
    let size = usize::from(family.bits() / 8);
    let port =
        |bytes: &[u8], at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    if map == family.dnat() {
        Some((Key::Dnat(address(key)?), Value::Dnat(address(data?)?, note())))
    } else if map == family.port() {
        let protocol = Protocol::from_number(*key.get(size)?)?;
        let key = Key::Port(address(key)?, protocol, port(key, size + 4)?);
        Some((key, Value::Port(address(data?)?, port(data?, size)?, note())))
    } else if map == family.snat() {
        let (uplink, fixed) = leading_name(key)?;
        Some((Key::Snat(uplink, address(fixed)?), Value::Snat(address(data?)?)))
    } else {
        let end = end?;
        let found = Key::Hairpin(range(address(key)?, address(end)?)?);
        // Another range than that of a network paired with itself is none of ours.
        (key_bytes(&found) == (key.to_vec(), Some(end.to_vec()))).then_some((found, Value::Member))
    }
}

fn bridge_key(map: &str, key: &[u8]) -> Option<Key> {
    let (bridge, rest) = leading_name(key)?;
    if map == INTERNAL {
        return Some(Key::Internal(bridge));
    }
    let (link, _) = leading_name(rest)?;
    Some(if map == THROUGH { Key::Through(bridge, link) } else { Key::Masquerade(bridge, link) })
}

/// The network from its first to its last address.
fn range(first: IpAddr, last: IpAddr) -> Option<IpNetwork> {
    let prefix = match (first, last) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return None,
    };
    IpNetwork::new(first, prefix as u8).ok()
}

/// The counters that a message of a dump of `map` holds.
pub(super) fn read_counters(map: &str, message: &Message) -> Vec<Counter> {
    read_counted(map, message).1
}

/// `NFTA_EXPR_DATA`: `NFTA_COUNTER_BYTES`, `_PACKETS`
fn read_counter(key: &Key, expr: Attributes<'_>) -> Option<Counter> {
    let counter = expr.nested(2)?;
    Some(Counter { key: key.clone(), bytes: counter.be64(1)?, packets: counter.be64(2)? })
}
