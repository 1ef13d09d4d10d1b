//! Texts that no user writes, or one who means no good.

use super::Place;
use crate::scene::LABEL;

/// What is no address, and a word of the answer to it.
pub(crate) fn nonsense() -> Vec<(String, &'static str)> {
    let many = |count: u32| {
        let all = (0..count).map(|n| format!("192.168.{}.{}", 100 + n / 256, n % 256));
        all.collect::<Vec<_>>().join(" ")
    };
    [
        ("x".repeat(10_000), "is not short enough"),
        ("1".repeat(10_000), "is not short enough"),
        (many(3_000), "is not short enough"),
        (many(200), "addresses"),
        ("192.168.99.200 ".repeat(2), "it is there twice"),
        ("192.168.99.200;reboot".to_owned(), "192.168.99.200;reboot"),
        ("$(reboot)".to_owned(), "$(reboot)"),
        ("../../../etc/passwd".to_owned(), "../../../etc/passwd"),
        ("192.168.99.200/24".to_owned(), "192.168.99.200/24"),
        ("192.168.99.0200".to_owned(), "192.168.99.0200"),
        ("\u{661}\u{669}\u{662}.168.99.200".to_owned(), "is not"),
        ("\u{202e}002.99.861.291".to_owned(), "is not"),
        ("192.168.99.200\u{1b}[2J\u{7}".to_owned(), "is not"),
        ("\u{1f431}".repeat(100), "is not"),
        ("192.168.99.200:tcp:0".to_owned(), "192.168.99.200:tcp:0"),
        ("192.168.99.200:tcp:65536".to_owned(), "192.168.99.200:tcp:65536"),
        ("192.168.99.200:icmp:1".to_owned(), "192.168.99.200:icmp:1"),
        ("[192.168.99.200]:tcp:80".to_owned(), "[192.168.99.200]:tcp:80"),
        ("fe80::1%eth0".to_owned(), "leave out the zone"),
        ("null".to_owned(), "\"null\" is not"),
    ]
    .to_vec()
}

#[test]
fn hostile_options_are_refused() {
    let place = Place::new("");
    for (text, word) in nonsense() {
        // `--network` is a list of its own, and takes quotes.
        let network = format!("name=fip,\"driver-opt=fip.address={text}\"");
        place.refuses_to_run(&["--network", &network], &[word, "fip.address"]);
    }
    for option in
        ["fip.egress=maybe", "fip.ports=80", "fip.ports=tcp:80-90", "fip.adress=1", "fip.="]
    {
        let network = format!("name=fip,driver-opt={option}");
        let value = option.split('=').next().unwrap();
        place.refuses_to_run(&["--network", &network], &[value, "is not"]);
    }
    place.works("fip");
}

#[test]
fn hostile_labels_are_refused() {
    let place = Place::new("");
    for (text, word) in nonsense() {
        let label = format!("{LABEL}={text}");
        place.refuses_to_run(&["--network", "fip", "--label", &label], &[word]);
    }
    place.works("fip");
}

#[test]
fn what_the_label_asks_for_is_held_to_the_same_rules() {
    let place = Place::new("--allow 192.168.99.128/25");
    for (address, why) in [
        ("192.168.99.100", "only 192.168.99.128/25 may be claimed"),
        ("192.168.99.254", "it is the gateway"),
        ("192.168.99.255", "it is the broadcast address"),
    ] {
        let label = format!("{LABEL}={address}");
        place.refuses_to_run(&["--network", "fip", "--label", &label], &[address, why]);
    }
    place.works("fip");
}
