//! `BridgeManager` on the real kernel, in namespaces; ip(8), bridge(8) and ping(8) are witnesses.

#![allow(clippy::unwrap_used)]

mod lab;

use fip_core::bridge::{BridgeManager, BridgeSpec, PortSpec, ensure_forwarding};
use fip_core::kernel::host::Host;
use fip_core::kernel::{Mac, Rtnl};
use fip_core::nat::Family;
use fip_core::netns::NetNs;
use fip_core::{Error, LinkName, Result};
use lab::Ns;

const BRIDGE: &str = "br0";
const GATEWAY4: &str = "172.18.0.1/16";
const GATEWAY6: &str = "2001:db8:18::1/64";

fn name(text: &str) -> LinkName {
    text.parse().unwrap()
}

fn bridge(addresses: &[&str]) -> BridgeSpec {
    BridgeSpec {
        name: name(BRIDGE),
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        mtu: None,
    }
}

fn port(netns: &NetNs, addresses: &[&str]) -> PortSpec {
    PortSpec {
        bridge: name(BRIDGE),
        netns: netns.clone(),
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        peer: name("eth0"),
        mac: None,
        default_route: true,
    }
}

fn by_pid(ns: &Ns) -> NetNs {
    NetNs::of_process(ns.pid())
}

fn on_kernel<T: Send>(ns: &Ns, work: impl FnOnce(&mut Host) -> Result<T> + Send) -> Result<T> {
    ns.run(|| work(&mut Host::open()?))
}

