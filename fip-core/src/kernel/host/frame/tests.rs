use proptest::prelude::*;

use super::*;

const MAC: Mac = Mac([0x02, 0, 0, 0, 0, 0x0a]);
const V4: &str = "192.0.2.7";
const V6: &str = "2001:db8::7:aabb:ccdd";

// Captured with tcpdump from Linux 6.18 (its own duplicate address detection with the nonce turned
// off, and its `ndisc_notify`) and from iputils' `arping -D`, `-U` and `-A`. arping fills the
// target hardware address of a request with ones, RFC 5227 with zeros.
const ARP_PROBE: &str = "ffffffffffff 02000000000a 0806 0001 0800 06 04 0001 02000000000a 00000000 \
    000000000000 c0000207";
const ARP_REQUEST: &str = "ffffffffffff 02000000000a 0806 0001 0800 06 04 0001 02000000000a \
    c0000207 000000000000 c0000207";
const ARP_REPLY: &str = "ffffffffffff 02000000000a 0806 0001 0800 06 04 0002 02000000000a c0000207 \
    02000000000a c0000207";
const NS_PROBE: &str = "3333ffbbccdd 02000000000a 86dd 60000000 0018 3a ff \
    00000000000000000000000000000000 ff0200000000000000000001ffbbccdd 87 00 07b6 00000000 \
    20010db80000000000000007aabbccdd";
const KERNEL_NA: &str = "333300000001 02000000000a 86dd 60000000 0020 3a ff \
    20010db80000000000000007aabbccdd ff020000000000000000000000000001 88 00 09e3 20000000 \
    20010db80000000000000007aabbccdd 02 01 02000000000a";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn heard(address: &str, mac: Mac, probing: bool) -> Option<Heard> {
    let deed = if probing { Deed::Probes } else { Deed::Holds };
    Some(Heard { address: ip(address), mac, deed })
}

/// The frame with this part replaced and the checksum right again.
fn altered(frame: &str, at: usize, with: &[u8]) -> Vec<u8> {
    let mut frame = bytes(frame);
    frame[at..at + with.len()].copy_from_slice(with);
    with_checksum(frame)
}

fn with_checksum(mut frame: Vec<u8>) -> Vec<u8> {
    frame[ICMP + 2..ICMP + 4].fill(0);
    let [source, to] =
        [ETHERNET + 8, ETHERNET + 24].map(|at| Ipv6Addr::from(octets::<16>(&frame, at).unwrap()));
    let checksum = !sum(source, to, &frame[ICMP..]);
    frame[ICMP + 2..ICMP + 4].copy_from_slice(&checksum.to_be_bytes());
    frame
}

#[test]
fn frames_are_those_of_the_kernel_and_of_arping() {
    assert_eq!(probe(MAC, ip(V4)), bytes(ARP_PROBE));
    assert_eq!(announcement(MAC, ip(V4)), [bytes(ARP_REQUEST), bytes(ARP_REPLY)]);
    assert_eq!(probe(MAC, ip(V6)), bytes(NS_PROBE));
    assert_eq!(announcement(MAC, ip(V6)), [bytes(KERNEL_NA)]);
}

#[test]
fn probes_and_announcements_are_recognised() {
    assert_eq!(decode(&bytes(ARP_PROBE)), heard(V4, MAC, true));
    assert_eq!(decode(&bytes(ARP_REQUEST)), heard(V4, MAC, false));
    assert_eq!(decode(&bytes(ARP_REPLY)), heard(V4, MAC, false));
    assert_eq!(decode(&bytes(NS_PROBE)), heard(V6, MAC, true));
    assert_eq!(decode(&bytes(KERNEL_NA)), heard(V6, MAC, false));
}

#[test]
fn padding_does_not_matter() {
    for frame in [ARP_PROBE, ARP_REPLY, NS_PROBE, KERNEL_NA] {
        let mut padded = bytes(frame);
        padded.extend([0xa5; 32]);
        assert_eq!(decode(&padded), decode(&bytes(frame)));
    }
}

#[test]
fn an_ordinary_request_tells_who_the_asker_is() {
    let mut frame = bytes(ARP_REQUEST);
    frame[38..42].copy_from_slice(&[192, 0, 2, 99]);
    assert_eq!(decode(&frame), heard(V4, MAC, false));
}

