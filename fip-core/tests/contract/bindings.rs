//! Binding, unbinding and reconciling: the same steps, and the same state after them.

use std::time::Duration;

use fip_core::claim::{Claim, RivalPolicy};
use fip_core::fip::{BindOptions, Report};
use fip_core::kernel::{Kernel, Nft, Rtnl};
use fip_core::nat::Family;
use fip_core::{Binding, Error, FloatingIps, Owner, PortForward};

use super::scene::{Scene, link, name};

pub(super) fn whole(floating: &str, fixed: &str) -> Binding {
    Binding::new(floating.parse().unwrap(), fixed.parse().unwrap()).unwrap()
}

pub(super) fn ports(floating: &str, fixed: &str, ports: &[&str]) -> Binding {
    let ports: Vec<PortForward> = ports.iter().map(|port| port.parse().unwrap()).collect();
    whole(floating, fixed).with_ports(ports)
}

pub(super) fn owner(name: &str) -> Owner {
    name.parse().unwrap()
}

pub(super) fn options(policy: RivalPolicy) -> BindOptions {
    let claim =
        Claim { policy, window: Duration::from_millis(30), deadline: Duration::from_millis(300) };
    BindOptions { claim, ..BindOptions::default() }
}

pub(super) fn bind<K: Kernel>(fips: &mut FloatingIps<K>, binding: &Binding) -> Vec<String> {
    lines(fips.bind_with(binding, &options(RivalPolicy::Wait)).unwrap())
}

pub(super) fn unbind<K: Kernel>(fips: &mut FloatingIps<K>, floating: &str) -> Vec<String> {
    lines(fips.unbind(floating.parse().unwrap(), &[], &Owner::default()).unwrap())
}

/// The changes, the table's shape left out, and handles not told apart.
pub(super) fn lines(report: Report) -> Vec<String> {
    let short = |line: String| match line.split_once(" handle ").or(line.split_once(" position ")) {
        _ if line.starts_with("table inet fip {\n") => "table inet fip".to_owned(),
        Some((start, rest)) => {
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{start} ...{rest}")
        }
        None => line,
    };
    report.changes.into_iter().map(short).collect()
}

/// Who is bound to whom by whom, and what is wrong with it.
pub(super) fn state(scene: &impl Scene) -> Vec<String> {
    let list = scene.fips().list().unwrap();
    let show = |status: &fip_core::fip::Status| {
        let binding = &status.binding;
        let uplink = binding.uplink().map(ToString::to_string).unwrap_or_default();
        let egress = if binding.egress() { " egress" } else { "" };
        format!("{}: {binding} on {uplink}{egress} {:?}", binding.owner(), status.problems)
    };
    list.iter().map(show).collect()
}

/// Nothing of ours is left.
pub(super) fn is_empty(scene: &impl Scene) -> bool {
    let mut kernel = scene.open();
    let ruleset = kernel.snapshot().unwrap().ruleset;
    let ours = kernel.addresses().unwrap().into_iter().filter(|address| address.ours).count();
    ruleset.skeleton.is_none() && ruleset.elements.is_empty() && ours == 0
}

pub(crate) fn a_whole_address_comes_and_goes(scene: &impl Scene) {
    let fips = &mut scene.fips();
    let v4 = bind(fips, &whole("192.0.2.20", "172.18.0.2"));
    assert_eq!(
        v4,
        [
            "sysctl net.ipv4.ip_forward=1",
            "table inet fip",
            "add element inet fip dnat4 { 192.0.2.20 comment \"owner=cli uplink=eth0\" : 172.18.0.2 }",
            "add element inet fip snat4 { \"eth0\" . 172.18.0.2 : 192.0.2.20 }",
            "add element inet fip hairpin4 { 172.18.0.0/16 . 172.18.0.0/16 }",
            "add local route 192.0.2.20/32 dev eth0",
        ]
    );
    let v6 = bind(fips, &whole("2001:db8::20", "2001:db8:18::2").with_egress(false));
    assert_eq!(
        v6,
        [
            "sysctl net.ipv6.conf.eth0.accept_ra=2",
            "sysctl net.ipv6.conf.all.forwarding=1",
            "add element inet fip dnat6 { 2001:db8::20 comment \"owner=cli uplink=eth0\" : 2001:db8:18::2 }",
            "add element inet fip hairpin6 { 2001:db8:18::/64 . 2001:db8:18::/64 }",
            "add address 2001:db8::20/128 dev eth0",
        ]
    );
    assert_eq!(bind(fips, &whole("192.0.2.20", "172.18.0.2")), [""; 0]);
    assert_eq!(
        state(scene),
        [
            "cli: 192.0.2.20 -> 172.18.0.2 on eth0 egress []",
            "cli: 2001:db8::20 -> 2001:db8:18::2 on eth0 []",
        ]
    );
    assert_eq!(
        unbind(fips, "192.0.2.20"),
        [
            "delete local route 192.0.2.20/32 dev eth0",
            "delete element inet fip dnat4 { 192.0.2.20 }",
            "delete element inet fip snat4 { \"eth0\" . 172.18.0.2 }",
            "delete element inet fip hairpin4 { 172.18.0.0/16 . 172.18.0.0/16 }",
        ]
    );
    assert_eq!(unbind(fips, "192.0.2.20"), [""; 0]);
    let last = ["delete address 2001:db8::20/128 dev eth0", "delete table inet fip"];
    assert_eq!(unbind(fips, "2001:db8::20"), last);
    assert!(is_empty(scene));
    assert_eq!(scene.open().sysctl("net/ipv4/ip_forward").unwrap().as_deref(), Some("1"));
}