fn manage<T: Send>(
    ns: &Ns,
    work: impl FnOnce(&mut BridgeManager<'_, Host>) -> Result<T> + Send,
) -> Result<T> {
    on_kernel(ns, |host| work(&mut BridgeManager::new(host)))
}

fn ensure(ns: &Ns, spec: &BridgeSpec) -> Vec<String> {
    manage(ns, |bridges| bridges.ensure(spec)).unwrap()
}

fn attach(ns: &Ns, spec: &PortSpec) -> Vec<String> {
    manage(ns, |bridges| bridges.attach(spec)).unwrap()
}

fn detach(ns: &Ns, netns: &NetNs) -> Vec<String> {
    manage(ns, |bridges| bridges.detach(&name(BRIDGE), netns, &name("eth0"))).unwrap()
}

/// A host with an uplink `lan0`, the other end of which is `far0` in the same namespace.
fn host_with_uplink(mtu: u32) -> Ns {
    let host = Ns::new("host");
    host.ip(&format!("link add lan0 mtu {mtu} type veth peer name far0 mtu {mtu}"));
    host.ip("link set far0 up");
    host.ip("link set lan0 up");
    host.ip("address add 192.0.2.10/24 dev lan0");
    ["lan0", "far0"].into_iter().for_each(|link| host.wait_ready(link));
    host
}

fn links(ns: &Ns) -> Vec<String> {
    let text = ns.ip("-brief link show");
    let name = |line: &str| Some(line.split_whitespace().next()?.split('@').next()?.to_owned());
    text.lines().filter_map(name).collect()
}

fn pairs(ns: &Ns) -> Vec<String> {
    links(ns).into_iter().filter(|link| link.starts_with("fip")).collect()
}

/// Addresses and routes of a namespace, without the state of links, which settles in its own time.
fn addressing(ns: &Ns) -> String {
    let routes = ns.ip("route show table all").replace(" linkdown", "");
    ns.ip("-oneline address show") + &routes
}

fn ping(ns: &Ns, address: &str) {
    let done = ns.try_tool("ping", &["-n", "-c", "1", "-w", "5", address], "");
    assert_eq!(done.code, Some(0), "{} cannot ping {address}: {}", ns.name(), done.stdout);
}

/// The error as the user sees it: what, and the way out.
fn complaint<T: std::fmt::Debug>(result: Result<T>) -> (String, String) {
    let error: Error = result.unwrap_err();
    (error.to_string(), error.hint().unwrap_or_default())
}

#[test]
fn a_bridge_is_made_once() {
    let host = host_with_uplink(1500);
    let spec = bridge(&[GATEWAY4, GATEWAY6]);
    let first = ensure(&host, &spec);
    for change in [
        "link add br0 mtu 1500 type bridge",
        "sysctl net.ipv6.conf.br0.accept_ra=0",
        "link set br0 up",
        "address add 172.18.0.1/16 dev br0",
        "address add 2001:db8:18::1/64 dev br0",
        "sysctl net.ipv4.ip_forward=1",
        "sysctl net.ipv6.conf.all.forwarding=1",
    ] {
        assert!(first.iter().any(|c| c == change), "{change} is not in {first:#?}");
    }
    host.wait_in_force(BRIDGE);
    let before = addressing(&host);
    assert_eq!(ensure(&host, &spec), [""; 0]);
    assert_eq!(addressing(&host), before);
    let shown = host.ip("address show dev br0");
    assert!(shown.contains("inet 172.18.0.1/16 brd 172.18.255.255 scope global br0"), "{shown}");
    assert!(shown.contains("inet6 2001:db8:18::1/64 scope global"), "{shown}");
    assert!(!shown.contains("fip") && !shown.contains("deprecated"), "{shown}");
}

#[test]
fn what_a_bridge_lacks_is_completed_and_what_it_has_besides_stays() {
    let host = host_with_uplink(1500);
    host.ip("link add br0 type bridge");
    host.ip("address add 172.20.0.1/16 dev br0");
    let changes = ensure(&host, &bridge(&[GATEWAY4]));
    assert!(!changes.iter().any(|c| c.starts_with("link add")), "{changes:?}");
    let shown = host.ip("-brief address show dev br0");
    assert!(shown.contains("172.20.0.1/16") && shown.contains(GATEWAY4), "{shown}");
    host.ip("address del 172.18.0.1/16 dev br0");
    assert_eq!(ensure(&host, &bridge(&[GATEWAY4])), ["address add 172.18.0.1/16 dev br0"]);
}

#[test]
fn a_bridge_takes_the_uplinks_mtu_and_keeps_it() {
    let host = host_with_uplink(9000);
    ensure(&host, &bridge(&[GATEWAY4]));
    let mtu = || host.ip("-oneline link show dev br0");
    assert!(mtu().contains("mtu 1500"), "without a default route: {}", mtu());
    host.ip("route add default via 192.0.2.1");
    assert_eq!(ensure(&host, &bridge(&[GATEWAY4])), ["link set br0 mtu 9000"]);
    // The kernel would give a bridge that loses its last port its own idea of an MTU.
    let workload = Ns::new("workload");
    attach(&host, &port(&by_pid(&workload), &["172.18.0.2/16"]));
    assert!(workload.ip("-oneline link show dev eth0").contains("mtu 9000"));
    detach(&host, &by_pid(&workload));
    assert!(mtu().contains("mtu 9000"), "{}", mtu());
    let spec = BridgeSpec { mtu: Some(1400), ..bridge(&[GATEWAY4]) };
    assert_eq!(ensure(&host, &spec), ["link set br0 mtu 1400"]);
    assert!(mtu().contains("mtu 1400"), "{}", mtu());
}

#[test]
fn the_uplink_is_that_of_the_lowest_metric_and_ipv6s_if_there_is_no_other() {
    let host = host_with_uplink(1400);
    host.ip("address add 2001:db8:1::10/64 dev lan0 nodad");
    host.ip("-6 route add default via 2001:db8:1::1 metric 5");
    let change = |spec: &BridgeSpec| ensure(&host, spec).into_iter().find(|c| c.contains("mtu"));
    assert_eq!(change(&bridge(&[GATEWAY4])), Some("link add br0 mtu 1400 type bridge".to_owned()));
    host.ip("link add lan1 mtu 1300 type veth peer name far1 mtu 1300");
    host.ip("link set far1 up");
    host.ip("link set lan1 up");
    host.ip("address add 198.51.100.10/24 dev lan1");
    host.ip("route add default via 198.51.100.1 metric 50");
    host.ip("route add default via 192.0.2.1 metric 100");
    assert_eq!(change(&bridge(&[GATEWAY4])), Some("link set br0 mtu 1300".to_owned()));
}

#[test]
fn a_bridges_ethernet_address_does_not_follow_its_ports() {
    let host = host_with_uplink(1500);
    ensure(&host, &bridge(&[GATEWAY4]));
    let mac = host.mac(BRIDGE);
    host.ip("link add low0 address 02:00:00:00:00:01 type veth peer name low1");
    host.ip("link set low0 master br0");
    assert_eq!(host.mac(BRIDGE), mac);
}

#[test]
fn a_link_that_is_not_a_bridge_is_in_the_way() {
    let host = host_with_uplink(1500);
    host.ip("link add br0 type veth peer name br0far");
    let before = addressing(&host);
    let (what, hint) = complaint(manage(&host, |b| b.ensure(&bridge(&[GATEWAY4]))));
    assert_eq!(what, "link br0 is not a bridge but a veth");
    assert!(hint.contains("another name"), "{hint}");
    let (what, _) = complaint(manage(&host, |b| b.delete(&name(BRIDGE), true)));
    assert_eq!(what, "link br0 is not a bridge but a veth");
    assert_eq!(addressing(&host), before);
    assert_eq!(host.read_sysctl("net/ipv4/ip_forward"), "0");
}

#[test]
fn a_subnet_of_another_link_is_refused() {
    let host = host_with_uplink(1500);
    host.ip("address add 2001:db8:18:0:1::5/80 dev lan0 nodad");
    for (gateway, taken) in [
        ("192.0.2.129/25", "192.0.2.10/24 on lan0"),
        ("192.0.0.1/16", "192.0.2.10/24 on lan0"),
        (GATEWAY6, "2001:db8:18:0:1::5/80 on lan0"),
    ] {
        let (what, hint) = complaint(manage(&host, |b| b.ensure(&bridge(&[GATEWAY4, gateway]))));
        assert_eq!(what, format!("the subnet of {gateway} overlaps {taken}"));
        assert!(hint.contains("no other link"), "{hint}");
        assert!(!links(&host).contains(&BRIDGE.to_owned()));
    }
}

#[test]
fn addresses_that_no_host_can_have_are_refused() {
    let host = Ns::new("host");
    for bad in [
        "172.18.0.0/16",
        "172.18.255.255/16",
        "0.0.0.0/8",
        "127.0.0.2/8",
        "224.0.0.1/24",
        "172.18.0.1/0",
        "::/64",
        "::1/64",
        "ff02::1/64",
        "2001:db8::1/0",
    ] {
        let error = manage(&host, |b| b.ensure(&bridge(&[bad]))).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains(bad), "{bad}: {error}");
        let netns = by_pid(&host);
        let error = manage(&host, |b| b.attach(&port(&netns, &[bad]))).unwrap_err();
        assert!(error.is_usage(), "{bad}: {error}");
    }
    assert_eq!(links(&host), ["lo"]);
    ensure(&host, &bridge(&["172.18.0.0/31"]));
}

