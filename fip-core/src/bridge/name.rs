//! How the near end of a workload's veth pair is named: so that it can be found again.
//!
//! `fip`, 7 digits from the namespace itself and the peer's name, 5 digits from what the namespace
//! was called and the peer's name: the 15 characters that a link's name may have. The first part
//! finds the port whatever the namespace is called this time. The second finds it when there is no
//! such file or process any more while something else keeps the namespace alive.

use crate::binding::LinkName;
use crate::kernel::Link;
use crate::netns::NetNs;

const PREFIX: &str = "fip";
const IDENTITY_DIGITS: usize = 7;
const SPELLING_DIGITS: usize = 5;

/// Digits that are told apart easily (Crockford's base 32).
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The beginning of the name: the namespace itself ([`crate::kernel::Kernel::identify`]), and the
/// peer's name.
pub(super) fn beginning(identity: [u64; 2], peer: &LinkName) -> String {
    let identity = identity.map(u64::to_ne_bytes).concat();
    format!("{PREFIX}{}", digits(&identity, peer, IDENTITY_DIGITS))
}

/// The end of the name: what the namespace is called, and the peer's name.
pub(super) fn ending(netns: &NetNs, peer: &LinkName) -> String {
    digits(netns.to_string().as_bytes(), peer, SPELLING_DIGITS)
}

/// Whether the link is the near end of a pair that we made.
pub(super) fn is_ours(link: &Link) -> bool {
    let length = PREFIX.len() + IDENTITY_DIGITS + SPELLING_DIGITS;
    let name = link.name.as_str();
    let digits = name.strip_prefix(PREFIX).filter(|_| name.len() == length);
    link.kind.as_deref() == Some("veth")
        && digits.is_some_and(|digits| digits.bytes().all(|b| DIGITS.contains(&b)))
}

fn digits(what: &[u8], peer: &LinkName, count: usize) -> String {
    let bytes = [what, &[0], peer.as_str().as_bytes()].concat();
    let hash = fnv1a(&bytes);
    // The upper bits of this hash are the well mixed ones.
    let digit = |n| char::from(DIGITS[(hash >> (59 - 5 * n)) as usize & 31]);
    (0..count).map(digit).collect()
}

/// FNV-1a, 64 bits: unlike the standard library's hashes the same in every version.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(identity: [u64; 2], netns: &str, peer: &str) -> String {
        let (netns, peer): (NetNs, LinkName) = (netns.parse().unwrap(), peer.parse().unwrap());
        beginning(identity, &peer) + &ending(&netns, &peer)
    }

    fn link(name: &str, kind: &str) -> Link {
        Link {
            index: 1,
            name: name.parse().unwrap(),
            mac: None,
            mtu: 1500,
            up: true,
            running: true,
            loopback: false,
            kind: Some(kind.to_owned()),
            master: None,
        }
    }

    #[test]
    fn the_hash_is_fnv1a() {
        // Test vectors of the FNV reference code.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_name_fits_and_is_recognised() {
        let name = near([4, 4_026_531_840], "blue", "eth0");
        assert_eq!(name.len(), crate::binding::LINK_NAME_MAX);
        assert!(is_ours(&link(&name, "veth")));
        assert!(!is_ours(&link(&name, "bridge")));
        assert!(!is_ours(&link(&name[..14], "veth")));
        assert!(!is_ours(&link("fip-my-own-link", "veth")));
    }

    #[test]
    fn each_part_depends_on_what_it_stands_for() {
        let a = near([4, 4_026_531_840], "blue", "eth0");
        let renamed = near([4, 4_026_531_840], "green", "eth0");
        assert_eq!(a[..10], renamed[..10]);
        assert_ne!(a[10..], renamed[10..]);
        let another = near([4, 4_026_531_841], "blue", "eth0");
        assert_ne!(a[..10], another[..10]);
        assert_eq!(a[10..], another[10..]);
        let other_peer = near([4, 4_026_531_840], "blue", "eth1");
        assert_ne!(a[..10], other_peer[..10]);
        assert_ne!(a[10..], other_peer[10..]);
    }
}
