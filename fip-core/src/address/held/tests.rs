//! Routes that the kernel takes away untold.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::address::{AddressBinder, Links, floating_address};
use crate::binding::LinkName;
use crate::kernel::fake::FakeKernel;
use crate::kernel::{Address, AddressChange, Hold, Link, Rtnl};

use super::Held;

/// A host, and what a process knows of it that holds 192.0.2.20 on `eth0` by a route.
struct Scene {
    kernel: FakeKernel,
    links: Links,
    eth0: Link,
}

fn eth0() -> LinkName {
    "eth0".parse().unwrap()
}

fn own() -> IpNetwork {
    "192.0.2.10/24".parse().unwrap()
}

impl Scene {
    fn new() -> Self {
        let mut kernel = FakeKernel::new();
        kernel.news().unwrap();
        let links = Links::read(&mut kernel).unwrap();
        let eth0 = links.named(&eth0()).unwrap().clone();
        let mut this = Self { kernel, links, eth0 };
        let route = this.floating("192.0.2.20", Hold::Route);
        this.change(AddressChange::Add(route));
        this
    }

    fn floating(&self, address: &str, hold: Hold) -> Address {
        floating_address(self.eth0.index, address.parse().unwrap(), hold)
    }

    fn change(&mut self, change: AddressChange) {
        AddressBinder::new(&mut self.kernel, &mut self.links).change(&[change]).unwrap();
    }

    fn refresh(&mut self) -> bool {
        self.links.refresh(&mut self.kernel).unwrap()
    }

    /// The floating addresses that are known to be held.
    fn known(&self) -> Vec<String> {
        let mut known: Vec<IpAddr> = self.links.ours().map(|ours| ours.network.ip()).collect();
        known.sort();
        known.iter().map(ToString::to_string).collect()
    }
}

#[test]
fn those_that_went_with_the_last_floating_address_are_missed() {
    let mut scene = Scene::new();
    let last = scene.floating("192.0.2.21", Hold::Address);
    scene.change(AddressChange::Add(last.clone()));
    scene.kernel.remove_address(&eth0(), own()).unwrap();
    assert!(scene.refresh());
    assert_eq!(scene.known(), ["192.0.2.20", "192.0.2.21"], "one address is left");
    assert!(scene.links.lives_by_floating(&scene.eth0));
    scene.change(AddressChange::Remove(last));
    assert!(scene.refresh());
    assert_eq!(scene.known(), [""; 0]);
    assert!(!scene.links.lives_by_floating(&scene.eth0));
}

#[test]
fn a_floating_address_that_is_not_the_last_takes_none_along() {
    let mut scene = Scene::new();
    let other = scene.floating("192.0.2.21", Hold::Address);
    scene.change(AddressChange::Add(other.clone()));
    scene.change(AddressChange::Remove(other));
    assert!(!scene.refresh(), "nothing is read again");
    assert_eq!(scene.known(), ["192.0.2.20"]);
}

#[test]
fn a_link_that_joins_or_leaves_another_may_have_lost_them() {
    let scene = Scene::new();
    let route = scene.floating("192.0.2.20", Hold::Route);
    let bare = Link { index: 77, ..scene.eth0.clone() };
    let joined = |link: &Link| Link { master: Some(9), ..link.clone() };
    let up = |link: &Link| Link { up: !link.up, mtu: 1400, ..link.clone() };
    let is_in_doubt = |before: &[Link], now: &[Link]| {
        let mut held = Held::default();
        held.count(&route);
        held.links_changed(before, now);
        held.is_in_doubt()
    };
    let [eth0, other] = [&scene.eth0, &bare].map(Clone::clone);
    let before = [eth0.clone(), other.clone()];
    for (now, doubt) in [
        (vec![other.clone(), eth0.clone()], false),
        (vec![up(&eth0), other.clone()], false),
        (vec![eth0.clone(), joined(&other)], false),
        (vec![eth0.clone()], false),
        (vec![joined(&eth0), other.clone()], true),
        (vec![other.clone()], true),
    ] {
        assert_eq!(is_in_doubt(&before, &now), doubt, "{now:?}");
    }
    assert!(is_in_doubt(&[joined(&eth0)], &[eth0]));
}
