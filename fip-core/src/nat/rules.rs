//! What the table's chains do, rule by rule, each with nft's way to write it.

use super::expr::{Ct, Expr, Header, Meta, Slot, Verdict};
use super::skeleton::{Chain, Field, Hook, HookPoint, Rule, Set};
use super::{Family, INTERNAL, MASQUERADED, Mark, THROUGH};

/// Before Docker's and everybody's destination translation (`dstnat` is -100): a published
/// `0.0.0.0:80` must not swallow port 80 of a floating address.
const DSTNAT: i32 = -110;
/// Before Docker's masquerade (`srcnat` is 100).
const SRCNAT: i32 = 90;
const MANGLE: i32 = -150;
const FILTER: i32 = -10;

/// The chains, with this mark for connections that they translated.
pub(super) fn chains(mark: Mark) -> Vec<Chain> {
    let base = |name: &str, nat, point, priority, rules| Chain {
        name: name.to_owned(),
        hook: Some(Hook { nat, point, priority }),
        rules,
    };
    let plain = |name: &str, rules| Chain { name: name.to_owned(), hook: None, rules };
    let translate = || vec![jump("translate")];
    vec![
        plain("translate", translate_rules(mark)),
        plain("sources", source_rules()),
        plain("ours", our_rules(mark)),
        plain("leaving", leaving_rules(mark)),
        plain("bridges", bridge_rules(mark)),
        plain("within", within_rules()),
        base("marks", false, HookPoint::Prerouting, MANGLE, mark_rules(mark)),
        base("prerouting", true, HookPoint::Prerouting, DSTNAT, translate()),
        base("output", true, HookPoint::Output, DSTNAT, translate()),
        base("forward", false, HookPoint::Forward, FILTER, forward_rules(mark)),
        base("postrouting", true, HookPoint::Postrouting, SRCNAT, postrouting_rules(mark)),
    ]
}

/// The sets and maps.
pub(super) fn sets() -> Vec<Set> {
    let set = |name: &str, key: &[Field], data: &[Field], interval, counter| Set {
        name: name.to_owned(),
        key: key.to_vec(),
        data: data.to_vec(),
        interval,
        counter,
    };
    let of = |family: Family| {
        let address = match family {
            Family::V4 => Field::Ipv4,
            Family::V6 => Field::Ipv6,
        };
        let port = [address, Field::Protocol, Field::Port];
        [
            set(family.dnat(), &[address], &[address], false, true),
            set(family.port(), &port, &[address, Field::Port], false, true),
            set(family.snat(), &[Field::LinkName, address], &[address], false, false),
            set(family.hairpin(), &[address, address], &[], true, false),
        ]
    };
    let pair = [Field::LinkName; 2];
    let bridges = [
        set(THROUGH, &pair, &[], false, false),
        set(MASQUERADED, &pair, &[], false, false),
        set(INTERNAL, &pair[..1], &[], false, false),
    ];
    Family::ALL.into_iter().flat_map(of).chain(bridges).collect()
}

/// Picks out the packets of translated connections. Asked so that the answer must be yes: of a
/// packet without a connection (invalid, or not tracked) the kernel answers nothing, and a rule
/// that asks is left.
fn mark_rules(mark: Mark) -> Vec<Rule> {
    vec![rule(
        format!("ct mark & {mark} == {mark} jump ours"),
        [marked(mark.bits()).as_slice(), &[Expr::Verdict(Verdict::Jump("ours".to_owned()))]]
            .concat(),
    )]
}

