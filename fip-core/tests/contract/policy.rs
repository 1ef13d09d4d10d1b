//! Policy rules, tables besides the main one, and the source routes that are made of them.

use fip_core::Error;
use fip_core::kernel::{Kernel, LinkChange, MAIN_TABLE, PolicyRule, Route, Rtnl};
use fip_core::source_route::{self, PRIORITY, SourceRoute, TABLE_BASE};

use super::scene::{Scene, link};

/// A table that nobody else has.
const TABLE: u32 = 4711;

/// The addresses of `eth0`, as if it were a workload's link, with their gateways.
const FIXED: [(&str, &str); 2] =
    [("192.0.2.10/24", "192.0.2.1"), ("2001:db8::10/64", "2001:db8::1")];

fn errno<T: std::fmt::Debug>(result: fip_core::Result<T>) -> i32 {
    match result.unwrap_err() {
        Error::Kernel { source, .. } => source.raw_os_error().unwrap(),
        other => panic!("{other}"),
    }
}

fn rule(source: &str) -> PolicyRule {
    PolicyRule { source: source.parse().unwrap(), table: TABLE, priority: 100, ours: true }
}

fn rules(kernel: &mut impl Rtnl) -> Vec<PolicyRule> {
    let mut rules = kernel.policy_rules().unwrap();
    rules.sort_by_key(|rule| (rule.source, rule.table, rule.priority, rule.ours));
    rules
}

fn route(kernel: &mut impl Rtnl, to: &str, via: Option<&str>) -> Route {
    let destination: ipnetwork::IpNetwork = to.parse().unwrap();
    Route {
        destination,
        gateway: via.map(|gateway| gateway.parse().unwrap()),
        link: Some(link(kernel, "eth0").index),
        metric: if destination.is_ipv6() { 1024 } else { 0 },
    }
}

/// A route of each family, one of them on link.
fn some_routes(kernel: &mut impl Rtnl) -> [Route; 2] {
    [route(kernel, "0.0.0.0/0", Some("192.0.2.2")), route(kernel, "2001:db8:51::/64", None)]
}

pub(crate) fn a_rule_is_added_once(scene: &impl Scene) {
    let kernel = &mut scene.open();
    assert_eq!(rules(kernel), []);
    let (four, six) = (rule("172.18.0.2/32"), rule("2001:db8:18::2/128"));
    for rule in [&four, &six] {
        kernel.add_policy_rule(rule).unwrap();
        assert_eq!(errno(kernel.add_policy_rule(rule)), libc::EEXIST);
    }
    assert_eq!(rules(kernel), [four.clone(), six.clone()]);
    // Another subnet, table, priority or tag is another rule.
    let subnet = PolicyRule { source: "172.18.0.0/16".parse().unwrap(), ..four.clone() };
    let table = PolicyRule { table: TABLE + 1, ..four.clone() };
    let priority = PolicyRule { priority: 101, ..four.clone() };
    let others = PolicyRule { ours: false, ..four.clone() };
    for other in [&subnet, &table, &priority, &others] {
        kernel.add_policy_rule(other).unwrap();
        assert_eq!(errno(kernel.add_policy_rule(other)), libc::EEXIST, "{other:?}");
    }
    assert_eq!(rules(kernel), [subnet, others, four, priority, table, six]);
    let inside = &mut kernel.in_netns(&scene.other_namespace()).unwrap();
    assert_eq!(rules(inside), []);
}

