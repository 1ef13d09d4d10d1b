//! What real engines were recorded to call goes through the driver, on a kernel in memory.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod dockerd;

use std::collections::BTreeMap;
use std::thread;

use dockerd::{Call, Dockerd, Footprint, Host, Lives, Random, Recorded, Recording};
use fip_plugin::protocol::Method;
use serde_json::json;

/// How a recording is replayed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Style {
    /// Where the driver of the recording died, it had done its work, and only the answer is lost.
    died_after: bool,
    /// Each call comes again.
    twice: bool,
    /// The driver starts anew after each call.
    restart: bool,
    /// Where the driver of the recording refused, the kernel does.
    failing: bool,
}

/// Nothing is left.
fn assert_as_before(host: &Host, before: &Footprint) {
    assert_eq!(host.footprint().since(before), Vec::<String>::new());
}

/// Plays the recording, and what dockerd would call to remove what is left; then the host must be
/// as it was.
fn replay(recording: &Recording, style: Style) {
    println!("{} {style:?}", recording.name);
    let mut host = Host::new();
    let before = host.footprint();
    // What failed may leave something until it is deleted.
    let mut dockerd = Dockerd { blind: style.failing, ..Dockerd::default() };
    for call in recording.calls() {
        match call.answer {
            Recorded::Died if style.died_after => _ = dockerd.call(&host, call),
            Recorded::Died => {}
            Recorded::Refused if style.failing => fail(&mut dockerd, &host, call, 0),
            Recorded::Done | Recorded::Refused => play(&mut dockerd, &host, call, style),
        }
        if call.answer == Recorded::Died || style.restart {
            host.restart_driver();
        }
    }
    finish(&mut dockerd, &host);
    assert_as_before(&host, &before);
}

fn play(dockerd: &mut Dockerd, host: &Host, call: &Call, style: Style) {
    let answer = dockerd.call(host, call);
    if style.twice && call.body.is_some() {
        assert_eq!(dockerd.call(host, call), answer, "again: {call:?}");
    }
}

/// Makes the call while the kernel takes so many steps only. Whether it wanted to take more.
fn fail_after(dockerd: &mut Dockerd, host: &Host, call: &Call, steps: usize) -> bool {
    host.kernel.fail_after(steps);
    let answer = host.call(&call.path, &call.bytes());
    let failed = host.kernel.recover();
    let creates = [Method::CreateNetwork, Method::CreateEndpoint, Method::Join];
    if failed && creates.contains(&call.method()) {
        assert!(answer.error().is_some(), "the kernel failed in {call:?}");
    }
    dockerd.learn(host, call, &answer);
    failed
}

fn fail(dockerd: &mut Dockerd, host: &Host, call: &Call, steps: usize) {
    fail_after(dockerd, host, call, steps);
}

/// Removes what dockerd knows.
fn finish(dockerd: &mut Dockerd, host: &Host) {
    for call in dockerd.farewell() {
        dockerd.call(host, &call);
    }
}

#[test]
fn every_recorded_call_is_answered_as_dockerd_needs() {
    for recording in Recording::whole() {
        replay(&recording, Style::default());
    }
}

#[test]
fn an_answer_may_get_lost_with_the_driver() {
    for name in ["20.10/10-slow-and-retries", "29-dev/10-retries"] {
        let style = Style { died_after: true, ..Style::default() };
        replay(&Recording::named(name), style);
    }
}

#[test]
fn every_call_may_come_twice() {
    for recording in Recording::whole() {
        replay(&recording, Style { twice: true, ..Style::default() });
    }
}

#[test]
fn the_driver_may_start_anew_between_any_two_calls() {
    for recording in Recording::whole() {
        replay(&recording, Style { restart: true, ..Style::default() });
    }
}

#[test]
fn where_the_recorded_driver_refused_the_kernel_may() {
    for name in ["20.10/08-plugin-errors", "29-dev/10-retries"] {
        replay(&Recording::named(name), Style { failing: true, ..Style::default() });
    }
}

/// What dockerd calls after an error, by engine.
fn rollback(engine: &str, call: &Call) -> Vec<Call> {
    let then = |methods: &[Method]| {
        let body = json!({"NetworkID": call.network(), "EndpointID": call.endpoint()});
        methods.iter().map(|&method| Call::new(method, body.clone())).collect()
    };
    match (engine, call.method()) {
        ("20.10", Method::Join) => then(&[Method::DeleteEndpoint]),
        (_, Method::Join) => then(&[Method::Leave, Method::DeleteEndpoint]),
        ("20.10", Method::ProgramExternalConnectivity) => {
            then(&[Method::Leave, Method::DeleteEndpoint])
        }
        (_, Method::ProgramExternalConnectivity) => {
            then(&[Method::Leave, Method::Leave, Method::DeleteEndpoint])
        }
        // Errors of all others change nothing in what follows, or nothing follows.
        _ => Vec::new(),
    }
}

