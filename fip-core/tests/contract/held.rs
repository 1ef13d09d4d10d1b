//! Floating addresses that links hold as addresses, or by local routes.

use fip_core::address::{AddressBinder, Links, floating_address};
use fip_core::fip::{Event, OnRival, Watch};
use fip_core::kernel::{Address, AddressChange, Hold, Kernel, Rtnl};
use fip_core::{Error, FloatingIps};

use super::bindings::{bind, is_empty, owner, state, unbind, whole};
use super::monitor::late;
use super::scene::{Scene, link};

const FLOATING: &str = "192.0.2.20";

fn held(kernel: &mut impl Rtnl, hold: Hold) -> Address {
    floating_address(link(kernel, "eth0").index, FLOATING.parse().unwrap(), hold)
}

fn change(kernel: &mut impl Rtnl, change: AddressChange) -> Result<(), Option<i32>> {
    let result = kernel.change_addresses(&[change]).unwrap().remove(0);
    result.map_err(|error| error.raw_os_error())
}

/// How our addresses are held, in order.
fn holds(scene: &impl Scene) -> Vec<Hold> {
    let all = scene.open().addresses().unwrap();
    let mut holds: Vec<Hold> = all.iter().filter(|a| a.ours).map(|a| a.hold).collect();
    holds.sort();
    holds
}

fn ignore(scene: &impl Scene, place: &str, value: &str) {
    let path = format!("net/ipv4/conf/{place}/arp_ignore");
    scene.open().set_sysctl(&path, value).unwrap();
}

fn one() -> fip_core::Binding {
    whole(FLOATING, "172.18.0.2")
}

pub(crate) fn a_route_holds_an_address_beside_what_else_does(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let [route, address] = [Hold::Route, Hold::Address].map(|hold| held(kernel, hold));
    assert!(!scene.answers(FLOATING));
    kernel.news().unwrap();
    for (first, second) in [(&route, &address), (&address, &route)] {
        change(kernel, AddressChange::Add(first.clone())).unwrap();
        assert!(scene.answers(FLOATING), "{first:?}");
        for held in [first, second] {
            let made = change(kernel, AddressChange::Add(held.clone()));
            assert_eq!(made.is_err(), held == first);
        }
        let exists = change(kernel, AddressChange::Add(second.clone()));
        assert_eq!(exists, Err(Some(libc::EEXIST)));
        change(kernel, AddressChange::Remove(first.clone())).unwrap();
        assert!(scene.answers(FLOATING), "{second:?}");
        change(kernel, AddressChange::Remove(second.clone())).unwrap();
        assert!(!scene.answers(FLOATING));
    }
    assert_eq!(change(kernel, AddressChange::Remove(route.clone())), Err(Some(libc::ESRCH)));
    assert!(!kernel.changed().unwrap(), "all of it was our own doing");
    change(&mut scene.open(), AddressChange::Add(route)).unwrap();
    assert!(kernel.changed().unwrap());
}

pub(crate) fn what_is_asked_about_is_what_is_there(scene: &impl Scene) {
    let kernel = &mut scene.open();
    let [route, address] = [Hold::Route, Hold::Address].map(|hold| held(kernel, hold));
    let other = floating_address(address.link, "192.0.2.21".parse().unwrap(), Hold::Route);
    change(kernel, AddressChange::Add(other)).unwrap();
    let about = |kernel: &mut _| {
        let all = Rtnl::addresses_about(kernel, &[FLOATING.parse().unwrap()]).unwrap();
        let mut ours: Vec<Hold> = all.iter().filter(|a| a.ours).map(|a| a.hold).collect();
        ours.sort();
        ours
    };
    assert_eq!(about(kernel), []);
    for held in [&address, &route] {
        change(kernel, AddressChange::Add(held.clone())).unwrap();
    }
    assert_eq!(about(kernel), [Hold::Address, Hold::Route]);
    change(kernel, AddressChange::Remove(address)).unwrap();
    assert_eq!(about(kernel), [Hold::Route]);
    change(kernel, AddressChange::Remove(route)).unwrap();
    scene.add_local_route("eth0", FLOATING);
    let all = kernel.addresses_about(&[FLOATING.parse().unwrap()]).unwrap();
    let theirs = all.iter().filter(|a| a.hold == Hold::Route);
    assert_eq!(theirs.map(|a| a.ours).collect::<Vec<_>>(), [false]);
}

