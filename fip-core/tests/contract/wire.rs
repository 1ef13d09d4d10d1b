//! The neighbours.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use fip_core::claim::{Claim, Claimed, RivalPolicy, claim};
use fip_core::kernel::{Deed, Kernel, Sighting, Wire};

use super::scene::{Scene, link};

const ADDRESSES: [&str; 2] = ["192.0.2.20", "2001:db8::20"];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ask(kernel: &mut impl Kernel, addresses: &[IpAddr], policy: RivalPolicy) -> Claimed {
    let rules =
        Claim { policy, window: Duration::from_millis(60), deadline: Duration::from_millis(500) };
    let eth0 = link(kernel, "eth0");
    claim(kernel, &eth0, &[], addresses, &rules).unwrap()
}

pub(crate) fn a_silent_address_is_free(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let free = ADDRESSES.map(ip).to_vec();
    assert_eq!(ask(kernel, &free, RivalPolicy::Wait), Claimed { free, rivals: vec![] });
}

pub(crate) fn a_rival_is_heard_until_it_falls_silent(scene: &impl Scene) {
    let kernel = &mut scene.open();
    for (rival, free) in [("192.0.2.20", "2001:db8::20"), ("2001:db8::20", "192.0.2.20")] {
        let mac = scene.rival(rival);
        let expected = Claimed { free: vec![ip(free)], rivals: vec![(ip(rival), mac)] };
        for policy in [RivalPolicy::Refuse, RivalPolicy::Wait] {
            assert_eq!(ask(kernel, &ADDRESSES.map(ip), policy), expected);
        }
        scene.silence(rival);
        assert_eq!(ask(kernel, &[ip(rival)], RivalPolicy::Refuse).free, [ip(rival)]);
    }
}

pub(crate) fn nobody_hears_before_a_probe(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let (eth0, br0) = (link(kernel, "eth0"), link(kernel, "br0"));
    let soon = || Instant::now() + Duration::from_millis(20);
    scene.claim("192.0.2.20");
    assert_eq!(kernel.heard(&eth0, soon()).unwrap(), None);
    kernel.probe(&eth0, &[ip("192.0.2.21")]).unwrap();
    let mac = scene.claim("192.0.2.20");
    assert_eq!(kernel.heard(&br0, soon()).unwrap(), None);
    let late = Instant::now() + crate::lab::PATIENCE;
    let heard = kernel.heard(&eth0, late).unwrap();
    let address = ip("192.0.2.20");
    assert_eq!(heard, Some(Sighting { link: eth0.index, address, mac, deed: Deed::Holds }));
    scene.claim("192.0.2.20");
    kernel.stop_listening(&eth0).unwrap();
    assert_eq!(kernel.heard(&eth0, soon()).unwrap(), None);
}

pub(crate) fn a_link_that_is_down_loses_frames(scene: &impl Scene) {
    let kernel = &mut scene.open();
    scene.rival("192.0.2.20");
    let (lo, eth0) = (link(kernel, "lo"), link(kernel, "eth0"));
    scene.set_up("eth0", false);
    for link in [&lo, &eth0] {
        kernel.probe(link, &ADDRESSES.map(ip)).unwrap();
        kernel.announce(link, &ADDRESSES.map(ip)).unwrap();
        let soon = Instant::now() + Duration::from_millis(20);
        assert_eq!(kernel.heard(link, soon).unwrap(), None);
        kernel.stop_listening(link).unwrap();
    }
    kernel.probe(&eth0, &[]).unwrap();
    kernel.announce(&eth0, &[]).unwrap();
    let gone = fip_core::kernel::Link { index: 4711, ..eth0 };
    assert!(kernel.probe(&gone, &ADDRESSES.map(ip)).is_err());
    assert!(kernel.announce(&gone, &ADDRESSES.map(ip)).is_err());
}