/// Gives every packet of a translated connection the packet mark, both directions, and counts
/// what arrives for a floating address. The first packet of a connection does not come here: it is
/// marked and counted where it is translated.
fn our_rules(mark: Mark) -> Vec<Rule> {
    let m = mark.bits();
    let mut rules = vec![
        rule(format!("meta mark set meta mark | {mark}"), set_packet_mark(!m, m).to_vec()),
        rule(
            "ct direction reply return".to_owned(),
            vec![
                Expr::Ct { key: Ct::Direction, slot: 0 },
                Expr::Compare { slot: 0, equal: true, value: vec![1] },
                Expr::Verdict(Verdict::Return),
            ],
        ),
    ];
    for family in Family::ALL {
        for (text, load, set) in [
            (
                format!("{} daddr . meta l4proto . th dport", family.nft()),
                port_key(family),
                family.port(),
            ),
            (format!("{} daddr", family.nft()), daddr(family), family.dnat()),
        ] {
            rules.push(rule(
                format!("{text} @{set} return"),
                [
                    &is_family(family)[..],
                    &load,
                    &[lookup(set, None), Expr::Verdict(Verdict::Return)],
                ]
                .concat(),
            ));
        }
    }
    rules
}

/// Marks the connection, translates it if a map knows its destination (which ends the chain), and
/// takes the mark off again if none does. Ports win over whole addresses.
fn translate_rules(mark: Mark) -> Vec<Rule> {
    let m = mark.bits();
    let mut rules = vec![
        rule(format!("ct mark set ct mark | {mark}"), set_connection_mark(!m, m).to_vec()),
        rule(format!("meta mark set meta mark | {mark}"), set_packet_mark(!m, m).to_vec()),
    ];
    for family in Family::ALL {
        let nft = family.nft();
        let port_slot = family.slots();
        rules.push(rule(
            format!("dnat {nft} to {nft} daddr . meta l4proto . th dport map @{}", family.port()),
            [
                &is_family(family)[..],
                &port_key(family),
                &[lookup(family.port(), Some(0)), nat(false, family, Some(port_slot))],
            ]
            .concat(),
        ));
        rules.push(rule(
            format!("dnat {nft} to {nft} daddr map @{}", family.dnat()),
            [
                &is_family(family)[..],
                &daddr(family),
                &[lookup(family.dnat(), Some(0)), nat(false, family, None)],
            ]
            .concat(),
        ));
    }
    let off = Mark::invert(mark);
    rules.push(rule(format!("ct mark set ct mark & {off}"), set_connection_mark(!m, 0).to_vec()));
    rules.push(rule(format!("meta mark set meta mark & {off}"), set_packet_mark(!m, 0).to_vec()));
    rules
}

/// Lets pass foreign firewalls the first packet of what will leave with a floating source address,
/// as the others of its connection do, and what bridges may send, with the answers. Every packet
/// comes here: what most do not need is behind a jump, and what has the mark already is not asked
/// for again. An internal bridge lets nothing in or out, whatever else would.
fn forward_rules(mark: Mark) -> Vec<Rule> {
    const NEW: u32 = 8;
    let unmarked = [
        Expr::Meta { key: Meta::Mark, slot: 0 },
        Expr::Bitwise { slot: 0, mask: mark.bits(), xor: 0 },
        Expr::Compare { slot: 0, equal: true, value: vec![0; 4] },
    ];
    let to = |chain: &str| Expr::Verdict(Verdict::Jump(chain.to_owned()));
    let internal = |key, then| vec![Expr::Meta { key, slot: 0 }, lookup(INTERNAL, None), then];
    vec![
        rule(
            "ct state new jump leaving".to_owned(),
            [&ct_bits(Ct::State, NEW)[..], &[to("leaving")]].concat(),
        ),
        rule(
            format!("meta mark & {mark} == 0x00000000 jump bridges"),
            [&unmarked[..], &[to("bridges")]].concat(),
        ),
        rule(format!("iifname @{INTERNAL} jump within"), internal(Meta::IifName, to("within"))),
        rule(
            format!("oifname @{INTERNAL} drop"),
            internal(Meta::OifName, Expr::Verdict(Verdict::Drop)),
        ),
    ]
}

/// Of new connections, those that will leave with a floating source address.
fn leaving_rules(mark: Mark) -> Vec<Rule> {
    let m = mark.bits();
    let of = |family: Family| {
        let (nft, snat) = (family.nft(), family.snat());
        rule(
            format!("oifname . {nft} saddr @{snat} meta mark set meta mark | {mark}"),
            [
                &is_family(family)[..],
                &snat_key(family),
                &[lookup(snat, None)],
                &set_packet_mark(!m, m),
            ]
            .concat(),
        )
    };
    Family::ALL.into_iter().map(of).collect()
}