pub(crate) fn routes_go_untold_with_the_last_address(scene: &impl Scene) {
    let kernel = &mut scene.open();
    kernel.news().unwrap();
    let mut links = Links::read(kernel).unwrap();
    let route = held(kernel, Hold::Route);
    change(&mut scene.open(), AddressChange::Add(route.clone())).unwrap();
    scene.set_up("eth0", false);
    scene.set_up("eth0", true);
    links.refresh(kernel).unwrap();
    assert_eq!(links.ours().collect::<Vec<_>>(), [&route], "down and up do no harm");
    scene.remove_address("eth0", "192.0.2.10/24");
    links.refresh(kernel).unwrap();
    assert_eq!(links.ours().count(), 0);
    assert_eq!(holds(scene), []);
}

pub(crate) fn routes_that_went_are_missed_though_an_address_came_since(scene: &impl Scene) {
    let kernel = &mut scene.open();
    kernel.news().unwrap();
    let mut links = Links::read(kernel).unwrap();
    let route = held(kernel, Hold::Route);
    let address = floating_address(route.link, "192.0.2.21".parse().unwrap(), Hold::Address);
    AddressBinder::new(kernel, &mut links).change(&[AddressChange::Add(route)]).unwrap();
    // What somebody does is heard of after what we do.
    scene.remove_address("eth0", "192.0.2.10/24");
    let add = AddressChange::Add(address.clone());
    AddressBinder::new(kernel, &mut links).change(&[add]).unwrap();
    assert_eq!(links.ours().count(), 2);
    assert!(links.refresh(kernel).unwrap());
    assert_eq!(links.ours().collect::<Vec<_>>(), [&address]);
    crate::lab::wait_for("no more news", || (!links.refresh(kernel).unwrap()).then_some(()));
}

pub(crate) fn what_is_answered_chooses_how_it_is_held(scene: &impl Scene) {
    bind(&mut scene.fips(), &one());
    assert_eq!(holds(scene), [Hold::Route]);
    bind(&mut scene.fips(), &whole("2001:db8::20", "2001:db8:18::2"));
    assert_eq!(holds(scene), [Hold::Address, Hold::Route]);
    unbind(&mut scene.fips(), "2001:db8::20");
    for (place, value) in [("eth0", "1"), ("all", "1"), ("eth0", "2")] {
        ignore(scene, place, value);
        assert!(!scene.answers(FLOATING), "{place}={value}");
        let problem = "eth0 ignores ARP for addresses that are held by a route (arp_ignore=";
        let listed = state(scene);
        assert!(
            listed[0].contains(&format!("{problem}{value}); bind or apply again")),
            "{listed:?}"
        );
        let [add, delete] = ["add address", "delete local route"]
            .map(|what| format!("{what} {FLOATING}/32 dev eth0"));
        assert_eq!(bind(&mut scene.fips(), &one()), [add, delete]);
        assert!(scene.answers(FLOATING), "{place}={value}");
        assert_eq!(holds(scene), [Hold::Address]);
        bind(&mut scene.fips(), &whole("192.0.2.21", "172.18.0.3"));
        assert_eq!(holds(scene), [Hold::Address; 2], "what is new too");
        // What is there and is answered stays as it is.
        ignore(scene, place, "0");
        assert_eq!(bind(&mut scene.fips(), &one()), [""; 0]);
        unbind(&mut scene.fips(), "192.0.2.21");
        unbind(&mut scene.fips(), FLOATING);
        bind(&mut scene.fips(), &one());
    }
}

