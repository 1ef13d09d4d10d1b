//! Links, addresses and routes as the real kernel keeps them; ip(8) is the witness.

#![allow(clippy::unwrap_used)]

mod lab;

use std::io;
use std::net::IpAddr;

use fip_core::Result;
use fip_core::address::{Links, floating_address};
use fip_core::kernel::host::Host;
use fip_core::kernel::{Address, AddressChange, Hold, Link, NewLink, Route, Rtnl};
use lab::Ns;

/// A namespace with the link `lan0` that has a subnet of each family.
fn host() -> Ns {
    let host = Ns::new("host");
    host.ip("link add lan0 type veth peer name far0");
    host.ip("link set far0 up");
    host.ip("link set lan0 up");
    host.ip("address add 192.0.2.10/24 dev lan0");
    host.ip("address add 2001:db8::10/64 dev lan0");
    ["lan0", "far0"].into_iter().for_each(|link| host.wait_ready(link));
    host
}

fn on_kernel<T: Send>(ns: &Ns, work: impl FnOnce(&mut Host) -> T + Send) -> T {
    ns.run(|| work(&mut Host::open().unwrap()))
}

fn link(kernel: &mut Host, name: &str) -> Link {
    let links = kernel.links().unwrap();
    links.into_iter().find(|link| link.name.as_str() == name).unwrap()
}

fn address(kernel: &mut Host, link_name: &str, network: &str, ours: bool) -> Address {
    let (link, network) = (link(kernel, link_name).index, network.parse().unwrap());
    Address { link, network, ours, hold: Hold::Address }
}

fn floating(kernel: &mut Host, network: &str) -> Address {
    address(kernel, "lan0", network, true)
}

fn change(kernel: &mut Host, changes: &[AddressChange]) -> Vec<Option<i32>> {
    let error = |result: io::Result<()>| result.err().map(|error| error.raw_os_error().unwrap());
    kernel.change_addresses(changes).unwrap().into_iter().map(error).collect()
}

#[test]
fn a_floating_address_is_tagged_and_harmless() {
    let host = host();
    let routes = host.ip("route show") + &host.ip("-6 route show");
    on_kernel(&host, |kernel| {
        let (four, six) = (floating(kernel, "203.0.113.7/32"), floating(kernel, "2001:db8::7/128"));
        let add = [&four, &six].map(|address| AddressChange::Add(address.clone()));
        assert_eq!(change(kernel, &add), [None, None]);
        let ours: Vec<_> =
            kernel.addresses().unwrap().into_iter().filter(|address| address.ours).collect();
        assert_eq!(ours, [four, six]);
    });
    let shown = host.ip("-oneline address show dev lan0");
    let line = |part: &str| shown.lines().find(|line| line.contains(part)).unwrap().to_owned();
    let four = line("203.0.113.7/32");
    assert!(four.contains("scope host noprefixroute lan0:fip"), "{four}");
    let six = line("2001:db8::7/128");
    assert!(six.contains("deprecated") && six.contains("nodad"), "{six}");
    assert!(six.contains("valid_lft forever preferred_lft 0sec"), "{six}");
    assert_eq!(host.ip("route show") + &host.ip("-6 route show"), routes);
    assert!(host.ip("route get 192.0.2.1").contains("src 192.0.2.10"));
    assert!(host.ip("route get 2001:db8::1").contains("src 2001:db8::10"));
}

#[test]
fn each_change_has_its_own_answer() {
    on_kernel(&host(), |kernel| {
        let (four, six) = (floating(kernel, "203.0.113.7/32"), floating(kernel, "2001:db8::7/128"));
        let nowhere = Address { link: 4_000_000, ..four.clone() };
        let add = |address: &Address| AddressChange::Add(address.clone());
        let remove = |address: &Address| AddressChange::Remove(address.clone());
        let changes =
            [add(&four), add(&four), add(&nowhere), add(&six), add(&six), remove(&nowhere)];
        let (exists, missing) = (Some(libc::EEXIST), Some(libc::ENODEV));
        assert_eq!(change(kernel, &changes), [None, exists, missing, None, exists, missing]);
        // Another prefix length is another address.
        let wider = Address { network: "203.0.113.7/24".parse().unwrap(), ..four.clone() };
        let absent = Some(libc::EADDRNOTAVAIL);
        let changes = [remove(&wider), remove(&four), remove(&four), remove(&six), remove(&six)];
        assert_eq!(change(kernel, &changes), [absent, None, absent, None, absent]);
    });
}

