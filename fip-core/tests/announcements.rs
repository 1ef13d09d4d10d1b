//! What is announced, and how often: nothing that was unbound, whoever unbound it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::IpAddr;
use std::time::{Duration, Instant};

use fip_core::claim::Claim;
use fip_core::fip::{BindOptions, Event, OnRival, Watch};
use fip_core::kernel::fake::FakeKernel;
use fip_core::kernel::{Deed, Hold, Mac, Rtnl, Sighting};
use fip_core::{Binding, FloatingIps, Options, Owner};

type Fips = FloatingIps<FakeKernel>;

const STAYS: &str = "192.0.2.20";
const GOES: &str = "192.0.2.21";

fn fips(kernel: &FakeKernel) -> Fips {
    FloatingIps::new(kernel.clone(), Options::default())
}

fn fips_holding(kernel: &FakeKernel, hold: Hold) -> Fips {
    FloatingIps::new(kernel.clone(), Options { hold: Some(hold), ..Options::default() })
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Binds both; each is announced once now, and once later.
fn bind_both(fips: &mut Fips) {
    bind_both_announcing(fips, 2);
}

fn bind_both_announcing(fips: &mut Fips, announcements: u32) {
    let claim = Claim { window: Duration::ZERO, ..Claim::default() };
    let options = BindOptions { claim, announcements, ..BindOptions::default() };
    for (floating, fixed) in [(STAYS, "172.18.0.2"), (GOES, "172.18.0.3")] {
        let binding = Binding::new(ip(floating), ip(fixed)).unwrap();
        fips.bind_with(&binding, &options).unwrap();
    }
}

/// How the links hold our addresses, in order.
fn holds(kernel: &FakeKernel) -> Vec<Hold> {
    let all = kernel.clone().addresses().unwrap().into_iter();
    let mut holds: Vec<Hold> = all.filter(|held| held.ours).map(|held| held.hold).collect();
    holds.sort();
    holds
}

/// How often each was announced.
fn rounds(kernel: &FakeKernel) -> [usize; 2] {
    let announced = kernel.announced();
    [STAYS, GOES].map(|text| announced.iter().filter(|(_, address)| *address == ip(text)).count())
}

/// Both were announced once, and are once more.
#[track_caller]
fn is_announced_now_and_later(kernel: &FakeKernel, fips: &mut Fips) {
    assert_eq!(rounds(kernel), [1, 1]);
    fips.finish_announcements().unwrap();
    assert_eq!(rounds(kernel), [2, 2]);
}

#[test]
fn what_is_bound_is_announced_as_often_as_asked_for() {
    let kernel = FakeKernel::new();
    let mut fips = fips(&kernel);
    bind_both(&mut fips);
    is_announced_now_and_later(&kernel, &mut fips);
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

#[test]
fn what_is_held_otherwise_meanwhile_is_announced_no_less_and_no_more() {
    let kernel = FakeKernel::new();
    let mut here = fips_holding(&kernel, Hold::Address);
    // It has nothing to make up for that an earlier one left undone.
    here.unbind(ip(GOES), &[], &Owner::default()).unwrap();
    bind_both(&mut here);
    bind_both_announcing(&mut fips_holding(&kernel, Hold::Route), 0);
    assert_eq!(holds(&kernel), [Hold::Route; 2]);
    bind_both(&mut here);
    assert_eq!(holds(&kernel), [Hold::Address; 2]);
    is_announced_now_and_later(&kernel, &mut here);
}

#[test]
fn what_nobody_was_answered_for_is_announced_anew() {
    let mut kernel = FakeKernel::new();
    bind_both_announcing(&mut fips(&kernel), 0);
    kernel.set_sysctl("net/ipv4/conf/eth0/arp_ignore", "1").unwrap();
    let mut fips = fips(&kernel);
    bind_both(&mut fips);
    assert_eq!(holds(&kernel), [Hold::Address; 2]);
    is_announced_now_and_later(&kernel, &mut fips);
}

#[test]
fn what_comes_back_is_announced_as_often_as_asked_for() {
    let kernel = FakeKernel::new();
    bind_both_announcing(&mut fips(&kernel), 0);
    for address in [STAYS, GOES] {
        kernel.remove_local_route(&"eth0".parse().unwrap(), ip(address)).unwrap();
    }
    let mut fips = fips(&kernel);
    bind_both(&mut fips);
    is_announced_now_and_later(&kernel, &mut fips);
}

/// An earlier process may have ended before it announced it.
#[test]
fn what_is_there_is_announced_once_by_a_process_that_begins() {
    let kernel = FakeKernel::new();
    bind_both_announcing(&mut fips(&kernel), 0);
    bind_both(&mut fips(&kernel));
    assert_eq!(rounds(&kernel), [1, 0]);
}

/// Holds the first of them, and announces it three times.
fn watch(kernel: &FakeKernel) -> Watch<FakeKernel> {
    let claim = Claim { window: Duration::ZERO, ..Claim::default() };
    let options = BindOptions { claim, announcements: 3, ..BindOptions::default() };
    let desired = vec![Binding::new(ip(STAYS), ip("172.18.0.2")).unwrap()];
    let watch = fips(kernel).watch([Owner::default()], desired, options, OnRival::Yield);
    let mut watch = watch.unwrap();
    while !matches!(watch.next(None).unwrap(), Some(Event::Repaired(_))) {}
    assert_eq!(rounds(kernel), [1, 0]);
    watch
}

#[test]
fn a_watch_announces_on_while_nothing_happens() {
    let kernel = FakeKernel::new();
    let mut watch = watch(&kernel);
    let deadline = Instant::now() + Duration::from_secs(30);
    while rounds(&kernel) != [3, 0] {
        assert!(Instant::now() < deadline, "{:?}", rounds(&kernel));
        let event = watch.next(Some(Instant::now() + Duration::from_millis(100))).unwrap();
        assert!(event.is_none(), "{event:?}");
    }
}

#[test]
fn what_somebody_has_claimed_since_is_not_announced() {
    let kernel = FakeKernel::new();
    let mut watch = watch(&kernel);
    let link = kernel.link(&"eth0".parse().unwrap()).unwrap().index;
    let (address, mac) = (ip(STAYS), Mac([2, 0, 0, 0, 0, 0x99]));
    kernel.hear(Sighting { link, address, mac, deed: Deed::Holds });
    // The next round is due when the claim is heard.
    std::thread::sleep(Duration::from_millis(1150));
    let event = watch.next(None).unwrap();
    assert!(matches!(event, Some(Event::Rival { done: OnRival::Yield, .. })), "{event:?}");
    assert_eq!(rounds(&kernel), [1, 0]);
}
