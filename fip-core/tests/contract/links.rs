//! Links: bridges, pairs, and what hangs on them.

use fip_core::Error;
use fip_core::kernel::{Kernel, Link, LinkChange, Mac, NewLink, Rtnl};

use super::scene::{Scene, Way, link, name};
use crate::lab::wait_for;

fn bridge(text: &str) -> NewLink {
    NewLink::Bridge { name: name(text), mtu: 1400 }
}

fn pair(near: &str, far: &str) -> NewLink {
    let (name, peer) = (name(near), name(far));
    NewLink::Veth { name, peer, peer_mac: None, peer_netns: None, mtu: 1400 }
}

fn find(kernel: &mut impl Rtnl, wanted: &str) -> Option<Link> {
    kernel.links().unwrap().into_iter().find(|link| link.name.as_str() == wanted)
}

fn set(kernel: &mut impl Rtnl, on: &str, change: LinkChange) {
    let index = link(kernel, on).index;
    kernel.change_link(index, &change).unwrap();
}

fn wait_running(kernel: &mut impl Rtnl, on: &str, running: bool) {
    wait_for(&format!("{on} to be running: {running}"), || {
        (link(kernel, on).running == running).then_some(())
    });
}

/// The kernel's error number.
fn errno<T: std::fmt::Debug>(result: fip_core::Result<T>) -> i32 {
    match result.unwrap_err() {
        Error::Kernel { source, .. } => source.raw_os_error().unwrap(),
        other => panic!("{other}"),
    }
}

pub(crate) fn the_host_is_as_it_was_made(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let (lo, eth0) = (link(kernel, "lo"), link(kernel, "eth0"));
    assert!(lo.loopback && lo.up && lo.running && lo.kind.is_none(), "{lo:?}");
    assert!(!eth0.loopback && eth0.up && eth0.running && eth0.mac.is_some(), "{eth0:?}");
    assert_eq!((lo.mtu, eth0.mtu, eth0.master), (65536, 1500, None));
    let (br0, port0) = (link(kernel, "br0"), link(kernel, "port0"));
    assert_eq!((br0.kind.as_deref(), port0.master), (Some("bridge"), Some(br0.index)));
    let default = |v4: bool| {
        let routes = kernel.routes().unwrap();
        let found = |destination: &ipnetwork::IpNetwork| {
            destination.prefix() == 0 && destination.is_ipv4() == v4
        };
        let route = routes.into_iter().find(|route| found(&route.destination)).unwrap();
        (route.gateway.unwrap().to_string(), route.link, route.metric)
    };
    let [v4, v6] = [true, false].map(default);
    assert_eq!(v4, ("192.0.2.1".to_owned(), Some(eth0.index), 0));
    assert_eq!(v6, ("2001:db8::1".to_owned(), Some(eth0.index), 1024));
}

pub(crate) fn a_bridge_is_created_once(scene: &impl Scene) {
    let kernel = &mut scene.open();
    kernel.create_link(&bridge("br7")).unwrap();
    let made = link(kernel, "br7");
    assert_eq!((made.kind.as_deref(), made.mtu, made.up), (Some("bridge"), 1400, false));
    assert!(made.mac.is_some() && !made.running && made.master.is_none());
    assert_eq!(errno(kernel.create_link(&bridge("br7"))), libc::EEXIST);
    assert_eq!(errno(kernel.create_link(&bridge("eth0"))), libc::EEXIST);
    kernel.delete_link(made.index).unwrap();
    assert_eq!(find(kernel, "br7"), None);
    assert_eq!(errno(kernel.delete_link(made.index)), libc::ENODEV);
}

pub(crate) fn a_pair_lives_and_dies_together(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let mac = Mac([2, 0, 0, 0, 0, 7]);
    let NewLink::Veth { name, peer, peer_netns, mtu, .. } = pair("near7", "far7") else {
        unreachable!()
    };
    let veth = NewLink::Veth { name, peer, peer_mac: Some(mac), peer_netns, mtu };
    kernel.create_link(&veth).unwrap();
    let (near, far) = (link(kernel, "near7"), link(kernel, "far7"));
    for end in [&near, &far] {
        assert_eq!((end.kind.as_deref(), end.mtu, end.up), (Some("veth"), 1400, false));
    }
    assert_eq!(far.mac, Some(mac));
    for (taken, free) in [("near7", "far8"), ("near8", "far7"), ("eth0", "far8")] {
        assert_eq!(errno(kernel.create_link(&pair(taken, free))), libc::EEXIST);
        assert_eq!((find(kernel, "far8"), find(kernel, "near8")), (None, None));
    }
    kernel.delete_link(far.index).unwrap();
    assert_eq!((find(kernel, "near7"), find(kernel, "far7")), (None, None));
}