#[test]
fn a_workload_is_joined_and_reached() {
    let (host, workload) = (host_with_uplink(1500), Ns::new("workload"));
    workload.ip("link set lo down");
    ensure(&host, &bridge(&[GATEWAY4, GATEWAY6]));
    let mac = Mac([2, 0x42, 0, 0, 0, 7]);
    let netns = by_pid(&workload);
    let spec = PortSpec { mac: Some(mac), ..port(&netns, &["172.18.0.2/16", "2001:db8:18::2/64"]) };
    attach(&host, &spec);
    assert_eq!(workload.mac("eth0"), mac.to_string());
    for gateway in ["172.18.0.1", "2001:db8:18::1"] {
        ping(&workload, gateway);
        let family = if gateway.contains(':') { "-6" } else { "-4" };
        let route = workload.ip(&format!("{family} route show default"));
        assert!(route.starts_with(&format!("default via {gateway} dev eth0")), "{route}");
    }
    ping(&workload, "127.0.0.1");
    ping(&host, "172.18.0.2");
    ping(&host, "2001:db8:18::2");
    // By its default route, and only because the host forwards.
    ping(&workload, "192.0.2.10");

    let [near] = &pairs(&host)[..] else { panic!("{:?}", links(&host)) };
    let details = host.tool("bridge", &["-details", "link", "show", "dev", near], "");
    assert!(details.contains("master br0") && details.contains("hairpin on"), "{details}");

    [near, BRIDGE].into_iter().for_each(|link| host.wait_ready(link));
    workload.wait_ready("eth0");
    let ports = || host.tool("bridge", &["-details", "link", "show"], "");
    let seen = || (addressing(&workload), addressing(&host), ports());
    let before = seen();
    assert_eq!(attach(&host, &spec), [""; 0]);
    assert_eq!(seen(), before);

    assert_eq!(detach(&host, &netns), [format!("link delete {near}")]);
    assert_eq!(detach(&host, &netns), [""; 0]);
    assert_eq!(pairs(&host), [""; 0]);
    assert_eq!(links(&workload), ["lo"]);
}