fn there() -> Vec<Expr> {
    [link_pair(Meta::IifName, Meta::OifName), vec![lookup(THROUGH, None)]].concat()
}

/// What a bridge may send by which link is let pass, and so are the answers.
fn bridge_rules(mark: Mark) -> Vec<Rule> {
    const ESTABLISHED: u32 = 2;
    const RELATED: u32 = 4;
    let m = mark.bits();
    let back = [link_pair(Meta::OifName, Meta::IifName), vec![lookup(THROUGH, None)]].concat();
    vec![
        rule(
            format!("iifname . oifname @{THROUGH} meta mark set meta mark | {mark}"),
            [there(), set_packet_mark(!m, m).to_vec()].concat(),
        ),
        rule(
            format!(
                "ct state established,related oifname . iifname @{THROUGH} \
                 meta mark set meta mark | {mark}"
            ),
            [&ct_bits(Ct::State, ESTABLISHED | RELATED)[..], &back, &set_packet_mark(!m, m)]
                .concat(),
        ),
    ]
}

/// What comes from an internal bridge stays in it: that is never in `through` with another link.
fn within_rules() -> Vec<Rule> {
    vec![
        rule(
            format!("iifname . oifname @{THROUGH} accept"),
            [there(), vec![Expr::Verdict(Verdict::Accept)]].concat(),
        ),
        rule("drop".to_owned(), vec![Expr::Verdict(Verdict::Drop)]),
    ]
}

/// What was translated to a workload gets its right source; what a workload started leaves with the
/// floating one, and its connection is marked as ours only now: whatever else was done to its
/// destination is not our doing. What else leaves a bridge may do so with the host's address.
fn postrouting_rules(mark: Mark) -> Vec<Rule> {
    const DNAT: u32 = 0x20;
    let m = mark.bits();
    let mut rules = vec![rule(
        format!("ct status dnat ct mark & {mark} == {mark} jump sources"),
        [
            &ct_bits(Ct::Status, DNAT)[..],
            &marked(m),
            &[Expr::Verdict(Verdict::Jump("sources".to_owned()))],
        ]
        .concat(),
    )];
    for family in Family::ALL {
        let (nft, snat) = (family.nft(), family.snat());
        let key = [&is_family(family)[..], &snat_key(family)].concat();
        rules.push(rule(
            format!("oifname . {nft} saddr @{snat} ct mark set ct mark | {mark}"),
            [&key[..], &[lookup(snat, None)], &set_connection_mark(!m, m)].concat(),
        ));
        rules.push(rule(
            format!("snat {nft} to oifname . {nft} saddr map @{snat}"),
            [&key[..], &[lookup(snat, Some(0)), nat(true, family, None)]].concat(),
        ));
    }
    let pair = link_pair(Meta::IifName, Meta::OifName);
    rules.push(rule(
        format!("iifname . oifname @{MASQUERADED} masquerade"),
        [&pair[..], &[lookup(MASQUERADED, None), Expr::Masquerade]].concat(),
    ));
    rules
}

/// The source of a connection to a floating address. Hairpin: caller and workload are in one
/// subnet, so the answer would not come back through this host. The host itself: the kernel chose
/// the floating address as its source. All others keep their own address, said explicitly so
/// that a later masquerade (Docker's) does not hide it.
fn source_rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    for family in Family::ALL {
        let nft = family.nft();
        let both = [
            address(family, true, 0),
            address(family, false, family.slots()),
            lookup(family.hairpin(), None),
            Expr::Masquerade,
        ];
        rules.push(rule(
            format!("{nft} saddr . {nft} daddr @{} masquerade", family.hairpin()),
            [&is_family(family)[..], &both].concat(),
        ));
        let own = [address(family, true, 0), lookup(family.dnat(), None), Expr::Masquerade];
        rules.push(rule(
            format!("{nft} saddr @{} masquerade", family.dnat()),
            [&is_family(family)[..], &own].concat(),
        ));
        let same = [address(family, true, 0), nat(true, family, None)];
        rules.push(rule(
            format!("snat {nft} to {nft} saddr"),
            [&is_family(family)[..], &same].concat(),
        ));
    }
    rules
}

