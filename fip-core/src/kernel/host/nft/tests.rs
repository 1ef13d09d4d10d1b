use netlink_packet_core::{NetlinkDeserializable, NetlinkHeader, NetlinkSerializable};
use proptest::prelude::*;
use proptest::{collection, option, sample};

use super::element::{read as read_elements, read_counters};
use super::table::{encode, our_chain, read_chain, read_rule, read_set};
use super::*;
use crate::binding::{LinkName, Protocol};
use crate::diff::TableChange;
use crate::nat::expr::{Ct, Expr, Header, Meta, Slot, Verdict};
use crate::nat::skeleton::{Chain, Field, Rule, Set};
use crate::nat::tests::{any_elements, any_skeleton, element};
use crate::nat::{Key, Mark, Note, Value};

fn name(text: &str) -> LinkName {
    text.parse().unwrap()
}

fn messages(changes: &Changes) -> Vec<Message> {
    encode(changes).into_iter().map(|(message, _)| message).collect()
}

fn of_kind(messages: &[Message], kind: u8) -> impl Iterator<Item = &Message> {
    messages.iter().filter(move |message| message.message_type() as u8 == kind)
}

fn bytes(message: &Message) -> Vec<u8> {
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn parse(body: &[u8]) -> Message {
    Message::deserialize(&NetlinkHeader::default(), body).unwrap()
}

/// The map that a message with elements is about.
fn map(message: &Message) -> &str {
    message.attributes().text(2).unwrap()
}

fn elements_of(changes: &Changes) -> Vec<(Key, Value)> {
    let messages = messages(changes);
    let lists = of_kind(&messages, msg::NEWSETELEM);
    lists.flat_map(|message| read_elements(map(message), message)).collect()
}

/// The rule as the kernel would list it: with a handle.
fn listed(message: &Message) -> Message {
    message.clone().with(|w| _ = w.be64(3, 7))
}

/// Reads the messages that create a table, as a dump.
fn read_table(messages: &[Message]) -> Skeleton {
    let sets: Vec<Set> = of_kind(messages, msg::NEWSET).filter_map(read_set).collect();
    let mut chains: Vec<Chain> = of_kind(messages, msg::NEWCHAIN)
        .filter_map(read_chain)
        .map(|any| our_chain(&any))
        .collect();
    for any in of_kind(messages, msg::NEWRULE).filter_map(|message| read_rule(&listed(message))) {
        let chain = chains.iter_mut().find(|chain| chain.name == any.chain).unwrap();
        chain.rules.push(any.rule);
    }
    Skeleton { sets: Arc::new(sets), chains: Arc::new(chains) }
}

fn slot() -> impl Strategy<Value = Slot> {
    0..16u8
}

fn any_name() -> impl Strategy<Value = String> {
    "[a-zA-Z][a-zA-Z0-9_]{0,30}"
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Accept),
        Just(Verdict::Drop),
        Just(Verdict::Return),
        any_name().prop_map(Verdict::Jump),
    ]
}

fn expr() -> impl Strategy<Value = Expr> {
    let metas = [Meta::Mark, Meta::NfProto, Meta::L4Proto, Meta::IifName, Meta::OifName];
    let meta = sample::select(metas.to_vec());
    let ct = sample::select(vec![Ct::State, Ct::Direction, Ct::Status, Ct::Mark]);
    let header = sample::select(vec![Header::Network, Header::Transport]);
    let family = sample::select(Family::ALL.to_vec());
    prop_oneof![
        (meta, slot()).prop_map(|(key, slot)| Expr::Meta { key, slot }),
        slot().prop_map(Expr::SetMetaMark),
        (ct, slot()).prop_map(|(key, slot)| Expr::Ct { key, slot }),
        slot().prop_map(Expr::SetCtMark),
        (header, any::<u32>(), any::<u32>(), slot()).prop_map(|(header, offset, length, slot)| {
            Expr::Payload { header, offset, length, slot }
        }),
        (slot(), any::<u32>(), any::<u32>()).prop_map(|(slot, mask, xor)| Expr::Bitwise {
            slot,
            mask,
            xor
        }),
        (slot(), any::<bool>(), collection::vec(any::<u8>(), 1..16))
            .prop_map(|(slot, equal, value)| Expr::Compare { slot, equal, value }),
        (any_name(), slot(), option::of(slot())).prop_map(|(set, slot, result)| Expr::Lookup {
            set,
            slot,
            result
        }),
        (any::<bool>(), family, slot(), option::of(slot())).prop_map(
            |(source, family, address, port)| Expr::Nat { source, family, address, port }
        ),
        Just(Expr::Masquerade),
        Just(Expr::Counter),
        verdict().prop_map(Expr::Verdict),
    ]
}