#[test]
fn a_namespace_is_the_same_however_it_is_called() {
    let (host, workload) = (host_with_uplink(1500), Ns::new("workload"));
    ensure(&host, &bridge(&[GATEWAY4]));
    let path: NetNs = format!("/proc/{}/ns/net", workload.pid()).parse().unwrap();
    attach(&host, &port(&by_pid(&workload), &["172.18.0.2/16"]));
    assert_eq!(attach(&host, &port(&path, &["172.18.0.2/16"])), [""; 0]);
    assert_eq!(detach(&host, &path).len(), 1);

    with_private_names(|| {
        tool("ip", &["netns", "add", "blue"]);
        let named: NetNs = "blue".parse().unwrap();
        attach(&host, &port(&named, &["172.18.0.3/16"]));
        ping(&host, "172.18.0.3");
        assert_eq!(detach(&host, &named).len(), 1);
    });
    assert_eq!(pairs(&host), [""; 0]);
}

/// Runs the closure in a thread with mounts of its own: the names that `ip netns` gives there are
/// nobody else's, and end with it.
fn with_private_names(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
            tool("mount", &["--make-rprivate", "/"]);
            tool("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
            work();
        });
    });
}

fn tool(program: &str, args: &[&str]) {
    let status = std::process::Command::new(program).args(args).status().unwrap();
    assert!(status.success(), "{program} {args:?}");
}

#[test]
fn workloads_at_one_bridge_reach_each_other() {
    let host = host_with_uplink(1500);
    ensure(&host, &bridge(&[GATEWAY4, GATEWAY6]));
    let (a, b) = (Ns::new("a"), Ns::new("b"));
    attach(&host, &port(&by_pid(&a), &["172.18.0.2/16", "2001:db8:18::2/64"]));
    attach(&host, &port(&by_pid(&b), &["172.18.0.3/16", "2001:db8:18::3/64"]));
    ping(&a, "172.18.0.3");
    ping(&b, "2001:db8:18::2");
    assert_eq!(pairs(&host).len(), 2);
}

#[test]
fn a_half_done_port_is_completed() {
    let (host, workload) = (host_with_uplink(1500), Ns::new("workload"));
    ensure(&host, &bridge(&[GATEWAY4]));
    let netns = by_pid(&workload);
    let spec = port(&netns, &["172.18.0.2/16"]);
    attach(&host, &spec);
    let near = pairs(&host).remove(0);
    let steps: [(&Ns, &str); 7] = [
        (&host, &format!("link set {near} nomaster")),
        (&host, &format!("link set {near} down")),
        (&host, &format!("link set {near} type bridge_slave hairpin off")),
        (&workload, "link set eth0 down"),
        (&workload, "address del 172.18.0.2/16 dev eth0"),
        (&workload, "route del default"),
        (&workload, "link set eth0 name lost0"),
    ];
    for (ns, undo) in steps {
        ns.ip(undo);
        attach(&host, &spec);
        ping(&workload, "172.18.0.1");
        let near = pairs(&host).remove(0);
        let details = host.tool("bridge", &["-details", "link", "show", "dev", &near], "");
        assert!(details.contains("hairpin on"), "after {undo}: {details}");
        assert_eq!(attach(&host, &spec), [""; 0], "after {undo}");
    }
    assert_eq!(pairs(&host).len(), 1);
    assert_eq!(links(&workload), ["lo", "eth0"]);
}

