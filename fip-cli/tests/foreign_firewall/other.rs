//! Hand-written tables, beside Docker's or alone: what drops is told, with the rule that helps.

use crate::lab::{Family, Ns, install_docker_28};
use crate::scene::{MARK, Scene};

/// No Docker at all.
fn nothing(_: &Ns) {}

/// `fip list` warns of the chain, no client gets in, and what it says to add does help.
fn is_told_and_helped(scene: &Scene, chain: &str) {
    for family in Family::BOTH {
        let bound = scene.bind(family, 200, &scene.own);
        assert!(bound.stderr.contains(&format!("chain {chain} drops")), "{}", bound.stderr);
        let listed = scene.listed();
        assert_eq!(listed["state"], "degraded", "{listed}");
        assert!(scene.ask(&scene.client, family, 200).is_err());
        let problem = listed["problems"][0].as_str().unwrap();
        let help = problem.split_once("add: nft ").unwrap().1.to_owned();
        scene.a.nft(&help);
        assert_eq!(scene.listed()["state"], "active", "{help}");
        scene.reaches(&scene.client, family, 200, &scene.own);
        scene.unbind(family, 200);
        let (table, _) = chain.rsplit_once(' ').unwrap();
        let rules = scene.a.nft(&format!("-a list table {table}"));
        let ours =
            rules.lines().find(|rule| rule.contains("accept # handle") && rule.contains("0x"));
        let handle = ours.unwrap().rsplit_once(' ').unwrap().1;
        scene.a.nft(&format!("delete rule {chain} handle {handle}"));
    }
}

#[test]
fn a_table_named_filter_is_not_dockers() {
    let scene = Scene::new(install_docker_28);
    scene.a.nft_script(
        "table inet filter {
           chain forward { type filter hook forward priority 10; policy drop; }
         }",
    );
    is_told_and_helped(&scene, "inet filter forward");
}

/// As firewalld and many hand-written rulesets do it.
#[test]
fn a_last_rule_that_drops_is_as_good_as_the_policy() {
    for last in ["drop", "counter reject with icmpx admin-prohibited", "log prefix \"no\" drop"] {
        let scene = Scene::new(nothing);
        scene.a.nft_script(&format!(
            "table inet fw {{
               chain forward {{
                 type filter hook forward priority 0; policy accept;
                 ct state established,related accept
                 {last}
               }}
             }}"
        ));
        is_told_and_helped(&scene, "inet fw forward");
    }
}

/// The way of iptables, where Docker's own chain lets us through if it is asked in time.
#[test]
fn a_last_rule_of_iptables_is_seen_unless_the_users_chain_comes_first() {
    for target in ["DROP", "REJECT"] {
        let scene = Scene::new(nothing);
        for family in Family::BOTH {
            scene.iptables(family, &format!("-A FORWARD -j {target}"));
            let bound = scene.bind(family, 200, &scene.own);
            assert!(bound.stderr.contains("filter FORWARD drops"), "{}", bound.stderr);
            assert_eq!(scene.listed()["state"], "degraded");
            scene.iptables(family, "-N DOCKER-USER");
            scene.iptables(family, "-A FORWARD -j DOCKER-USER");
            scene.bind(family, 200, &scene.own);
            assert_eq!(scene.listed()["state"], "degraded", "it comes too late");
            scene.iptables(family, "-D FORWARD -j DOCKER-USER");
            scene.iptables(family, "-I FORWARD -j DOCKER-USER");
            let bound = scene.bind(family, 200, &scene.own);
            assert_eq!(bound.stderr, "");
            assert_eq!(scene.listed()["state"], "active");
            scene.reaches(&scene.client, family, 200, &scene.own);
            scene.unbind(family, 200);
        }
    }
}

/// A rule that drops some packets is not the end of all.
#[test]
fn rules_with_conditions_are_not_warned_of() {
    let scene = Scene::new(nothing);
    scene.a.nft_script(
        "table inet fw {
           chain forward {
             type filter hook forward priority 0; policy accept;
             ct state invalid drop
             tcp dport 25 reject
             iifname \"nowhere\" drop
           }
         }",
    );
    for family in Family::BOTH {
        let bound = scene.bind(family, 200, &scene.own);
        assert_eq!(bound.stderr, "");
        assert!(!scene.a.ruleset().contains(MARK));
        scene.reaches(&scene.client, family, 200, &scene.own);
        scene.unbind(family, 200);
    }
}
