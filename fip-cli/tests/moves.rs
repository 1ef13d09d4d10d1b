//! An address that moves under load: from host to host, and from workload to workload.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../fip-core/tests/lab/mod.rs"]
mod lab;

use std::net::IpAddr;
use std::sync::Arc;
use std::thread;

use lab::{
    Capture, Claim, Family, Fip, Host, Lan, Ns, PATIENCE, Prober, Run, TcpFlow, UdpFlow, Whoami,
    Workload, add_route_to, holders, lan, wait_for,
};

/// Two hosts, a workload on each, and a LAN client.
struct Scene {
    lan: Lan,
    client: Arc<Ns>,
    a: Host,
    b: Host,
    old: Workload,
    new: Workload,
    _servers: [Whoami; 2],
}

impl Scene {
    fn new() -> Self {
        let lan = Lan::new();
        let client = Arc::new(lan.client());
        let (a, b) = (lan.host_a(), lan.host_b());
        a.bridge("br0", 18);
        b.bridge("br0", 20);
        let old = a.workload("old", "br0", 18, 2);
        let new = b.workload("new", "br0", 20, 2);
        let servers = [Whoami::start(&old, &[80]), Whoami::start(&new, &[80])];
        Self { lan, client, a, b, old, new, _servers: servers }
    }
}

fn fip(ns: &Ns) -> Fip<'_> {
    Fip::new(env!("CARGO_BIN_EXE_fip"), ns)
}

/// Moves the address: the new host waits for it, then the old one lets it go. Returns the claims
/// that the LAN heard meanwhile.
fn hand_over(
    (scene, prober): (&Scene, &Prober),
    floating: IpAddr,
    from: &Host,
    (to, fixed): (&Host, IpAddr),
) -> Vec<Claim> {
    let capture = Capture::start(&scene.lan.switch);
    let command = format!("bind {floating} {fixed} --rival wait --deadline 60s --probe 100ms");
    let mut waiting = fip(to).spawn(&command);
    // It asks, it is told that the address is taken, and however long that lasts, it waits.
    let claimed = Claim::Holds(to.mac("eth0"));
    let probe = Claim::Probes(to.mac("eth0"));
    // Three a window: many windows of asking and being told.
    wait_for("many probes", || {
        let claims = capture.claims(floating);
        (claims.iter().filter(|claim| **claim == probe).count() > 15).then_some(())
    });
    capture.wait_for_claim(floating, &Claim::Holds(from.mac("eth0")));
    prober.wait_for_answers(500);
    assert!(waiting.is_running(), "{} did not wait", to.name());
    capture.catch_up(&scene.client);
    assert!(!capture.claims(floating).contains(&claimed), "{} did not wait", to.name());
    fip(from).ok(&format!("unbind {floating}"));
    Run::new(&command, waiting.finish(PATIENCE)).exits(0);
    capture.wait_for_claim(floating, &claimed);
    capture.catch_up(&scene.client);
    capture.claims(floating)
}

/// Panics unless the one host's last word precedes the other's first, and both spoke.
fn assert_one_after_the_other(claims: &[Claim], first: &str, second: &str) {
    assert_eq!(holders(claims), [first, second], "who answered for the address, in order");
}

/// Panics unless `first` answered, then `second`, and neither in between.
fn assert_answers_change_once(what: &str, seen: &[String], first: &str, second: &str) {
    let names: Vec<&str> = seen.iter().map(String::as_str).collect();
    let changes: Vec<_> = names.chunk_by(|a, b| a == b).map(|chunk| chunk[0]).collect();
    assert_eq!(changes, [first, second], "{what}: who answered, in order");
}

/// Panics if the host still translates a flow between the two addresses.
fn assert_no_flow(host: &Host, floating: IpAddr, fixed: IpAddr) {
    let family = if floating.is_ipv4() { "ipv4" } else { "ipv6" };
    let flows = host.tool("conntrack", &["-L", "-f", family], "");
    let left: Vec<_> = flows
        .lines()
        .filter(|flow| {
            let names = |address: IpAddr| {
                flow.split_whitespace().any(|word| {
                    word.strip_prefix("src=").or(word.strip_prefix("dst="))
                        == Some(&address.to_string())
                })
            };
            names(floating) && names(fixed)
        })
        .collect();
    assert!(left.is_empty(), "{} has kept flows of {floating}: {left:#?}", host.name());
}