pub(crate) fn it_is_held_otherwise_if_that_is_asked_for(scene: &impl Scene) {
    bind(&mut scene.fips(), &one());
    let [route, address] =
        ["local route", "address"].map(|what| format!("{what} {FLOATING}/32 dev eth0"));
    for (hold, new, old) in [(Hold::Address, &address, &route), (Hold::Route, &route, &address)] {
        let lines = bind(&mut scene.fips_holding(hold), &one());
        assert_eq!(lines, [format!("add {new}"), format!("delete {old}")]);
        assert_eq!(holds(scene), [hold]);
        assert!(scene.answers(FLOATING));
        assert_eq!(bind(&mut scene.fips_holding(hold), &one()), [""; 0]);
        assert_eq!(bind(&mut scene.fips(), &one()), [""; 0]);
    }
    // A change that was interrupted between its steps is finished, or undone as a whole.
    let kernel = &mut scene.open();
    let left = held(kernel, Hold::Address);
    change(kernel, AddressChange::Add(left.clone())).unwrap();
    assert_eq!(bind(&mut scene.fips_holding(Hold::Route), &one()), [format!("delete {address}")]);
    change(kernel, AddressChange::Add(left)).unwrap();
    unbind(&mut scene.fips(), FLOATING);
    assert!(is_empty(scene));
}

pub(crate) fn what_is_answered_is_looked_at_again_when_links_changed(scene: &impl Scene) {
    let fips = &mut scene.fips();
    bind(fips, &one());
    assert_eq!(bind(fips, &one()), [""; 0]);
    ignore(scene, "eth0", "1");
    // Of that alone the kernel tells nobody.
    scene.set_up("br0", false);
    assert_eq!(bind(fips, &one()).len(), 2);
    assert_eq!(holds(scene), [Hold::Address]);
    assert!(scene.answers(FLOATING));
}

pub(crate) fn a_link_without_any_address_holds_one_by_a_route(scene: &impl Scene) {
    let on_eth0 = || one().on("eth0".parse().unwrap());
    scene.remove_address("eth0", "192.0.2.10/24");
    bind(&mut scene.fips(), &on_eth0());
    assert_eq!(holds(scene), [Hold::Route]);
    assert!(scene.answers(FLOATING));
    assert_eq!(bind(&mut scene.fips(), &on_eth0()), [""; 0]);
    bind(&mut scene.fips(), &whole("192.0.2.21", "172.18.0.3").on("eth0".parse().unwrap()));
    assert_eq!(holds(scene), [Hold::Route; 2]);
    unbind(&mut scene.fips(), FLOATING);
    unbind(&mut scene.fips(), "192.0.2.21");
    assert!(is_empty(scene));
}

pub(crate) fn a_link_with_floating_addresses_only_keeps_its_routes_and_gets_none(
    scene: &impl Scene,
) {
    let on_eth0 = |binding: fip_core::Binding| binding.on("eth0".parse().unwrap());
    let [first, second, third] = [
        on_eth0(one()),
        on_eth0(whole("192.0.2.21", "172.18.0.3")),
        on_eth0(whole("192.0.2.22", "172.18.0.4")),
    ];
    bind(&mut scene.fips_holding(Hold::Address), &first);
    bind(&mut scene.fips_holding(Hold::Route), &second);
    scene.remove_address("eth0", "192.0.2.10/24");
    assert_eq!(bind(&mut scene.fips(), &second), [""; 0]);
    assert_eq!(bind(&mut scene.fips_holding(Hold::Route), &second), [""; 0]);
    bind(&mut scene.fips(), &third);
    assert_eq!(holds(scene), [Hold::Address, Hold::Address, Hold::Route]);
}