/// `meta mark & MARK == MARK counter accept`: lets our connections through a foreign chain.
pub fn pass_rule(mark: Mark) -> Rule {
    let m = mark.bits();
    rule(
        format!("meta mark & {mark} == {mark} counter accept"),
        vec![
            Expr::Meta { key: Meta::Mark, slot: 0 },
            Expr::Bitwise { slot: 0, mask: m, xor: 0 },
            Expr::Compare { slot: 0, equal: true, value: m.to_ne_bytes().to_vec() },
            Expr::Counter,
            Expr::Verdict(Verdict::Accept),
        ],
    )
}

fn rule(text: String, exprs: Vec<Expr>) -> Rule {
    Rule { text, exprs }
}

fn jump(chain: &str) -> Rule {
    rule(format!("jump {chain}"), vec![Expr::Verdict(Verdict::Jump(chain.to_owned()))])
}

fn marked(m: u32) -> [Expr; 3] {
    [
        Expr::Ct { key: Ct::Mark, slot: 0 },
        Expr::Bitwise { slot: 0, mask: m, xor: 0 },
        Expr::Compare { slot: 0, equal: true, value: m.to_ne_bytes().to_vec() },
    ]
}

fn ct_bits(key: Ct, bits: u32) -> [Expr; 3] {
    [
        Expr::Ct { key, slot: 0 },
        Expr::Bitwise { slot: 0, mask: bits, xor: 0 },
        Expr::Compare { slot: 0, equal: false, value: vec![0; 4] },
    ]
}

fn set_packet_mark(mask: u32, xor: u32) -> [Expr; 3] {
    [
        Expr::Meta { key: Meta::Mark, slot: 0 },
        Expr::Bitwise { slot: 0, mask, xor },
        Expr::SetMetaMark(0),
    ]
}

fn set_connection_mark(mask: u32, xor: u32) -> [Expr; 3] {
    [Expr::Ct { key: Ct::Mark, slot: 0 }, Expr::Bitwise { slot: 0, mask, xor }, Expr::SetCtMark(0)]
}

fn is_family(family: Family) -> [Expr; 2] {
    [
        Expr::Meta { key: Meta::NfProto, slot: 0 },
        Expr::Compare { slot: 0, equal: true, value: vec![family.nfproto()] },
    ]
}

fn address(family: Family, source: bool, slot: Slot) -> Expr {
    let (offset, length) = match (family, source) {
        (Family::V4, true) => (12, 4),
        (Family::V4, false) => (16, 4),
        (Family::V6, true) => (8, 16),
        (Family::V6, false) => (24, 16),
    };
    Expr::Payload { header: Header::Network, offset, length, slot }
}

fn daddr(family: Family) -> Vec<Expr> {
    vec![address(family, false, 0)]
}

fn port_key(family: Family) -> Vec<Expr> {
    let next = family.slots();
    vec![
        address(family, false, 0),
        Expr::Meta { key: Meta::L4Proto, slot: next },
        Expr::Payload { header: Header::Transport, offset: 2, length: 2, slot: next + 1 },
    ]
}

fn snat_key(family: Family) -> [Expr; 2] {
    [Expr::Meta { key: Meta::OifName, slot: 0 }, address(family, true, 4)]
}

fn link_pair(first: Meta, second: Meta) -> Vec<Expr> {
    vec![Expr::Meta { key: first, slot: 0 }, Expr::Meta { key: second, slot: 4 }]
}

fn lookup(set: &str, result: Option<Slot>) -> Expr {
    Expr::Lookup { set: set.to_owned(), slot: 0, result }
}

fn nat(source: bool, family: Family, port: Option<Slot>) -> Expr {
    Expr::Nat { source, family, address: 0, port }
}