pub(crate) fn ports_come_and_go(scene: &impl Scene) {
    let fips = &mut scene.fips();
    bind(fips, &ports("192.0.2.20", "172.18.0.2", &["tcp:80:8080", "udp:53"]));
    assert_eq!(
        bind(fips, &ports("192.0.2.20", "172.18.0.3", &["tcp:443"])),
        ["add element inet fip port4 { 192.0.2.20 . tcp . 443 comment \
          \"owner=cli uplink=eth0\" : 172.18.0.3 . 443 }"]
    );
    let error = fips.bind(&ports("192.0.2.20", "172.18.0.3", &["udp:53"])).unwrap_err();
    let text = "192.0.2.20 udp:53 is already bound to 172.18.0.2 by cli";
    assert_eq!((error.is_conflict(), error.to_string()), (true, text.to_owned()));
    bind(fips, &whole("192.0.2.20", "172.18.0.4"));
    assert_eq!(
        state(scene),
        [
            "cli: 192.0.2.20 -> 172.18.0.2 tcp:80:8080 udp:53 on eth0 []",
            "cli: 192.0.2.20 -> 172.18.0.3 tcp:443 on eth0 []",
            "cli: 192.0.2.20 -> 172.18.0.4 on eth0 egress []",
        ]
    );
    let dns = [(fip_core::Protocol::Udp, 53)];
    let floating = "192.0.2.20".parse().unwrap();
    let report = fips.unbind(floating, &dns, &Owner::default()).unwrap();
    assert_eq!(lines(report), ["delete element inet fip port4 { 192.0.2.20 . udp . 53 }"]);
    let report = fips.unbind(floating, &dns, &Owner::default()).unwrap();
    assert_eq!(lines(report), [""; 0]);
    unbind(fips, "192.0.2.20");
    assert!(is_empty(scene));
}

pub(crate) fn what_is_bound_stays_with_its_owner(scene: &impl Scene) {
    let fips = &mut scene.fips();
    let theirs = whole("192.0.2.20", "172.18.0.2").owned_by(owner("agent"));
    bind(fips, &theirs);
    let ours = whole("192.0.2.20", "172.18.0.3");
    for replace in [false, true] {
        let options = BindOptions { replace, ..options(RivalPolicy::Wait) };
        let error = fips.bind_with(&ours, &options).unwrap_err();
        let text = "192.0.2.20 is already bound to 172.18.0.2 by agent";
        assert_eq!((error.is_conflict(), error.to_string()), (true, text.to_owned()));
    }
    assert!(fips.unbind(ours.floating(), &[], &Owner::default()).unwrap_err().is_conflict());
    let wait = options(RivalPolicy::Wait);
    assert!(fips.reconcile(&owner("cli"), &[ours], &wait).unwrap_err().is_conflict());
    // Its fixed address sends from one floating address only.
    let second = whole("192.0.2.21", "172.18.0.2");
    assert!(fips.bind(&second).unwrap_err().is_conflict());
    assert_eq!(state(scene), ["agent: 192.0.2.20 -> 172.18.0.2 on eth0 egress []"]);
    bind(fips, &second.with_egress(false));
    let moved = theirs.clone().owned_by(owner("agent"));
    let moved = Binding::new(moved.floating(), "172.18.0.9".parse().unwrap()).unwrap();
    let moved = moved.owned_by(owner("agent"));
    assert!(fips.bind(&moved).unwrap_err().is_conflict());
    let options = BindOptions { replace: true, ..options(RivalPolicy::Wait) };
    assert_eq!(
        lines(fips.bind_with(&moved, &options).unwrap()),
        [
            "delete element inet fip dnat4 { 192.0.2.20 }",
            "delete element inet fip snat4 { \"eth0\" . 172.18.0.2 }",
            "add element inet fip dnat4 { 192.0.2.20 comment \"owner=agent uplink=eth0\" : 172.18.0.9 }",
            "add element inet fip snat4 { \"eth0\" . 172.18.0.9 : 192.0.2.20 }",
        ]
    );
}