pub(crate) fn how_another_link_held_it_does_not_matter(scene: &impl Scene) {
    let [there, here] = ["br0", "eth0"].map(|link| one().on(link.parse().unwrap()));
    bind(&mut scene.fips_holding(Hold::Address), &there);
    bind(&mut scene.fips(), &here);
    assert_eq!(holds(scene), [Hold::Route]);
    assert!(scene.answers(FLOATING));
}

fn refusal<K: Kernel>(fips: &mut FloatingIps<K>, binding: &fip_core::Binding) -> String {
    let error = fips.bind(binding).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. } | Error::Refused { .. }), "{error:?}");
    format!("{error}; {}", error.hint().unwrap_or_default())
}

pub(crate) fn a_route_that_nobody_would_ask_for_is_refused(scene: &impl Scene) {
    let by_route = |binding| refusal(&mut scene.fips_holding(Hold::Route), &binding);
    let refused = by_route(whole("2001:db8::20", "2001:db8:18::2"));
    assert!(refused.contains("IPv6") && refused.contains("--hold address"), "{refused}");
    ignore(scene, "eth0", "1");
    let refused = by_route(one());
    assert!(refused.contains("arp_ignore=1") && refused.contains("--hold address"), "{refused}");
    ignore(scene, "eth0", "0");
    bind(&mut scene.fips_holding(Hold::Address), &one());
    scene.remove_address("eth0", "192.0.2.10/24");
    let refused = by_route(whole("192.0.2.21", "172.18.0.3").on("eth0".parse().unwrap()));
    assert!(refused.contains("no IPv4 address but floating ones"), "{refused}");
    unbind(&mut scene.fips(), FLOATING);
    assert!(is_empty(scene));
}

pub(crate) fn a_route_of_somebody_else_is_the_hosts_own_address(scene: &impl Scene) {
    let fips = &mut scene.fips();
    bind(fips, &whole("192.0.2.21", "172.18.0.3"));
    for new in [false, true] {
        scene.add_local_route("eth0", FLOATING);
        let refused = match new {
            true => refusal(&mut scene.fips(), &one()),
            false => refusal(fips, &one()),
        };
        assert!(refused.contains("this host's own address on eth0, by a route"), "{refused}");
        scene.remove_local_route("eth0", FLOATING);
    }
    assert_ne!(bind(fips, &one()), [""; 0]);
    unbind(fips, FLOATING);
    assert_eq!(holds(scene), [Hold::Route]);
}

pub(crate) fn both_are_strays_without_their_rules(scene: &impl Scene) {
    for hold in [Hold::Route, Hold::Address] {
        bind(&mut scene.fips_holding(hold), &one());
        scene.flush_ruleset();
        let strays = scene.fips().strays().unwrap();
        assert_eq!(strays, [(FLOATING.parse().unwrap(), "eth0".parse().unwrap())]);
        unbind(&mut scene.fips(), FLOATING);
        assert!(is_empty(scene));
    }
}

fn repaired<K: Kernel>(watch: &mut Watch<K>) -> Vec<String> {
    loop {
        match watch.next(late()).unwrap().expect("a repair") {
            Event::Repaired(report) => return report.changes,
            Event::Warning(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn a_watch_repairs_routes_that_went_untold(scene: &impl Scene) {
    let claimed = super::bindings::options(fip_core::claim::RivalPolicy::TakeOver);
    let wanted = vec![one().on("eth0".parse().unwrap())];
    let mut watch = scene.fips().watch([owner("cli")], wanted, claimed, OnRival::Yield).unwrap();
    repaired(&mut watch);
    let add = format!("add local route {FLOATING}/32 dev eth0");
    scene.remove_local_route("eth0", FLOATING);
    assert_eq!(repaired(&mut watch), [add.as_str()]);
    scene.remove_address("eth0", "192.0.2.10/24");
    assert!(repaired(&mut watch).contains(&add));
    assert!(scene.answers(FLOATING));
}