fn set() -> impl Strategy<Value = Set> {
    let all = [Field::Ipv4, Field::Ipv6, Field::Protocol, Field::Port, Field::LinkName];
    let fields = |min| collection::vec(sample::select(all.to_vec()), min..4);
    (any_name(), fields(1), fields(0), any::<bool>(), any::<bool>())
        .prop_map(|(name, key, data, interval, counter)| Set { name, key, data, interval, counter })
}

fn creation(skeleton: &Skeleton) -> Changes {
    Changes { table: Some(TableChange::Create(skeleton.clone())), ..Changes::default() }
}

/// Reads the message as everything that it could be.
fn read_all(message: &Message) {
    let _ = (read_set(message), read_rule(message), read_chain(message).map(|any| our_chain(&any)));
    for family in Family::ALL {
        for map in [family.dnat(), family.port(), family.snat(), family.hairpin()] {
            let _ = (read_elements(map, message), read_counters(map, message));
        }
    }
    for map in ["through", "masqueraded", "internal", "somebodys"] {
        let _ = read_elements(map, message);
    }
}

proptest! {
    #[test]
    fn elements_are_read_as_they_were_written(elements in any_elements()) {
        let add: Vec<_> = elements.into_iter().collect();
        let changes = Changes { add: add.clone(), ..Changes::default() };
        prop_assert_eq!(elements_of(&changes), add);
    }

    #[test]
    fn a_deletion_names_the_keys(elements in any_elements()) {
        let remove: Vec<_> = elements.into_iter().collect();
        let messages = messages(&Changes { remove: remove.clone(), ..Changes::default() });
        let keys: usize = messages
            .iter()
            .map(|m| m.attributes().nested(3).map_or(0, |list| list.each(1).count()))
            .sum();
        prop_assert_eq!(keys, remove.len());
        let maps: Vec<&str> = messages.iter().map(map).collect();
        let mut expected: Vec<&str> = remove.iter().map(|(key, _)| key.map()).collect();
        expected.dedup();
        prop_assert_eq!(maps, expected);
    }

    #[test]
    fn a_table_is_read_as_it_was_written(skeleton in any_skeleton()) {
        prop_assert_eq!(read_table(&messages(&creation(&skeleton))), skeleton);
    }

    #[test]
    fn any_rule_and_set_are_read_as_they_were_written(
        exprs in collection::vec(expr(), 0..12),
        set in set(),
    ) {
        let rule = Rule { text: String::new(), exprs };
        let chain = Chain { name: "any".to_owned(), hook: None, rules: vec![rule] };
        let skeleton = Skeleton { sets: Arc::new(vec![set]), chains: Arc::new(vec![chain]) };
        prop_assert_eq!(read_table(&messages(&creation(&skeleton))), skeleton);
    }

    #[test]
    fn truncated_and_altered_messages_do_no_harm(
        elements in collection::vec(element(), 1..4),
        exprs in collection::vec(expr(), 1..6),
        set in set(),
        changes in collection::vec((any::<sample::Index>(), any::<u8>()), 0..6),
        length in any::<sample::Index>(),
    ) {
        let rule = Rule { text: String::new(), exprs };
        let chain = Chain { name: "any".to_owned(), hook: None, rules: vec![rule] };
        let skeleton = Skeleton { sets: Arc::new(vec![set]), chains: Arc::new(vec![chain]) };
        let all = Changes { add: elements, ..creation(&skeleton) };
        for message in messages(&all) {
            let mut body = bytes(&listed(&message));
            for (place, value) in &changes {
                let place = place.index(body.len());
                body[place] = *value;
            }
            read_all(&parse(&body));
            read_all(&parse(&body[..length.index(body.len())]));
        }
    }

    #[test]
    fn noise_does_no_harm(body in collection::vec(any::<u8>(), 0..200)) {
        read_all(&parse(&body));
    }
}