pub(crate) fn a_pair_runs_while_both_ends_are_up(scene: &impl Scene) {
    let kernel = &mut scene.open();
    kernel.create_link(&pair("near7", "far7")).unwrap();
    set(kernel, "near7", LinkChange::Up(true));
    wait_running(kernel, "near7", false);
    assert!(link(kernel, "near7").up);
    set(kernel, "far7", LinkChange::Up(true));
    wait_running(kernel, "near7", true);
    wait_running(kernel, "far7", true);
    set(kernel, "near7", LinkChange::Up(false));
    wait_running(kernel, "far7", false);
    assert!(link(kernel, "far7").up && !link(kernel, "near7").up);
}

pub(crate) fn the_far_end_may_be_in_another_namespace(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let netns = scene.other_namespace();
    let inside = &mut kernel.in_netns(&netns).unwrap();
    let links: Vec<Link> = inside.links().unwrap();
    assert!(links.iter().all(|link| link.loopback), "{links:?}");
    let veth = |netns| {
        let (name, peer) = (name("near7"), name("eth0"));
        NewLink::Veth { name, peer, peer_mac: None, peer_netns: Some(netns), mtu: 1500 }
    };
    kernel.create_link(&veth(netns.clone())).unwrap();
    assert!(find(inside, "eth0").is_some() && find(inside, "near7").is_none());
    let near = link(kernel, "near7");
    kernel.delete_link(near.index).unwrap();
    assert_eq!(find(inside, "eth0"), None);
    let unknown = "no-such-namespace".parse().unwrap();
    assert!(kernel.create_link(&veth(unknown)).unwrap_err().is_not_found());
    let unknown = "no-such-namespace".parse().unwrap();
    assert!(kernel.in_netns(&unknown).err().unwrap().is_not_found());
}

pub(crate) fn a_bridge_runs_while_a_port_does(scene: &impl Scene) {
    let kernel = &mut scene.open();
    kernel.create_link(&bridge("br7")).unwrap();
    kernel.create_link(&pair("near7", "far7")).unwrap();
    let master = link(kernel, "br7").index;
    set(kernel, "near7", LinkChange::Master(Some(master)));
    assert_eq!(link(kernel, "near7").master, Some(master));
    set(kernel, "near7", LinkChange::Hairpin(true));
    for up in ["br7", "near7"] {
        set(kernel, up, LinkChange::Up(true));
    }
    wait_running(kernel, "br7", false);
    set(kernel, "far7", LinkChange::Up(true));
    wait_running(kernel, "br7", true);
    set(kernel, "near7", LinkChange::Master(None));
    assert_eq!(link(kernel, "near7").master, None);
    wait_running(kernel, "br7", false);
}

pub(crate) fn what_cannot_be_is_refused(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let [eth0, br0, port0, lo] =
        ["eth0", "br0", "port0", "lo"].map(|name| link(kernel, name).index);
    kernel.create_link(&bridge("br7")).unwrap();
    let br7 = link(kernel, "br7").index;
    let multicast = Mac([3, 0, 0, 0, 0, 1]);
    for (index, change, code) in [
        (4711, LinkChange::Up(true), libc::ENODEV),
        (4711, LinkChange::Mtu(1400), libc::ENODEV),
        (4711, LinkChange::Master(Some(br0)), libc::ENODEV),
        (4711, LinkChange::Hairpin(true), libc::ENODEV),
        (eth0, LinkChange::Mtu(1), libc::EINVAL),
        (eth0, LinkChange::Mac(multicast), libc::EADDRNOTAVAIL),
        (eth0, LinkChange::Mac(Mac([0; 6])), libc::EADDRNOTAVAIL),
        (eth0, LinkChange::Hairpin(true), libc::EOPNOTSUPP),
        (eth0, LinkChange::Master(Some(4711)), libc::EINVAL),
        (eth0, LinkChange::Master(Some(port0)), libc::EOPNOTSUPP),
        (lo, LinkChange::Master(Some(br0)), libc::EINVAL),
        (br7, LinkChange::Master(Some(br0)), libc::ELOOP),
    ] {
        assert_eq!(errno(kernel.change_link(index, &change)), code, "{index} {change:?}");
    }
    let mac = Mac([2, 0, 0, 0, 0, 7]);
    for change in [LinkChange::Mtu(1400), LinkChange::Mac(mac)] {
        kernel.change_link(br7, &change).unwrap();
    }
    assert_eq!((link(kernel, "br7").mtu, link(kernel, "br7").mac), (1400, Some(mac)));
    assert_eq!(errno(kernel.delete_link(lo)), libc::EOPNOTSUPP);
}

