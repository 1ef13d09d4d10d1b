//! Tables, sets, chains and rules as nf_tables messages, and back. Pure.

use crate::diff::{Changes, PassChange, TableChange};
use crate::nat::expr::Expr;
use crate::nat::skeleton::{Chain, Field, Hook, HookPoint, Rule, Set, Skeleton};
use crate::nat::{Key, TABLE, Value, pass_rule};

use super::super::message::{Message, Writer};
use super::{element, wire};

/// `NFNL_SUBSYS_NFTABLES`
pub(super) const NFTABLES: u8 = 10;
/// `NFPROTO_INET`
pub(super) const INET: u8 = 1;
/// The chain made for users' rules, and its table.
pub(super) const USER_CHAIN: (&str, &str) = ("filter", "DOCKER-USER");

/// `NFT_MSG_*`
pub(super) mod msg {
    pub(in super::super) const NEWTABLE: u8 = 0;
    pub(in super::super) const GETTABLE: u8 = 1;
    pub(in super::super) const DELTABLE: u8 = 2;
    pub(in super::super) const NEWCHAIN: u8 = 3;
    pub(in super::super) const GETCHAIN: u8 = 4;
    pub(in super::super) const NEWRULE: u8 = 6;
    pub(in super::super) const GETRULE: u8 = 7;
    pub(in super::super) const DELRULE: u8 = 8;
    pub(in super::super) const NEWSET: u8 = 9;
    pub(in super::super) const GETSET: u8 = 10;
    pub(in super::super) const NEWSETELEM: u8 = 12;
    pub(in super::super) const GETSETELEM: u8 = 13;
    pub(in super::super) const DELSETELEM: u8 = 14;
    pub(in super::super) const GETGEN: u8 = 16;
}

const CREATE: u16 = libc::NLM_F_CREATE as u16;
const EXCL: u16 = libc::NLM_F_EXCL as u16;
const APPEND: u16 = libc::NLM_F_APPEND as u16;

/// So many elements at once are worth a set that is made for them.
const MANY: usize = 1000;
/// It is made for so many times as many.
const SPARE: usize = 4;

const SET_MAP: u32 = 0x8;
const SET_INTERVAL: u32 = 0x4;
const SET_CONCAT: u32 = 0x80;

/// A message about our table or another one.
pub(super) fn message(kind: u8, family: u8, table: &str) -> Message {
    Message::new(NFTABLES, kind, family).with(|w| _ = w.text(1, table))
}

fn ours(kind: u8) -> Message {
    message(kind, INET, TABLE)
}

/// The messages that make the changes, with their flags, in order.
pub(super) fn encode(changes: &Changes) -> Vec<(Message, u16)> {
    let mut messages = Vec::new();
    match &changes.table {
        Some(TableChange::Create(skeleton)) => {
            encode_skeleton(skeleton, &changes.add, &mut messages);
        }
        Some(TableChange::Replace(skeleton)) => {
            messages.push((ours(msg::DELTABLE), 0));
            encode_skeleton(skeleton, &changes.add, &mut messages);
        }
        Some(TableChange::Delete) => messages.push((ours(msg::DELTABLE), 0)),
        None => {}
    }
    element::encode(msg::DELSETELEM, 0, &changes.remove, &mut messages);
    element::encode(msg::NEWSETELEM, CREATE | EXCL, &changes.add, &mut messages);
    changes.passes.iter().for_each(|change| encode_pass(change, &mut messages));
    messages
}

/// The table, as it shall be to take these elements.
fn encode_skeleton(
    skeleton: &Skeleton,
    elements: &[(Key, Value)],
    messages: &mut Vec<(Message, u16)>,
) {
    messages.push((ours(msg::NEWTABLE), CREATE | EXCL));
    let counts: Vec<(&str, usize)> = elements
        .chunk_by(|(one, _), (next, _)| one.map() == next.map())
        .filter_map(|chunk| Some((chunk.first()?.0.map(), chunk.len())))
        .collect();
    for (id, set) in skeleton.sets.iter().enumerate() {
        let of_set = counts.iter().filter(|(map, _)| *map == set.name);
        let room = room(of_set.map(|(_, count)| count).sum());
        let room = room.filter(|_| !set.interval);
        messages.push((encode_set(set, id as u32 + 1, room), CREATE | EXCL));
    }
    for chain in skeleton.chains.iter() {
        messages.push((encode_chain(chain), CREATE | EXCL));
    }
    for chain in skeleton.chains.iter() {
        for rule in &chain.rules {
            let message = ours(msg::NEWRULE).with(|w| {
                w.text(2, &chain.name);
                write_rule(w, rule);
            });
            messages.push((message, CREATE | APPEND));
        }
    }
}

