//! A table that was made for a certain number of bindings takes more of them: it is made anew.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lab;

use std::net::Ipv4Addr;

use fip_core::claim::{Claim, RivalPolicy};
use fip_core::fip::BindOptions;
use fip_core::kernel::Hold;
use fip_core::kernel::host::Host as Kernel;
use fip_core::{Binding, FloatingIps, Options, Owner};

use lab::{Host, Lan};

/// So many at once get a table that is made for four times as many.
const MANY: u32 = 1_000;
const FULL: u32 = 4 * MANY;

fn bindings(range: std::ops::Range<u32>) -> Vec<Binding> {
    let nth = |first: [u8; 4], n| Ipv4Addr::from_bits(Ipv4Addr::from(first).to_bits() + n).into();
    let binding = |n| Binding::new(nth([172, 28, 0, 1], n), nth([172, 18, 1, 1], n)).unwrap();
    range.map(binding).collect()
}

fn fips(host: &Host) -> FloatingIps<Kernel> {
    let netns = host.path().to_str().unwrap().parse().unwrap();
    let options = Options { hold: Some(Hold::Route), ..Options::default() };
    FloatingIps::open_in(&netns, options).unwrap()
}

fn options() -> BindOptions {
    let claim = Claim { policy: RivalPolicy::TakeOver, ..Claim::default() };
    BindOptions { claim, announcements: 0, ..BindOptions::default() }
}

/// How many elements the set can have, as nft tells; none if any number.
fn size(host: &Host, set: &str) -> Option<u32> {
    let text = host.nft(&format!("list map inet fip {set}"));
    let size = text.lines().find_map(|line| line.trim().strip_prefix("size "));
    size.map(|size| size.parse().unwrap())
}

#[test]
fn a_full_table_is_made_anew_with_all_that_is_in_it() {
    let network = Lan::new();
    let host = network.host_a();
    host.bridge("br0", 18);
    let (first, others): (Owner, Owner) = ("first".parse().unwrap(), "others".parse().unwrap());
    let mut many = fips(&host);
    many.reconcile(&first, &bindings(0..MANY), &options()).unwrap();
    many.reconcile(&others, &bindings(MANY..FULL), &options()).unwrap();
    assert_eq!(["dnat4", "snat4"].map(|set| size(&host, set)), [Some(FULL); 2]);
    assert_eq!(["dnat6", "snat6", "port4"].map(|set| size(&host, set)), [None; 3]);

    // Who knows no more than what it is about, and who knows all.
    fips(&host).bind_with(&bindings(FULL..FULL + 1)[0], &options()).unwrap();
    assert_eq!(["dnat4", "snat4"].map(|set| size(&host, set)), [Some(4 * (FULL + 1)); 2]);
    many.bind_with(&bindings(FULL + 1..FULL + 2)[0], &options()).unwrap();

    let mut all = fips(&host);
    let fixed = |binding: &Binding| (binding.floating(), binding.fixed());
    for (owner, range) in
        [(first, 0..MANY), (others, MANY..FULL), (Owner::default(), FULL..FULL + 2)]
    {
        let found: Vec<_> = all.bindings(&owner).unwrap().iter().map(fixed).collect();
        let wanted: Vec<_> = bindings(range).iter().map(fixed).collect();
        assert!(found == wanted, "{owner}: {} of {}", found.len(), wanted.len());
    }
    let (many, once) = (many.list().unwrap(), fips(&host).list().unwrap());
    assert!(many == once && many.iter().all(|status| status.hold == Some(Hold::Route)));
}
