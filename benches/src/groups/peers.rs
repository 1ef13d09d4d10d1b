//! What others write for floating addresses, in their own words.

use std::net::Ipv4Addr;

pub(crate) use fip_core::kernel::Hold;

/// The link on the LAN, and the bridge with the workloads.
pub(crate) const UPLINK: &str = "eth0";
pub(crate) const BRIDGE: &str = "br-fip";

/// A floating address and the fixed one behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) floating: Ipv4Addr,
    pub(crate) fixed: Ipv4Addr,
}

/// So many bindings that are just there: 172.28.0.1 and on, to 172.18.1.1 and on.
pub(crate) fn pairs(count: u64) -> Vec<Pair> {
    let nth =
        |first: [u8; 4], n: u64| Ipv4Addr::from_bits(Ipv4Addr::from(first).to_bits() + n as u32);
    (0..count)
        .map(|n| Pair { floating: nth([172, 28, 0, 1], n), fixed: nth([172, 18, 1, 1], n) })
        .collect()
}

/// Three rules for each, as OpenStack's and Calico's agents write them, in the words of
/// `iptables-restore`. `verb` is `-A` or `-D`.
pub(crate) fn iptables_rules(verb: &str, pairs: &[Pair]) -> String {
    let rules = pairs.iter().map(|Pair { floating, fixed }| {
        format!(
            "{verb} PREROUTING -d {floating}/32 ! -i {BRIDGE} -j DNAT --to-destination {fixed}\n\
             {verb} OUTPUT -d {floating}/32 -j DNAT --to-destination {fixed}\n\
             {verb} POSTROUTING -s {fixed}/32 ! -o {BRIDGE} -j SNAT --to-source {floating}\n"
        )
    });
    format!("*nat\n{}COMMIT\n", rules.collect::<String>())
}

/// A table with two maps, one a way, as nft's manual advises: its size does not matter to a packet.
pub(crate) fn nft_table(pairs: &[Pair]) -> String {
    format!(
        "table ip bench {{
  map dnat4 {{ type ipv4_addr : ipv4_addr; }}
  map snat4 {{ type ipv4_addr : ipv4_addr; }}
  chain prerouting {{
    type nat hook prerouting priority dstnat - 10;
    iifname != \"{BRIDGE}\" dnat to ip daddr map @dnat4
  }}
  chain output {{
    type nat hook output priority -110;
    dnat to ip daddr map @dnat4
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat - 10;
    oifname != \"{BRIDGE}\" snat to ip saddr map @snat4
  }}
}}
{}",
        nft_elements("add", pairs)
    )
}

/// The elements of these, of both maps. `verb` is `add` or `delete`.
pub(crate) fn nft_elements(verb: &str, pairs: &[Pair]) -> String {
    if pairs.is_empty() {
        return String::new();
    }
    let list = |each: fn(&Pair) -> String| pairs.iter().map(each).collect::<Vec<_>>().join(", ");
    format!(
        "{verb} element ip bench dnat4 {{ {} }}\n{verb} element ip bench snat4 {{ {} }}\n",
        list(|pair| format!("{} : {}", pair.floating, pair.fixed)),
        list(|pair| format!("{} : {}", pair.fixed, pair.floating))
    )
}

/// The floating addresses on the uplink, in the words of `ip -batch`. `verb` is `add` or `del`.
pub(crate) fn addresses(verb: &str, pairs: &[Pair]) -> String {
    let line = |pair: &Pair| format!("addr {verb} {}/32 dev {UPLINK}\n", pair.floating);
    pairs.iter().map(line).collect()
}

/// `local` routes to the floating addresses, in the words of `ip -batch`.
pub(crate) fn local_routes(verb: &str, pairs: &[Pair]) -> String {
    let line = |pair: &Pair| format!("route {verb} local {}/32 dev {UPLINK}\n", pair.floating);
    pairs.iter().map(line).collect()
}

/// The rules of so many containers with one published port each, as dockerd writes them, in the
/// words of `iptables-restore --noflush`.
pub(crate) fn docker_rules(pairs: &[Pair]) -> String {
    let nat = pairs.iter().map(|Pair { floating, fixed }| {
        format!(
            "-A DOCKER -d {floating}/32 ! -i docker0 -p tcp -m tcp --dport 80 \
             -j DNAT --to-destination {fixed}:80\n\
             -A POSTROUTING -s {fixed}/32 -d {fixed}/32 -p tcp -m tcp --dport 80 -j MASQUERADE\n"
        )
    });
    let filter = pairs.iter().map(|Pair { fixed, .. }| {
        format!(
            "-A DOCKER -d {fixed}/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT\n"
        )
    });
    format!(
        "*nat\n{}COMMIT\n*filter\n{}COMMIT\n",
        nat.collect::<String>(),
        filter.collect::<String>()
    )
}
