use super::*;
use crate::kernel::fake::FakeKernel;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn name(text: &str) -> LinkName {
    text.parse().unwrap()
}

fn links(kernel: &FakeKernel) -> Links {
    Links::read(&mut kernel.clone()).unwrap()
}

fn route(kernel: &FakeKernel, to: &str, via: Option<&str>, on: &str, metric: u32) {
    let route = Route {
        destination: to.parse().unwrap(),
        gateway: via.map(ip),
        link: Some(kernel.link(&name(on)).unwrap().index),
        metric,
    };
    kernel.add_route(&route).unwrap();
}

fn add(kernel: &FakeKernel, link: &str, network: &str) {
    let link = name(link);
    if kernel.link(&link).is_err() {
        kernel.add_link(&link).unwrap();
    }
    kernel.add_address(&link, network.parse().unwrap()).unwrap();
}

fn uplink(kernel: &FakeKernel, floating: &str) -> String {
    let links = links(kernel);
    links.uplink(ip(floating), None).map_or_else(|e| e.to_string(), |link| link.name.to_string())
}

#[test]
fn the_uplink_is_the_link_whose_subnet_holds_the_address() {
    let host = FakeKernel::new();
    add(&host, "eth1", "198.51.100.10/24");
    add(&host, "eth2", "198.51.100.130/25");
    add(&host, "eth3", "2001:db8:51::10/64");
    for (floating, link) in [
        ("192.0.2.20", "eth0"),
        ("198.51.100.20", "eth1"),
        ("198.51.100.200", "eth2"),
        ("2001:db8:51::20", "eth3"),
        ("2001:db8::20", "eth0"),
        ("172.18.0.200", "br0"),
    ] {
        assert_eq!(uplink(&host, floating), link, "{floating}");
    }
}

#[test]
fn else_it_is_the_link_of_the_best_default_route_of_the_family() {
    let host = FakeKernel::new();
    add(&host, "eth1", "198.51.100.10/24");
    route(&host, "0.0.0.0/0", Some("198.51.100.1"), "eth1", 100);
    assert_eq!(uplink(&host, "203.0.113.7"), "eth0");
    host.set_up(&name("eth0"), false).unwrap();
    assert_eq!(uplink(&host, "203.0.113.7"), "eth1");
    route(&host, "0.0.0.0/0", Some("198.51.100.2"), "eth1", 50);
    add(&host, "eth2", "192.0.2.130/25");
    route(&host, "0.0.0.0/0", Some("192.0.2.129"), "eth2", 20);
    assert_eq!(uplink(&host, "203.0.113.7"), "eth2");
    let none = "no link of this host can carry 2001:db8:99::1";
    assert!(uplink(&host, "2001:db8:99::1").starts_with(none));
    // A route to somewhere is none to everywhere.
    route(&host, "203.0.113.0/24", Some("198.51.100.1"), "eth1", 0);
    assert_eq!(uplink(&host, "203.0.113.7"), "eth2");
}

#[test]
fn loopback_and_floating_addresses_span_no_subnet() {
    let host = FakeKernel::bare();
    add(&host, "lo", "203.0.113.1/24");
    assert!(uplink(&host, "203.0.113.7").starts_with("no link"));
    add(&host, "eth0", "203.0.113.7/32");
    assert!(uplink(&host, "203.0.113.8").starts_with("no link"));
}

#[test]
fn a_named_link_is_taken() {
    let links = links(&FakeKernel::new());
    let floating = ip("192.0.2.20");
    assert_eq!(links.uplink(floating, Some(&name("br0"))).unwrap().name, name("br0"));
    let error = links.uplink(floating, Some(&name("eth9"))).unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.to_string(), "there is no link named eth9");
}

#[test]
fn what_is_somebody_elses_is_refused() {
    let host = FakeKernel::new();
    add(&host, "eth1", "198.51.100.10/32");
    add(&host, "ppp0", "203.0.113.4/31");
    let links = links(&host);
    for (floating, why) in [
        ("192.0.2.10", "this host's own address on eth0"),
        ("198.51.100.10", "this host's own address on eth1"),
        ("2001:db8:18::1", "this host's own address on br0"),
        ("192.0.2.1", "the gateway of the route to 0.0.0.0/0"),
        ("2001:db8::1", "the gateway of the route to ::/0"),
        ("192.0.2.0", "the network address of 192.0.2.0/24 on eth0"),
        ("192.0.2.255", "the broadcast address of 192.0.2.0/24 on eth0"),
        ("2001:db8::", "the network address of 2001:db8::/64 on eth0"),
    ] {
        let error = links.check(ip(floating)).unwrap_err();
        assert_eq!(error.to_string(), format!("{floating} cannot be bound: it is {why}"));
    }
    let last = "2001:db8::ffff:ffff:ffff:ffff";
    for free in ["192.0.2.20", "203.0.113.5", "198.51.100.0", last, "2001:db8:99::"] {
        links.check(ip(free)).unwrap();
    }
}

#[test]
fn an_address_of_ours_may_be_bound_again() {
    let host = FakeKernel::new();
    let mut kernel = host.clone();
    let mut links = links(&host);
    let link = links.named(&name("eth0")).unwrap().index;
    let add = AddressChange::Add(floating_address(link, ip("192.0.2.20"), Hold::Address));
    AddressBinder::new(&mut kernel, &mut links).change(&[add]).unwrap();
    links.check(ip("192.0.2.20")).unwrap();
    assert_eq!(links.carrying(ip("192.0.2.20")).count(), 1);
    // Unless it is the host's own on another link.
    host.add_address(&name("br0"), "192.0.2.20/32".parse().unwrap()).unwrap();
    assert!(self::links(&host).check(ip("192.0.2.20")).is_err());
}

