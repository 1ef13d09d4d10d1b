//! What the agent does while nothing happens.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::lab::UdpFlow;

const FAMILY: Family = Family::V4;

/// How long nothing may happen. Who looks every two seconds, as agents of old did, is seen.
const QUIET: Duration = Duration::from_secs(5);

/// How often each thread of the process went to sleep so far.
fn sleeps(pid: u32) -> BTreeMap<OsString, u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let count = |task: fs::DirEntry| {
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        Some((task.file_name(), line.trim().parse().ok()?))
    };
    tasks.filter_map(|task| count(task.ok()?)).collect()
}

/// How often its threads went to sleep meanwhile. Threads that have ended since are not known.
fn sleeps_while(pid: u32, work: impl FnOnce()) -> u64 {
    let before = sleeps(pid);
    work();
    let since = |(task, count)| count - before.get(&task).copied().unwrap_or_default();
    sleeps(pid).into_iter().map(since).sum()
}

/// Waits for a time in which no thread woke up.
#[track_caller]
fn assert_comes_to_rest(agent: &Agent) {
    let begun = Instant::now();
    let mut seen = Vec::new();
    loop {
        let woken = sleeps_while(agent.pid(), || thread::sleep(QUIET));
        if woken == 0 {
            return;
        }
        seen.push(woken);
        assert!(begun.elapsed() < QUIET * 6, "woken up all the time: {seen:?} in {QUIET:?} each");
    }
}

#[test]
fn nothing_wakes_it_up() {
    let mut scene = Scene::new(Kind::Rancher);
    let old = scene.begin(FAMILY);
    assert_comes_to_rest(scene.a.agent());
    assert_comes_to_rest(scene.b.agent());
    // And it is awake when it must be.
    let new = scene.b.run("new", 2);
    drop(old);
    scene.tell(&[new.job(&scene.b, floating(FAMILY))]);
    scene.b.agent().wait_for_state(floating(FAMILY), "bound");
    let mut flow = UdpFlow::open(&scene.client, (floating(FAMILY), 80));
    assert_eq!(flow.ask().unwrap().name, "new");
}

/// A source that fails is asked ever more rarely.
#[test]
fn a_source_that_fails_keeps_nobody_busy() {
    let mut scene = Scene::new(Kind::Rancher);
    let _old = scene.begin(FAMILY);
    let (agent, service) = (scene.a.agent(), scene.a.teller.service());
    service.fault("*", crate::metadata::Fault::Status(500));
    service.reload();
    agent.wait_until("failures", |report| report.counters.source_failures >= 5);
    let (begun, before) = (Instant::now(), service.asked().len());
    thread::sleep(QUIET);
    let (asked, time) = (service.asked().len() - before, begun.elapsed());
    // The pauses grow from 1.6 s on to 5 s.
    let most = 4 + time.saturating_sub(QUIET).as_secs();
    assert!(asked as u64 <= most, "{asked} questions in {time:?}");
}

/// A version that changes at every poll is looked at once a second: three questions each time.
#[test]
fn a_service_that_never_rests_burns_nothing() {
    let mut scene = Scene::new(Kind::Rancher);
    let _old = scene.begin(FAMILY);
    let (agent, service) = (scene.a.agent(), scene.a.teller.service());
    let before = scene.a.made();
    service.never_rest();
    let reconciles = agent.report().counters.reconciles;
    let begun = Instant::now();
    let asked = service.asked().len();
    let woken = sleeps_while(agent.pid(), || thread::sleep(QUIET));
    let asked = service.asked().len() - asked;
    let time = begun.elapsed();
    println!("{asked} questions, {woken} times asleep in {time:?}");
    // Four at once, then one a second, and one that was on its way.
    let most = 3 * (4 + time.as_secs() + 1);
    assert!(asked as u64 <= most, "{asked} questions in {time:?}");
    assert!(woken <= most * 40, "{woken} times asleep in {time:?}");
    assert!(agent.report().counters.reconciles > reconciles, "it does not look");
    assert_eq!(scene.a.made(), before);
    service.heal();
    assert_comes_to_rest(agent);
}
