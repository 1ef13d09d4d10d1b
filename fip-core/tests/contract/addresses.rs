//! Addresses on links.

use std::io;

use fip_core::kernel::{Address, AddressChange, Hold, Rtnl};
use ipnetwork::IpNetwork;

use super::scene::{Scene, link};

/// One floating address of each family.
const FLOATING: [&str; 2] = ["192.0.2.20/32", "2001:db8::20/128"];
/// One of a subnet of each family.
const OTHER: [&str; 2] = ["198.51.100.1/24", "2001:db8:51::1/64"];

fn address(kernel: &mut impl Rtnl, on: &str, network: &str, ours: bool) -> Address {
    let (link, network) = (link(kernel, on).index, network.parse().unwrap());
    Address { link, network, ours, hold: Hold::Address }
}

fn change(kernel: &mut impl Rtnl, change: AddressChange) -> Result<(), Option<i32>> {
    let results = kernel.change_addresses(&[change]).unwrap();
    let [result] = <[io::Result<()>; 1]>::try_from(results).unwrap();
    result.map_err(|error| error.raw_os_error())
}

fn has(kernel: &mut impl Rtnl, address: &Address) -> bool {
    kernel.addresses().unwrap().contains(address)
}

fn routed(kernel: &mut impl Rtnl, network: &str) -> bool {
    let network: IpNetwork = network.parse().unwrap();
    let inside =
        |destination: IpNetwork| destination.prefix() > 0 && destination.contains(network.ip());
    kernel.routes().unwrap().iter().any(|route| inside(route.destination))
}

pub(crate) fn a_floating_address_is_tagged_and_makes_no_route(scene: &impl Scene) {
    let kernel = &mut scene.open();
    for network in ["203.0.113.20/32", "2001:db8:20::20/128"] {
        let ours = address(kernel, "eth0", network, true);
        change(kernel, AddressChange::Add(ours.clone())).unwrap();
        assert!(has(kernel, &ours), "{network}");
        assert!(!routed(kernel, network), "{network}");
        change(kernel, AddressChange::Remove(ours.clone())).unwrap();
        assert!(!has(kernel, &ours), "{network}");
    }
    for network in OTHER {
        let theirs = address(kernel, "eth0", network, false);
        change(kernel, AddressChange::Add(theirs.clone())).unwrap();
        assert!(has(kernel, &theirs), "{network}");
        assert!(routed(kernel, network), "{network}");
    }
}

pub(crate) fn what_is_there_is_not_added_again(scene: &impl Scene) {
    let kernel = &mut scene.open();
    for network in FLOATING {
        let ours = address(kernel, "eth0", network, true);
        change(kernel, AddressChange::Add(ours.clone())).unwrap();
        assert_eq!(change(kernel, AddressChange::Add(ours.clone())), Err(Some(libc::EEXIST)));
        let elsewhere = Address { link: link(kernel, "br0").index, ..ours };
        assert_eq!(change(kernel, AddressChange::Add(elsewhere)), Ok(()));
    }
    // With another prefix length, IPv4 takes it for another address.
    let [v4, v6] = ["192.0.2.10/32", "2001:db8::10/128"].map(|network| {
        let address = address(kernel, "eth0", network, true);
        change(kernel, AddressChange::Add(address))
    });
    assert_eq!((v4, v6), (Ok(()), Err(Some(libc::EEXIST))));
}

pub(crate) fn what_is_not_there_cannot_be_removed(scene: &impl Scene) {
    let kernel = &mut scene.open();
    for network in FLOATING {
        let ours = address(kernel, "eth0", network, true);
        let missing = Err(Some(libc::EADDRNOTAVAIL));
        assert_eq!(change(kernel, AddressChange::Remove(ours.clone())), missing);
        change(kernel, AddressChange::Add(ours.clone())).unwrap();
        let wider = network.replace("/32", "/24").replace("/128", "/64").parse().unwrap();
        let wider = Address { network: wider, ..ours.clone() };
        assert_eq!(change(kernel, AddressChange::Remove(wider)), missing);
        change(kernel, AddressChange::Remove(ours.clone())).unwrap();
        assert_eq!(change(kernel, AddressChange::Remove(ours.clone())), missing);
        let nowhere = Address { link: 4711, ..ours };
        for change_of in [AddressChange::Add, AddressChange::Remove] {
            assert_eq!(change(kernel, change_of(nowhere.clone())), Err(Some(libc::ENODEV)));
        }
    }
}