pub(crate) fn rivals_are_refused_waited_for_or_taken_over(scene: &impl Scene) {
    let fips = &mut scene.fips();
    let binding = whole("192.0.2.20", "172.18.0.2");
    let mac = scene.rival("192.0.2.20");
    for policy in [RivalPolicy::Refuse, RivalPolicy::Wait] {
        match fips.bind_with(&binding, &options(policy)).unwrap_err() {
            Error::Rival { address, link, mac: who } => {
                assert_eq!((address, link, who), (binding.floating(), name("eth0"), mac));
            }
            other => panic!("{other}"),
        }
        assert!(is_empty(scene), "{policy}");
    }
    let report = fips.bind_with(&binding, &options(RivalPolicy::TakeOver)).unwrap();
    assert!(lines(report).contains(&"add local route 192.0.2.20/32 dev eth0".to_owned()));
    unbind(fips, "192.0.2.20");
    scene.silence("192.0.2.20");
    bind(fips, &binding);
    assert_eq!(state(scene).len(), 1);
}

pub(crate) fn a_lost_ruleset_is_made_anew(scene: &impl Scene) {
    let fips = &mut scene.fips();
    let binding = whole("192.0.2.20", "172.18.0.2");
    let first = bind(fips, &binding);
    for _ in 0..2 {
        scene.flush_ruleset();
        // The address was left behind, and the host forwards.
        assert_eq!(bind(fips, &binding), first[1..5]);
        scene.delete_table();
        assert_eq!(bind(fips, &binding), first[1..5]);
    }
    assert_eq!(fips.strays().unwrap(), []);
    scene.flush_ruleset();
    let stray = (binding.floating(), "eth0".parse().unwrap());
    assert_eq!(fips.strays().unwrap(), [stray]);
    assert_eq!(unbind(fips, "192.0.2.20"), ["delete local route 192.0.2.20/32 dev eth0"]);
    assert!(is_empty(scene));
}

pub(crate) fn a_damaged_table_is_made_anew_with_everybodys_bindings(scene: &impl Scene) {
    let fips = &mut scene.fips();
    bind(fips, &whole("192.0.2.20", "172.18.0.2").owned_by(owner("agent")));
    bind(fips, &ports("2001:db8::20", "2001:db8:18::2", &["tcp:80"]));
    let before = (state(scene), scene.open().snapshot().unwrap().ruleset);
    scene.damage_table();
    let damaged = state(scene);
    assert!(damaged.iter().all(|line| line.contains("was altered")), "{damaged:?}");
    let lines = bind(fips, &whole("192.0.2.21", "172.18.0.3"));
    assert_eq!(lines[..2], ["delete table inet fip", "table inet fip"]);
    unbind(fips, "192.0.2.21");
    assert_eq!((state(scene), scene.open().snapshot().unwrap().ruleset), before);
    scene.damage_table();
    unbind(fips, "2001:db8::20");
    assert_eq!(state(scene), before.0[..1]);
}

pub(crate) fn a_lost_address_comes_back(scene: &impl Scene) {
    let fips = &mut scene.fips();
    let v4 = whole("192.0.2.20", "172.18.0.2");
    let v6 = whole("2001:db8::20", "2001:db8:18::2");
    bind(fips, &v4);
    bind(fips, &v6);
    scene.remove_address("eth0", "192.0.2.20/32");
    let listed = state(scene);
    assert!(listed[0].contains("192.0.2.20 is not on eth0; bind it again"), "{listed:?}");
    assert_eq!(bind(fips, &v4), ["add local route 192.0.2.20/32 dev eth0"]);
    scene.set_up("eth0", false);
    let listed = state(scene);
    assert!(listed[1].contains("2001:db8::20 is not on eth0"), "{listed:?}");
    assert!(listed[0].contains("eth0 is down or has no carrier"), "{listed:?}");
    scene.set_up("eth0", true);
    assert_eq!(bind(fips, &v4), [""; 0]);
    assert_eq!(bind(fips, &v6), ["add address 2001:db8::20/128 dev eth0"]);
}

