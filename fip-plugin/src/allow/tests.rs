use proptest::prelude::*;

use super::*;

fn list(text: &str) -> AllowList {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn networks_addresses_and_ranges_are_read() {
    let list = list("192.168.99.0/28, 192.0.2.7\t198.51.100.9-198.51.100.11 ,\n2001:db8::/126");
    for inside in ["192.168.99.0", "192.168.99.15", "192.0.2.7", "198.51.100.9", "198.51.100.11"] {
        assert!(list.contains(ip(inside)), "{inside}");
    }
    for outside in ["192.168.98.255", "192.168.99.16", "192.0.2.6", "198.51.100.8", "198.51.100.12"]
    {
        assert!(!list.contains(ip(outside)), "{outside}");
    }
    assert!(list.contains(ip("2001:db8::")) && list.contains(ip("2001:db8::3")));
    assert!(!list.contains(ip("2001:db8::4")) && !list.contains(ip("2001:db7:ffff::")));
}

#[test]
fn families_are_apart() {
    assert!(!list("0.0.0.0/0").contains(ip("::1")));
    assert!(!list("0.0.0.0/0").contains(ip("::ffff:192.0.2.1")));
    assert!(!list("::/0").contains(ip("192.0.2.1")));
    assert!(list("::/0 0.0.0.0/0").contains(ip("192.0.2.1")));
    assert_eq!(list("::,255.255.255.255").to_string(), "255.255.255.255, ::");
}

#[test]
fn lists_are_kept_short_and_in_order() {
    for (text, printed) in [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1/32", "192.0.2.1"),
        ("192.0.2.0-192.0.2.255", "192.0.2.0/24"),
        ("192.0.2.0-192.0.2.254", "192.0.2.0-192.0.2.254"),
        ("192.0.2.1-192.0.2.2", "192.0.2.1-192.0.2.2"),
        ("192.0.2.2,192.0.2.1,192.0.2.3,192.0.2.2", "192.0.2.1-192.0.2.3"),
        ("192.0.2.128/25 192.0.2.0/25", "192.0.2.0/24"),
        ("192.0.2.9 192.0.2.0/24 192.0.2.0/25", "192.0.2.0/24"),
        ("2001:db8::1 192.0.2.1", "192.0.2.1, 2001:db8::1"),
        ("0.0.0.0-255.255.255.255", "0.0.0.0/0"),
        ("::/1,8000::/1", "::/0"),
        ("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0"),
        ("::/0 ffff::", "::/0"),
    ] {
        assert_eq!(list(text).to_string(), printed, "{text}");
    }
}

#[test]
fn a_narrower_list_is_covered() {
    let wide = list("192.0.2.0/25 192.0.2.128/25 2001:db8::/32");
    for inside in ["192.0.2.0/24", "192.0.2.127-192.0.2.128", "2001:db8::5", "192.0.2.1 2001:db8::"]
    {
        assert!(wide.covers(&list(inside)), "{inside}");
    }
    for outside in ["192.0.2.0/23", "192.0.1.255-192.0.2.0", "192.0.2.1 198.51.100.1", "::/0"] {
        assert!(!wide.covers(&list(outside)), "{outside}");
    }
    assert!(wide.covers(&wide));
}

#[test]
fn lists_are_joined() {
    let joined = AllowList::union([list("192.0.2.0/25"), list("192.0.2.128/25")]).unwrap();
    assert_eq!(joined, list("192.0.2.0/24"));
    assert_eq!(AllowList::union([]), None);
}

#[test]
fn the_subnet_of_an_address_is_a_list() {
    let subnet = |text: &str| AllowList::from(text.parse::<IpNetwork>().unwrap());
    assert_eq!(subnet("192.168.99.7/24"), list("192.168.99.0/24"));
    assert_eq!(subnet("2001:db8::7/64"), list("2001:db8::/64"));
    assert_eq!(subnet("192.0.2.7/32"), list("192.0.2.7"));
    assert_eq!(subnet("192.0.2.7/0"), list("0.0.0.0/0"));
    assert_eq!(subnet("2001:db8::7/0"), list("::/0"));
}

#[test]
fn host_bits_are_refused_with_what_may_have_been_meant() {
    let error = "192.168.99.7/24".parse::<AllowList>().unwrap_err();
    assert!(error.is_usage());
    assert_eq!(
        error.to_string(),
        "\"192.168.99.7/24\" is not a network: it has host bits set; write 192.168.99.0/24 for the \
         network, or 192.168.99.7 for the one address"
    );
    assert!("2001:db8::1/64".parse::<AllowList>().is_err());
}

#[test]
fn what_is_no_list_is_refused() {
    for bad in [
        "",
        " ,\n, ",
        "x",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.01",
        "192.0.2.0/",
        "192.0.2.0/33",
        "192.0.2.0/+24",
        "192.0.2.0/-1",
        "192.0.2.0/24/24",
        "192.0.2.0/255.255.255.0",
        "192.0.2.0/999999999999999999999",
        "/24",
        "2001:db8::/129",
        "2001:db8::/64-2001:db9::/64",
        "192.0.2.1-",
        "-192.0.2.1",
        "-",
        "192.0.2.1-2",
        "192.0.2.1 - 192.0.2.2",
        "192.0.2.1-192.0.2.2-192.0.2.3",
        "192.0.2.2-192.0.2.1",
        "192.0.2.1-2001:db8::1",
        "2001:db8::1-192.0.2.1",
        "fe80::1%eth0",
        "192.0.2.1;192.0.2.2",
        "192.0.2.1\0",
        "192.0.2.1\u{a0}",
        "１92.0.2.1",
        "192.0.2.1, 192.0.2.0/24, nonsense",
    ] {
        let error = bad.parse::<AllowList>().expect_err(bad);
        assert!(error.is_usage(), "{bad:?}: {error}");
    }
}

#[test]
fn a_turned_range_is_told_how_it_should_be() {
    let error = "192.0.2.9-192.0.2.2".parse::<AllowList>().unwrap_err().to_string();
    assert!(error.contains("turn it, 192.0.2.2-192.0.2.9"), "{error}");
}

#[test]
fn lists_are_text_in_json() {
    let json = serde_json::to_string(&list("192.0.2.0/24 2001:db8::1")).unwrap();
    assert_eq!(json, "\"192.0.2.0/24, 2001:db8::1\"");
    assert_eq!(serde_json::from_str::<AllowList>(&json).unwrap(), list("192.0.2.0/24,2001:db8::1"));
    for bad in ["\"\"", "\"x\"", "null", "7", "[]"] {
        assert!(serde_json::from_str::<AllowList>(bad).is_err(), "{bad}");
    }
}

/// Addresses close to each other and to the ends of both families, so that ranges meet.
fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0..40_u32).prop_map(|n| IpAddr::from(Ipv4Addr::from_bits(n))),
        (0..40_u32).prop_map(|n| IpAddr::from(Ipv4Addr::from_bits(u32::MAX - n))),
        (0..40_u128).prop_map(|n| IpAddr::from(Ipv6Addr::from_bits(n))),
        (0..40_u128).prop_map(|n| IpAddr::from(Ipv6Addr::from_bits(u128::MAX - n))),
        any::<IpAddr>(),
    ]
}

