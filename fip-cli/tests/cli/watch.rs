//! `fip watch`: what others destroy is repaired, and told.

use std::net::IpAddr;

use crate::file::File;
use crate::lab::{Capture, Claim, Family, container, lan, wait_for};
use crate::live::Live;
use crate::neighbours::announce;
use crate::scene::Scene;

/// Both families' floating addresses, watched.
struct Watched {
    scene: Scene,
    watch: Live,
    file: File,
}

impl Watched {
    fn start(name: &str, options: &str) -> Self {
        let scene = Scene::new();
        let line = |family| {
            let (floating, fixed) = scene.pair(family);
            format!("{floating} {fixed}\n")
        };
        let file = File::with(name, &Family::BOTH.map(line).concat());
        let command = format!("watch {} --json --probe 50ms {options}", file.path().display());
        let watch = Live::start(&scene.a, env!("CARGO_BIN_EXE_fip"), &command);
        watch.wait_for_event(0, "watching", |event| event["bindings"] == 2);
        watch.wait_for_event(0, "repaired", |_| true);
        let watched = Self { scene, watch, file };
        watched.reaches_both();
        watched
    }

    fn reaches_both(&self) {
        for family in Family::BOTH {
            self.scene.wait_for_traffic(self.scene.pair(family).0);
        }
    }

    /// `damage` is told to be repaired, by changes of which one contains `part`; traffic flows.
    fn repairs(&self, part: &str, damage: impl FnOnce()) {
        let from = self.watch.lines().len();
        damage();
        self.watch.wait_for_event(from, "repaired", |event| {
            let changes = event["changes"].as_array().unwrap();
            changes.iter().any(|change| change.as_str().unwrap().contains(part))
        });
        self.reaches_both();
        let listed = self.scene.fip().list();
        assert_eq!(listed.len(), 2, "{listed:#?}");
        assert!(listed.iter().all(|row| row["state"] == "active"), "{listed:#?}");
    }

    /// The card stops, which is told, and only then runs again, which is told too.
    fn goes_and_comes(&self, stop: impl FnOnce(), run: impl FnOnce()) {
        let from = self.watch.lines().len();
        stop();
        let (from, _) = self.watch.wait_for_event(from, "warning", |event| {
            event["warning"].as_str().unwrap().contains("eth0")
        });
        run();
        self.watch.wait_for_event(from, "announced", |event| event["interface"] == "eth0");
    }

    fn stop(self) {
        self.watch.signal("TERM");
        assert_eq!(self.watch.finish(), Some(0));
    }
}

#[test]
fn what_others_destroy_is_repaired_and_told() {
    let watched = Watched::start("repair", "");
    let a = &watched.scene.a;
    watched.repairs("table inet fip", || _ = a.nft("flush ruleset"));
    watched.repairs("table inet fip", || _ = a.nft("delete table inet fip"));
    watched.repairs("table inet fip", || _ = a.nft("flush table inet fip"));
    watched.repairs("table inet fip", || _ = a.nft("flush chain inet fip prerouting"));
    watched.repairs("add element inet fip dnat4", || _ = a.nft("flush map inet fip dnat4"));
    for family in Family::BOTH {
        let floating = watched.scene.pair(family).0;
        let what = if floating.is_ipv4() { "local route" } else { "address" };
        watched.repairs(&format!("add {what} {floating}"), || a.take_away(floating, "eth0"));
    }
    watched.stop();
}

#[test]
fn a_link_that_was_down_has_its_addresses_again() {
    let watched = Watched::start("link", "");
    let a = &watched.scene.a;
    // Down, the card loses its IPv6 addresses, its own ones too, and those are another's to add.
    watched.repairs("add address 2001:db8:99::200", || {
        watched.goes_and_comes(
            || _ = a.ip("link set eth0 down"),
            || {
                a.ip_batch("link set eth0 up\naddress add 2001:db8:99::11/64 dev eth0 nodad\n");
            },
        );
    });
    // The carrier alone goes and comes: nothing is to be repaired, but others may have aged.
    let switch = &watched.scene.lan.switch;
    let port = |state: &str| _ = switch.ip(&format!("link set A {state}"));
    watched.goes_and_comes(|| port("down"), || port("up"));
    watched.reaches_both();
    watched.stop();
}

#[test]
fn a_bridge_that_was_gone_is_served_again() {
    let watched = Watched::start("bridge", "");
    let a = &watched.scene.a;
    let from = watched.watch.lines().len();
    a.ip("link set br0 down");
    watched.watch.wait_for_event(from, "warning", |event| {
        event["warning"].as_str().unwrap().contains("br0")
    });
    a.ip_batch("link set br0 up\naddress replace 2001:db8:18::1/64 dev br0 nodad\n");
    watched.reaches_both();
    watched.stop();
}