pub(crate) fn reconciling_is_exact(scene: &impl Scene) {
    let fips = &mut scene.fips();
    bind(fips, &whole("192.0.2.19", "172.18.0.9"));
    let agent = owner("agent");
    let wait = options(RivalPolicy::Wait);
    let desired = [
        whole("192.0.2.20", "172.18.0.2"),
        ports("192.0.2.21", "172.18.0.3", &["tcp:80"]),
        ports("192.0.2.21", "172.18.0.4", &["tcp:443"]),
        whole("2001:db8::20", "2001:db8:18::2"),
    ];
    fips.reconcile(&agent, &desired, &wait).unwrap();
    assert_eq!(lines(fips.reconcile(&agent, &desired, &wait).unwrap()), [""; 0]);
    let changed = [desired[0].clone(), desired[2].clone(), whole("192.0.2.22", "172.18.0.3")];
    assert_eq!(
        lines(fips.reconcile(&agent, &changed, &wait).unwrap()),
        [
            "delete address 2001:db8::20/128 dev eth0",
            "delete element inet fip dnat6 { 2001:db8::20 }",
            "delete element inet fip port4 { 192.0.2.21 . tcp . 80 }",
            "delete element inet fip snat6 { \"eth0\" . 2001:db8:18::2 }",
            "delete element inet fip hairpin6 { 2001:db8:18::/64 . 2001:db8:18::/64 }",
            "add element inet fip dnat4 { 192.0.2.22 comment \"owner=agent uplink=eth0\" : 172.18.0.3 }",
            "add element inet fip snat4 { \"eth0\" . 172.18.0.3 : 192.0.2.22 }",
            "add local route 192.0.2.22/32 dev eth0",
        ]
    );
    fips.reconcile(&agent, &[], &wait).unwrap();
    assert_eq!(state(scene), ["cli: 192.0.2.19 -> 172.18.0.9 on eth0 egress []"]);
    let twice = [desired[0].clone(), whole("192.0.2.20", "172.18.0.3")];
    assert!(fips.reconcile(&agent, &twice, &wait).is_err());
    fips.reconcile(&owner("cli"), &[], &wait).unwrap();
    assert!(is_empty(scene));
}

pub(crate) fn user_chains_get_one_rule(scene: &impl Scene) {
    let fips = &mut scene.fips();
    scene.add_user_chain(Family::V4);
    scene.add_user_rule(Family::V4);
    scene.add_user_chain(Family::V6);
    scene.add_user_return(Family::V6);
    const RULE: &str = "meta mark & 0x00001000 == 0x00001000 counter accept comment \"fip\"";
    let v4 = bind(fips, &whole("192.0.2.20", "172.18.0.2"));
    assert!(v4.contains(&format!("add rule ip filter DOCKER-USER {RULE}")), "{v4:?}");
    assert!(!v4.iter().any(|line| line.contains("ip6 filter")), "{v4:?}");
    let v6 = bind(fips, &whole("2001:db8::20", "2001:db8:18::2"));
    assert!(v6.contains(&format!("insert rule ip6 filter DOCKER-USER ... {RULE}")), "{v6:?}");
    scene.add_user_rule(Family::V4);
    assert!(state(scene)[0].contains("DOCKER-USER is not as it should be"));
    assert_eq!(
        bind(fips, &whole("192.0.2.20", "172.18.0.2")),
        [
            "delete rule ip filter DOCKER-USER ...".to_owned(),
            format!("add rule ip filter DOCKER-USER {RULE}")
        ]
    );
    let last = unbind(fips, "192.0.2.20");
    assert!(last.contains(&"delete rule ip filter DOCKER-USER ...".to_owned()), "{last:?}");
    unbind(fips, "2001:db8::20");
    let passes = scene.open().snapshot().unwrap().ruleset.passes;
    let absent = |pass: &fip_core::nat::Pass| matches!(pass, fip_core::nat::Pass::Absent { .. });
    assert!(passes.len() == 2 && passes.values().all(absent), "{passes:?}");
}

