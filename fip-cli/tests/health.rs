//! What `fip list` says of a host that somebody worked on, and what puts it right.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../fip-core/tests/lab/mod.rs"]
mod lab;

use lab::{Family, Fip, Host, Lan, Ns, Whoami, Workload, lan, tcp_whoami, wait_for};

/// Host A with two workloads on one bridge, and a LAN client.
struct Scene {
    _lan: Lan,
    client: Ns,
    a: Host,
    web: Workload,
    mail: Workload,
    _servers: [Whoami; 2],
}

/// How bindings are made here: not slower than need be.
const QUICK: &str = "--announce 1 --probe 20ms";

impl Scene {
    fn new() -> Self {
        let lan = Lan::new();
        let (client, a) = (lan.client(), lan.host_a());
        a.bridge("br0", 18);
        let (web, mail) = (a.workload("web", "br0", 18, 2), a.workload("mail", "br0", 18, 3));
        let servers = [&web, &mail].map(|workload| Whoami::start(workload, &[80]));
        Self { _lan: lan, client, a, web, mail, _servers: servers }
    }

    fn fip(&self) -> Fip<'_> {
        Fip::new(env!("CARGO_BIN_EXE_fip"), &self.a)
    }

    fn bind(&self, family: Family) {
        let (floating, fixed) = (lan(family, 200), self.web.address(family));
        self.fip().ok(&format!("bind {floating} {fixed} {QUICK}"));
    }

    fn reached(&self, family: Family) -> bool {
        tcp_whoami(&self.client, (lan(family, 200), 80)).is_ok()
    }
}

/// The parameter that makes a host forward.
fn forwarding(family: Family) -> &'static str {
    match family {
        Family::V4 => "net/ipv4/ip_forward",
        Family::V6 => "net/ipv6/conf/all/forwarding",
    }
}

fn problems(row: &serde_json::Value) -> String {
    row["problems"].as_array().into_iter().flatten().map(|p| format!("{p}\n")).collect()
}

#[test]
fn a_host_that_forwards_no_more_is_told_and_put_right_by_the_next_command() {
    let scene = Scene::new();
    for family in Family::BOTH {
        scene.bind(family);
        let row = &scene.fip().list()[0];
        assert_eq!(row["state"], "active", "{row}");
        scene.a.sysctl(forwarding(family), "0");
        let row = &scene.fip().list()[0];
        assert_eq!(row["state"], "degraded", "{row}");
        assert!(problems(row).contains("does not forward"), "{row}");
        assert!(!scene.reached(family));
        // Nothing else is to be done.
        let (floating, fixed) = (lan(family, 200), scene.web.address(family));
        let again = scene.fip().ok(&format!("bind {floating} {fixed} {QUICK} --json")).json();
        let changes = again["changes"].to_string();
        let name = forwarding(family).replace('/', ".");
        assert!(changes.contains(&format!("sysctl {name}=1")), "{changes}");
        assert_eq!(scene.fip().list()[0]["state"], "active");
        assert!(scene.reached(family));
        scene.fip().ok(&format!("unbind {floating}"));
    }
}

#[test]
fn a_watch_hears_that_forwarding_was_switched_off() {
    for family in Family::BOTH {
        let scene = Scene::new();
        let line = format!("{} {}\n", lan(family, 200), scene.web.address(family));
        let _watch = scene.fip().spawn_with_input("watch - --announce 1 --probe 20ms", &line);
        wait_for("the binding", || scene.reached(family).then_some(()));
        for _ in 0..3 {
            scene.a.sysctl(forwarding(family), "0");
            let is_on = || scene.a.read_sysctl(forwarding(family)) == "1";
            wait_for("forwarding", || is_on().then_some(()));
        }
        assert!(scene.reached(family));
    }
}

/// Somebody flushed the rules, and the desired state forgot one binding meanwhile.
#[test]
fn an_address_without_a_binding_is_shown_and_can_be_removed() {
    for family in Family::BOTH {
        let scene = Scene::new();
        let [kept, left] = [201, 202].map(|number| lan(family, number));
        let desired = format!(
            "{kept} {}\n{left} {}\n",
            scene.web.address(family),
            scene.mail.address(family)
        );
        let apply = format!("apply - --owner team {QUICK}");
        scene.fip().run_with_input(&apply, &desired).exits(0);
        assert_eq!(scene.fip().list().len(), 2);
        scene.a.nft("flush ruleset");
        let fewer = desired.lines().next().unwrap();
        scene.fip().run_with_input(&apply, fewer).exits(0);
        let rows = scene.fip().list();
        assert_eq!(rows.len(), 2, "{rows:?}");
        let row = rows.iter().find(|row| row["floating"] == left.to_string()).unwrap();
        assert_eq!(row["state"], "degraded", "{row}");
        assert_eq!(row["interface"], "eth0");
        assert!(row["fixed"].is_null() && row["owner"].is_null(), "{row}");
        let way_out = format!("fip unbind {left}");
        assert!(problems(row).contains(&way_out), "{row}");
        let shown = scene.fip().ok("list").stdout.clone();
        assert!(shown.contains(&way_out), "{shown}");
        // It is nobody's, so it is not the owner's.
        let theirs = scene.fip().ok("list --owner team --json").json();
        assert_eq!(theirs.as_array().unwrap().len(), 1, "{theirs}");
        scene.fip().ok(&format!("unbind {left}"));
        assert_eq!(scene.fip().list().len(), 1);
        let addresses = scene.a.carried("eth0");
        assert!(addresses.contains(&kept.to_string()), "{addresses}");
        assert!(!addresses.contains(&format!("{left}/")), "{addresses}");
    }
}

/// The floating address came first, then the host got its own. Whatever the host itself sends
/// leaves with its own address.
#[test]
fn a_floating_address_is_never_the_hosts_source() {
    let scene = Scene::new();
    let (own, floating) = (lan(Family::V4, 11), lan(Family::V4, 200));
    scene.a.ip("-4 addr flush dev eth0");
    let bind = format!("bind {floating} {} -i eth0 {QUICK}", scene.web.address(Family::V4));
    scene.fip().ok(&bind);
    scene.a.ip(&format!("addr add {own}/24 dev eth0"));
    scene.a.ip("route add default via 192.168.99.254");
    // One with a gateway, one on link, and one without any address of its own.
    scene.a.ip("route add 198.51.100.0/24 via 192.168.99.254");
    scene.a.ip("route add 203.0.113.0/24 dev eth0");
    let source = |to: &str| {
        let route = scene.a.ip(&format!("-4 route get {to}"));
        let mut words = route.split_whitespace().skip_while(|word| *word != "src");
        words.nth(1).unwrap_or_else(|| panic!("no source in {route}")).to_owned()
    };
    let everywhere =
        ["192.168.99.1", "198.51.100.9", "203.0.113.9", "192.0.2.9", "224.0.0.251 oif eth0"];
    for to in everywhere {
        assert_eq!(source(to), own.to_string(), "to {to}");
    }
    // Nor when it came last, nor on a host with a /32.
    scene.fip().ok(&format!("unbind {floating}"));
    scene.fip().ok(&bind);
    for to in everywhere {
        assert_eq!(source(to), own.to_string(), "to {to}, bound later");
    }
    scene.a.ip(&format!("addr del {own}/24 dev eth0"));
    scene.a.ip(&format!("addr add {own}/32 dev eth0"));
    scene.a.ip("route replace default via 192.168.99.254 dev eth0 onlink");
    for to in ["192.168.99.1", "192.0.2.9"] {
        assert_eq!(source(to), own.to_string(), "to {to}, from a /32");
    }
}