pub(crate) fn a_rule_is_deleted_once_and_only_if_it_is_meant(scene: &impl Scene) {
    let kernel = &mut scene.open();
    for ours in ["172.18.0.2/32", "2001:db8:18::2/128"].map(rule) {
        let theirs = PolicyRule { ours: false, ..ours.clone() };
        kernel.add_policy_rule(&theirs).unwrap();
        assert_eq!(errno(kernel.delete_policy_rule(&ours)), libc::ENOENT);
        kernel.add_policy_rule(&ours).unwrap();
        kernel.delete_policy_rule(&ours).unwrap();
        assert_eq!(rules(kernel), std::slice::from_ref(&theirs));
        let elsewhere = PolicyRule { table: TABLE + 1, ..theirs.clone() };
        let later = PolicyRule { priority: 101, ..theirs.clone() };
        for other in [elsewhere, later, rule("172.18.0.3/32")] {
            assert_eq!(errno(kernel.delete_policy_rule(&other)), libc::ENOENT, "{other:?}");
        }
        kernel.delete_policy_rule(&theirs).unwrap();
        assert_eq!(rules(kernel), []);
    }
}

pub(crate) fn a_table_has_routes_of_its_own(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let main = kernel.routes().unwrap();
    assert_eq!(kernel.routes_in(TABLE).unwrap(), []);
    let routes = some_routes(kernel);
    for route in &routes {
        kernel.replace_route_in(TABLE, route).unwrap();
        kernel.replace_route_in(TABLE, route).unwrap();
    }
    assert_eq!(kernel.routes_in(TABLE).unwrap(), routes);
    assert_eq!(kernel.routes_in(TABLE + 1).unwrap(), []);
    assert_eq!(kernel.routes().unwrap(), main);
    assert_eq!(kernel.routes_in(MAIN_TABLE).unwrap(), main);
    let other_gateway = route(kernel, "0.0.0.0/0", Some("192.0.2.3"));
    kernel.replace_route_in(TABLE, &other_gateway).unwrap();
    let mut now = kernel.routes_in(TABLE).unwrap();
    now.sort_by_key(|route| route.destination);
    assert_eq!(now, [other_gateway, routes[1].clone()]);
}

pub(crate) fn routes_of_a_table_go_with_their_link(scene: &impl Scene) {
    let kernel = &mut scene.open();
    for route in some_routes(kernel) {
        kernel.replace_route_in(TABLE, &route).unwrap();
    }
    scene.set_up("eth0", false);
    assert_eq!(kernel.routes_in(TABLE).unwrap(), []);
}

pub(crate) fn a_route_is_deleted_once(scene: &impl Scene) {
    let kernel = &mut scene.open();
    for route in some_routes(kernel) {
        assert_eq!(errno(kernel.delete_route_in(TABLE, &route)), libc::ESRCH, "no table");
        kernel.replace_route_in(TABLE, &route).unwrap();
        let other = Route { metric: 7, ..route.clone() };
        assert_eq!(errno(kernel.delete_route_in(TABLE, &other)), libc::ESRCH);
        assert_eq!(errno(kernel.delete_route_in(MAIN_TABLE, &route)), libc::ESRCH);
        kernel.delete_route_in(TABLE, &route).unwrap();
        assert_eq!(kernel.routes_in(TABLE).unwrap(), []);
        assert_eq!(errno(kernel.delete_route_in(TABLE, &route)), libc::ESRCH);
    }
}

fn source_route(kernel: &mut impl Rtnl, on: &str, (fixed, gateway): (&str, &str)) -> SourceRoute {
    let link = link(kernel, on).index;
    SourceRoute { fixed: fixed.parse().unwrap(), gateway: gateway.parse().unwrap(), link }
}

/// What `ensure` tells of `eth0`.
fn all_of(kernel: &mut impl Rtnl) -> [Vec<String>; 2] {
    let table = TABLE_BASE + link(kernel, "eth0").index;
    let lines = |lines: &[&str], source: &str| {
        let routes = lines.iter().map(|to| format!("route replace {to} table {table}"));
        let rule = format!("rule add from {source} lookup {table} priority {PRIORITY}");
        routes.chain([rule]).collect()
    };
    [
        lines(&["192.0.2.0/24 dev eth0", "default via 192.0.2.1 dev eth0"], "192.0.2.10/32"),
        lines(
            &["2001:db8::/64 dev eth0", "fe80::/64 dev eth0", "default via 2001:db8::1 dev eth0"],
            "2001:db8::10/128",
        ),
    ]
}

