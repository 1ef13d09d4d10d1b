//! nf_tables messages: our plain data to netlink attributes and back
//! (`linux/netfilter/nf_tables.h`). Pure.

use crate::nat::Family;
use crate::nat::expr::{Ct, Expr, Header, Meta, Slot, Verdict};

use super::super::attributes::Attributes;
use super::super::message::Writer;

/// `NFTA_DATA_VALUE`, `NFTA_DATA_VERDICT`.
pub(super) const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
/// `NFTA_LIST_ELEM`
pub(super) const LIST_ELEM: u16 = 1;

const METAS: [(Meta, u32); 5] = [
    (Meta::Mark, 3),
    (Meta::IifName, 6),
    (Meta::OifName, 7),
    (Meta::NfProto, 15),
    (Meta::L4Proto, 16),
];
const CTS: [(Ct, u32); 4] = [(Ct::State, 0), (Ct::Direction, 1), (Ct::Status, 2), (Ct::Mark, 3)];

/// Writes one expression as an element of a rule's list.
pub(super) fn write(list: &mut Writer<'_>, expr: &Expr) {
    list.nest(LIST_ELEM, |w| {
        w.text(1, name(expr));
        w.nest(2, |w| write_body(w, expr));
    });
}

fn name(expr: &Expr) -> &str {
    match expr {
        Expr::Meta { .. } | Expr::SetMetaMark(_) => "meta",
        Expr::Ct { .. } | Expr::SetCtMark(_) => "ct",
        Expr::Payload { .. } => "payload",
        Expr::Bitwise { .. } => "bitwise",
        Expr::Compare { .. } => "cmp",
        Expr::Lookup { .. } => "lookup",
        Expr::Nat { .. } => "nat",
        Expr::Masquerade => "masq",
        Expr::Counter => "counter",
        Expr::Verdict(_) => "immediate",
        Expr::Foreign(name) => name,
    }
}

fn write_body(w: &mut Writer<'_>, expr: &Expr) {
    match expr {
        // NFTA_META_DREG, _KEY, _SREG
        Expr::Meta { key, slot } => _ = w.be32(1, register(*slot)).be32(2, number(&METAS, *key)),
        Expr::SetMetaMark(slot) => {
            _ = w.be32(3, register(*slot)).be32(2, number(&METAS, Meta::Mark));
        }
        // NFTA_CT_DREG, _KEY, _DIRECTION, _SREG
        Expr::Ct { key, slot } => _ = w.be32(1, register(*slot)).be32(2, number(&CTS, *key)),
        Expr::SetCtMark(slot) => _ = w.be32(4, register(*slot)).be32(2, number(&CTS, Ct::Mark)),
        // NFTA_PAYLOAD_DREG, _BASE, _OFFSET, _LEN
        Expr::Payload { header, offset, length, slot } => {
            let base = match header {
                Header::Network => 1,
                Header::Transport => 2,
            };
            w.be32(1, register(*slot)).be32(2, base).be32(3, *offset).be32(4, *length);
        }
        // NFTA_BITWISE_SREG, _DREG, _LEN, _MASK, _XOR
        Expr::Bitwise { slot, mask, xor } => {
            w.be32(1, register(*slot)).be32(2, register(*slot)).be32(3, 4);
            w.nest(4, |w| _ = w.bytes(DATA_VALUE, &mask.to_ne_bytes()));
            w.nest(5, |w| _ = w.bytes(DATA_VALUE, &xor.to_ne_bytes()));
        }
        // NFTA_CMP_SREG, _OP, _DATA
        Expr::Compare { slot, equal, value } => {
            w.be32(1, register(*slot)).be32(2, u32::from(!equal));
            w.nest(3, |w| _ = w.bytes(DATA_VALUE, value));
        }
        // NFTA_LOOKUP_SET, _SREG, _DREG
        Expr::Lookup { set, slot, result } => {
            w.text(1, set).be32(2, register(*slot));
            if let Some(result) = result {
                w.be32(3, register(*result));
            }
        }
        // NFTA_NAT_TYPE, _FAMILY, _REG_ADDR_MIN, _REG_PROTO_MIN
        Expr::Nat { source, family, address, port } => {
            w.be32(1, u32::from(!source)).be32(2, u32::from(family.nfproto()));
            w.be32(3, register(*address));
            if let Some(port) = port {
                w.be32(5, register(*port));
            }
        }
        Expr::Masquerade | Expr::Counter | Expr::Foreign(_) => {}
        // NFTA_IMMEDIATE_DREG, _DATA; NFTA_VERDICT_CODE, _CHAIN
        Expr::Verdict(verdict) => {
            w.be32(1, 0).nest(2, |w| {
                w.nest(DATA_VERDICT, |w| {
                    w.be32(1, verdict_code(verdict) as u32);
                    if let Verdict::Jump(chain) = verdict {
                        w.text(2, chain);
                    }
                });
            });
        }
    }
}

fn verdict_code(verdict: &Verdict) -> i32 {
    match verdict {
        Verdict::Drop => 0,
        Verdict::Accept => 1,
        Verdict::Jump(_) => -3,
        Verdict::Return => -5,
    }
}

