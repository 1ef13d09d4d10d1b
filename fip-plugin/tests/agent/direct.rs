//! Direct attachment, with real kernels and traffic.

mod scene;

mod faults;
mod rivals;

use fip_plugin::agent::actuator::{Actuator, Held, Holder, Signal};
use fip_plugin::agent::model::State;

use crate::lab::{Capture, Claim, Family, Prober, Whoami, container, lan, ping, tcp_whoami};
use scene::{Agent, PORT, Scene, asks, running, stopped};

#[test]
fn workloads_come_move_and_go() {
    let scene = Scene::new();
    let mut agent = Agent::on(&scene.a);
    let both = asks(200);
    let fixed = |number| Family::BOTH.map(|family| container(family, 18, number));
    let web = running("web", &both, &fixed(2));
    assert_eq!(agent.pursue(std::slice::from_ref(&web)), [State::Bound]);
    let signals = agent.signals();
    for family in Family::BOTH {
        let floating = lan(family, 200);
        assert!(ping(&scene.client, floating), "{floating}");
        let reply = tcp_whoami(&scene.client, (floating, PORT)).unwrap();
        assert_eq!((reply.name.as_str(), reply.peer), ("w2", lan(family, 1)));
        let came = |signal: &Signal| matches!(signal, Signal::Came { address, .. } if *address == floating);
        assert_eq!(signals.iter().filter(|signal| came(signal)).count(), 1, "{signals:?}");
    }

    // Its fixed address changes; then another workload has it.
    for (name, number) in [("web", 3), ("other", 2)] {
        let wish = running(name, &both, &fixed(number));
        assert_eq!(agent.pursue(&[wish]), [State::Bound]);
        for family in Family::BOTH {
            let reply = tcp_whoami(&scene.client, (lan(family, 200), PORT)).unwrap();
            assert_eq!(reply.name, format!("w{number}"));
        }
    }

    // It stops, and starts again.
    assert_eq!(agent.pursue(&[stopped("other", &both)]), [State::Stopped]);
    assert!(scene.bound().is_empty(), "{:?}", scene.bound());
    assert!(tcp_whoami(&scene.client, (lan(Family::V4, 200), PORT)).is_err());
    assert_eq!(agent.pursue(&[running("other", &both, &fixed(2))]), [State::Bound]);
    assert_eq!(tcp_whoami(&scene.client, (lan(Family::V4, 200), PORT)).unwrap().name, "w2");
}

#[test]
fn another_workload_is_no_news_to_the_lan() {
    let scene = Scene::new();
    let mut agent = Agent::on(&scene.a);
    let floating = lan(Family::V4, 200);
    agent.pursue(&[running("web", "192.168.99.200", &[container(Family::V4, 18, 2)])]);
    agent.settle();
    let prober = Prober::start(&scene.client, (floating, PORT));
    prober.wait_for("w2");
    let capture = Capture::start(&scene.lan.switch);
    agent.pursue(&[running("other", "192.168.99.200", &[container(Family::V4, 18, 3)])]);
    prober.wait_for("w3");
    agent.settle();
    capture.catch_up(&scene.client);
    // An answer to the client's own question may be among them.
    let announcement = |line: &&String| line.contains("Broadcast") && line.contains("Reply");
    let lines = capture.lines();
    let announced: Vec<_> = lines.iter().filter(announcement).collect();
    assert!(announced.is_empty(), "{announced:?}");
    let probes = |claim: &Claim| matches!(claim, Claim::Probes(_));
    assert!(!capture.claims(floating).iter().any(probes), "nobody was asked");
    let (udp, _) = prober.stop();
    let first = udp.iter().position(|name| name == "w3").unwrap();
    assert!(udp[first..].iter().all(|name| name == "w3"), "not back and forth");
}