#[test]
fn a_namespaces_own_link_is_not_taken_over() {
    let (host, workload) = (host_with_uplink(1500), Ns::new("workload"));
    ensure(&host, &bridge(&[GATEWAY4]));
    workload.ip("link add eth0 type veth peer name other0");
    let netns = by_pid(&workload);
    let spec = port(&netns, &["172.18.0.2/16"]);
    let (what, hint) = complaint(manage(&host, |b| b.attach(&spec)));
    assert_eq!(what, format!("network namespace {netns} has a link eth0 already"));
    assert!(hint.contains("another name"), "{hint}");
    assert_eq!(detach(&host, &netns), [""; 0]);
    assert_eq!(links(&workload).len(), 3);
    attach(&host, &PortSpec { peer: name("eth1"), ..spec });
    ping(&workload, "172.18.0.1");
}

#[test]
fn a_port_of_another_bridge_is_not_moved() {
    let (host, workload) = (host_with_uplink(1500), Ns::new("workload"));
    ensure(&host, &bridge(&[GATEWAY4]));
    ensure(&host, &BridgeSpec { name: name("br1"), ..bridge(&["172.19.0.1/16"]) });
    let netns = by_pid(&workload);
    attach(&host, &port(&netns, &["172.18.0.2/16"]));
    let spec = PortSpec { bridge: name("br1"), ..port(&netns, &["172.19.0.2/16"]) };
    let (what, _) = complaint(manage(&host, |b| b.attach(&spec)));
    assert_eq!(what, format!("eth0 of {netns} is a port of br0 already"));
    let other = manage(&host, |b| b.detach(&name("br1"), &netns, &name("eth0"))).unwrap();
    assert_eq!(other, [""; 0]);
    ping(&workload, "172.18.0.1");
}

#[test]
fn what_does_not_exist_is_named() {
    let host = host_with_uplink(1500);
    let here = by_pid(&host);
    let error = manage(&host, |b| b.attach(&port(&here, &["172.18.0.2/16"]))).unwrap_err();
    assert!(error.is_not_found() && error.to_string() == "there is no bridge br0", "{error}");
    ensure(&host, &bridge(&[GATEWAY4]));
    for missing in ["no-such-namespace", "/run/no/such/file", "pid:4194305"] {
        let netns: NetNs = missing.parse().unwrap();
        let error = manage(&host, |b| b.attach(&port(&netns, &["172.18.0.2/16"]))).unwrap_err();
        assert!(error.is_not_found(), "{error}");
        assert_eq!(error.to_string(), format!("there is no network namespace {missing}"));
        assert_eq!(detach(&host, &netns), [""; 0]);
    }
    for other in ["/etc/hostname", "/proc/self/ns/mnt", "/dev/null"] {
        let netns: NetNs = other.parse().unwrap();
        let (what, _) = complaint(manage(&host, |b| b.attach(&port(&netns, &["172.18.0.2/16"]))));
        assert_eq!(what, format!("{other} is not a network namespace"));
        let gone = manage(&host, |b| b.detach(&name(BRIDGE), &netns, &name("eth0")));
        assert!(gone.is_err());
    }
    assert_eq!(pairs(&host), [""; 0]);
}

