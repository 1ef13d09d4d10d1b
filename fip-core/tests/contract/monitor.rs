//! Notifications, and what is made of them.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use fip_core::claim::{Claim, RivalPolicy};
use fip_core::fip::{BindOptions, Event, OnRival, Watch};
use fip_core::kernel::{Deed, Kernel, Monitor, Rtnl, Sighting, Signal};
use fip_core::{Binding, Owner};

use super::scene::{Scene, link};
use crate::lab::PATIENCE;

pub(super) fn late() -> Option<Instant> {
    Some(Instant::now() + PATIENCE)
}

/// Takes what is there, until it is quiet for a while.
fn settle(monitor: &mut impl Monitor) {
    while monitor.next(Some(Instant::now() + Duration::from_millis(50))).unwrap().is_some() {}
}

pub(crate) fn every_change_is_signalled(scene: &impl Scene) {
    let mut monitor = scene.open().monitor().unwrap();
    settle(&mut monitor);
    scene.touch_ruleset();
    assert_eq!(monitor.next(late()).unwrap(), Some(Signal::Ruleset));
    settle(&mut monitor);
    for address in ["192.0.2.20/32", "2001:db8::20/128"] {
        scene.add_address("eth0", address);
        assert_eq!(monitor.next(late()).unwrap(), Some(Signal::Links));
        settle(&mut monitor);
        scene.remove_address("eth0", address);
        assert_eq!(monitor.next(late()).unwrap(), Some(Signal::Links));
        settle(&mut monitor);
    }
    scene.set_up("eth0", false);
    assert_eq!(monitor.next(late()).unwrap(), Some(Signal::Links));
    settle(&mut monitor);
    scene.flush_ruleset();
    assert_eq!(monitor.next(late()).unwrap(), Some(Signal::Ruleset));
    settle(&mut monitor);
    let other = &mut scene.open();
    for path in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
        for value in ["1", "0"] {
            other.set_sysctl(path, value).unwrap();
            assert_eq!(monitor.next(late()).unwrap(), Some(Signal::Links), "{path}");
            settle(&mut monitor);
        }
    }
}

pub(crate) fn a_wait_ends_at_its_deadline(scene: &impl Scene) {
    let mut monitor = scene.open().monitor().unwrap();
    settle(&mut monitor);
    let until = Instant::now() + Duration::from_millis(30);
    assert_eq!(monitor.next(Some(until)).unwrap(), None);
    assert!(Instant::now() >= until);
    assert_eq!(monitor.next(Some(until)).unwrap(), None, "a deadline that has passed");
    scene.touch_ruleset();
    assert_eq!(monitor.next(Some(until)).unwrap(), Some(Signal::Ruleset));
}

pub(crate) fn a_waker_ends_a_wait<S: Scene>(scene: &S)
where
    <S::Kernel as Kernel>::Monitor: Send,
{
    let mut monitor = scene.open().monitor().unwrap();
    settle(&mut monitor);
    let waker = monitor.waker();
    waker.wake();
    waker.wake();
    assert_eq!(monitor.next(None).unwrap(), Some(Signal::Woken), "a wake-up is kept");
    assert_eq!(monitor.next(Some(Instant::now())).unwrap(), None, "and told once");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| monitor.next(None).unwrap());
        while !waiting.is_finished() {
            waker.wake();
            thread::yield_now();
        }
        assert_eq!(waiting.join().unwrap(), Some(Signal::Woken));
    });
}

pub(crate) fn claims_are_heard_on_the_uplinks_only(scene: &impl Scene) {
    let mut kernel = scene.open();
    let mut monitor = kernel.monitor().unwrap();
    let (eth0, br0) = (link(&mut kernel, "eth0"), link(&mut kernel, "br0"));
    let soon = || Some(Instant::now() + Duration::from_millis(30));
    for deaf in [vec![], vec![br0.clone()]] {
        monitor.listen_on(&deaf).unwrap();
        settle(&mut monitor);
        scene.claim("192.0.2.20");
        assert_eq!(monitor.next(soon()).unwrap(), None);
    }
    monitor.listen_on(&[br0.clone(), eth0.clone()]).unwrap();
    settle(&mut monitor);
    let mac = scene.claim("192.0.2.20");
    let address: IpAddr = "192.0.2.20".parse().unwrap();
    let heard = Sighting { link: eth0.index, address, mac, deed: Deed::Holds };
    assert_eq!(monitor.next(late()).unwrap(), Some(Signal::Heard(heard)));
    monitor.listen_on(&[br0]).unwrap();
    scene.claim("192.0.2.20");
    assert_eq!(monitor.next(soon()).unwrap(), None);
}

fn binding(floating: &str, fixed: &str) -> Binding {
    Binding::new(floating.parse().unwrap(), fixed.parse().unwrap()).unwrap()
}

fn watch<S: Scene>(scene: &S, desired: &[Binding]) -> Watch<S::Kernel> {
    let claim = Claim {
        policy: RivalPolicy::Wait,
        window: Duration::from_millis(30),
        deadline: Duration::from_millis(30),
    };
    let options = BindOptions { claim, ..BindOptions::default() };
    scene.fips().watch([Owner::default()], desired.to_vec(), options, OnRival::Yield).unwrap()
}

