//! Bridges and the workloads on them.

use fip_core::bridge::{BridgeManager, BridgeSpec, PortSpec};
use fip_core::kernel::{Kernel, Rtnl};

use super::scene::{Scene, link, name};

fn spec() -> BridgeSpec {
    let addresses = ["172.19.0.1/16", "2001:db8:19::1/64"];
    BridgeSpec {
        name: name("br7"),
        addresses: addresses.map(|text| text.parse().unwrap()).to_vec(),
        mtu: None,
    }
}

fn port(scene: &impl Scene) -> PortSpec {
    let addresses = ["172.19.0.2/16", "2001:db8:19::2/64"];
    PortSpec {
        bridge: name("br7"),
        netns: scene.other_namespace(),
        addresses: addresses.map(|text| text.parse().unwrap()).to_vec(),
        peer: name("eth0"),
        mac: Some("02:00:5e:10:00:01".parse().unwrap()),
        default_route: true,
    }
}

/// The changes, with stars for what differs from run to run: the name of the namespace, and the
/// port's, which is made from it.
fn lines(changes: Vec<String>, netns: &str) -> Vec<String> {
    let word = |word: &str| match word.starts_with("fip") && word.len() == 15 {
        true => "*".to_owned(),
        false => word.replace(netns, "*"),
    };
    changes.iter().map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ")).collect()
}

pub(crate) fn a_bridge_is_ensured_and_deleted(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let bridges = &mut BridgeManager::new(kernel);
    assert_eq!(
        bridges.ensure(&spec()).unwrap(),
        [
            "link add br7 mtu 1500 type bridge",
            "sysctl net.ipv6.conf.br7.accept_ra=0",
            "link set br7 up",
            "address add 172.19.0.1/16 dev br7",
            "address add 2001:db8:19::1/64 dev br7",
            "sysctl net.ipv4.ip_forward=1",
            "sysctl net.ipv6.conf.eth0.accept_ra=2",
            "sysctl net.ipv6.conf.all.forwarding=1",
        ]
    );
    assert_eq!(bridges.ensure(&spec()).unwrap(), [""; 0]);
    let mut other = spec();
    other.name = name("br8");
    assert!(bridges.ensure(&other).unwrap_err().to_string().contains("overlaps"));
    other.name = name("eth0");
    other.addresses.clear();
    assert!(bridges.ensure(&other).unwrap_err().to_string().contains("is not a bridge"));
    assert_eq!(bridges.delete(&name("br7"), false).unwrap(), ["link delete br7"]);
    assert_eq!(bridges.delete(&name("br7"), false).unwrap(), [""; 0]);
}

pub(crate) fn a_workload_is_attached_and_detached(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let port = port(scene);
    let netns = port.netns.to_string();
    BridgeManager::new(kernel).ensure(&spec()).unwrap();
    let attached = BridgeManager::new(kernel).attach(&port).unwrap();
    let inside = &mut kernel.in_netns(&port.netns).unwrap();
    let expected = [
        "link add * type veth peer eth0 netns *",
        "link set * master br7",
        "link set * type bridge_slave hairpin on",
        "link set * up",
        "in *: link set eth0 up",
        "in *: address add 172.19.0.2/16 dev eth0",
        "in *: address add 2001:db8:19::2/64 dev eth0",
        "in *: route replace default via 172.19.0.1 dev eth0",
        "in *: route replace default via 2001:db8:19::1 dev eth0",
    ];
    assert_eq!(lines(attached, &netns), expected);
    assert_eq!(link(inside, "eth0").mac, port.mac);
    assert_eq!(BridgeManager::new(kernel).attach(&port).unwrap(), [""; 0]);
    let refused = BridgeManager::new(kernel).delete(&name("br7"), false).unwrap_err();
    assert!(refused.to_string().contains("still has ports"), "{refused}");
    let detach = |kernel: &mut _| {
        let changes = BridgeManager::new(kernel).detach(&name("br7"), &port.netns, &port.peer);
        lines(changes.unwrap(), &netns)
    };
    assert_eq!(detach(kernel), ["link delete *"]);
    assert_eq!(detach(kernel), [""; 0]);
    assert!(inside.links().unwrap().iter().all(|link| link.loopback));
    BridgeManager::new(kernel).attach(&port).unwrap();
    let forced = BridgeManager::new(kernel).delete(&name("br7"), true).unwrap();
    assert_eq!(lines(forced, &netns), ["link delete *", "link delete br7"]);
}