#[test]
fn a_default_route_needs_a_gateway() {
    let (host, workload) = (host_with_uplink(1500), Ns::new("workload"));
    ensure(&host, &bridge(&[GATEWAY4]));
    let netns = by_pid(&workload);
    let spec = port(&netns, &["172.18.0.2/16", "2001:db8:18::2/64"]);
    let (what, hint) = complaint(manage(&host, |b| b.attach(&spec)));
    assert_eq!(what, "bridge br0 has no gateway address in the subnet of 2001:db8:18::2/64");
    assert!(hint.contains("without a default route"), "{hint}");
    let own = manage(&host, |b| b.attach(&port(&netns, &["172.18.0.1/16"]))).unwrap_err();
    assert!(own.is_usage() && own.to_string().contains("br0 has that address"), "{own}");
    assert_eq!(links(&workload), ["lo"]);
    attach(&host, &PortSpec { default_route: false, ..spec });
    ping(&workload, "172.18.0.1");
    assert_eq!(workload.ip("route show default"), "");
}

#[test]
fn ipv6_is_turned_on_where_it_is_asked_for() {
    let (host, workload) = (host_with_uplink(1500), Ns::new("workload"));
    for ns in [&host, &workload] {
        ns.sysctl("net/ipv6/conf/default/disable_ipv6", "1");
    }
    ensure(&host, &bridge(&[GATEWAY4]));
    assert_eq!(host.read_sysctl("net/ipv6/conf/br0/disable_ipv6"), "1");
    let changes = ensure(&host, &bridge(&[GATEWAY4, GATEWAY6]));
    let enabled = "sysctl net.ipv6.conf.br0.disable_ipv6=0".to_owned();
    assert!(changes.contains(&enabled), "{changes:?}");
    attach(&host, &port(&by_pid(&workload), &["2001:db8:18::2/64"]));
    ping(&workload, "2001:db8:18::1");
}

#[test]
fn a_bridge_with_ports_is_deleted_by_force_only() {
    let (host, workload) = (host_with_uplink(1500), Ns::new("workload"));
    let delete = |force| manage(&host, |bridges| bridges.delete(&name(BRIDGE), force));
    assert_eq!(delete(false).unwrap(), [""; 0]);
    ensure(&host, &bridge(&[GATEWAY4]));
    let netns = by_pid(&workload);
    attach(&host, &port(&netns, &["172.18.0.2/16"]));
    host.ip("link add foreign0 type veth peer name foreign1");
    host.ip("link set foreign0 master br0");
    let near = pairs(&host).remove(0);
    let (what, hint) = complaint(delete(false));
    let ports = what.strip_prefix("bridge br0 still has ports: ").unwrap();
    let mut ports: Vec<&str> = ports.split(", ").collect();
    ports.sort_unstable();
    assert_eq!(ports, [&near, "foreign0"]);
    assert!(hint.contains("force"), "{hint}");
    ping(&workload, "172.18.0.1");

    let mut deleted = delete(true).unwrap();
    deleted.sort_unstable();
    assert_eq!(deleted, ["link delete br0".to_owned(), format!("link delete {near}")]);
    assert_eq!(links(&workload), ["lo"]);
    assert!(links(&host).contains(&"foreign0".to_owned()));
    assert_eq!(delete(true).unwrap(), [""; 0]);
    // Neither does what is left of it hinder the next one.
    ensure(&host, &bridge(&[GATEWAY4]));
    attach(&host, &port(&netns, &["172.18.0.2/16"]));
    ping(&workload, "172.18.0.1");
}

#[test]
fn a_port_is_found_by_what_its_namespace_was_called() {
    let host = host_with_uplink(1500);
    ensure(&host, &bridge(&[GATEWAY4]));
    with_private_names(|| {
        tool("ip", &["netns", "add", "blue"]);
        let netns: NetNs = "blue".parse().unwrap();
        attach(&host, &port(&netns, &["172.18.0.2/16"]));
        // Something else keeps it alive while its name goes.
        let kept = netns.open().unwrap();
        tool("ip", &["netns", "delete", "blue"]);
        assert!(netns.open().unwrap_err().is_not_found());
        assert_eq!(pairs(&host).len(), 1);
        assert_eq!(detach(&host, &"green".parse().unwrap()), [""; 0]);
        assert_eq!(detach(&host, &netns).len(), 1);
        assert_eq!(pairs(&host), [""; 0]);
        drop(kept);
    });
}