#[test]
fn arp_that_says_nothing_is_ignored() {
    let altered = |at: usize, with: &[u8]| {
        let mut frame = bytes(ARP_PROBE);
        frame[at..at + with.len()].copy_from_slice(with);
        decode(&frame)
    };
    assert_eq!(altered(38, &[0; 4]), None, "a probe for 0.0.0.0");
    assert_eq!(altered(20, &[0, 2]), None, "a reply from 0.0.0.0");
    assert_eq!(altered(20, &[0, 3]), None, "reverse ARP");
    assert_eq!(altered(14, &[0, 6]), None, "another kind of hardware");
    assert_eq!(altered(18, &[8]), None, "another length of hardware address");
    assert_eq!(altered(12, &[0x81, 0]), None, "a VLAN tag");
}

#[test]
fn an_advertisement_without_the_option_is_from_its_ethernet_source() {
    let mut frame = bytes(KERNEL_NA);
    frame.truncate(ICMP + ND_MESSAGE);
    frame[19] = ND_MESSAGE as u8;
    frame[11] = 0x0b;
    let source = Mac([0x02, 0, 0, 0, 0, 0x0b]);
    assert_eq!(decode(&with_checksum(frame)), heard(V6, source, false));
}

#[test]
fn the_option_counts_more_than_the_ethernet_source() {
    let frame = altered(KERNEL_NA, 6, &[0x02, 0, 0, 0, 0, 0x0b]);
    assert_eq!(decode(&frame), heard(V6, MAC, false));
}

#[test]
fn neighbour_discovery_that_is_not_valid_is_ignored() {
    let na = |at, with| decode(&altered(KERNEL_NA, at, with));
    let ns = |at, with| decode(&altered(NS_PROBE, at, with));
    assert_eq!(na(21, &[254]), None, "it crossed a router");
    assert_eq!(na(20, &[17]), None, "not ICMPv6");
    assert_eq!(na(14, &[0x40]), None, "not IPv6");
    assert_eq!(na(55, &[1]), None, "a code");
    assert_eq!(na(54, &[134]), None, "a router advertisement");
    assert_eq!(na(58, &[0x60]), None, "solicited, yet to a group");
    assert_eq!(na(62, &[0xff]), None, "the target is a group");
    assert_eq!(na(79, &[0]), None, "an option of no length");
    assert_eq!(na(79, &[2]), None, "an option beyond the end");
    assert_eq!(ns(22, &[0x20]), None, "an ordinary solicitation");
    assert_eq!(ns(53, &[0xde]), None, "not to the group of the target");
    assert_eq!(
        decode(&{
            let mut f = bytes(KERNEL_NA);
            f[56] ^= 1;
            f
        }),
        None,
        "the checksum"
    );
}

#[test]
fn a_solicitation_from_nowhere_with_a_source_option_is_ignored() {
    let mut frame = bytes(NS_PROBE);
    frame.extend([1, 1, 2, 0, 0, 0, 0, 0x0a]);
    frame[19] += 8;
    assert_eq!(decode(&with_checksum(frame.clone())), None);
    // The nonce that Linux adds (RFC 7527) is no such option.
    frame[ICMP + ND_MESSAGE] = 14;
    assert_eq!(decode(&with_checksum(frame)), heard(V6, MAC, true));
}

#[test]
fn a_truncated_frame_tells_nothing() {
    for frame in [ARP_PROBE, ARP_REQUEST, NS_PROBE, KERNEL_NA].map(bytes) {
        for length in 0..frame.len() {
            assert_eq!(decode(&frame[..length]), None, "{length} octets");
        }
    }
}

proptest! {
    #[test]
    fn noise_never_panics(frame in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&frame);
    }

    #[test]
    fn a_damaged_frame_never_panics(
        which in 0..4usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        repair in any::<bool>(),
    ) {
        let mut frame = bytes([ARP_PROBE, ARP_REPLY, NS_PROBE, KERNEL_NA][which]);
        for (at, octet) in damage {
            let at = at.index(frame.len());
            frame[at] = octet;
        }
        if repair && frame.len() > ICMP + ND_MESSAGE {
            frame = with_checksum(frame);
        }
        let _ = decode(&frame);
        let _ = decode(&frame[..cut.index(frame.len())]);
    }

    #[test]
    fn what_is_encoded_is_decoded(mac: [u8; 6], address: IpAddr) {
        prop_assume!(!address.is_unspecified() && !address.is_multicast());
        let mac = Mac(mac);
        prop_assert_eq!(
            decode(&probe(mac, address)),
            Some(Heard { address, mac, deed: Deed::Probes })
        );
        for frame in announcement(mac, address) {
            prop_assert_eq!(decode(&frame), Some(Heard { address, mac, deed: Deed::Holds }));
        }
    }
}