pub(crate) fn replies_get_a_table_of_their_own(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let main = kernel.routes().unwrap();
    let told = all_of(kernel);
    for (fixed, told) in FIXED.into_iter().zip(&told) {
        let wanted = source_route(kernel, "eth0", fixed);
        assert_eq!(source_route::ensure(kernel, &wanted).unwrap(), *told);
        assert_eq!(source_route::ensure(kernel, &wanted).unwrap(), Vec::<String>::new());
    }
    assert_eq!(rules(kernel).len(), 2);
    assert_eq!(kernel.routes().unwrap(), main);
    let table = TABLE_BASE + link(kernel, "eth0").index;
    for ((fixed, _), told) in FIXED.into_iter().zip(told) {
        let address = fixed.parse::<ipnetwork::IpNetwork>().unwrap().ip();
        let mut removed = source_route::remove(kernel, address).unwrap();
        let mut undone: Vec<_> = told
            .iter()
            .map(|line| line.replace("replace", "delete").replace("rule add", "rule delete"))
            .collect();
        // The rule goes first; the order of the routes is the kernel's.
        assert_eq!(removed.first(), undone.last());
        removed.sort();
        undone.sort();
        assert_eq!(removed, undone);
        assert_eq!(source_route::remove(kernel, address).unwrap(), Vec::<String>::new());
    }
    assert_eq!((rules(kernel), kernel.routes_in(table).unwrap()), (vec![], vec![]));
}

pub(crate) fn what_is_half_done_is_completed(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let told = all_of(kernel);
    for (fixed, told) in FIXED.into_iter().zip(&told) {
        let wanted = source_route(kernel, "eth0", fixed);
        source_route::ensure(kernel, &wanted).unwrap();
        let table = TABLE_BASE + wanted.link;
        let family = |route: &Route| route.destination.is_ipv6() == wanted.fixed.is_ipv6();
        for route in kernel.routes_in(table).unwrap().into_iter().filter(family) {
            kernel.delete_route_in(table, &route).unwrap();
            let again = source_route::ensure(kernel, &wanted).unwrap();
            assert!(again.len() == 1 && told.contains(&again[0]), "{again:?}");
        }
        let gateway = Some(if wanted.fixed.is_ipv4() { "192.0.2.77" } else { "2001:db8::77" });
        let stale = route(kernel, told_default(&wanted), gateway);
        kernel.replace_route_in(table, &stale).unwrap();
        let default = &told[told.len() - 2];
        assert_eq!(source_route::ensure(kernel, &wanted).unwrap(), std::slice::from_ref(default));
        let rule = rules(kernel).into_iter().find(|rule| rule.source.contains(wanted.fixed.ip()));
        kernel.delete_policy_rule(&rule.unwrap()).unwrap();
        assert_eq!(
            source_route::ensure(kernel, &wanted).unwrap(),
            std::slice::from_ref(told.last().unwrap())
        );
    }
}

fn told_default(route: &SourceRoute) -> &'static str {
    if route.fixed.is_ipv4() { "0.0.0.0/0" } else { "::/0" }
}

pub(crate) fn a_link_that_came_again_gets_its_own_table(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let first = source_route(kernel, "eth0", FIXED[0]);
    source_route::ensure(kernel, &first).unwrap();
    scene.remove_address("eth0", "192.0.2.10/24");
    scene.add_address("br0", "192.0.2.10/24");
    let second = source_route(kernel, "br0", FIXED[0]);
    let told = source_route::ensure(kernel, &second).unwrap();
    let gone = format!("rule delete from 192.0.2.10/32 lookup {}", TABLE_BASE + first.link);
    assert!(told.iter().any(|line| line.starts_with(&gone)), "{told:?}");
    let left: Vec<_> = rules(kernel).iter().map(|rule| rule.table).collect();
    assert_eq!(left, [TABLE_BASE + second.link]);
    assert_eq!(kernel.routes_in(TABLE_BASE + first.link).unwrap(), []);
    assert_eq!(kernel.routes_in(TABLE_BASE + second.link).unwrap().len(), 2);
}