#[test]
fn a_mounted_namespace_of_another_type_is_refused() {
    with_private_names(|| {
        std::fs::create_dir("/run/netns").unwrap();
        std::fs::write("/run/netns/odd", "").unwrap();
        tool("mount", &["--bind", "/proc/self/ns/uts", "/run/netns/odd"]);
        let (what, _) = complaint("odd".parse::<NetNs>().unwrap().open());
        assert_eq!(what, "odd is not a network namespace");
    });
}

fn forward(ns: &Ns, family: Family, uplink: Option<&str>) -> Result<Vec<String>> {
    on_kernel(ns, |host| ensure_forwarding(host, family, uplink.map(name).as_ref()))
}

#[test]
fn forwarding_is_turned_on_once_and_for_its_family_only() {
    let host = host_with_uplink(1500);
    assert_eq!(forward(&host, Family::V4, Some("lan0")).unwrap(), ["sysctl net.ipv4.ip_forward=1"]);
    assert_eq!(forward(&host, Family::V4, Some("lan0")).unwrap(), [""; 0]);
    assert_eq!(host.read_sysctl("net/ipv6/conf/all/forwarding"), "0");
    assert_eq!(host.read_sysctl("net/ipv6/conf/lan0/accept_ra"), "1");
}

#[test]
fn reverse_path_filtering_stays_as_it_is() {
    let host = host_with_uplink(1500);
    for value in ["0", "1", "2"] {
        host.sysctl("net/ipv4/ip_forward", "0");
        for link in ["all", "default", "lan0"] {
            host.sysctl(&format!("net/ipv4/conf/{link}/rp_filter"), value);
        }
        ensure(&host, &bridge(&[GATEWAY4]));
        for link in ["all", "default", "lan0"] {
            assert_eq!(host.read_sysctl(&format!("net/ipv4/conf/{link}/rp_filter")), value);
        }
    }
}

/// A host whose IPv6 default route on `lan0` comes from the advertisement of a router on `far0`,
/// which is in another namespace.
fn advertised_host() -> (Ns, Ns) {
    let (host, router) = (Ns::new("host"), Ns::new("router"));
    host.ip(&format!("link add lan0 type veth peer name far0 netns {}", router.pid()));
    router.ip("link set far0 addrgenmode none");
    router.ip("link set far0 up");
    router.ip("address add fe80::1/64 dev far0 nodad");
    host.ip("link set lan0 up");
    let advertise = || {
        router_advertisement(&router);
        host.ip("-6 route show default").contains("via fe80::1 dev lan0 proto ra").then_some(())
    };
    lab::wait_for("the advertised default route", advertise);
    (host, router)
}

/// Sends a router advertisement (RFC 4861, section 4.2) with a lifetime of 1,800 s to all nodes.
fn router_advertisement(router: &Ns) {
    use std::net::{Ipv6Addr, SocketAddrV6};
    let shown = router.ip("-oneline link show dev far0");
    let index: u32 = shown.split(':').next().unwrap().parse().unwrap();
    router.run(|| {
        let kind = socket2::Type::RAW;
        let socket =
            socket2::Socket::new(socket2::Domain::IPV6, kind, Some(socket2::Protocol::ICMPV6));
        let socket = socket.unwrap();
        socket.set_multicast_hops_v6(255).unwrap();
        let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        let to = SocketAddrV6::new(all_nodes, 0, 0, index);
        let [life_high, life_low] = 1800u16.to_be_bytes();
        let message = [134, 0, 0, 0, 64, 0, life_high, life_low, 0, 0, 0, 0, 0, 0, 0, 0];
        // The kernel fills in the checksum of ICMPv6 (RFC 3542, section 3.1).
        socket.send_to(&message, &to.into()).unwrap();
    });
}