#[test]
fn many_changes_at_once() {
    let host = host();
    on_kernel(&host, |kernel| {
        let index = link(kernel, "lan0").index;
        let change_of = |make: fn(Address) -> AddressChange| -> Vec<AddressChange> {
            let network = |n: u32| format!("172.16.{}.{}/32", n / 250, n % 250 + 1);
            let address = |n| Address {
                link: index,
                network: network(n).parse().unwrap(),
                ours: true,
                hold: Hold::Address,
            };
            (0..1000).map(|n| make(address(n))).collect()
        };
        assert_eq!(change(kernel, &change_of(AddressChange::Add)), [None; 1000]);
        let ours = kernel.addresses().unwrap().into_iter().filter(|address| address.ours);
        assert_eq!(ours.count(), 1000);
        assert_eq!(
            host.ip("-oneline address show dev lan0 to 172.16.0.0/16").lines().count(),
            1000
        );
        assert_eq!(change(kernel, &change_of(AddressChange::Remove)), [None; 1000]);
        assert!(!kernel.addresses().unwrap().iter().any(|address| address.ours));
    });
}

#[test]
fn what_others_change_is_noticed_and_what_we_change_is_not() {
    let host = host();
    on_kernel(&host, |kernel| {
        let (four, six) = (floating(kernel, "203.0.113.7/32"), floating(kernel, "2001:db8::7/128"));
        assert!(kernel.changed().unwrap(), "the first time");
        assert!(!kernel.changed().unwrap());
        for address in [&four, &six] {
            assert_eq!(change(kernel, &[AddressChange::Add(address.clone())]), [None]);
            let present = format!("address show dev lan0 to {}", address.network);
            lab::wait_for("the address", || (!host.ip(&present).is_empty()).then_some(()));
            assert!(!kernel.changed().unwrap(), "our own {}", address.network);
        }
        for theirs in [
            "address del 203.0.113.7/32 dev lan0",
            "address add 203.0.113.7/32 dev lan0",
            "address del 2001:db8::7/128 dev lan0",
            "address add 2001:db8::7/128 dev lan0",
            "route add 198.51.100.0/24 via 192.0.2.1",
            "route del 198.51.100.0/24",
            "-6 route add 2001:db8:5::/64 via 2001:db8::1",
            "link set lan0 mtu 1400",
            "link add other0 type veth peer name other1",
            "route add local 198.51.100.9 dev lan0",
            "route del local 198.51.100.9 dev lan0 table local",
        ] {
            host.ip(theirs);
            assert!(kernel.changed().unwrap(), "{theirs}");
            assert!(!kernel.changed().unwrap(), "{theirs}, again");
        }
        host.ip("neighbour add 192.0.2.77 lladdr 02:00:00:00:00:01 dev lan0");
        assert!(!kernel.changed().unwrap());
    });
}

