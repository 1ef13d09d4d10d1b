//! What is unbound is announced no more, whoever unbound it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::IpAddr;

use fip_core::claim::Claim;
use fip_core::fip::BindOptions;
use fip_core::kernel::fake::FakeKernel;
use fip_core::{Binding, FloatingIps, Options, Owner};

type Fips = FloatingIps<FakeKernel>;

const STAYS: &str = "192.0.2.20";
const GOES: &str = "192.0.2.21";

fn fips(kernel: &FakeKernel) -> Fips {
    FloatingIps::new(kernel.clone(), Options::default())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Binds both; each is announced once now, and once later.
fn bind_both(fips: &mut Fips) {
    let claim = Claim { window: std::time::Duration::ZERO, ..Claim::default() };
    let options = BindOptions { claim, announcements: 2, ..BindOptions::default() };
    for (floating, fixed) in [(STAYS, "172.18.0.2"), (GOES, "172.18.0.3")] {
        let binding = Binding::new(ip(floating), ip(fixed)).unwrap();
        fips.bind_with(&binding, &options).unwrap();
    }
}

/// How often each was announced.
fn rounds(kernel: &FakeKernel) -> [usize; 2] {
    let announced = kernel.announced();
    [STAYS, GOES].map(|text| announced.iter().filter(|(_, address)| *address == ip(text)).count())
}

#[test]
fn what_is_bound_is_announced_as_often_as_asked_for() {
    let kernel = FakeKernel::new();
    let mut fips = fips(&kernel);
    bind_both(&mut fips);
    assert_eq!(rounds(&kernel), [1, 1]);
    fips.finish_announcements().unwrap();
    assert_eq!(rounds(&kernel), [2, 2]);
}

#[test]
fn what_was_unbound_here_is_announced_no_more() {
    let kernel = FakeKernel::new();
    let mut fips = fips(&kernel);
    bind_both(&mut fips);
    fips.unbind(ip(GOES), &[], &Owner::default()).unwrap();
    fips.finish_announcements().unwrap();
    assert_eq!(rounds(&kernel), [2, 1]);
}

#[test]
fn what_another_process_unbound_is_announced_no_more() {
    let kernel = FakeKernel::new();
    let mut here = fips(&kernel);
    bind_both(&mut here);
    fips(&kernel).unbind(ip(GOES), &[], &Owner::default()).unwrap();
    here.finish_announcements().unwrap();
    assert_eq!(rounds(&kernel), [2, 1]);
}

#[test]
fn what_moved_to_another_card_is_announced_there_only() {
    let kernel = FakeKernel::new();
    let mut here = fips(&kernel);
    bind_both(&mut here);
    let other = kernel.add_link(&"eth1".parse().unwrap()).unwrap().name;
    let moved = Binding::new(ip(GOES), ip("172.18.0.3")).unwrap().on(other);
    let options = BindOptions { replace: true, announcements: 0, ..BindOptions::default() };
    fips(&kernel).bind_with(&moved, &options).unwrap();
    here.finish_announcements().unwrap();
    assert_eq!(rounds(&kernel), [2, 1]);
}