fn move_under_load(family: Family) {
    let scene = Scene::new();
    let floating = lan(family, 200);
    let (old, new) = (scene.old.address(family), scene.new.address(family));
    let (mac_a, mac_b) = (scene.a.mac("eth0"), scene.b.mac("eth0"));
    fip(&scene.a).ok(&format!("bind {floating} {old} --announce 1 --probe 20ms"));
    let mut connection = TcpFlow::open(&scene.client, (floating, 80));
    assert_eq!(connection.ask().unwrap().name, "old");

    let prober = Prober::start(&scene.client, (floating, 80));
    prober.wait_for("old");
    let claims = hand_over((&scene, &prober), floating, &scene.a, (&scene.b, new));
    prober.wait_for("new");
    let (udp, tcp) = prober.stop();

    assert_one_after_the_other(&claims, &mac_a, &mac_b);
    assert_answers_change_once("UDP, one flow", &udp, "old", "new");
    assert_answers_change_once("TCP connections", &tcp, "old", "new");
    assert_no_flow(&scene.a, floating, old);
    let answer = connection.ask_in_vain();
    assert!(answer.is_err(), "the TCP connection of before goes on: {answer:?}");

    // And back again: the flow that went through B meanwhile finds its way.
    let prober = Prober::start(&scene.client, (floating, 80));
    prober.wait_for("new");
    let claims = hand_over((&scene, &prober), floating, &scene.b, (&scene.a, old));
    prober.wait_for("old");
    let (udp, tcp) = prober.stop();
    assert_one_after_the_other(&claims, &mac_b, &mac_a);
    assert_answers_change_once("UDP, one flow, back", &udp, "new", "old");
    assert_answers_change_once("TCP connections, back", &tcp, "new", "old");
    assert_no_flow(&scene.b, floating, new);
}

#[test]
fn an_ipv4_address_moves_between_hosts() {
    move_under_load(Family::V4);
}

#[test]
fn an_ipv6_address_moves_between_hosts() {
    move_under_load(Family::V6);
}

/// Between an address of the link and a local route: nobody on the LAN notices.
#[test]
fn how_an_address_is_held_changes_under_load() {
    let scene = Scene::new();
    let (floating, fixed) = (lan(Family::V4, 200), scene.old.address(Family::V4));
    let bind = format!("bind {floating} {fixed} --announce 1 --probe 20ms");
    fip(&scene.a).ok(&bind);
    let mut connection = TcpFlow::open(&scene.client, (floating, 80));
    assert_eq!(connection.ask().unwrap().name, "old");
    let capture = Capture::start(&scene.lan.switch);
    let pings = thread::scope(|scope| {
        let ping =
            ["-q", "-i", "0.002", "-c", "500", "-W", "5", &floating.to_string()].map(str::to_owned);
        let client = &scene.client;
        let pings =
            scope.spawn(move || client.tool("ping", &ping.each_ref().map(String::as_str), ""));
        while !pings.is_finished() {
            for hold in ["address", "route"] {
                fip(&scene.a).ok(&format!("{bind} --hold {hold}"));
                assert_eq!(fip(&scene.a).list()[0]["hold"], hold);
                // Whoever asks now is answered too.
                scene.client.tool("arping", &["-c1", "-I", "eth0", &floating.to_string()], "");
            }
        }
        pings.join().unwrap()
    });
    assert!(pings.contains(" 500 received"), "{pings}");
    assert_eq!(connection.ask().unwrap().name, "old");
    capture.catch_up(&scene.client);
    let claims = capture.claims(floating);
    let probed = Claim::Probes(scene.a.mac("eth0"));
    assert!(!claims.contains(&probed), "what it has it does not ask for: {claims:?}");
}

/// A client that has not heard of the move sends on to the old host. The flows of before must
/// not reach the old workload even so.
#[test]
fn the_old_host_forgets_the_flows_of_an_unbound_address() {
    let scene = Scene::new();
    for family in Family::BOTH {
        let floating = lan(family, 200);
        let old = scene.old.address(family);
        fip(&scene.a).ok(&format!("bind {floating} {old} --announce 1 --probe 20ms"));
        let mut udp = UdpFlow::open(&scene.client, (floating, 80));
        let mut tcp = TcpFlow::open(&scene.client, (floating, 80));
        assert_eq!(udp.ask().unwrap().name, "old");
        assert_eq!(tcp.ask().unwrap().name, "old");
        let mac = scene.a.mac("eth0");
        scene.client.ip(&format!("neigh replace {floating} lladdr {mac} dev eth0 nud permanent"));
        fip(&scene.a).ok(&format!("unbind {floating}"));
        assert_no_flow(&scene.a, floating, old);
        let answer = udp.ask_in_vain();
        assert!(answer.is_none(), "the UDP flow goes on: {answer:?}");
        let answer = tcp.ask_in_vain();
        assert!(answer.is_err(), "the TCP connection goes on: {answer:?}");
        assert_no_flow(&scene.a, floating, old);
    }
}

/// What a workload itself has begun ends with the binding as well.
#[test]
fn flows_that_the_workload_began_are_forgotten_too() {
    let scene = Scene::new();
    // Untranslated, it arrives and is answered as well.
    add_route_to(&scene.client, 18, 11);
    let _server = Whoami::start(&scene.client, &[80]);
    for family in Family::BOTH {
        let floating = lan(family, 200);
        let old = scene.old.address(family);
        fip(&scene.a).ok(&format!("bind {floating} {old} --announce 1 --probe 20ms"));
        let mut flow = UdpFlow::open(&scene.old, (lan(family, 1), 80));
        assert_eq!(flow.ask().unwrap().peer, floating);
        fip(&scene.a).ok(&format!("unbind {floating}"));
        assert_no_flow(&scene.a, floating, old);
        let answer = flow.ask().expect("it still leaves with the floating address");
        assert_eq!(answer.peer, old);
    }
}