pub(crate) fn each_change_has_its_own_answer(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let [a, b] = FLOATING.map(|network| address(kernel, "eth0", network, true));
    let changes = [
        AddressChange::Add(a.clone()),
        AddressChange::Add(a.clone()),
        AddressChange::Remove(b.clone()),
        AddressChange::Add(b.clone()),
    ];
    let results = kernel.change_addresses(&changes).unwrap();
    let codes: Vec<_> =
        results.iter().map(|r| r.as_ref().err().and_then(io::Error::raw_os_error)).collect();
    assert_eq!(codes, [None, Some(libc::EEXIST), Some(libc::EADDRNOTAVAIL), None]);
    assert!(has(kernel, &a) && has(kernel, &b));
    assert!(kernel.change_addresses(&[]).unwrap().is_empty());
}

pub(crate) fn a_link_that_goes_down_loses_its_ipv6_addresses(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let [v4, v6] = FLOATING.map(|network| address(kernel, "eth0", network, true));
    for ours in [&v4, &v6] {
        change(kernel, AddressChange::Add(ours.clone())).unwrap();
    }
    scene.set_up("eth0", false);
    assert!(has(kernel, &v4) && !has(kernel, &v6));
    assert!(!routed(kernel, "192.0.2.20/32"));
    scene.set_up("eth0", true);
    assert!(has(kernel, &v4) && !has(kernel, &v6));
    assert!(routed(kernel, "192.0.2.20/32") && !routed(kernel, "2001:db8::20/128"));
    let defaults = kernel.routes().unwrap();
    assert!(defaults.iter().all(|route| route.destination.prefix() > 0), "{defaults:?}");
}

pub(crate) fn no_ipv6_address_where_it_is_disabled(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let [v4, v6] = FLOATING.map(|network| address(kernel, "eth0", network, true));
    change(kernel, AddressChange::Add(v6.clone())).unwrap();
    kernel.set_sysctl("net/ipv6/conf/eth0/disable_ipv6", "1").unwrap();
    assert!(!has(kernel, &v6));
    assert_eq!(change(kernel, AddressChange::Add(v6.clone())), Err(Some(libc::EACCES)));
    assert_eq!(change(kernel, AddressChange::Add(v4)), Ok(()));
    kernel.set_sysctl("net/ipv6/conf/eth0/disable_ipv6", "0").unwrap();
    assert_eq!(change(kernel, AddressChange::Add(v6)), Ok(()));
}

pub(crate) fn what_others_change_is_noticed_and_own_changes_of_addresses_are_not(
    scene: &impl Scene,
) {
    let kernel = &mut scene.open();
    assert!(kernel.changed().unwrap(), "at first nothing is known");
    assert!(!kernel.changed().unwrap());
    let ours = address(kernel, "eth0", FLOATING[0], true);
    for own in [AddressChange::Add(ours.clone()), AddressChange::Remove(ours)] {
        change(kernel, own).unwrap();
        assert!(!kernel.changed().unwrap());
    }
    for network in FLOATING {
        scene.add_address("eth0", network);
        wait_changed(kernel);
        scene.remove_address("eth0", network);
        wait_changed(kernel);
    }
    scene.set_up("eth0", false);
    wait_changed(kernel);
    for path in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
        for value in ["1", "0"] {
            scene.open().set_sysctl(path, value).unwrap();
            wait_changed(kernel);
        }
    }
    // A change by another handle between two of one's own is not lost.
    let other = &mut scene.open();
    let [v4, v6] = FLOATING.map(|network| address(other, "br0", network, true));
    change(kernel, AddressChange::Add(v4.clone())).unwrap();
    change(other, AddressChange::Add(v6)).unwrap();
    change(kernel, AddressChange::Remove(v4)).unwrap();
    wait_changed(kernel);
}

/// The real kernel tells of an IPv6 address a moment after it is there.
fn wait_changed(kernel: &mut impl Rtnl) {
    crate::lab::wait_for("news of a change", || kernel.changed().unwrap().then_some(()));
}
