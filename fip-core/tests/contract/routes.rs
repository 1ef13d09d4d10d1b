//! Routes, and the parameters that forwarding is about.

use fip_core::Error;
use fip_core::kernel::{LinkChange, NewLink, Route, Rtnl};

use super::scene::{Scene, link, name};

fn route(kernel: &mut impl Rtnl, to: &str, via: Option<&str>, on: Option<&str>) -> Route {
    Route {
        destination: to.parse().unwrap(),
        gateway: via.map(|gateway| gateway.parse().unwrap()),
        link: on.map(|name| link(kernel, name).index),
        metric: 0,
    }
}

fn to(kernel: &mut impl Rtnl, destination: &str) -> Vec<Route> {
    let wanted = destination.parse().unwrap();
    let routes = kernel.routes().unwrap();
    routes.into_iter().filter(|route| route.destination == wanted).collect()
}

fn errno(result: fip_core::Result<()>) -> i32 {
    match result.unwrap_err() {
        Error::Kernel { source, .. } => source.raw_os_error().unwrap(),
        other => panic!("{other}"),
    }
}

pub(crate) fn a_route_is_replaced_and_not_doubled(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let eth0 = Some(link(kernel, "eth0").index);
    for (destination, gateways, metric) in [
        ("198.51.100.0/24", ["192.0.2.1", "192.0.2.2"], 0),
        ("2001:db8:51::/64", ["2001:db8::1", "2001:db8::2"], 1024),
        ("0.0.0.0/0", ["192.0.2.1", "192.0.2.2"], 0),
        ("::/0", ["2001:db8::1", "2001:db8::2"], 1024),
    ] {
        for gateway in gateways {
            let route = route(kernel, destination, Some(gateway), Some("eth0"));
            kernel.replace_route(&route).unwrap();
            let made = Route { metric, ..route };
            assert_eq!(to(kernel, destination), [made]);
        }
        // Another metric is another route.
        let route = route(kernel, destination, Some(gateways[0]), None);
        let second = Route { metric: 2048, ..route };
        kernel.replace_route(&second).unwrap();
        let routes = to(kernel, destination);
        assert_eq!(routes.len(), 2, "{routes:?}");
        assert!(routes.contains(&Route { link: eth0, ..second }), "{routes:?}");
    }
    let on_link = route(kernel, "203.0.113.0/24", None, Some("br0"));
    kernel.replace_route(&on_link).unwrap();
    assert_eq!(to(kernel, "203.0.113.0/24"), [on_link]);
}

pub(crate) fn a_gateway_must_be_on_the_link(scene: &impl Scene) {
    let kernel = &mut scene.open();
    for (destination, gateway, code) in [
        ("0.0.0.0/0", "203.0.113.1", libc::ENETUNREACH),
        ("0.0.0.0/0", "172.18.0.2", libc::ENETUNREACH),
        ("::/0", "2001:db8:ffff::1", libc::EHOSTUNREACH),
        ("::/0", "2001:db8:18::2", libc::EHOSTUNREACH),
    ] {
        let route = route(kernel, destination, Some(gateway), Some("eth0"));
        assert_eq!(errno(kernel.replace_route(&route)), code, "{route:?}");
    }
    for (destination, gateway, code) in
        [("0.0.0.0/0", "192.0.2.1", libc::ENETUNREACH), ("::/0", "2001:db8::1", libc::ENODEV)]
    {
        let good = route(kernel, destination, Some(gateway), Some("eth0"));
        let nowhere = Route { link: Some(4711), ..good.clone() };
        assert_eq!(errno(kernel.replace_route(&nowhere)), code, "{nowhere:?}");
        for link in [None, Some(4711)] {
            let on_link = Route { link, gateway: None, ..good.clone() };
            assert_eq!(errno(kernel.replace_route(&on_link)), libc::ENODEV, "{on_link:?}");
        }
    }
    let by_neighbour = route(kernel, "::/0", Some("fe80::1"), Some("eth0"));
    kernel.replace_route(&by_neighbour).unwrap();
    scene.set_up("eth0", false);
    for (destination, gateway, code) in [
        ("0.0.0.0/0", Some("192.0.2.1"), libc::ENETUNREACH),
        ("0.0.0.0/0", None, libc::ENETDOWN),
        ("::/0", Some("fe80::1"), libc::ENETDOWN),
        ("::/0", None, libc::ENETDOWN),
    ] {
        let route = route(kernel, destination, gateway, Some("eth0"));
        assert_eq!(errno(kernel.replace_route(&route)), code, "{route:?}");
    }
}

pub(crate) fn parameters_are_read_and_set(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let path = "net/ipv6/conf/eth0/accept_ra";
    assert_eq!(kernel.sysctl(path).unwrap().as_deref(), Some("1"));
    kernel.set_sysctl(path, "2").unwrap();
    assert_eq!(kernel.sysctl(path).unwrap().as_deref(), Some("2"));
    for unknown in ["net/ipv4/no_such_parameter", "net/ipv6/conf/nolink/accept_ra"] {
        assert_eq!(kernel.sysctl(unknown).unwrap(), None);
        let error = kernel.set_sysctl(unknown, "1").unwrap_err();
        assert_eq!(errno(Err(error)), libc::ENOENT, "{unknown}");
    }
    assert_eq!(errno(kernel.set_sysctl(path, "yes")), libc::EINVAL);
}

pub(crate) fn forwarding_for_all_is_forwarding_for_each(scene: &impl Scene) {
    let kernel = &mut scene.open();
    for path in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
        assert_eq!(kernel.sysctl(path).unwrap().as_deref(), Some("0"));
        kernel.set_sysctl(path, "1").unwrap();
        assert_eq!(kernel.sysctl(path).unwrap().as_deref(), Some("1"));
    }
    let path = "net/ipv6/conf/eth0/forwarding";
    assert_eq!(kernel.sysctl(path).unwrap().as_deref(), Some("1"));
}

pub(crate) fn a_new_link_has_the_default_parameters(scene: &impl Scene) {
    let kernel = &mut scene.open();
    kernel.set_sysctl("net/ipv6/conf/default/accept_ra", "0").unwrap();
    kernel.set_sysctl("net/ipv6/conf/all/disable_ipv6", "1").unwrap();
    kernel.create_link(&NewLink::Bridge { name: name("br7"), mtu: 1500 }).unwrap();
    for (parameter, value) in [("accept_ra", "0"), ("disable_ipv6", "1")] {
        let path = format!("net/ipv6/conf/br7/{parameter}");
        assert_eq!(kernel.sysctl(&path).unwrap().as_deref(), Some(value), "{parameter}");
    }
    let index = link(kernel, "br7").index;
    kernel.change_link(index, &LinkChange::Up(true)).unwrap();
    assert!(kernel.addresses().unwrap().iter().all(|address| address.network.is_ipv4()));
}