#[test]
fn what_is_kept_up_to_date_is_what_would_be_read() {
    let host = host();
    on_kernel(&host, |kernel| {
        kernel.news().unwrap();
        let mut kept = Links::read(kernel).unwrap();
        for theirs in [
            "address add 203.0.113.7/32 dev lan0",
            "address add 203.0.113.8/24 dev lan0",
            "address add 203.0.113.8/32 dev lan0",
            "address change 203.0.113.7/32 dev lan0 valid_lft 1000 preferred_lft 1000",
            "address add 2001:db8:7::1/64 dev lan0 nodad",
            "address del 203.0.113.8/24 dev lan0",
            "link add br9 type bridge",
            "address add 198.51.100.1/24 dev br9",
            "link set br9 up",
            "address add 203.0.113.7/32 dev br9",
            "route add local 203.0.113.30/32 dev lan0 table local proto 0xf1",
            "route add local 203.0.113.31/32 dev lan0 table 100 proto 0xf1",
            "route add local 203.0.113.32/32 dev br9 table local",
            "route del local 203.0.113.30/32 dev lan0 table local proto 0xf1",
            "link set lan0 name lan9",
            "link del br9",
            "address flush dev lan9",
            "link set lan9 down",
        ] {
            host.ip(theirs);
            let read = shown(&Links::read(kernel).unwrap());
            lab::wait_for(theirs, || {
                kept.refresh(kernel).unwrap();
                (shown(&kept) == read).then_some(())
            });
        }
        // The far end loses its carrier a moment later.
        lab::wait_for("the far end to stop", || (!link(kernel, "far0").running).then_some(()));
        kept.refresh(kernel).unwrap();
        assert!(!kept.refresh(kernel).unwrap());
        host.ip("link set lan9 up");
        let index = link(kernel, "lan9").index;
        let floating = floating_address(index, "203.0.113.9".parse().unwrap(), Hold::Address);
        let ours = AddressChange::Add(floating);
        kept.refresh(kernel).unwrap();
        // Somebody else of this project, on another handle.
        assert_eq!(change(&mut Host::open().unwrap(), &[ours]), [None]);
        assert!(kept.refresh(kernel).unwrap());
        assert_eq!(shown(&kept), shown(&Links::read(kernel).unwrap()));
        assert_eq!(kept.ours().count(), 1);
    });
}

/// Routes may lead nowhere in several ways, which the kernel tells apart.
#[test]
fn what_leads_nowhere_is_held_by_nobody() {
    let host = host();
    let floating = ["203.0.113.7".parse().unwrap()];
    for kind in ["", "unreachable", "prohibit", "blackhole", "throw"] {
        if !kind.is_empty() {
            host.ip(&format!("route add {kind} default"));
        }
        on_kernel(&host, |kernel| {
            let all = kernel.addresses_about(&floating).unwrap();
            assert!(all.iter().all(|held| held.hold == Hold::Address), "{kind}: {all:?}");
            let route = floating_address(link(kernel, "lan0").index, floating[0], Hold::Route);
            assert_eq!(change(kernel, &[AddressChange::Add(route.clone())]), [None]);
            assert!(kernel.addresses_about(&floating).unwrap().contains(&route), "{kind}");
            assert_eq!(change(kernel, &[AddressChange::Remove(route)]), [None]);
        });
        if !kind.is_empty() {
            host.ip(&format!("route del {kind} default"));
        }
    }
}

/// All that is known, but for the link-local addresses, which come and go by themselves.
fn shown(links: &Links) -> Vec<String> {
    let mut lines: Vec<String> = links.ours().map(|ours| format!("{ours:?}")).collect();
    let local = |ip: &IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    lines.extend(links.own().filter(|own| !local(own)).map(|own| format!("own {own}")));
    for index in 1..20 {
        let Some(link) = links.with_index(index) else { continue };
        lines.push(format!("{index} {}", link.name));
        let subnets = links.subnets_of(index).filter(|subnet| !local(&subnet.ip()));
        lines.extend(subnets.map(|subnet| format!("{index} {subnet}")));
    }
    lines.sort();
    lines
}

#[test]
fn a_burst_that_cannot_be_kept_counts_as_a_change() {
    let host = host();
    on_kernel(&host, |kernel| {
        kernel.changed().unwrap();
        let script = "link set lan0 mtu 1400\nlink set lan0 mtu 1500\n".repeat(2000);
        host.ip_batch(&script);
        assert!(kernel.changed().unwrap());
        assert!(!kernel.changed().unwrap());
    });
}

#[test]
fn links_are_as_ip_shows_them() {
    let host = host();
    host.ip("link add br0 type bridge");
    host.ip("link set br0 mtu 1400");
    host.ip("link set far0 master br0");
    host.ip("link add name lan-\u{f6} type bridge");
    let (lan, far, bridge, loopback, mac, count) = on_kernel(&host, |kernel| {
        let [lan, far, bridge, loopback] = ["lan0", "far0", "br0", "lo"].map(|n| link(kernel, n));
        (lan, far, bridge, loopback, host.mac("lan0"), kernel.links().unwrap().len())
    });
    assert_eq!(lan.mac.unwrap().to_string(), mac);
    assert_eq!((lan.kind.as_deref(), lan.master), (Some("veth"), None));
    assert!(lan.up && lan.running && !lan.loopback);
    assert_eq!(far.master, Some(bridge.index));
    assert_eq!((bridge.kind.as_deref(), bridge.mtu), (Some("bridge"), 1400));
    assert!(!bridge.up && !bridge.running);
    assert!(loopback.loopback && loopback.kind.is_none());
    assert_eq!(count, 4, "a link that no LinkName can name does not hide the others");
}

