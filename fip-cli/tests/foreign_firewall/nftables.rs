//! Firewalls that are nf_tables tables of their own, where no chain is made for users.

use crate::lab::{Family, Run, install_docker_nftables};
use crate::scene::Scene;

/// A firewall without a place for users: the command says what to add, and where.
#[test]
fn a_hand_written_firewall_is_named_with_the_rule_to_add() {
    let scene = Scene::new(|ns| {
        ns.nft_script(
            "table inet filter {\n\
               chain forward {\n\
                 type filter hook forward priority filter; policy drop;\n\
                 ip saddr 198.51.100.0/24 counter accept\n\
               }\n\
             }\n",
        );
    });
    let before = scene.a.ruleset();
    for family in Family::BOTH {
        let bound = scene.bind(family, 200, &scene.own);
        let bound = bound.complains_of(&["inet filter", "forward"]);
        let dropped = scene.ask(&scene.client, family, 200);
        assert!(dropped.is_err(), "the policy drops it: {dropped:?}");
        let listed = scene.listed();
        assert_eq!(listed["state"], "degraded", "{listed}");
        let problems = listed["problems"].to_string();
        assert!(problems.contains("inet filter"), "{listed}");

        scene.a.tool("sh", &["-c", &advice(&bound)], "");
        scene.reaches(&scene.client, family, 200, &scene.own);
        scene.reaches(&scene.far, family, 200, &scene.own);
        let again = scene.bind(family, 200, &scene.own);
        assert_eq!(again.stderr, "", "the way is free");
        assert_eq!(scene.listed()["state"], "active");

        scene.unbind(family, 200);
        let rules = scene.a.nft("-a list chain inet filter forward");
        let handle = rules.lines().find(|rule| rule.contains("mark")).unwrap();
        let handle = handle.rsplit_once("# handle ").unwrap().1;
        scene.a.nft(&format!("delete rule inet filter forward handle {handle}"));
    }
    assert_eq!(scene.a.ruleset(), before);
}

/// The nft command in a warning, as the user would paste it into a shell.
fn advice(run: &Run) -> String {
    let found = |line: &str| {
        let at = line.find("nft insert rule").or_else(|| line.find("nft add rule"))?;
        let quote = line[..at].chars().last().filter(|quote| "`'\"".contains(*quote));
        let command = &line[at..];
        let end = quote.and_then(|quote| command.find(quote)).unwrap_or(command.len());
        Some(command[..end].to_owned())
    };
    let command = run.stderr.lines().find_map(found);
    command.unwrap_or_else(|| panic!("no nft command in: {}", run.stderr))
}

/// Docker's own nf_tables backend lets a bridge of ours pass, and drops for docker0 what is not
/// published: there is an option of dockerd for that.
#[test]
fn dockers_nftables_backend_is_named_with_its_option() {
    let scene = Scene::new(install_docker_nftables);
    let before = scene.a.ruleset();
    for (family, table) in [(Family::V4, "ip"), (Family::V6, "ip6")] {
        let own = scene.bind(family, 200, &scene.own);
        assert_eq!(own.stderr, "", "a bridge of our own needs nothing");
        scene.reaches(&scene.client, family, 200, &scene.own);
        assert_eq!(scene.listed()["state"], "active");
        scene.unbind(family, 200);

        scene.bind(family, 200, &scene.docker).complains_of(&[
            "docker0",
            "--bridge-accept-fwmark",
            "0x1000",
        ]);
        let dropped = scene.ask(&scene.client, family, 200);
        assert!(dropped.is_err(), "Docker drops what is not published: {dropped:?}");
        let listed = scene.listed();
        assert_eq!(listed["state"], "degraded", "{listed}");
        let problems = listed["problems"].to_string();
        assert!(problems.contains("--bridge-accept-fwmark"), "{listed}");
        scene.unbind(family, 200);
        assert_eq!(scene.a.ruleset(), before);

        // What dockerd adds with `--bridge-accept-fwmark 0x1000/0x1000`.
        scene.a.nft_script(&format!(
            "insert rule {table} docker-bridges filter-forward-in__docker0 \
             meta mark and 4096 == 4096 counter accept comment \"ALLOW FW MARK\"\n"
        ));
        let bound = scene.bind(family, 200, &scene.docker);
        assert_eq!(bound.stderr, "", "the way is free");
        assert_eq!(scene.listed()["state"], "active");
        scene.reaches(&scene.client, family, 200, &scene.docker);
        scene.reaches(&scene.far, family, 200, &scene.docker);
        scene.unbind(family, 200);
        let chain = format!("{table} docker-bridges filter-forward-in__docker0");
        let rules = scene.a.nft(&format!("-a list chain {chain}"));
        let handle = rules.lines().find(|rule| rule.contains("ALLOW FW MARK")).unwrap();
        let handle = handle.rsplit_once("# handle ").unwrap().1;
        scene.a.nft(&format!("delete rule {chain} handle {handle}"));
    }
}