#[test]
fn a_host_that_lives_on_router_advertisements_keeps_its_default_route() {
    let (host, router) = advertised_host();
    let default = || host.ip("-6 route show default").contains("via fe80::1 dev lan0 proto ra");
    // lan0 is found by its route, named or not.
    assert_eq!(
        forward(&host, Family::V6, None).unwrap(),
        ["sysctl net.ipv6.conf.lan0.accept_ra=2", "sysctl net.ipv6.conf.all.forwarding=1"]
    );
    assert!(default(), "{}", host.ip("-6 route show default"));
    assert_eq!(forward(&host, Family::V6, Some("lan0")).unwrap(), [""; 0]);
    // And it goes on listening.
    host.ip("-6 route del default");
    lab::wait_for("a default route, advertised again", || {
        router_advertisement(&router);
        default().then_some(())
    });
}

#[test]
fn without_the_care_the_default_route_would_be_lost() {
    let (host, _router) = advertised_host();
    host.sysctl("net/ipv6/conf/all/forwarding", "1");
    assert_eq!(host.ip("-6 route show default"), "");
}

#[test]
fn who_handles_advertisements_itself_is_left_alone() {
    let host = host_with_uplink(1500);
    host.ip("link add other0 type veth peer name other1");
    host.sysctl("net/ipv6/conf/lan0/accept_ra", "0");
    let done = forward(&host, Family::V6, Some("lan0")).unwrap();
    assert_eq!(done, ["sysctl net.ipv6.conf.all.forwarding=1"]);
    assert_eq!(host.read_sysctl("net/ipv6/conf/lan0/accept_ra"), "0");
    // A link without an advertised route may have a workload behind it.
    assert_eq!(host.read_sysctl("net/ipv6/conf/other0/accept_ra"), "1");
}

#[test]
fn a_host_without_ipv6_forwards_ipv4() {
    let host = host_with_uplink(1500);
    host.sysctl("net/ipv6/conf/all/disable_ipv6", "1");
    ensure(&host, &bridge(&[GATEWAY4]));
    let workload = Ns::new("workload");
    attach(&host, &port(&by_pid(&workload), &["172.18.0.2/16"]));
    ping(&workload, "192.0.2.10");
    let (what, hint) = complaint(forward(&host, Family::V6, Some("lan0")));
    assert_eq!(what, "IPv6 is disabled on lan0");
    assert!(hint.contains("net.ipv6.conf.lan0.disable_ipv6=0"), "{hint}");
}

#[test]
fn another_namespace_is_as_good_as_this_one() {
    let (host, workload) = (host_with_uplink(1500), Ns::new("workload"));
    let netns = by_pid(&host);
    let mut inside = Host::open_in(&netns).unwrap();
    BridgeManager::new(&mut inside).ensure(&bridge(&[GATEWAY4])).unwrap();
    let spec = port(&by_pid(&workload), &["172.18.0.2/16"]);
    BridgeManager::new(&mut inside).attach(&spec).unwrap();
    ping(&workload, "172.18.0.1");
    assert_eq!(inside.sysctl("net/ipv4/ip_forward").unwrap().as_deref(), Some("1"));
    assert_eq!(host.read_sysctl("net/ipv4/ip_forward"), "1");
    assert_eq!(inside.sysctl("net/ipv4/no_such").unwrap(), None);
}

#[test]
fn a_namespace_lends_its_network_to_a_closure() {
    let host = host_with_uplink(1500);
    let links = by_pid(&host).run(|| Host::open()?.links()).unwrap();
    assert!(links.iter().any(|link| link.name == name("lan0")));
    let here = Host::open().unwrap().links().unwrap();
    assert!(!here.iter().any(|link| link.name == name("lan0")));
    let failed = by_pid(&host).run(|| -> Result<()> { Err(Error::not_found("thing", "x")) });
    assert!(failed.unwrap_err().is_not_found());
    let panicked = std::panic::catch_unwind(|| {
        by_pid(&host).run(|| -> Result<()> { panic!("in the namespace") })
    });
    assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"in the namespace"));
}
