//! Policy rules as rtnetlink messages (`linux/fib_rules.h`).

use ipnetwork::IpNetwork;
use netlink_packet_route::route::RouteProtocol;
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleHeader, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::FIP_PROTOCOL;
use super::message::Message;
use super::route::FAMILIES;
use crate::kernel::PolicyRule;

const FRA_SRC: u16 = 2;
const FRA_PRIORITY: u16 = 6;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_PROTOCOL: u16 = 21;
const FR_ACT_TO_TBL: u8 = 1;
const FIB_RULE_INVERT: u32 = 2;

/// The request for every rule of the family.
pub(super) fn dump(family: AddressFamily) -> Message {
    let mut message = RuleMessage::default();
    message.header.family = family;
    (&RouteNetlinkMessage::GetRule(message)).into()
}

/// The rule that the message is about, if it is of this family, looks up a table, and selects by
/// its source address and by nothing else. What a newer kernel may select by is unknown here, so
/// a rule with an unknown attribute is none of these.
pub(super) fn decode(message: &Message, wanted: AddressFamily) -> Option<PolicyRule> {
    let (&[family, to, length, tos, table, _, _, action, a, b, c, d], attributes) =
        message.parts::<12>(libc::RTM_NEWRULE)?;
    let inverted = u32::from_ne_bytes([a, b, c, d]) & FIB_RULE_INVERT != 0;
    let plain = attributes.iter().all(|(kind, value)| match kind {
        FRA_SRC | FRA_PRIORITY | FRA_TABLE | FRA_PROTOCOL => true,
        // Always told; -1 if nothing is suppressed.
        FRA_SUPPRESS_PREFIXLEN => value == [0xff; 4],
        _ => false,
    });
    let looks_up = action == FR_ACT_TO_TBL && !inverted;
    if AddressFamily::from(family) != wanted || to != 0 || tos != 0 || !looks_up || !plain {
        return None;
    }
    let source = attributes.address(FRA_SRC)?;
    Some(PolicyRule {
        source: IpNetwork::new(source, length).ok()?,
        table: attributes.number(FRA_TABLE).unwrap_or(table.into()),
        priority: attributes.number(FRA_PRIORITY).unwrap_or(0),
        ours: attributes.get(FRA_PROTOCOL) == Some(&[FIP_PROTOCOL]),
    })
    .filter(|_| family_of(source.is_ipv6()) == wanted)
}

/// The request to add the rule.
pub(super) fn new(rule: &PolicyRule) -> RouteNetlinkMessage {
    RouteNetlinkMessage::NewRule(message(rule))
}

/// The request to delete the rule.
pub(super) fn delete(rule: &PolicyRule) -> RouteNetlinkMessage {
    RouteNetlinkMessage::DelRule(message(rule))
}

fn message(rule: &PolicyRule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header = RuleHeader {
        family: family_of(rule.source.is_ipv6()),
        src_len: rule.source.prefix(),
        action: RuleAction::ToTable,
        ..RuleHeader::default()
    };
    let attributes = &mut message.attributes;
    attributes.push(RuleAttribute::Source(rule.source.ip()));
    attributes.push(RuleAttribute::Table(rule.table));
    attributes.push(RuleAttribute::Priority(rule.priority));
    if rule.ours {
        attributes.push(RuleAttribute::Protocol(RouteProtocol::Other(FIP_PROTOCOL)));
    }
    message
}

fn family_of(ipv6: bool) -> AddressFamily {
    FAMILIES[usize::from(ipv6)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(source: &str) -> PolicyRule {
        let source = source.parse().unwrap();
        PolicyRule { source, table: 61_000_004, priority: 30_000, ours: true }
    }

    fn ipv4(body: Vec<u8>) -> Option<PolicyRule> {
        decode(&Message::raw(libc::RTM_NEWRULE, body), AddressFamily::Inet)
    }

    /// A rule `from 172.18.0.2 lookup 254`, with this in the place of parts of its header, and
    /// more attributes.
    fn with(header: &[(usize, u8)], attributes: &[u8]) -> Vec<u8> {
        let mut body = vec![2, 0, 32, 0, 254, 0, 0, FR_ACT_TO_TBL, 0, 0, 0, 0];
        header.iter().for_each(|&(at, value)| body[at] = value);
        body.extend([8, 0, 2, 0, 172, 18, 0, 2]);
        body.extend(attributes);
        body
    }

    #[test]
    fn what_we_add_is_what_we_read() {
        for source in ["172.18.0.2/32", "172.18.0.0/16", "2001:db8:18::2/128"] {
            for ours in [true, false] {
                let rule = PolicyRule { ours, ..rule(source) };
                let family = family_of(rule.source.is_ipv6());
                assert_eq!(decode(&(&new(&rule)).into(), family), Some(rule));
            }
        }
    }

    #[test]
    fn rules_that_select_by_more_are_none() {
        let plain = PolicyRule { table: 254, priority: 0, ours: false, ..rule("172.18.0.2/32") };
        assert_eq!(ipv4(with(&[], &[])), Some(plain));
        let nothing_suppressed = [8, 0, 14, 0, 255, 255, 255, 255];
        assert!(ipv4(with(&[], &nothing_suppressed)).is_some());
        // Another family, a destination, a type of service, another action, inverted.
        for header in [(0, 10), (1, 24), (3, 8), (7, 6), (8, 2)] {
            assert_eq!(ipv4(with(&[header], &[])), None, "{header:?}");
        }
        for attribute in [
            [8, 0, 1, 0, 192, 0, 2, 1],     // FRA_DST
            [8, 0, 3, 0, b'l', b'o', 0, 0], // FRA_IIFNAME
            [8, 0, 10, 0, 1, 0, 0, 0],      // FRA_FWMARK
            [8, 0, 14, 0, 0, 0, 0, 0],      // FRA_SUPPRESS_PREFIXLEN
            [5, 0, 19, 0, 1, 0, 0, 0],      // FRA_L3MDEV
            [8, 0, 99, 0, 1, 0, 0, 0],      // what nobody knows yet
        ] {
            assert_eq!(ipv4(with(&[], &attribute)), None, "{attribute:?}");
        }
    }

    #[test]
    fn hostile_messages_are_none() {
        assert_eq!(ipv4(Vec::new()), None);
        assert_eq!(ipv4(with(&[], &[])[..11].to_vec()), None);
        assert_eq!(ipv4(with(&[], &[])[..12].to_vec()), None, "from everywhere");
        assert_eq!(ipv4(with(&[(2, 33)], &[])), None);
        let six = [vec![2, 0, 32, 0, 254, 0, 0, 1, 0, 0, 0, 0, 20, 0, 2, 0], vec![0; 16]].concat();
        assert_eq!(ipv4(six), None);
        assert_eq!(ipv4(with(&[], &[8, 0, 15, 0, 1, 0])).unwrap().table, 254, "cut off");
        let odd = ipv4(with(&[], &[6, 0, 21, 0, 0xf1, 0xf1, 0, 0])).unwrap();
        assert!(!odd.ours);
        let message = Message::raw(libc::RTM_NEWROUTE, with(&[], &[]));
        assert_eq!(decode(&message, AddressFamily::Inet), None);
    }
}
