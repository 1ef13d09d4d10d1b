//! A label is all that a user writes.

use crate::agent_scene::{AgentScene, Attach, networks};
use crate::docker::{IMAGE, Options, eventually, wait_for_page};
use crate::lab::ping;
use crate::scene::{LABEL, v4, v6, visit};

#[test]
fn a_labelled_container_is_connected_and_answers_and_no_other_command_was_needed() {
    let AgentScene { agent, engine, client, .. } = &AgentScene::new(Attach::Network);
    let label = format!("{LABEL}=192.168.99.200");
    let id = engine.docker_ok(&format!("run -d --name c1 -l {label} {IMAGE} /serve c1"));

    wait_for_page(client, v4(200), "c1");
    assert!(ping(client, v4(200)));
    assert_eq!(visit(client, v4(200), "c1"), Ok(v4(1)));
    assert_eq!(networks(engine, "c1"), ["bridge", "fip"]);
    assert_eq!(engine.inspect("network fip")["Driver"], "fip");

    let told = agent.wait_for_state("c1", "bound");
    assert_eq!((told.id.as_str(), told.asks.as_str()), (id.as_str(), "192.168.99.200"));
    assert_eq!(told.floating, ["192.168.99.200"]);
    // An address is bound before it is told that it came.
    eventually("it came", || {
        let counters = agent.status().counters;
        (counters.came > 0).then_some(()).ok_or_else(|| format!("{counters:?}"))
    });
    let status = agent.status();
    assert!(status.healthy && status.problems.is_empty(), "{status:#?}");
    assert_eq!((status.counters.came, status.counters.left), (1, 0));
    assert_eq!(agent.get("/healthz"), (200, "ok\n".to_owned()));
}

#[test]
fn directly_the_container_stays_on_the_networks_that_it_has() {
    let scene = AgentScene::new(Attach::Direct);
    scene.web("c1", v4(200));
    scene.has(&[(v4(200), "c1")]);
    assert_eq!(networks(&scene.engine, "c1"), ["bridge"]);
    assert_eq!(scene.engine.docker_ok("network ls -q --filter driver=fip"), "");
    let told = scene.agent.wait_for_state("c1", "bound");
    assert_eq!(told.fixed, [scene.fixed("c1").unwrap()]);
}

#[test]
fn containers_that_were_there_before_the_agent_have_their_addresses() {
    for attach in Attach::BOTH {
        let scene = AgentScene::prepared(attach, &Options::default(), "", |engine, _| {
            for number in [200, 201] {
                let label = format!("--label {LABEL}={}", v4(number));
                engine.web(&format!("c{number}"), &label, &format!("c{number}"));
            }
            engine.docker_ok("stop c201");
        });
        scene.has(&[(v4(200), "c200")]);
        assert_eq!(scene.agent.wait_for_state("c201", "stopped").why, None);
        scene.engine.docker_ok("start c201");
        scene.has(&[(v4(200), "c200"), (v4(201), "c201")]);
    }
}

#[test]
fn several_addresses_and_ports_of_one_are_had_too() {
    for attach in Attach::BOTH {
        let scene = AgentScene::new(attach);
        scene.asks("many", "192.168.99.200, 192.168.99.201");
        scene.agent.wait_for_state("many", "bound");
        wait_for_page(&scene.client, v4(200), "many");
        assert_eq!(visit(&scene.client, v4(200), "many"), Ok(v4(1)));
        assert_eq!(visit(&scene.client, v4(201), "many"), Ok(v4(1)));
        scene.asks("web", "192.168.99.202:tcp:80");
        scene.asks("mail", "192.168.99.202:tcp:8025:80");
        scene.agent.wait_for_state("web", "bound");
        scene.agent.wait_for_state("mail", "bound");
        wait_for_page(&scene.client, v4(202), "web");
        scene.engine.docker_ok("rm --force web");
        scene.agent.wait_for_state("mail", "bound");
        scene.engine.docker_ok("rm --force many mail");
        scene.is(&[]);
    }
}

#[test]
fn addresses_of_both_families_are_had() {
    const V6: Options = Options {
        live_restore: false,
        bip: "172.17.0.1/16",
        more: "--ipv6 --fixed-cidr-v6 2001:db8:17::/64",
    };
    for attach in Attach::BOTH {
        let subnets = "--subnet 172.30.0.0/16 --subnet 2001:db8:30::/64";
        let args = if attach == Attach::Network { subnets } else { "" };
        let scene = AgentScene::with(attach, &V6, args);
        scene.asks("both", "192.168.99.200 2001:db8:99::200");
        scene.asks("six", "2001:db8:99::201");
        scene.agent.wait_for_state("both", "bound");
        scene.agent.wait_for_state("six", "bound");
        for (floating, name) in [(v4(200), "both"), (v6(200), "both"), (v6(201), "six")] {
            wait_for_page(&scene.client, floating, name);
            assert!(visit(&scene.client, floating, name).is_ok(), "{floating}");
        }
        scene.engine.docker_ok("rm --force both six");
        scene.is(&[]);
        eventually("its IPv6 addresses have gone", || {
            let card = scene.host.ip("-6 address show dev eth0");
            (!card.contains("2001:db8:99::20")).then_some(()).ok_or(card)
        });
    }
}
