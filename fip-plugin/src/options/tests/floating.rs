use std::net::IpAddr;

use fip_core::{PortForward, Protocol};
use proptest::prelude::*;

use super::*;

fn printed(text: &str) -> Vec<String> {
    parse_floating(text).unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn addresses_are_read_in_their_order() {
    assert_eq!(printed("192.168.99.200"), ["192.168.99.200"]);
    assert_eq!(
        printed(" 192.168.99.201,192.168.99.200,\t2001:db8::5 ,[2001:DB8::6]\n"),
        ["192.168.99.201", "192.168.99.200", "2001:db8::5", "2001:db8::6"]
    );
    assert_eq!(printed("::ffff:192.0.2.1"), ["::ffff:192.0.2.1"]);
}

#[test]
fn ports_belong_to_their_address() {
    assert_eq!(
        printed(
            "192.0.2.1:tcp:80 192.0.2.2, [2001:db8::5]:udp:53:5353 192.0.2.1:TCP:443:8443 \
             192.0.2.1:udp:80"
        ),
        [
            "192.0.2.1:tcp:80 192.0.2.1:tcp:443:8443 192.0.2.1:udp:80",
            "192.0.2.2",
            "[2001:db8::5]:udp:53:5353"
        ]
    );
}

#[test]
fn what_is_no_address_is_refused_with_the_way_out() {
    for (bad, why) in [
        ("", "an address"),
        (" ,, ", "an address"),
        ("x", "an IPv4 or IPv6 address"),
        ("192.168.99", "an IPv4 or IPv6 address"),
        ("192.168.99.300", "an IPv4 or IPv6 address"),
        ("192.168.99.200/24", "leave out the mask"),
        ("2001:db8::5/128", "leave out the mask"),
        ("192.168.99.200/24:tcp:80", "leave out the mask"),
        ("fe80::1%eth0", "leave out the zone"),
        ("192.168.99.200:80", "an address with a port"),
        ("192.168.99.200:", "an address with a port"),
        ("192.168.99.200:tcp", "an address with a port"),
        ("192.168.99.200:tcp:0", "an address with a port"),
        ("192.168.99.200:tcp:65536", "an address with a port"),
        ("192.168.99.200:tcp:80:80:80", "an address with a port"),
        ("192.168.99.200:icmp:80", "an address with a port"),
        ("www.example.com:tcp:80", "an IPv4 or IPv6 address"),
        ("2001:db8::5:tcp:80", "in brackets"),
        ("[2001:db8::5]tcp:80", "in brackets"),
        ("[2001:db8::5]:", "an address with a port"),
        ("[2001:db8::5", "in brackets"),
        ("[192.0.2.1]:tcp:80", "in brackets"),
        ("[]", "in brackets"),
        ("]", "an IPv4 or IPv6 address"),
        ("[", "in brackets"),
        (":", "in brackets"),
        ("192.0.2.1 nonsense", "\"nonsense\" is not"),
        ("192.0.2.1;192.0.2.2", "an IPv4 or IPv6 address"),
        ("192.0.2.1\0", "an IPv4 or IPv6 address"),
        ("\u{202e}192.0.2.1", "an IPv4 or IPv6 address"),
        ("192。0.2.1", "an IPv4 or IPv6 address"),
        ("192.0.2.1 192.0.2.1", "there twice"),
        ("2001:db8::5 2001:db8:0::5", "there twice"),
        ("192.0.2.1:tcp:80 192.0.2.1:tcp:80", "there twice"),
        ("192.0.2.1:tcp:80 192.0.2.1:tcp:80:81", "there twice"),
        ("192.0.2.1 192.0.2.1:tcp:80", "choose one"),
        ("192.0.2.1:tcp:80 192.0.2.1", "choose one"),
    ] {
        let error = parse_floating(bad).expect_err(bad);
        assert!(error.is_usage() && error.to_string().contains(why), "{bad:?}: {error}");
    }
}

#[test]
fn lists_are_bounded() {
    let addresses =
        |count: usize| (0..count).map(|n| format!("192.0.2.{n}")).collect::<Vec<_>>().join(",");
    assert_eq!(parse_floating(&addresses(64)).unwrap().len(), 64);
    let error = parse_floating(&addresses(65)).unwrap_err().to_string();
    assert!(error.contains("at most 64 addresses: it has 65"), "{error}");

    let ports = |count: usize| (1..=count).map(|n| format!("[::9]:udp:{n} ")).collect::<String>();
    assert_eq!(parse_floating(&ports(256)).unwrap()[0].ports.len(), 256);
    let error = parse_floating(&ports(257)).unwrap_err().to_string();
    assert!(error.contains("at most 256 ports: it has 257"), "{error}");

    let error = parse_floating(&"9".repeat(10_000)).unwrap_err().to_string();
    assert!(error.contains("10000 bytes, at most 4096") && error.len() < 200, "{error}");
    let spaces = format!("{}192.0.2.1", " ".repeat(TEXT_MAX - 9));
    assert_eq!(printed(&spaces), ["192.0.2.1"]);
}

fn port() -> impl Strategy<Value = PortForward> {
    let protocol = prop::sample::select(Protocol::ALL.to_vec());
    (protocol, 1..=u16::MAX, 1..=u16::MAX).prop_map(|(protocol, port, fixed_port)| PortForward {
        protocol,
        port,
        fixed_port,
    })
}

/// Addresses and ports as they can be asked for: none twice.
fn list() -> impl Strategy<Value = Vec<Floating>> {
    let ports = prop::collection::btree_map(any::<u16>(), port(), 0..4).prop_map(|ports| {
        let with = |(number, port): (u16, _)| PortForward { port: number.max(1), ..port };
        let mut ports: Vec<PortForward> = ports.into_iter().map(with).collect();
        ports.dedup_by_key(|port| port.port);
        ports.into_iter().collect()
    });
    prop::collection::btree_map(any::<IpAddr>(), ports, 1..12).prop_map(|all| {
        all.into_iter().map(|(address, ports)| Floating { address, ports }).collect()
    })
}

proptest! {
    #[test]
    fn a_list_reads_as_it_prints(list in list(), separator in "[, \n]{1,3}") {
        let text: Vec<String> = list.iter().map(ToString::to_string).collect();
        prop_assert_eq!(parse_floating(&text.join(&separator)).unwrap(), list);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
        let _ = parse_floating(&text);
    }

    #[test]
    fn text_of_the_right_letters_is_read_or_refused(text in "[0-9a-fp:.\\[\\], tcud]{0,60}") {
        if let Ok(list) = parse_floating(&text) {
            let text: Vec<String> = list.iter().map(ToString::to_string).collect();
            prop_assert_eq!(parse_floating(&text.join(",")).unwrap(), list);
        }
    }
}