pub(crate) fn a_new_subnet_is_a_new_hairpin(scene: &impl Scene) {
    let fips = &mut scene.fips();
    let far = whole("192.0.2.20", "172.19.0.2");
    let report = fips.bind_with(&far, &options(RivalPolicy::Wait)).unwrap();
    let warning = "172.19.0.2 is in no subnet of this host: it may be unreachable";
    assert_eq!(report.warnings, [warning]);
    assert!(!lines(report).iter().any(|line| line.contains("hairpin")));
    scene.add_address("br0", "172.19.0.1/16");
    let hairpin = "add element inet fip hairpin4 { 172.19.0.0/16 . 172.19.0.0/16 }";
    assert_eq!(bind(fips, &far), [hairpin]);
    bind(fips, &whole("192.0.2.21", "172.19.0.3"));
    let gone = unbind(fips, "192.0.2.20");
    assert!(!gone.iter().any(|line| line.contains("hairpin")), "{gone:?}");
    unbind(fips, "192.0.2.21");
    assert!(is_empty(scene));
}

pub(crate) fn subnets_within_each_other_are_one_hairpin(scene: &impl Scene) {
    let fips = &mut scene.fips();
    scene.add_address("eth0", "172.16.0.1/12");
    let hairpins = |lines: Vec<String>| -> Vec<String> {
        lines.into_iter().filter(|line| line.contains("hairpin4")).collect()
    };
    let inner = whole("192.0.2.20", "172.18.0.2");
    let outer = whole("192.0.2.21", "172.16.0.2");
    let narrow = "element inet fip hairpin4 { 172.18.0.0/16 . 172.18.0.0/16 }";
    let wide = "element inet fip hairpin4 { 172.16.0.0/12 . 172.16.0.0/12 }";
    assert_eq!(hairpins(bind(fips, &inner)), [format!("add {narrow}")]);
    let both = [format!("delete {narrow}"), format!("add {wide}")];
    assert_eq!(hairpins(bind(fips, &outer)), both);
    assert_eq!(bind(fips, &inner), [""; 0]);
    assert_eq!(hairpins(bind(fips, &whole("192.0.2.22", "172.18.0.3"))), [""; 0]);
    scene.damage_table();
    assert_eq!(hairpins(bind(fips, &inner)), [format!("add {wide}")]);
    unbind(fips, "192.0.2.21");
    assert_eq!(bind(fips, &inner), [""; 0]);
    unbind(fips, "192.0.2.20");
    unbind(fips, "192.0.2.22");
    assert!(is_empty(scene));
}

pub(crate) fn what_cannot_be_bound_changes_nothing(scene: &impl Scene) {
    let fips = &mut scene.fips();
    scene.set_up("br0", false);
    for (floating, why) in [
        ("192.0.2.10", "192.0.2.10 cannot be bound: it is this host's own address on eth0"),
        ("192.0.2.1", "192.0.2.1 cannot be bound: it is the gateway of the route to 0.0.0.0/0"),
        (
            "192.0.2.0",
            "192.0.2.0 cannot be bound: it is the network address of 192.0.2.0/24 on eth0",
        ),
        (
            "192.0.2.255",
            "192.0.2.255 cannot be bound: it is the broadcast address of 192.0.2.0/24 on eth0",
        ),
        (
            "2001:db8::",
            "2001:db8:: cannot be bound: it is the network address of 2001:db8::/64 on eth0",
        ),
    ] {
        let fixed = if floating.contains(':') { "2001:db8:18::2" } else { "172.18.0.2" };
        assert_eq!(fips.bind(&whole(floating, fixed)).unwrap_err().to_string(), why);
    }
    let free = whole("192.0.2.20", "172.18.0.2");
    let error = fips.bind(&free.clone().on(name("eth9"))).unwrap_err();
    assert_eq!(
        (error.is_not_found(), error.to_string().as_str()),
        (true, "there is no link named eth9")
    );
    let error = fips.bind(&free.clone().on(name("lo"))).unwrap_err();
    assert!(error.to_string().contains("loopback"), "{error}");
    scene.set_up("eth0", false);
    let error = fips.bind(&whole("203.0.113.1", "172.18.0.2")).unwrap_err();
    assert!(matches!(error, Error::NoUplink(_)), "{error}");
    assert!(is_empty(scene));
    // A link that is down is no obstacle, but worth a warning.
    let report = fips.bind(&free).unwrap();
    assert_eq!(report.warnings[0], "eth0 is down or has no carrier");
    let mut kernel = scene.open();
    let eth0 = link(&mut kernel, "eth0").index;
    assert!(kernel.addresses().unwrap().iter().any(|a| a.ours && a.link == eth0));
}