/// A network, a container with a floating address on it, gone again.
fn one_life(engine: &str) -> Vec<Call> {
    let name = match engine {
        "20.10" => "20.10/04-run-network-driveropt",
        _ => "29-dev/02-run-connect",
    };
    let recording = Recording::named(name);
    let floats =
        |call: &&Call| call.body.as_ref().is_some_and(|b| !b["Options"]["fip.address"].is_null());
    let first = recording.calls().find(floats).unwrap();
    let of_it = |call: &&Call| {
        call.network() == first.network()
            && (call.endpoint().is_none() || call.endpoint() == first.endpoint())
    };
    recording.calls().filter(of_it).cloned().collect()
}

#[test]
fn nothing_is_left_wherever_the_kernel_fails() {
    for engine in ["20.10", "29-dev"] {
        let calls = one_life(engine);
        let (mut failures, mut left) = (0, Vec::new());
        for (place, call) in calls.iter().enumerate() {
            for steps in 0.. {
                let Some(found) = fail_at(engine, &calls[..place], call, steps) else { break };
                failures += 1;
                let place = || format!("{} after {steps} steps", call.path);
                left.extend(found.iter().map(|line| format!("{}: {line}", place())));
            }
        }
        println!("{engine}: {failures} failures");
        assert!(failures > 10 && left.is_empty(), "{failures} failures\n{}", left.join("\n"));
    }
}

/// Makes the calls, and the last while the kernel takes so many steps only; then what dockerd calls
/// in that case, and in the end the deletion of all that there was. What is left then; none if
/// nothing failed.
fn fail_at(engine: &str, before: &[Call], call: &Call, steps: usize) -> Option<Vec<String>> {
    let host = Host::new();
    let initial = host.footprint();
    let mut dockerd = Dockerd::default();
    for call in before {
        dockerd.call(&host, call);
    }
    dockerd.blind = true;
    let mut last = dockerd.farewell();
    let failed = fail_after(&mut dockerd, &host, call, steps);
    if failed {
        rollback(engine, call).iter().for_each(|call| _ = dockerd.call(&host, call));
    }
    if let Some(endpoint) = call.endpoint() {
        let body = json!({"NetworkID": call.network(), "EndpointID": endpoint});
        last.insert(0, Call::new(Method::DeleteEndpoint, body));
    }
    last.push(Call::new(Method::DeleteNetwork, json!({"NetworkID": call.network()})));
    last.iter().for_each(|call| _ = dockerd.call(&host, call));
    failed.then(|| host.footprint().since(&initial))
}

#[test]
fn lives_of_containers_may_interleave() {
    const SEED: u64 = 20_10_29;
    println!("seed {SEED}");
    let mut random = Random::new(SEED);
    for recording in Recording::whole() {
        for _ in 0..3 {
            interleave(&recording, &mut random);
        }
    }
}

fn interleave(recording: &Recording, random: &mut Random) {
    println!("{}", recording.name);
    let host = Host::new();
    let before = host.footprint();
    let mut dockerd = Dockerd::default();
    let mut lives = Lives::of(recording);
    for call in &lives.networks {
        dockerd.call(&host, call);
    }
    while let Some(place) = random.below(lives.endpoints.len()) {
        let life = &mut lives.endpoints[place];
        match life.pop_front() {
            Some(call) => _ = dockerd.call(&host, &call),
            None => _ = lives.endpoints.swap_remove(place),
        }
    }
    finish(&mut dockerd, &host);
    assert_as_before(&host, &before);
}

#[test]
fn lives_of_containers_may_run_at_once() {
    for recording in Recording::whole() {
        println!("{}", recording.name);
        let host = Host::new();
        let before = host.footprint();
        let mut all = Dockerd::default();
        let lives = Lives::of(&recording);
        for call in &lives.networks {
            all.call(&host, call);
        }
        let parts = thread::scope(|scope| {
            let threads: Vec<_> = lives
                .endpoints
                .iter()
                .map(|life| {
                    let networks = all.networks.clone();
                    let host = &host;
                    scope.spawn(move || {
                        let endpoints = BTreeMap::new();
                        let mut part = Dockerd { networks, endpoints, blind: true };
                        life.iter().for_each(|call| _ = part.call(host, call));
                        part.endpoints
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        all.endpoints = parts.into_iter().flatten().collect();
        finish(&mut all, &host);
        assert_as_before(&host, &before);
    }
}