/// The changes of the next repair.
pub(super) fn repair<K: Kernel>(watch: &mut Watch<K>) -> Vec<String> {
    loop {
        match watch.next(late()).unwrap().expect("a repair") {
            Event::Repaired(report) => return report.changes,
            Event::Announced { .. } | Event::Warning(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn list(scene: &impl Scene) -> Vec<Binding> {
    scene.fips().list().unwrap().into_iter().map(|status| status.binding).collect()
}

pub(crate) fn a_watch_repairs_what_others_destroy(scene: &impl Scene) {
    let desired = [binding("192.0.2.20", "172.18.0.2"), binding("2001:db8::20", "2001:db8:18::2")];
    let mut watch = watch(scene, &desired);
    let first = repair(&mut watch);
    let forwarding =
        first.iter().filter(|line| line.ends_with("forward=1") || line.ends_with("forwarding=1"));
    assert_eq!(forwarding.count(), 2, "{first:?}");
    assert!(first.iter().any(|line| line.starts_with("table inet fip {")), "{first:?}");
    let state = list(scene);
    for destroy in ["ruleset", "table", "rule"] {
        match destroy {
            "ruleset" => scene.flush_ruleset(),
            "table" => scene.delete_table(),
            _ => scene.damage_table(),
        }
        let repaired = repair(&mut watch);
        assert!(repaired.iter().any(|line| line.starts_with("table inet fip {")), "{repaired:?}");
        assert!(!repaired.iter().any(|line| line.contains("address")), "{repaired:?}");
        assert_eq!(list(scene), state);
    }
    scene.remove_address("eth0", "192.0.2.20/32");
    assert_eq!(repair(&mut watch), ["add local route 192.0.2.20/32 dev eth0"]);
    scene.set_up("eth0", false);
    scene.set_up("eth0", true);
    assert_eq!(repair(&mut watch), ["add address 2001:db8::20/128 dev eth0"]);
    scene.open().set_sysctl("net/ipv4/ip_forward", "0").unwrap();
    assert_eq!(repair(&mut watch), ["sysctl net.ipv4.ip_forward=1"]);
    scene.open().set_sysctl("net/ipv6/conf/all/forwarding", "0").unwrap();
    assert_eq!(repair(&mut watch).last().unwrap(), "sysctl net.ipv6.conf.all.forwarding=1");
    assert_eq!(list(scene), state);
}

pub(crate) fn a_watch_announces_again_when_the_carrier_returns(scene: &impl Scene) {
    let mut watch = watch(scene, &[binding("192.0.2.20", "172.18.0.2")]);
    repair(&mut watch);
    scene.plug(false);
    loop {
        match watch.next(late()).unwrap() {
            Some(Event::Warning(text)) if text.contains("no carrier") => break,
            Some(_) => {}
            None => panic!("no warning"),
        }
    }
    scene.plug(true);
    match watch.next(late()).unwrap() {
        Some(Event::Announced { link, addresses }) => {
            assert_eq!((link.as_str(), addresses), ("eth0", 1));
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn a_watch_yields_to_a_newer_claim(scene: &impl Scene) {
    let mut watch = watch(scene, &[binding("192.0.2.20", "172.18.0.2")]);
    repair(&mut watch);
    let address: IpAddr = "192.0.2.20".parse().unwrap();
    let claimed = scene.claim("192.0.2.20");
    match watch.next(late()).unwrap() {
        Some(Event::Rival { address: told, mac, done: OnRival::Yield, .. }) => {
            assert_eq!((told, mac), (address, claimed));
        }
        other => panic!("{other:?}"),
    }
    let withdrawn = repair(&mut watch);
    assert_eq!(withdrawn, ["delete local route 192.0.2.20/32 dev eth0", "delete table inet fip"]);
    assert_eq!(list(scene), []);
    watch.set_desired(vec![]);
    watch.set_desired(vec![binding("192.0.2.20", "172.18.0.2")]);
    assert!(repair(&mut watch).contains(&"add local route 192.0.2.20/32 dev eth0".to_owned()));
}

pub(crate) fn a_watch_finds_a_rival_that_it_did_not_hear(scene: &impl Scene) {
    let mut watch = watch(scene, &[binding("192.0.2.20", "172.18.0.2")]);
    repair(&mut watch);
    watch.look_for_rivals().unwrap();
    assert_eq!(list(scene).len(), 1);

    let address: IpAddr = "192.0.2.20".parse().unwrap();
    let theirs = scene.rival("192.0.2.20");
    watch.look_for_rivals().unwrap();
    assert_eq!(list(scene), []);
    loop {
        match watch.next(late()).unwrap().expect("the rival is told") {
            Event::Rival { address: told, mac, done: OnRival::Yield, .. } => {
                assert_eq!((told, mac), (address, theirs));
                break;
            }
            Event::Warning(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn a_watch_asks_again_for_what_a_rival_has(scene: &impl Scene) {
    scene.rival("192.0.2.20");
    let mut watch = watch(scene, &[binding("192.0.2.20", "172.18.0.2")]);
    loop {
        match watch.next(late()).unwrap().expect("the rival is told") {
            Event::Failed(error) => break assert!(error.is_conflict(), "{error}"),
            Event::Warning(_) | Event::Repaired(_) => {}
            other => panic!("{other:?}"),
        }
    }
    // Of that nobody tells.
    scene.silence("192.0.2.20");
    assert!(repair(&mut watch).contains(&"add local route 192.0.2.20/32 dev eth0".to_owned()));
}