#[test]
fn a_long_flow_follows_its_address_to_another_workload_at_once() {
    let scene = Scene::new();
    let next = scene.a.workload("next", "br0", 18, 3);
    let _server = Whoami::start(&next, &[80]);
    for family in Family::BOTH {
        let floating = lan(family, 200);
        let (old, next) = (scene.old.address(family), next.address(family));
        fip(&scene.a).ok(&format!("bind {floating} {old} --announce 1 --probe 20ms"));
        let mut udp = UdpFlow::open(&scene.client, (floating, 80));
        let mut tcp = TcpFlow::open(&scene.client, (floating, 80));
        assert_eq!(udp.ask().unwrap().name, "old");
        assert_eq!(tcp.ask().unwrap().name, "old");
        let prober = Prober::start(&scene.client, (floating, 80));
        prober.wait_for("old");

        fip(&scene.a).run(&format!("bind {floating} {next}")).exits(3);
        assert_eq!(udp.ask().unwrap().name, "old", "refused, nothing changed");
        fip(&scene.a).ok(&format!("bind {floating} {next} --replace --announce 1"));

        assert_eq!(udp.ask().unwrap().name, "next");
        let answer = tcp.ask_in_vain();
        assert!(answer.is_err(), "the TCP connection goes on: {answer:?}");
        assert_no_flow(&scene.a, floating, old);
        prober.wait_for("next");
        let (udp, tcp) = prober.stop();
        assert_answers_change_once("UDP, one flow", &udp, "old", "next");
        assert_answers_change_once("TCP connections", &tcp, "old", "next");
    }
}

/// Re-targeting one port leaves the flows of the other ports alone.
#[test]
fn moving_one_port_leaves_the_flows_of_the_others() {
    let scene = Scene::new();
    let next = scene.a.workload("next", "br0", 18, 3);
    let _servers = [Whoami::start(&next, &[80]), Whoami::start(&scene.old, &[81])];
    for family in Family::BOTH {
        let floating = lan(family, 200);
        let (old, next) = (scene.old.address(family), next.address(family));
        let quick = "--announce 1 --probe 20ms";
        fip(&scene.a).ok(&format!("bind {floating} {old} -p udp:80 -p udp:81 -p tcp:81 {quick}"));
        let mut moved = UdpFlow::open(&scene.client, (floating, 80));
        let mut kept = UdpFlow::open(&scene.client, (floating, 81));
        let mut connection = TcpFlow::open(&scene.client, (floating, 81));
        assert_eq!(moved.ask().unwrap().name, "old");
        assert_eq!(kept.ask().unwrap().name, "old");
        assert_eq!(connection.ask().unwrap().name, "old");
        fip(&scene.a).ok(&format!("bind {floating} {next} -p udp:80 --replace {quick}"));
        assert_eq!(moved.ask().unwrap().name, "next");
        assert_eq!(kept.ask().unwrap().name, "old");
        assert_eq!(connection.ask().unwrap().name, "old", "the connection was cut");
    }
}

/// Unbinding one address leaves the flows of another one, and everybody else's, alone.
#[test]
fn unbinding_one_address_leaves_the_flows_of_another() {
    let scene = Scene::new();
    let next = scene.a.workload("next", "br0", 18, 3);
    let _server = Whoami::start(&next, &[80]);
    for family in Family::BOTH {
        let (gone, kept) = (lan(family, 200), lan(family, 201));
        for (floating, workload) in [(gone, &scene.old), (kept, &next)] {
            let fixed = workload.address(family);
            fip(&scene.a).ok(&format!("bind {floating} {fixed} --announce 1 --probe 20ms"));
        }
        let mut other = TcpFlow::open(&scene.client, (kept, 80));
        let mut ended = TcpFlow::open(&scene.client, (gone, 80));
        assert_eq!(other.ask().unwrap().name, "next");
        assert_eq!(ended.ask().unwrap().name, "old");
        fip(&scene.a).ok(&format!("unbind {gone}"));
        assert!(!tracked(&scene.a, family, kept).is_empty(), "the flow of {kept} was forgotten");
        assert!(tracked(&scene.a, family, gone).is_empty(), "the flow of {gone} is left");
        assert_eq!(other.ask().unwrap().name, "next", "the connection was cut");
    }
}

/// The tracked connections that name the address.
fn tracked(host: &Ns, family: Family, address: IpAddr) -> Vec<String> {
    let family = match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    };
    let flows = host.tool("conntrack", &["-L", "-f", family], "");
    let names = format!("={address} ");
    flows.lines().filter(|flow| flow.contains(&names)).map(str::to_owned).collect()
}
