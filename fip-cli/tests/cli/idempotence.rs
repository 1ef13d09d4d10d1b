//! What is already so changes nothing; and what is others' is not touched.

use crate::lab::{Family, container, lan};
use crate::live::Live;
use crate::scene::Scene;

/// Runs `work` and returns what `nft monitor` saw of it.
fn monitored(scene: &Scene, work: impl FnOnce()) -> Vec<String> {
    let monitor = Live::start(&scene.a, "nft", "monitor");
    // It says nothing when it begins to listen: until then the marks are lost on it.
    let begun = || monitor.lines().iter().any(|line| line.contains("table inet listening"));
    crate::lab::wait_for("nft monitor to listen", || {
        scene.a.nft_script("add table inet listening; delete table inet listening");
        begun().then_some(())
    });
    scene.a.nft_script("add table inet first; delete table inet first");
    work();
    scene.a.nft_script("add table inet last; delete table inet last");
    let begin = monitor.wait_for(0, "the begin", |line| line.contains("delete table inet first"));
    let end = monitor.wait_for(begin, "the end", |line| line.contains("add table inet last"));
    let mut lines = monitor.lines()[begin..end - 1].to_vec();
    // After the changes of a transaction comes its number: here that of the first mark.
    assert!(lines.remove(0).starts_with("# new generation"));
    lines
}

/// Runs the command, which shall change nothing and succeed.
fn changes_nothing(scene: &Scene, command: &str, input: &str) {
    let before = scene.state();
    let seen = monitored(scene, || {
        let run = scene.fip().run_with_input(&format!("{command} --json"), input).exits(0);
        assert_eq!(run.json()["changes"], serde_json::json!([]), "{command}");
    });
    assert_eq!(seen, Vec::<String>::new(), "nft monitor, of: {command}");
    scene.state().assert_is(&before, &format!("after: {command}"));
}

#[test]
fn the_monitor_sees_a_change() {
    let scene = Scene::new();
    let (floating, fixed) = scene.pair(Family::V4);
    let seen = monitored(&scene, || {
        scene.fip().ok(&format!("bind {floating} {fixed} --probe 0 --announce 0"));
    });
    assert!(seen.iter().any(|line| line.contains("create table inet fip")), "{seen:?}");
}

#[test]
fn what_is_bound_is_bound_again_without_a_change() {
    let scene = Scene::new();
    for family in Family::BOTH {
        let (floating, fixed) = scene.pair(family);
        for options in ["", "-p tcp:80 -p udp:53:5353", "--no-egress"] {
            let command = format!("bind {floating} {fixed} --announce 0 --probe 0 {options}");
            scene.fip().ok(&command);
            changes_nothing(&scene, &command, "");
            scene.fip().ok(&format!("unbind {floating}"));
            changes_nothing(&scene, &format!("unbind {floating}"), "");
            changes_nothing(&scene, &format!("unbind {floating} -p tcp:80"), "");
        }
    }
}

#[test]
fn what_is_applied_is_applied_again_without_a_change() {
    let scene = Scene::new();
    let numbers = 200..210;
    let lines = |family| {
        let line = |n| format!("{} {}\n", lan(family, n), container(family, 18, n - 150));
        numbers.clone().map(line).collect::<String>()
    };
    let file = lines(Family::V4) + &lines(Family::V6);
    scene.fip().run_with_input("apply - --announce 0 --probe 0", &file).exits(0);
    assert_eq!(scene.fip().list().len(), 20);
    changes_nothing(&scene, "apply - --announce 0 --probe 0", &file);
    // Another owner's empty state is another matter.
    changes_nothing(&scene, "apply - --owner other", "");
    scene.fip().run_with_input("apply -", "").exits(0);
    assert_eq!(scene.fip().list().len(), 0);
    changes_nothing(&scene, "apply -", "");
}

#[test]
fn a_dry_run_tells_and_does_nothing() {
    let scene = Scene::new();
    let (floating, fixed) = scene.pair(Family::V4);
    let before = scene.state();
    let seen = monitored(&scene, || {
        let run = scene.fip().ok(&format!("bind {floating} {fixed} --dry-run"));
        assert!(run.stdout.contains(&format!("add local route {floating}/32 dev eth0")), "{run:?}");
        let run = scene.fip().ok(&format!("bind {floating} {fixed} --dry-run --json"));
        assert_eq!(run.json()["waited_ms"], 0.0);
        assert_eq!(run.json()["committed_ms"], 0.0);
        let file = format!("{floating} {fixed}\n");
        let run = scene.fip().run_with_input("apply - --dry-run", &file).exits(0);
        assert!(run.stdout.contains(&format!(": {fixed}")), "{run:?}");
    });
    assert_eq!(seen, Vec::<String>::new());
    scene.state().assert_is(&before, "after the dry runs");

    scene.fip().ok(&format!("bind {floating} {fixed} --probe 0 --announce 0"));
    let bound = scene.state();
    let run = scene.fip().ok(&format!("unbind {floating} --dry-run"));
    assert!(
        run.stdout.starts_with(&format!("delete local route {floating}/32 dev eth0")),
        "{run:?}"
    );
    scene.fip().run(&format!("bind {floating} 172.18.0.9 --dry-run")).exits(3);
    scene.state().assert_is(&bound, "after the dry run of unbind");
}

#[test]
fn what_is_the_users_own_is_byte_for_byte_the_same() {
    let scene = Scene::new();
    scene.a.nft_script(
        "table inet user {
           set admins { type ipv4_addr; flags interval; elements = { 192.168.99.0/28 }; }
           map ports { type inet_service : ipv4_addr; elements = { 8080 : 172.18.0.2 }; }
           chain input { type filter hook input priority filter; policy accept;
             ct state established,related accept comment \"as ever\"
             ip saddr @admins tcp dport 22 counter accept
           }
           chain forward { type filter hook forward priority filter; policy accept;
             meta mark and 0xff == 0x7 drop
           }
         }
         table ip nat {
           chain pre { type nat hook prerouting priority dstnat; policy accept;
             tcp dport 8080 dnat to 172.18.0.2:80
           }
           chain post { type nat hook postrouting priority srcnat; policy accept;
             ip saddr 172.18.0.0/16 oifname eth0 masquerade
           }
         }
         table ip6 other { chain empty { }; }
         table netdev early { }
         table bridge l2 { chain f { type filter hook forward priority 0; }; }",
    );
    scene.a.ip_batch(
        "addr add 192.168.99.60/24 dev eth0\n\
         addr add 192.168.99.61/32 dev eth0 label eth0:mine\n\
         addr add 198.51.100.7/29 dev eth0 noprefixroute\n\
         addr add 2001:db8:99::60/64 dev eth0 nodad\n\
         addr add 2001:db8:99::61/128 dev eth0 nodad preferred_lft 0\n",
    );
    scene.a.wait_in_force("eth0");
    let before = scene.state();
    for family in Family::BOTH {
        let (floating, fixed) = scene.pair(family);
        for options in ["", "-p tcp:80 -p udp:80"] {
            scene.fip().ok(&format!("bind {floating} {fixed} --probe 0 --announce 1 {options}"));
            let with = scene.state();
            let theirs: Vec<&str> = with.ruleset.split("table inet fip").collect();
            assert!(before.ruleset.starts_with(theirs[0]), "not theirs: {}", theirs[0]);
            scene.wait_for_traffic(floating);
            scene.fip().ok(&format!("unbind {floating}"));
            scene.state().assert_is(&before, "after bind and unbind");
        }
    }
}