#[test]
fn routes_are_the_unicast_ones_of_the_main_table() {
    let empty = Ns::new("empty");
    assert_eq!(on_kernel(&empty, |kernel| kernel.routes().unwrap()), []);
    let host = host();
    host.ip("link set lan0 addrgenmode none");
    for route in [
        "route add default via 192.0.2.1 metric 7",
        "route add 198.51.100.0/24 nexthop via 192.0.2.2 nexthop via 192.0.2.3",
        "route add blackhole 172.16.0.0/12",
        "route add 203.0.113.0/24 via 192.0.2.4 table 100",
        "-6 route add default via fe80::1 dev lan0 metric 9",
    ] {
        host.ip(route);
    }
    let (lan, mut routes) =
        on_kernel(&host, |kernel| (link(kernel, "lan0").index, kernel.routes().unwrap()));
    routes.retain(|route| !route.destination.to_string().starts_with("fe80:"));
    let route = |destination: &str, gateway: Option<&str>, metric| Route {
        destination: destination.parse().unwrap(),
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        link: Some(lan),
        metric,
    };
    routes.sort_by_key(|route| (route.destination, route.metric));
    assert_eq!(
        routes,
        [
            route("0.0.0.0/0", Some("192.0.2.1"), 7),
            route("192.0.2.0/24", None, 0),
            route("198.51.100.0/24", Some("192.0.2.2"), 0),
            route("::/0", Some("fe80::1"), 9),
            route("2001:db8::/64", None, 256),
        ]
    );
}

#[test]
fn a_route_is_replaced_and_not_doubled() {
    let host = host();
    on_kernel(&host, |kernel| {
        let link = Some(link(kernel, "lan0").index);
        for (destination, gateways) in [
            ("198.51.100.0/24", ["192.0.2.1", "192.0.2.2"]),
            ("2001:db8:5::/64", ["2001:db8::1", "2001:db8::2"]),
        ] {
            for gateway in gateways {
                let gateway = Some(gateway.parse().unwrap());
                let destination = destination.parse().unwrap();
                kernel.replace_route(&Route { destination, gateway, link, metric: 50 }).unwrap();
            }
        }
    });
    let four = host.ip("route show 198.51.100.0/24");
    assert_eq!(four.trim(), "198.51.100.0/24 via 192.0.2.2 dev lan0 proto static metric 50");
    let six = host.ip("-6 route show 2001:db8:5::/64");
    assert_eq!(six.lines().count(), 1, "{six}");
    assert!(six.contains("via 2001:db8::2 dev lan0"), "{six}");
}

#[test]
fn a_refusal_names_the_link() {
    on_kernel(&host(), |kernel| {
        let index = link(kernel, "lan0").index;
        let refused = |result: Result<()>| result.unwrap_err().to_string();
        let mtu = fip_core::kernel::LinkChange::Mtu(70_000);
        let error = kernel.change_link(index, &mtu);
        assert_eq!(refused(error), "cannot set the MTU of link lan0 to 70000");
        assert_eq!(refused(kernel.delete_link(4_000_000)), "cannot delete link number 4000000");
        let bridge = NewLink::Bridge { name: "lan0".parse().unwrap(), mtu: 1400 };
        assert_eq!(refused(kernel.create_link(&bridge)), "cannot create bridge lan0");
        assert_eq!(link(kernel, "lan0").mtu, 1500);
        let error = kernel.set_sysctl("net/../../etc/passwd", "x").unwrap_err();
        assert_eq!(error.to_string(), "cannot set sysctl net/../../etc/passwd to x");
    });
}