pub(crate) fn addresses_of_one_link_share_its_table(scene: &impl Scene) {
    let kernel = &mut scene.open();
    scene.add_address("eth0", "192.0.2.11/24");
    let table = TABLE_BASE + link(kernel, "eth0").index;
    for fixed in [FIXED[0], ("192.0.2.11/24", "192.0.2.1"), FIXED[1]] {
        let wanted = source_route(kernel, "eth0", fixed);
        source_route::ensure(kernel, &wanted).unwrap();
    }
    assert_eq!(kernel.routes_in(table).unwrap().len(), 2 + 3);
    let mut remove = |fixed: &str| {
        source_route::remove(kernel, fixed.parse().unwrap()).unwrap();
        (rules(kernel).len(), kernel.routes_in(table).unwrap().len())
    };
    assert_eq!(remove("192.0.2.10"), (2, 5));
    assert_eq!(remove("192.0.2.11"), (1, 3));
    assert_eq!(remove("2001:db8::10"), (0, 0));
}

pub(crate) fn a_rule_outlives_its_link_and_is_removed(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let br0 = link(kernel, "br0").index;
    for fixed in [("172.18.0.1/16", "172.18.0.9"), ("2001:db8:18::1/64", "2001:db8:18::9")] {
        let wanted = source_route(kernel, "br0", fixed);
        source_route::ensure(kernel, &wanted).unwrap();
    }
    kernel.delete_link(br0).unwrap();
    assert_eq!((rules(kernel).len(), kernel.routes_in(TABLE_BASE + br0).unwrap().len()), (2, 0));
    for address in ["172.18.0.1", "2001:db8:18::1"] {
        let told = source_route::remove(kernel, address.parse().unwrap()).unwrap();
        assert!(told.len() == 1 && told[0].starts_with("rule delete from "), "{told:?}");
    }
    assert_eq!(rules(kernel), []);
}

pub(crate) fn what_others_made_stays(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let wanted = source_route(kernel, "eth0", FIXED[0]);
    let table = TABLE_BASE + wanted.link;
    let source = "192.0.2.10/32".parse().unwrap();
    // Equal but for the tag; and with our tag, but to a table that is not of our making.
    let theirs = PolicyRule { source, table, priority: PRIORITY, ours: false };
    let main = PolicyRule { source, table: MAIN_TABLE, priority: PRIORITY + 1, ours: true };
    for rule in [&theirs, &main] {
        kernel.add_policy_rule(rule).unwrap();
    }
    let routes = kernel.routes().unwrap();
    let told = source_route::ensure(kernel, &wanted).unwrap();
    assert_eq!(told, all_of(kernel)[0]);
    source_route::remove(kernel, source.ip()).unwrap();
    assert_eq!(rules(kernel), [main, theirs]);
    assert_eq!(kernel.routes().unwrap(), routes);
}

pub(crate) fn a_link_that_is_not_ready_is_refused(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let wanted = FIXED.map(|fixed| source_route(kernel, "eth0", fixed));
    let nowhere = SourceRoute { link: 4711, ..wanted[0].clone() };
    assert!(source_route::ensure(kernel, &nowhere).unwrap_err().is_not_found());
    let crossed = SourceRoute { gateway: wanted[1].gateway, ..wanted[0].clone() };
    assert!(source_route::ensure(kernel, &crossed).unwrap_err().is_usage());
    let outside = SourceRoute { gateway: "172.19.0.1".parse().unwrap(), ..wanted[0].clone() };
    assert_eq!(errno(source_route::ensure(kernel, &outside)), libc::ENETUNREACH);
    kernel.change_link(wanted[0].link, &LinkChange::Up(false)).unwrap();
    for route in &wanted {
        assert_eq!(errno(source_route::ensure(kernel, route)), libc::ENETDOWN);
    }
    assert_eq!(rules(kernel), [], "no rule without its routes");
}