#[test]
fn the_subnet_and_the_way_to_a_workload() {
    let host = FakeKernel::new();
    add(&host, "eth1", "172.18.5.1/24");
    route(&host, "203.0.113.0/24", Some("172.18.0.9"), "br0", 0);
    route(&host, "203.0.113.128/25", Some("172.18.5.9"), "eth1", 0);
    let links = links(&host);
    for (fixed, network, toward) in [
        ("172.18.0.2", Some("172.18.0.0/16"), Some("br0")),
        ("172.18.5.2", Some("172.18.5.0/24"), Some("eth1")),
        ("203.0.113.7", None, Some("br0")),
        ("203.0.113.200", None, Some("eth1")),
        ("198.51.100.1", None, None),
        ("192.0.2.10", Some("192.0.2.0/24"), Some("eth0")),
        ("2001:db8:18::2", Some("2001:db8:18::/64"), Some("br0")),
    ] {
        let found = links.network_of(ip(fixed)).map(|network| network.to_string());
        assert_eq!(found.as_deref(), network, "{fixed}");
        assert_eq!(links.toward(ip(fixed)).map(|link| link.name.as_str()), toward, "{fixed}");
    }
}

/// Plans and makes what it takes to have the address on this link, or on none.
fn place(kernel: &mut FakeKernel, floating: &str, on: Option<&str>) -> Vec<String> {
    let mut links = links(kernel);
    let link = on.map(|on| links.named(&name(on)).unwrap().index);
    let hold = Hold::Address;
    let wanted = link.map(|link| (ip(floating), (link, hold))).into_iter().collect();
    let mut binder = AddressBinder::new(kernel, &mut links);
    let changes = binder.plan(&[ip(floating)].into(), &wanted);
    let lines = changes.iter().map(|change| binder.describe(change)).collect();
    binder.change(&changes).unwrap();
    assert_eq!(binder.plan(&[ip(floating)].into(), &wanted), [], "noted");
    lines
}

#[test]
fn an_address_is_on_exactly_the_wanted_link() {
    let kernel = &mut FakeKernel::new();
    for (add, delete) in [
        ("add address 192.0.2.20/32", "delete address 192.0.2.20/32"),
        ("add address 2001:db8::20/128", "delete address 2001:db8::20/128"),
    ] {
        let floating = add.split([' ', '/']).nth(2).unwrap();
        assert_eq!(place(kernel, floating, Some("eth0")), [format!("{add} dev eth0")]);
        assert_eq!(place(kernel, floating, Some("eth0")), [""; 0]);
        let moved = [format!("{delete} dev eth0"), format!("{add} dev br0")];
        assert_eq!(place(kernel, floating, Some("br0")), moved);
        assert_eq!(place(kernel, floating, None), [format!("{delete} dev br0")]);
        assert_eq!(place(kernel, floating, None), [""; 0]);
    }
}

#[test]
fn addresses_that_are_not_ours_are_left_alone() {
    let kernel = &mut FakeKernel::new();
    assert_eq!(place(kernel, "192.0.2.10", None), [""; 0]);
    assert_eq!(kernel.addresses_of(&name("eth0")).unwrap().len(), 2);
}

#[test]
fn what_is_so_already_is_no_error() {
    let mut kernel = FakeKernel::new();
    let mut links = links(&kernel);
    let link = links.named(&name("eth0")).unwrap().index;
    let address = floating_address(link, ip("192.0.2.20"), Hold::Address);
    let gone = floating_address(4711, ip("192.0.2.21"), Hold::Address);
    let mut binder = AddressBinder::new(&mut kernel, &mut links);
    for _ in 0..2 {
        binder.change(&[AddressChange::Add(address.clone())]).unwrap();
    }
    for _ in 0..2 {
        let removals = [address.clone(), gone.clone()].map(AddressChange::Remove);
        binder.change(&removals).unwrap();
    }
}

#[test]
fn a_change_that_fails_is_named_and_stops_no_other() {
    let mut kernel = FakeKernel::new();
    let mut links = links(&kernel);
    let link = links.named(&name("eth0")).unwrap().index;
    let missing = floating_address(4711, ip("192.0.2.20"), Hold::Address);
    let good = floating_address(link, ip("192.0.2.21"), Hold::Address);
    let changes = [missing, good.clone()].map(AddressChange::Add);
    let mut binder = AddressBinder::new(&mut kernel, &mut links);
    let error = binder.change(&changes).unwrap_err();
    assert_eq!(error.to_string(), "cannot add address 192.0.2.20/32 dev link 4711");
    assert!(links.ours().eq([&good]));
    assert!(kernel.addresses_of(&name("eth0")).unwrap().contains(&good));
}

#[test]
fn a_link_in_a_vrf_is_mute() {
    let mut links = links(&FakeKernel::new());
    let vrf = links.named(&name("br0")).unwrap().index;
    for link in &mut links.links {
        match link.name.as_str() {
            "br0" => link.kind = Some("vrf".to_owned()),
            "eth0" => link.master = Some(vrf),
            _ => {}
        }
    }
    let mute = |on: &str| links.mute(links.named(&name(on)).unwrap());
    let why = "eth0 is in the VRF br0, where local routes do not count";
    assert_eq!((mute("eth0").as_deref(), mute("lo")), (Some(why), None));
}