#[test]
fn every_truncation_does_no_harm() {
    let note = Note::read("owner=cli uplink=eth0");
    let address = "192.0.2.1".parse().unwrap();
    let add = vec![
        (Key::Dnat(address), Value::Dnat(address, note.clone())),
        (Key::Port(address, Protocol::Tcp, 80), Value::Port(address, 80, note)),
        (Key::Snat(name("eth0"), address), Value::Snat(address)),
        (Key::Hairpin(address.into()), Value::Member),
        (Key::Through(name("br0"), name("eth0")), Value::Member),
        (Key::Masquerade(name("br0"), name("eth0")), Value::Member),
        (Key::Internal(name("br0")), Value::Member),
    ];
    let changes = Changes { add, ..creation(&Skeleton::new(Mark::default())) };
    for message in messages(&changes) {
        let body = bytes(&listed(&message));
        (0..body.len()).for_each(|length| read_all(&parse(&body[..length])));
    }
}

#[test]
fn many_elements_are_several_messages() {
    let address = |number: u32| std::net::IpAddr::from((0xc612_0000 + number).to_be_bytes());
    let note = Note::read(&format!("owner={}", "o".repeat(80)));
    let add: Vec<_> = (0..5000)
        .map(|n| (Key::Dnat(address(n)), Value::Dnat(address(n + 5000), note.clone())))
        .collect();
    let changes = Changes { add: add.clone(), ..Changes::default() };
    let messages = messages(&changes);
    assert!(messages.len() > 1);
    // The length of an attribute has 16 bits.
    assert!(messages.iter().all(|message| message.buffer_len() < 1 << 16));
    assert_eq!(elements_of(&changes), add);
}

#[test]
fn ranges_that_are_no_network_are_not_ours() {
    let network = "172.18.0.0/30".parse().unwrap();
    let add = vec![(Key::Hairpin(network), Value::Member)];
    let changes = Changes { add: add.clone(), ..Changes::default() };
    let message = messages(&changes).remove(0);
    assert_eq!(read_elements("hairpin4", &message), add);
    let body = bytes(&message);
    let last = [172, 18, 0, 3];
    let ends: Vec<usize> =
        (0..body.len() - 3).filter(|&place| body[place..place + 4] == last).collect();
    assert_eq!(ends.len(), 2, "the range's end, twice");
    for end in ends {
        let mut other = body.clone();
        other[end + 3] = 2;
        assert_eq!(read_elements("hairpin4", &parse(&other)), []);
    }
}

#[test]
fn names_that_no_link_can_have_are_not_ours() {
    let add = vec![
        (Key::Through(name("br0"), name("eth0")), Value::Member),
        (Key::Masquerade(name("br0"), name("eth0")), Value::Member),
        (Key::Internal(name("br0")), Value::Member),
    ];
    let changes = Changes { add: add.clone(), ..Changes::default() };
    for (message, element) in messages(&changes).iter().zip(add) {
        assert_eq!(read_elements(map(message), message), [element]);
        let body = bytes(message);
        let at = body.windows(4).rposition(|bytes| bytes == b"br0\0").unwrap();
        for (place, byte) in [(0, 0xff), (0, 0), (1, b'/'), (2, b' '), (4, b'x')] {
            let mut other = body.clone();
            other[at + place] = byte;
            let other = parse(&other);
            assert_eq!(read_elements(map(&other), &other), [], "{place} {byte:#x}");
        }
    }
}

#[test]
fn an_element_without_a_comment_is_nobodys() {
    let address = "192.0.2.1".parse().unwrap();
    let dnat = |note| vec![(Key::Dnat(address), Value::Dnat(address, note))];
    let changes = Changes { add: dnat(Note::read("owner=cli")), ..Changes::default() };
    let body = bytes(&messages(&changes)[0]);
    let at = body.windows(9).position(|bytes| bytes == b"owner=cli").unwrap();
    // The type of the user data: not a comment.
    let mut other = body.clone();
    other[at - 2] = 9;
    assert_eq!(read_elements("dnat4", &parse(&other)), dnat(Note::read("")));
    // A length beyond the end.
    let mut other = body;
    other[at - 1] = 200;
    assert_eq!(read_elements("dnat4", &parse(&other)), dnat(Note::read("")));
}
