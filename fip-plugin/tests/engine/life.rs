//! Lives of containers and networks at random: whatever is done, and whoever is killed meanwhile,
//! the host is as Docker says.
//!
//! Each test prints its seed; `FIP_LIFE_SEED` sets another one, `FIP_LIFE_SEQUENCES` another number
//! of sequences.

#[path = "life/death.rs"]
mod death;
#[path = "life/deed.rs"]
mod deed;
#[path = "../dockerd/random.rs"]
mod random;
#[path = "life/stage.rs"]
mod stage;
#[path = "life/state.rs"]
pub(crate) mod state;
#[path = "life/word.rs"]
pub(crate) mod word;

use death::{Victim, Witness};
use stage::Stage;

use crate::docker::{IMAGE, Options, PATIENCE, wait_for_page};
use crate::dying::dies_of;
use crate::lab::{Family, Run, lan, ping};

#[test]
fn fifty_lives_leave_nothing_behind() {
    let stage = Stage::new(&Options::default());
    let inspector = stage.inspector();
    let (seed, sequences) = stage::seeds(50);
    for number in seed..seed + sequences {
        stage.play(&inspector, number, 8);
    }
}

#[test]
fn the_plugin_dies_at_any_moment() {
    tragedies(true, 6, &[Victim::Plugin]);
}

#[test]
fn dockerd_dies_at_any_moment_and_containers_live_on() {
    tragedies(true, 5, &[Victim::Dockerd, Victim::Dockerd, Victim::Both]);
}

#[test]
fn dockerd_dies_at_any_moment_and_ends_containers_when_it_starts() {
    tragedies(false, 4, &[Victim::Dockerd, Victim::Dockerd, Victim::Both]);
}

/// Sequences in which these are killed, beside a container that answers all the time.
fn tragedies(live_restore: bool, sequences: u64, victims: &[Victim]) {
    let stage = Stage::new(&Options { live_restore, ..Options::default() });
    // For each network that it creates, Docker takes the jump to DOCKER-USER out of this chain and
    // puts it in again. What the chain drops in between is not the driver's fault.
    stage.host.iptables("-P FORWARD ACCEPT");
    let inspector = stage.inspector();
    let witness = Witness::start(&stage, !live_restore);
    let (seed, sequences) = stage::seeds(sequences);
    for number in seed..seed + sequences {
        stage.tragedy(&inspector, number, 8, victims, &|| witness.is_well());
    }
    witness.stop();
    inspector.is_blank();
}

#[test]
fn who_dies_while_dockerd_is_down_is_collected_when_it_answers_again() {
    let stage = Stage::new(&Options { live_restore: true, ..Options::default() });
    let inspector = stage.inspector();
    let engine = &stage.engine;
    engine.docker_ok("network create --driver fip n0");
    let (mortal, phoenix) = (lan(Family::V4, 201), lan(Family::V4, 202));
    let at = |address| format!("--network=name=n0,driver-opt=fip.address={address}");
    engine.web("mortal", &at(mortal), "mortal");
    engine.web("phoenix", &format!("--restart=always {}", at(phoenix)), "phoenix");
    let labelled = lan(Family::V4, 203);
    let label = format!("--label={}={labelled}", word::LABEL);
    engine.web("labelled", &format!("--restart=always --network=n0 {label}"), "labelled");
    let word = inspector.agrees();
    let fixed = inspector.bound();

    engine.kill();
    for container in word.containers.values() {
        let pid = container.pid.unwrap().to_string();
        engine.machine().bash("kill -9 \"$1\"; while test -e /proc/$1; do :; done", &[&pid]);
    }
    assert_eq!(inspector.bound(), fixed, "nobody has said that they are gone");
    stage.plugin.kill();
    stage.plugin.up();
    assert_eq!(inspector.bound(), fixed, "a plugin that starts does not know either");

    engine.up();
    wait_for_page(&stage.client, phoenix, "phoenix");
    wait_for_page(&stage.client, labelled, "labelled");
    let word = inspector.agrees();
    assert_eq!(word.containers["mortal"].state, "exited");
    assert!(!ping(&stage.client, mortal));
    assert_eq!(inspector.bound().into_keys().collect::<Vec<_>>(), [phoenix, labelled]);

    engine.docker_ok("start mortal");
    inspector.agrees();
    wait_for_page(&stage.client, mortal, "mortal");
    engine.docker_ok("rm --force mortal phoenix labelled");
    engine.docker_ok("network rm n0");
    inspector.is_blank();
}

#[test]
fn twenty_start_and_stop_at_the_same_time() {
    let stage = Stage::new(&Options::default());
    let inspector = stage.inspector();
    let engine = &stage.engine;
    engine.docker_ok("network create --driver fip n0");
    let name = |number: u8| format!("c{number}");
    let all = |command: &dyn Fn(u8) -> String| {
        let line = |number| command(number).split_whitespace().map(str::to_owned).collect();
        let lines: Vec<Vec<String>> = (100..120).map(line).collect();
        let running: Vec<_> = lines.iter().map(|line| engine.spawn(&stage::words(line))).collect();
        for (line, running) in lines.iter().zip(running) {
            Run::new(&line.join(" "), running.finish(PATIENCE)).exits(0);
        }
        inspector.agrees()
    };
    all(&|number| {
        let (name, address) = (name(number), lan(Family::V4, number));
        let network = format!("--network=name=n0,driver-opt=fip.address={address}");
        format!("create --name {name} {network} {IMAGE} /serve {name}")
    });
    for _ in 0..2 {
        let word = all(&|number| format!("start {}", name(number)));
        assert_eq!(word.bindings(&inspector.bound()).len(), 20);
        for number in 100..120 {
            wait_for_page(&stage.client, lan(Family::V4, number), &name(number));
        }
        let word = all(&|number| format!("stop {}", name(number)));
        assert_eq!(word.running().count(), 0);
    }
    all(&|number| format!("rm {}", name(number)));
    engine.docker_ok("network rm n0");
    inspector.is_blank();
}

#[test]
fn what_dockerd_says_once_to_a_plugin_that_dies_is_found_out() {
    let stage = Stage::new(&Options::default());
    let inspector = stage.inspector();
    let engine = &stage.engine;
    let plays =
        [("network rm n0", "DeleteNetwork"), ("network disconnect n0 c1", "DeleteEndpoint")];
    for (command, lost) in plays {
        engine.docker_ok("network create --driver fip n0");
        engine.web("c1", "", "c1");
        if lost == "DeleteEndpoint" {
            engine.docker_ok("network connect --driver-opt fip.address=192.168.99.201 n0 c1");
        }
        inspector.agrees();

        stage.plugin.kill();
        let dying = dies_of(lost, &stage.plugin);
        let running = engine.spawn(&command.split(' ').collect::<Vec<_>>());
        dying.join().unwrap();
        stage.plugin.up();
        // Docker repeats it without its body, and does not care that this is refused.
        Run::new(command, running.finish(PATIENCE)).exits(0);

        inspector.agrees();
        engine.docker_ok("rm --force c1");
        engine.docker("network rm n0");
        inspector.is_blank();
    }
}
