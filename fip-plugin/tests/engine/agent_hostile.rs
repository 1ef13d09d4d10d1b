//! Labels that no user writes, or one who means no good.

use crate::agent_scene::{AgentScene, Attach};
use crate::docker::{Agent, Options};
use crate::refusals::texts::nonsense;
use crate::scene::v4;

/// The addresses that may be claimed, where it matters.
const ALLOW: &str = "--allow 192.168.99.0/25 --allow 192.168.99.192/26,2001:db8:99::/64";

#[test]
fn what_is_no_address_is_refused_with_the_reason_and_concerns_nobody_else() {
    for attach in Attach::BOTH {
        let scene = AgentScene::new(attach);
        let nonsense = nonsense();
        let name = |number: usize| format!("bad{number}");
        for (number, (text, _)) in nonsense.iter().enumerate() {
            scene.asks(&name(number), text);
        }
        scene.web("good", v4(250));
        scene.has(&[(v4(250), "good")]);
        for (number, (text, word)) in nonsense.iter().enumerate() {
            let told = scene.agent.wait_for_state(&name(number), "refused");
            let why = told.why.unwrap();
            assert!(why.contains(word), "{text:.80}: {why}");
        }
        check_told_once(&scene, &(0..nonsense.len()).map(name).collect::<Vec<_>>());
        check_terminal(&scene);

        // What is listed again is no news.
        scene.engine.docker_ok("restart good");
        scene.has(&[(v4(250), "good")]);
        check_told_once(&scene, &(0..nonsense.len()).map(name).collect::<Vec<_>>());
    }
}

#[test]
fn addresses_that_are_not_to_be_had_are_refused_with_the_reason() {
    for attach in Attach::BOTH {
        // The plugin has an opinion of its own; here it is the agent's.
        let scene = AgentScene::with(attach, &Options::default(), ALLOW);
        scene.web("good", v4(250));
        scene.has(&[(v4(250), "good")]);
        let forbidden = [
            ("zero", "0.0.0.0", "0.0.0.0"),
            ("loopback", "127.0.0.1", "loopback"),
            ("multicast", "224.0.0.1", "multicast"),
            ("broadcast", "255.255.255.255", "broadcast"),
            ("local", "169.254.169.254", "link-local"),
            ("outside", "192.168.99.150", "--allow"),
            ("far", "203.0.113.7", "--allow"),
            ("pair", "192.168.99.200,203.0.113.7", "--allow"),
            ("taken", "192.168.99.250", "good"),
            ("subnet", "192.168.99.0", "network address"),
            ("last", "192.168.99.255", "it is the broadcast address"),
            ("host", "192.168.99.11", "host"),
            ("gateway", "192.168.99.254", "gateway"),
            ("six", "2001:db8:99::200", "no IPv6 address"),
        ];
        for (name, label, _) in forbidden {
            scene.asks(name, label);
        }
        for (name, _, word) in forbidden {
            let told = scene.agent.wait_for_why(name, word);
            assert!(["refused", "waiting"].contains(&told.state.as_str()), "{told:?}");
        }
        // The address of another container is in the way of nobody: it is not of the LAN.
        let other = scene.fixed("good").unwrap().to_string();
        scene.asks("fixed", &other);
        scene.agent.wait_for_why("fixed", "--allow");
        scene.has(&[(v4(250), "good")]);

        let names: Vec<String> = forbidden.map(|(name, ..)| name.to_owned()).into();
        check_told_once(&scene, &names);

        scene.engine.docker_ok("rm --force pair outside");
        scene.web("next", v4(200));
        scene.has(&[(v4(250), "good"), (v4(200), "next")]);
    }
}

#[test]
fn one_with_thousands_of_labels_and_one_with_other_labels_are_no_matter() {
    for attach in Attach::BOTH {
        let scene = AgentScene::new(attach);
        let labels: Vec<String> = (0..2000).map(|n| format!("--label=l{n}={n}")).collect();
        scene.engine.web("many", &labels.join(" "), "many");
        scene.engine.web("near", "--label io.rancher.container.floating.ipv4=192.168.99.201", "n");
        scene.engine.web("case", "--label IO.RANCHER.CONTAINER.FLOATING.IP=192.168.99.202", "c");
        scene.web("good", v4(250));
        scene.has(&[(v4(250), "good")]);
        assert_eq!(scene.agent.status().workloads.len(), 1);
    }
}

/// The log has one warning for each of these containers, and each is one short line.
fn check_told_once(scene: &AgentScene, names: &[String]) {
    // The status may be ahead of the log.
    for name in names {
        scene.agent.wait_for_line(0, &["WARN", &format!(" {name}: ")]);
    }
    let log = scene.agent.log();
    for name in names {
        let of_it = |line: &&str| line.contains("WARN") && line.contains(&format!(" {name}: "));
        let lines: Vec<&str> = log.lines().filter(of_it).collect();
        assert_eq!(lines.len(), 1, "{name}: {lines:#?}");
        assert!(lines[0].len() < 1000, "{lines:?}");
    }
    let obeyed = log.chars().find(|c| c.is_control() && !"\n\t".contains(*c));
    assert_eq!(obeyed, None, "control characters in the log");
}

/// Nothing that a terminal would obey comes with the status.
fn check_terminal(scene: &AgentScene) {
    for args in ["status", "status --json"] {
        let told = Agent::run(&scene.engine, args).exits(0);
        let obeyed = |c: char| c.is_control() && c != '\n';
        assert!(!told.stdout.contains(obeyed), "{args}: {:?}", told.stdout);
        assert!(told.stdout.contains("refused") && told.stdout.contains("bad12"), "{args}");
    }
}