#[test]
fn what_an_agent_leaves_the_next_one_has() {
    let scene = Scene::new();
    let mut agent = Agent::on(&scene.a);
    let web = running("web", "192.168.99.200", &[container(Family::V4, 18, 2)]);
    agent.pursue(std::slice::from_ref(&web));
    agent.settle();
    let witness = scene.witness(lan(Family::V4, 200));
    let before = scene.a.ruleset();
    let mut agents = Vec::new();
    for _ in 0..5 {
        drop(agent);
        witness.wait_for_answers(50);
        agent = Agent::on(&scene.a);
        let held = agent.held().unwrap();
        let by = Holder::Fixed(container(Family::V4, 18, 2));
        assert_eq!(held, [Held { floating: lan(Family::V4, 200), by }]);
        witness.wait_for_answers(50);
        assert_eq!(agent.pursue(std::slice::from_ref(&web)), [State::Bound]);
        agents.push(agent.signals());
    }
    assert_eq!(witness.stop(), 0, "answers are missing");
    assert_eq!(scene.a.ruleset(), before);
    let flaps = |signal: &Signal| !matches!(signal, Signal::Progress);
    assert!(!agents.iter().flatten().any(flaps), "{agents:?}");
}

#[test]
fn hundreds_are_one_generation_and_hostile_ones_hinder_nobody() {
    let scene = Scene::new();
    let cli = scene.bind("cli", lan(Family::V4, 210), container(Family::V4, 18, 3));
    let mut agent = Agent::on(&scene.a);
    let before = scene.generation();
    let fixed = container(Family::V4, 18, 2);
    let mut wishes = vec![
        running("own", "192.168.99.11", &[fixed]),
        running("gateway", "192.168.99.254", &[fixed]),
        running("cli", "192.168.99.210", &[fixed]),
        running("rival", "192.168.99.1", &[fixed]),
        running("shares", "192.168.99.209", &[]),
    ];
    wishes.extend((0..200u8).map(|n| {
        let fixed = format!("172.18.1.{n}").parse().unwrap();
        running(&n.to_string(), &format!("192.168.{}.{}", 98 + n / 100, 20 + n % 100), &[fixed])
    }));
    agent.until(&wishes, |states| states[5..].iter().all(|state| *state == State::Bound));
    assert_eq!(scene.generation(), before + 1);
    let states = agent.until(&wishes, |states| !states.contains(&State::Pending));
    for (state, kind, part) in [
        (&states[0], "Refused", "own address"),
        (&states[1], "Refused", "gateway"),
        (&states[2], "Waiting", "cli"),
        (&states[3], "Waiting", "in use"),
        (&states[4], "Refused", "no IPv4 address"),
    ] {
        let text = format!("{state:?}");
        assert!(text.starts_with(kind) && text.contains(part), "{text}");
    }
    assert_eq!(scene.bound().len(), 201);
    assert!(scene.bound().contains(&cli));
    // The client keeps the address that it has.
    assert!(ping(&scene.a, lan(Family::V4, 1)));
}

#[test]
fn draining_leaves_the_host_as_it_was() {
    let scene = Scene::new();
    scene.a.iptables("-N DOCKER-USER");
    let state = || {
        (scene.a.nft("-s list ruleset"), scene.a.carried("eth0") + &scene.a.ip("-o address show"))
    };
    let before = state();
    let mut agent = Agent::on(&scene.a);
    let fixed = Family::BOTH.map(|family| container(family, 18, 2));
    let wishes =
        [running("web", &asks(200), &fixed), running("ports", "192.168.99.201:tcp:80", &fixed)];
    agent.pursue(&wishes);
    assert_ne!(state(), before);
    let lines = agent.drain().unwrap();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(state(), before);
    assert_eq!(agent.drain().unwrap(), [""; 0]);
}

#[test]
fn a_workload_reaches_out_with_its_floating_address() {
    let scene = Scene::new();
    let mut agent = Agent::on(&scene.a);
    let _client = Whoami::start(&scene.client, &[PORT]);
    let fixed = Family::BOTH.map(|family| container(family, 18, 2));
    agent.pursue(&[running("web", &asks(200), &fixed)]);
    for family in Family::BOTH {
        let reply = tcp_whoami(&scene.w2, (lan(family, 1), PORT)).unwrap();
        assert_eq!(reply.peer, lan(family, 200));
    }
}