/// `NFTA_RULE_EXPRESSIONS`
fn write_rule(w: &mut Writer<'_>, rule: &Rule) {
    w.nest(4, |w| rule.exprs.iter().for_each(|expr| wire::write(w, expr)));
}

/// `NFTA_CHAIN_NAME`, `_HOOK` (`NFTA_HOOK_HOOKNUM`, `_PRIORITY`), `_POLICY`, `_TYPE`
fn encode_chain(chain: &Chain) -> Message {
    ours(msg::NEWCHAIN).with(|w| {
        w.text(3, &chain.name);
        if let Some(hook) = chain.hook {
            let number = match hook.point {
                HookPoint::Prerouting => 0,
                HookPoint::Forward => 2,
                HookPoint::Output => 3,
                HookPoint::Postrouting => 4,
            };
            w.nest(4, |w| _ = w.be32(1, number).be32(2, hook.priority as u32));
            w.be32(5, 1).text(7, if hook.nat { "nat" } else { "filter" });
        }
    })
}

/// For how many elements a set is made that is given many at once; none if for any number.
///
/// One for any number is a table that grows (`nft_rhash`), and to grow while it is filled takes as
/// long as the rest. One for a certain number never does (`nft_hash`), but refuses what is more; so
/// it has room to spare, and is made anew when that is gone.
fn room(count: usize) -> Option<u32> {
    let room = count.checked_mul(SPARE)?.try_into().ok()?;
    (count >= MANY).then_some(room)
}

/// `NFTA_SET_NAME`, `_FLAGS`, `_KEY_TYPE`, `_KEY_LEN`, `_DATA_TYPE`, `_DATA_LEN`, `_DESC`, `_ID`,
/// `_USERDATA`, `_EXPR`
fn encode_set(set: &Set, id: u32, room: Option<u32>) -> Message {
    ours(msg::NEWSET).with(|w| {
        w.text(2, &set.name).be32(3, set_flags(set));
        w.be32(4, type_of(&set.key)).be32(5, length_of(&set.key));
        if !set.data.is_empty() {
            w.be32(6, type_of(&set.data)).be32(7, length_of(&set.data));
        }
        w.be32(10, id);
        if set.interval {
            // NFTA_SET_DESC_CONCAT, NFTA_SET_FIELD_LEN
            w.nest(9, |w| {
                w.nest(2, |w| {
                    for field in &set.key {
                        w.nest(wire::LIST_ELEM, |w| _ = w.be32(1, field.size() as u32));
                    }
                });
            });
        }
        if let Some(room) = room {
            // NFTA_SET_DESC_SIZE
            w.nest(9, |w| _ = w.be32(1, room));
        }
        if set.key == [Field::LinkName] {
            w.bytes(13, &of_host_order());
        }
        if set.counter {
            w.nest(17, |w| _ = w.text(1, "counter").nest(2, |_| {}));
        }
    })
}

/// `NFTNL_UDATA_SET_KEYBYTEORDER` (0), 4 bytes, `BYTEORDER_HOST_ENDIAN` (1): without it nft prints
/// a name that stands alone backwards. The kernel only stores it.
fn of_host_order() -> Vec<u8> {
    [&[0, 4][..], &1u32.to_ne_bytes()].concat()
}

fn set_flags(set: &Set) -> u32 {
    let map = if set.data.is_empty() { 0 } else { SET_MAP };
    let interval = if set.interval { SET_INTERVAL | SET_CONCAT } else { 0 };
    map | interval
}

/// nft's number of a type (`enum datatypes` of nft's `datatype.h`); 6 bits each where several are
/// concatenated. The kernel only stores it.
fn type_of(fields: &[Field]) -> u32 {
    fields.iter().fold(0, |sum, field| {
        let number = match field {
            Field::Ipv4 => 7,
            Field::Ipv6 => 8,
            Field::Protocol => 12,
            Field::Port => 13,
            Field::LinkName => 41,
        };
        sum << 6 | number
    })
}

/// The size in bytes: parts of a concatenation are padded to registers.
fn length_of(fields: &[Field]) -> u32 {
    match fields {
        [one] => one.size() as u32,
        several => several.iter().map(|field| field.size().next_multiple_of(4) as u32).sum(),
    }
}