/// Reads an element of a rule's expression list. What we never write is [`Expr::Foreign`].
pub(super) fn read(element: Attributes<'_>) -> Expr {
    let name = element.text(1).unwrap_or_default();
    let known = element.nested(2).and_then(|body| read_body(name, body));
    known.unwrap_or_else(|| Expr::Foreign(name.to_owned()))
}

/// How [`read`] calls the target `REJECT` of iptables.
pub(super) const REJECT_TARGET: &str = "target REJECT";

/// How [`read`] calls the comment match of iptables with this text.
pub(super) fn matched_comment(text: &str) -> String {
    format!("match comment {text}")
}

fn read_body(name: &str, body: Attributes<'_>) -> Option<Expr> {
    let slot = |kind| slot(body.be32(kind)?);
    let word = |kind| {
        let value = body.nested(kind)?.get(DATA_VALUE)?;
        Some(u32::from_ne_bytes(value.try_into().ok()?))
    };
    Some(match name {
        "meta" => match (slot(3), named(&METAS, body.be32(2)?)?) {
            (Some(slot), Meta::Mark) => Expr::SetMetaMark(slot),
            (Some(_), _) => return None,
            (None, key) => Expr::Meta { key, slot: slot(1)? },
        },
        // A direction attribute would make it another key.
        "ct" if body.get(3).is_none() => match (slot(4), named(&CTS, body.be32(2)?)?) {
            (Some(slot), Ct::Mark) => Expr::SetCtMark(slot),
            (Some(_), _) => return None,
            (None, key) => Expr::Ct { key, slot: slot(1)? },
        },
        "payload" => {
            let header = match body.be32(2)? {
                1 => Header::Network,
                2 => Header::Transport,
                _ => return None,
            };
            Expr::Payload { header, offset: body.be32(3)?, length: body.be32(4)?, slot: slot(1)? }
        }
        // NFTA_BITWISE_OP: only mask and xor (0)
        "bitwise" if body.be32(6).unwrap_or(0) == 0 && slot(1) == slot(2) => {
            Expr::Bitwise { slot: slot(1)?, mask: word(4)?, xor: word(5)? }
        }
        "cmp" => {
            let value = body.nested(3)?.get(DATA_VALUE)?.to_vec();
            let equal = match body.be32(2)? {
                0 => true,
                1 => false,
                _ => return None,
            };
            Expr::Compare { slot: slot(1)?, equal, value }
        }
        // NFTA_LOOKUP_FLAGS: only "is in the set" (0)
        "lookup" if body.be32(5).unwrap_or(0) == 0 => {
            Expr::Lookup { set: body.text(1)?.to_owned(), slot: slot(2)?, result: slot(3) }
        }
        "nat" => Expr::Nat {
            source: body.be32(1)? == 0,
            family: Family::ALL
                .into_iter()
                .find(|f| Some(u32::from(f.nfproto())) == body.be32(2))?,
            address: slot(3)?,
            port: slot(5),
        },
        // NFTA_MATCH_NAME, _INFO
        "match" if body.text(1) == Some("comment") => {
            let text = String::from_utf8_lossy(body.get(3)?);
            Expr::Foreign(matched_comment(text.split('\0').next().unwrap_or_default()))
        }
        // NFTA_TARGET_NAME
        "target" if body.text(1) == Some("REJECT") => Expr::Foreign(REJECT_TARGET.to_owned()),
        "masq" if slot(2).is_none() => Expr::Masquerade,
        "counter" => Expr::Counter,
        "immediate" if body.be32(1)? == 0 => {
            let verdict = body.nested(2)?.nested(DATA_VERDICT)?;
            Expr::Verdict(match verdict.be32(1)? as i32 {
                0 => Verdict::Drop,
                1 => Verdict::Accept,
                -3 => Verdict::Jump(verdict.text(2)?.to_owned()),
                -5 => Verdict::Return,
                _ => return None,
            })
        }
        _ => return None,
    })
}

fn number<T: PartialEq + Copy>(table: &[(T, u32)], key: T) -> u32 {
    table.iter().find(|(found, _)| *found == key).map_or(u32::MAX, |(_, number)| *number)
}

fn named<T: Copy>(table: &[(T, u32)], number: u32) -> Option<T> {
    table.iter().find(|(_, found)| *found == number).map(|(key, _)| *key)
}

/// The kernel calls slot 0 of each 16-byte register by that register's number, `NFT_REG_1` to
/// `NFT_REG_4` (1 to 4), when it hands a rule back, and accepts both.
fn register(slot: Slot) -> u32 {
    const REG32_00: u32 = 8;
    let slot = u32::from(slot);
    if slot.is_multiple_of(4) { 1 + slot / 4 } else { REG32_00 + slot }
}

fn slot(register: u32) -> Option<Slot> {
    match register {
        1..=4 => Some((register as u8 - 1) * 4),
        8..=23 => Some(register as u8 - 8),
        _ => None,
    }
}