/// Pairs of one family, the lower first.
fn pairs() -> impl Strategy<Value = Vec<(IpAddr, IpAddr)>> {
    let pair = (address(), address()).prop_map(|(a, b)| {
        let b = if a.is_ipv4() == b.is_ipv4() { b } else { a };
        (a.min(b), a.max(b))
    });
    prop::collection::vec(pair, 1..12)
}

fn written(pairs: &[(IpAddr, IpAddr)]) -> AllowList {
    let text: Vec<String> = pairs.iter().map(|(a, b)| format!("{a}-{b}")).collect();
    list(&text.join(" "))
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
        if let Ok(list) = text.parse::<AllowList>() {
            prop_assert_eq!(list.to_string().parse::<AllowList>().unwrap(), list);
        }
    }

    #[test]
    fn text_of_the_right_letters_is_read_or_refused(text in "[0-9a-f:./, -]{0,40}") {
        if let Ok(list) = text.parse::<AllowList>() {
            prop_assert_eq!(list.to_string().parse::<AllowList>().unwrap(), list);
        }
    }

    #[test]
    fn a_list_reads_as_it_prints(pairs in pairs()) {
        let list = written(&pairs);
        prop_assert_eq!(&list.to_string().parse::<AllowList>().unwrap(), &list);
    }

    #[test]
    fn a_list_contains_what_one_of_its_ranges_does(
        pairs in pairs(),
        others in prop::collection::vec(address(), 20),
    ) {
        let list = written(&pairs);
        let ends = pairs.iter().flat_map(|&(a, b)| [a, b]);
        for address in others.into_iter().chain(ends) {
            let naive = pairs.iter().any(|&(first, last)| {
                address.is_ipv4() == first.is_ipv4() && (first..=last).contains(&address)
            });
            prop_assert_eq!(list.contains(address), naive, "{} in {}", address, list);
        }
    }

    #[test]
    fn a_list_covers_its_parts_and_is_covered_by_its_union(a in pairs(), b in pairs()) {
        let both = AllowList::union([written(&a), written(&b)]).unwrap();
        prop_assert!(both.covers(&written(&a)) && both.covers(&written(&b)));
        prop_assert_eq!(written(&a).covers(&both), written(&a) == both);
    }

    #[test]
    fn the_order_does_not_matter(pairs in pairs()) {
        let turned: Vec<_> = pairs.iter().rev().copied().collect();
        prop_assert_eq!(written(&pairs), written(&turned));
    }
}
