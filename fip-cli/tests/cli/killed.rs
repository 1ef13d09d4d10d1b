//! Commands that are killed between any two steps: each is run again and again, killed before its
//! first, second, third, ... message to the kernel (or line of output) by strace(1).

use std::net::IpAddr;

use crate::lab::UdpFlow;
use crate::scene::{Scene, State};

/// The system calls that change something, or tell of it.
const STEPS: [&str; 2] = ["sendto", "write"];

/// A command to be killed.
struct Victim {
    /// What is bound before.
    before: &'static [&'static str],
    command: &'static str,
    /// All that is bound after it, as lines of a file; none where such a file cannot say it.
    file: Option<&'static str>,
    /// A floating address by which the client and the workload talk before, and do not any more.
    cut: Option<&'static str>,
}

const FIRST: &str = "bind 192.168.99.200 172.18.0.2 --probe 0 --announce 1";
const SECOND: &str = "bind 2001:db8:99::200 2001:db8:18::2 --probe 0 --announce 1";

/// Everything that could differ, once the addresses are in force: who was killed did not wait for
/// that.
fn state(scene: &Scene) -> (State, Vec<String>) {
    scene.a.wait_ready("eth0");
    let sysctls = ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"];
    (scene.state(), sysctls.map(|path| scene.a.read_sysctl(path)).to_vec())
}

fn clear(scene: &Scene) {
    scene.fip().run_with_input("apply -", "").exits(0);
    // What lets this host forward is left as it is; it shall be one of the steps.
    scene.a.sysctl("net/ipv4/ip_forward", "0");
    scene.a.sysctl("net/ipv6/conf/all/forwarding", "0");
    scene.a.tool("conntrack", &["-F"], "");
}

fn prepare(scene: &Scene, victim: &Victim) {
    victim.before.iter().for_each(|command| _ = scene.fip().ok(command));
    if let Some(cut) = victim.cut {
        let to = (cut.parse().unwrap(), 80);
        UdpFlow::open(&scene.client, to).ask().expect("an answer before");
        assert!(tracked(scene, to.0), "the flow is not tracked");
    }
}

/// Whether the host has a tracked connection to the address.
fn tracked(scene: &Scene, floating: IpAddr) -> bool {
    let family = if floating.is_ipv4() { "ipv4" } else { "ipv6" };
    let flows = scene.a.tool("conntrack", &["-L", "-f", family], "");
    flows.split_whitespace().any(|word| word == format!("dst={floating}"))
}

/// Runs the command, killed at the `nth` call of `step`; false if it ended before.
fn is_killed(scene: &Scene, command: &str, step: &str, nth: usize) -> bool {
    let inject = format!("--inject={step}:signal=SIGKILL:when={nth}");
    let trace = format!("--trace={step}");
    let mut args = vec!["-f", "-o", "/dev/null", &trace, &inject, env!("CARGO_BIN_EXE_fip")];
    args.extend(command.split_whitespace());
    match scene.a.try_tool("strace", &args, "").code {
        None => true,
        Some(0) => false,
        Some(code) => panic!("{command} ended with {code}"),
    }
}

/// A host that has the address translates it too: it attracts no packets in vain.
fn assert_in_order(scene: &Scene, when: &str) {
    let state = scene.state();
    for address in ["192.168.99.200", "2001:db8:99::200"] {
        let attracts = scene.a.carried("eth0").contains(&format!("{address}/"));
        assert!(!attracts || state.ruleset.contains(address), "{address} leads nowhere {when}");
    }
}

fn survives(victim: &Victim) {
    let scene = Scene::new();
    clear(&scene);
    let initial = state(&scene);
    prepare(&scene, victim);
    scene.fip().ok(victim.command);
    let expected = state(&scene);
    let mut kills = 0;
    for step in STEPS {
        for nth in 1.. {
            clear(&scene);
            prepare(&scene, victim);
            let when = format!("after `{}` was killed at {step} number {nth}", victim.command);
            if !is_killed(&scene, victim.command, step, nth) {
                break;
            }
            kills += 1;
            assert_in_order(&scene, &when);
            match victim.file.filter(|_| nth % 2 == 0) {
                Some(file) => {
                    let apply = "apply - --probe 0 --announce 1";
                    scene.fip().run_with_input(apply, file).exits(0);
                }
                None => _ = scene.fip().ok(victim.command),
            }
            let now = state(&scene);
            now.0.assert_is(&expected.0, &when);
            assert_eq!(now.1, expected.1, "forwarding {when}");
            if let Some(cut) = victim.cut {
                assert!(!tracked(&scene, cut.parse().unwrap()), "a flow goes on {when}");
            }
        }
    }
    assert!(kills > 10, "only {kills} steps were seen");
    clear(&scene);
    state(&scene).0.assert_is(&initial.0, "in the end");
}

#[test]
fn the_first_binding() {
    survives(&Victim {
        before: &[],
        command: FIRST,
        file: Some("192.168.99.200 172.18.0.2\n"),
        cut: None,
    });
}

#[test]
fn a_binding_that_asks_first() {
    survives(&Victim {
        before: &[FIRST],
        command: "bind 2001:db8:99::200 2001:db8:18::2 -p tcp:80 --probe 20ms --announce 2 --json",
        file: None,
        cut: None,
    });
}

#[test]
fn a_binding_to_another_workload() {
    survives(&Victim {
        before: &[FIRST, SECOND],
        command: "bind 192.168.99.200 172.18.0.3 --replace",
        file: Some("192.168.99.200 172.18.0.3\n2001:db8:99::200 2001:db8:18::2\n"),
        cut: Some("192.168.99.200"),
    });
}

#[test]
fn the_end_of_one_of_two_bindings() {
    survives(&Victim {
        before: &[FIRST, SECOND],
        command: "unbind 2001:db8:99::200",
        file: Some("192.168.99.200 172.18.0.2\n"),
        cut: Some("2001:db8:99::200"),
    });
}

#[test]
fn the_end_of_the_last_binding() {
    survives(&Victim {
        before: &[FIRST],
        command: "unbind 192.168.99.200 --json",
        file: Some(""),
        cut: Some("192.168.99.200"),
    });
}