/// `NFTA_RULE_TABLE`, `_CHAIN`, `_HANDLE`, `_POSITION`, `_USERDATA`
fn encode_pass(change: &PassChange, messages: &mut Vec<(Message, u16)>) {
    let (table, chain) = USER_CHAIN;
    let rule = |kind| message(kind, change.family.nfproto(), table).with(|w| _ = w.text(2, chain));
    for handle in &change.remove {
        messages.push((rule(msg::DELRULE).with(|w| _ = w.be64(3, *handle)), 0));
    }
    let Some(pass) = &change.add else { return };
    let message = rule(msg::NEWRULE).with(|w| {
        write_rule(w, &pass_rule(pass.mark));
        w.bytes(7, &element::comment(TABLE));
        if let Some(handle) = pass.before {
            w.be64(6, handle);
        }
    });
    // Without NLM_F_APPEND a rule goes before the one at the position.
    let place = if pass.before.is_some() { 0 } else { APPEND };
    messages.push((message, CREATE | place));
}

/// A set of our table, as the kernel tells it.
pub(super) fn read_set(message: &Message) -> Option<Set> {
    let attributes = message.attributes();
    let flags = attributes.be32(3).unwrap_or(0);
    let data = if flags & SET_MAP != 0 { attributes.be32(6)? } else { 0 };
    Some(Set {
        name: attributes.text(2)?.to_owned(),
        key: fields(attributes.be32(4)?)?,
        data: fields(data)?,
        interval: flags & SET_INTERVAL != 0,
        counter: attributes.nested(17).is_some_and(|expr| expr.text(1) == Some("counter")),
    })
}

fn fields(mut number: u32) -> Option<Vec<Field>> {
    let all = [Field::Ipv4, Field::Ipv6, Field::Protocol, Field::Port, Field::LinkName];
    let mut fields = Vec::new();
    while number != 0 {
        fields.push(all.into_iter().find(|field| type_of(&[*field]) == number & 0x3f)?);
        number >>= 6;
    }
    fields.reverse();
    Some(fields)
}

/// A chain of any table, as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AnyChain {
    pub(super) family: u8,
    pub(super) table: String,
    pub(super) name: String,
    /// Hook number, priority, type.
    pub(super) hook: Option<(u32, i32, String)>,
    /// The policy is to drop.
    pub(super) drops: bool,
}

pub(super) fn read_chain(message: &Message) -> Option<AnyChain> {
    let attributes = message.attributes();
    let hook = attributes.nested(4).and_then(|hook| {
        let kind = attributes.text(7)?.to_owned();
        Some((hook.be32(1)?, hook.be32(2)? as i32, kind))
    });
    Some(AnyChain {
        family: message.family(),
        table: attributes.text(1)?.to_owned(),
        name: attributes.text(3)?.to_owned(),
        drops: hook.is_some() && attributes.be32(5) == Some(0),
        hook,
    })
}

/// A chain of our table, without its rules. One that hangs where none of ours does has no hook
/// here, and so is not what it should be.
pub(super) fn our_chain(chain: &AnyChain) -> Chain {
    let hook = chain.hook.as_ref().filter(|_| !chain.drops).and_then(|(number, priority, kind)| {
        let point = match number {
            0 => HookPoint::Prerouting,
            2 => HookPoint::Forward,
            3 => HookPoint::Output,
            4 => HookPoint::Postrouting,
            _ => return None,
        };
        Some(Hook { nat: kind == "nat", point, priority: *priority })
    });
    Chain { name: chain.name.clone(), hook, rules: Vec::new() }
}

/// A rule of any chain, as the kernel tells it.
#[derive(Debug, Clone)]
pub(super) struct AnyRule {
    pub(super) chain: String,
    pub(super) handle: u64,
    pub(super) comment: Option<String>,
    pub(super) rule: Rule,
}

pub(super) fn read_rule(message: &Message) -> Option<AnyRule> {
    let attributes = message.attributes();
    let list = attributes.nested(4);
    let exprs: Vec<Expr> =
        list.into_iter().flat_map(|list| list.each(wire::LIST_ELEM)).map(wire::read).collect();
    Some(AnyRule {
        chain: attributes.text(2)?.to_owned(),
        handle: attributes.be64(3)?,
        comment: attributes.get(7).and_then(element::read_comment).map(str::to_owned),
        rule: Rule { text: String::new(), exprs },
    })
}