pub(crate) fn a_deleted_link_takes_all_that_is_on_it(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let br0 = link(kernel, "br0").index;
    kernel.delete_link(br0).unwrap();
    assert!(kernel.addresses().unwrap().iter().all(|address| address.link != br0));
    assert!(kernel.routes().unwrap().iter().all(|route| route.link != Some(br0)));
    assert_eq!(link(kernel, "port0").master, None);
    assert_eq!(kernel.sysctl("net/ipv6/conf/br0/accept_ra").unwrap(), None);
}

/// A pair of which the far end can be moved; its index.
fn movable(kernel: &mut impl Rtnl, near: &str, far: &str) -> Link {
    kernel.create_link(&pair(near, far)).unwrap();
    set(kernel, near, LinkChange::Up(true));
    set(kernel, far, LinkChange::Up(true));
    link(kernel, far)
}

pub(crate) fn a_link_that_moves_leaves_all_behind(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let there = &mut kernel.in_netns(&scene.other_namespace()).unwrap();
    let moved = movable(kernel, "fv7", "fc7");
    scene.add_address("fc7", "172.19.0.2/16");
    wait_running(kernel, "fv7", true);
    let br0 = link(kernel, "br0").index;
    set(kernel, "fc7", LinkChange::Master(Some(br0)));

    scene.move_link("fc7", Way::Away).unwrap();
    assert_eq!(find(kernel, "fc7"), None);
    wait_running(kernel, "fv7", false);
    let parameter = "net/ipv6/conf/fc7/accept_ra";
    assert_eq!(kernel.sysctl(parameter).unwrap(), None);
    assert!(there.sysctl(parameter).unwrap().is_some());
    let arrived = link(there, "fc7");
    assert_eq!((arrived.mac, arrived.mtu, &arrived.kind), (moved.mac, moved.mtu, &moved.kind));
    assert!(!arrived.up && !arrived.running && arrived.master.is_none(), "{arrived:?}");
    assert!(there.addresses().unwrap().iter().all(|address| address.link != arrived.index));

    // It is still the other end of its pair.
    set(there, "fc7", LinkChange::Up(true));
    wait_running(kernel, "fv7", true);
    scene.move_link("fc7", Way::Back).unwrap();
    assert_eq!((find(there, "fc7"), link(kernel, "fc7").mac), (None, moved.mac));
    scene.move_link("fc7", Way::Away).unwrap();
    let near = link(kernel, "fv7").index;
    kernel.delete_link(near).unwrap();
    assert_eq!(find(there, "fc7"), None);
}

pub(crate) fn a_link_that_moves_keeps_its_index_if_it_can(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let there = &mut kernel.in_netns(&scene.other_namespace()).unwrap();
    let free = movable(kernel, "fv7", "fc7").index;
    let taken = movable(kernel, "fv8", "fc8").index;
    scene.move_link("fc7", Way::Away).unwrap();
    assert_eq!(link(there, "fc7").index, free);
    for number in 0.. {
        if there.links().unwrap().iter().any(|link| link.index == taken) {
            break;
        }
        there.create_link(&bridge(&format!("br{number}"))).unwrap();
    }
    scene.move_link("fc8", Way::Away).unwrap();
    let new = link(there, "fc8").index;
    let same = there.links().unwrap().into_iter().filter(|link| link.index == new);
    assert_eq!((same.count(), new == taken), (1, false));
}

pub(crate) fn what_cannot_move_stays(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let there = &mut kernel.in_netns(&scene.other_namespace()).unwrap();
    movable(kernel, "fv7", "fc7");
    there.create_link(&bridge("fc7")).unwrap();
    for fixed in ["lo", "br0", "fc7", "fc8"] {
        scene.move_link(fixed, Way::Away).unwrap_err();
        assert_eq!(find(kernel, fixed).is_some(), fixed != "fc8", "{fixed}");
    }
    assert!(link(kernel, "fc7").up);
}

pub(crate) fn a_link_is_renamed_with_its_parameters(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let old = movable(kernel, "fv7", "fc7");
    let parameter = |name: &str| format!("net/ipv6/conf/{name}/accept_ra");
    kernel.set_sysctl(&parameter("fc7"), "2").unwrap();
    kernel.change_link(old.index, &LinkChange::Up(false)).unwrap();
    scene.rename_link("fc7", "eth7").unwrap();
    assert_eq!((find(kernel, "fc7"), link(kernel, "eth7").index), (None, old.index));
    assert_eq!(kernel.sysctl(&parameter("fc7")).unwrap(), None);
    assert_eq!(kernel.sysctl(&parameter("eth7")).unwrap().as_deref(), Some("2"));
    scene.rename_link("eth7", "eth0").unwrap_err();
    scene.rename_link("fc7", "eth8").unwrap_err();
    assert_eq!(link(kernel, "eth7").index, old.index);
}