#[test]
fn the_bindings_outlive_the_watch() {
    for signal in ["TERM", "INT"] {
        let watched = Watched::start(&format!("end-{signal}"), "");
        let before = watched.scene.state();
        watched.watch.signal(signal);
        assert_eq!(watched.watch.finish(), Some(0), "after SIG{signal}");
        watched.scene.state().assert_is(&before, "after the end of the watch");
    }
}

#[test]
fn the_file_is_read_again_when_asked() {
    let watched = Watched::start("reload", "");
    let (floating, _) = watched.scene.pair(Family::V4);
    let listed = || {
        let rows = watched.scene.fip().list();
        rows.iter().map(|row| row["floating"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let both = listed();

    watched.file.now(&format!("{floating} 172.18.0.2\n192.168.99.201 172.18.0.3\n\nhello\n"));
    watched.watch.signal("HUP");
    watched.watch.wait_for_event(0, "reload-failed", |event| {
        event["error"].as_str().unwrap().contains("line 4")
    });
    watched.watch.wait_for_complaint("line 4");
    assert_eq!(listed(), both);
    watched.repairs("table inet fip", || _ = watched.scene.a.nft("flush ruleset"));

    watched.file.now(&format!("{floating} 172.18.0.2\n192.168.99.201 172.18.0.3\n"));
    watched.watch.signal("HUP");
    watched.watch.wait_for_event(0, "reloaded", |event| event["bindings"] == 2);
    wait_for("the new state", || {
        (listed() == [floating.to_string(), "192.168.99.201".to_owned()]).then_some(())
    });

    watched.file.now("");
    watched.watch.signal("HUP");
    watched.watch.wait_for_event(0, "reloaded", |event| event["bindings"] == 0);
    wait_for("the empty state", || listed().is_empty().then_some(()));
    watched.stop();
}

#[test]
fn the_watch_of_one_owner_leaves_the_others_alone() {
    let watched = Watched::start("owners", "--owner agent");
    let (floating, fixed) = (lan(Family::V4, 210), container(Family::V4, 18, 10));
    watched.scene.fip().ok(&format!("bind {floating} {fixed} --probe 0 --announce 0"));
    let from = watched.watch.lines().len();
    let address = watched.scene.pair(Family::V4).0;
    watched.scene.a.take_away(address, "eth0");
    watched.watch.wait_for_event(from, "repaired", |_| true);
    let listed = watched.scene.fip().list();
    let cli = listed.iter().filter(|row| row["owner"] == "cli").count();
    assert_eq!((cli, listed.len()), (1, 3), "{listed:#?}");
    watched.stop();
}

/// A rival announces the watched address; what `done` says of it is in the event.
fn announced(watched: &Watched, rival: &crate::lab::Ns, address: IpAddr, done: &str) {
    let from = watched.watch.lines().len();
    announce(rival, address);
    let (_, event) = watched
        .watch
        .wait_for_event(from, "rival", |event| event["address"] == address.to_string());
    assert_eq!(event["done"], done);
    assert_eq!(event["mac"], rival.mac("eth0"));
    assert_eq!(event["interface"], "eth0");
}

#[test]
fn an_address_is_yielded_to_the_newer_claim() {
    let watched = Watched::start("yield", "--rival-policy yield --announce 1");
    let rival = watched.scene.lan.machine("rival", 66);
    for (family, left) in [(Family::V4, 1), (Family::V6, 0)] {
        let floating = watched.scene.pair(family).0;
        announced(&watched, &rival, floating, "yielded");
        wait_for("the withdrawal", || (watched.scene.fip().list().len() == left).then_some(()));
        let addresses = watched.scene.a.carried("eth0");
        assert!(!addresses.contains(&format!("{floating}/")), "{addresses}");
    }
    // It stays so, whatever happens meanwhile.
    let from = watched.watch.lines().len();
    watched.file.now("192.168.99.200 172.18.0.2\n192.168.99.201 172.18.0.3\n");
    watched.watch.signal("HUP");
    watched.watch.wait_for_event(from, "reloaded", |_| true);
    wait_for("the other address", || {
        let listed = watched.scene.fip().list();
        (listed.len() == 1 && listed[0]["floating"] == "192.168.99.201").then_some(())
    });
    watched.stop();
}

#[test]
fn an_address_is_defended() {
    let watched = Watched::start("defend", "--rival-policy defend --announce 1");
    let rival = watched.scene.lan.machine("rival", 66);
    let capture = Capture::start(&watched.scene.lan.switch);
    for family in Family::BOTH {
        let floating = watched.scene.pair(family).0;
        let (ours, theirs) = (watched.scene.a.mac("eth0"), rival.mac("eth0"));
        announced(&watched, &rival, floating, "defended");
        wait_for("our announcement after the rival's", || {
            let claims = capture.claims(floating);
            let first = claims.iter().position(|c| *c == Claim::Holds(theirs.clone()))?;
            claims[first..].contains(&Claim::Holds(ours.clone())).then_some(())
        });
        watched.scene.wait_for_traffic(floating);
    }
    assert_eq!(watched.scene.fip().list().len(), 2);
    watched.stop();
}
