//! The moves that keepalived makes, with a static translation on both hosts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use crate::docker::eventually;
use crate::harness::{Bench, Figures};
use crate::lab::Family;

use super::scene::{Program, Scene, UPLINK};
use super::shell;

const PATIENCE: Duration = Duration::from_secs(10);
/// keepalived announces what it has taken again after this time (`vrrp_garp_master_delay`): whoever
/// measures before measures its beginning.
const SETTLED: Duration = Duration::from_secs(6);

/// How many were started.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// How it is configured.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// An advertisement each second: the default.
    Default,
    /// VRRP version 3 and an advertisement each tenth of a second.
    Fast,
}

/// What happens to the master.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// It is killed, and its host is off the LAN.
    Crash,
    /// It is stopped; what translates on its host stays.
    Stop,
    /// The same, and its host does not translate any more.
    Drain,
}

/// Moves the address so.
pub(super) fn run(bench: &Bench, pace: Pace, end: End) -> Figures {
    let scene = Scene::new(Family::V4);
    [&scene.a, &scene.b].into_iter().for_each(|side| shell::translate(&scene, side));
    let a = start(bench, &scene, "MASTER", pace);
    let _b = start(bench, &scene, "BACKUP", pace);
    eventually("keepalived's master has the address", || {
        let addresses = scene.a.host.ip(&format!("address show dev {UPLINK}"));
        let has = addresses.contains(&scene.floating.to_string());
        has.then_some(()).ok_or_else(|| addresses + &a.said())
    });
    thread::sleep(SETTLED);
    scene.measure(PATIENCE, || match end {
        Crash => {
            children(a.pid()).iter().chain([&a.pid()]).for_each(|pid| kill(*pid));
            scene.kill_a();
        }
        Stop => a.signal("TERM"),
        Drain => {
            a.signal("TERM");
            shell::forget(&scene, &scene.a);
        }
    })
}

use End::{Crash, Drain, Stop};

/// Starts it on the host of that state.
fn start(bench: &Bench, scene: &Scene, state: &str, pace: Pace) -> Program {
    let (side, priority) = match state {
        "MASTER" => (&scene.a, 150),
        _ => (&scene.b, 100),
    };
    let timing = match pace {
        Pace::Default => "advert_int 1",
        Pace::Fast => "version 3\n advert_int 0.1",
    };
    let floating = scene.floating;
    let text = format!(
        "global_defs {{\n router_id {state}\n}}\n\
         vrrp_instance V {{\n state {state}\n interface {UPLINK}\n virtual_router_id 51\n \
         priority {priority}\n {timing}\n \
         virtual_ipaddress {{\n  {floating}/32 dev {UPLINK}\n }}\n}}\n"
    );
    let configuration = bench.file(&format!("keepalived-{state}.conf"), &text);
    // It does not read what others may write.
    fs::set_permissions(&configuration, fs::Permissions::from_mode(0o644)).unwrap();
    // It does not start beside the file of one that was killed.
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let path = |name: &str| bench.scratch.path(&format!("{name}-{number}")).display().to_string();
    let configuration = configuration.display().to_string();
    let words = ["keepalived", "-n", "-P", "--log-console", "-f", &configuration];
    let pids = ["-p", &path("keepalived"), "-r", &path("vrrp")];
    Program::start(&side.host, &[&words[..], &pids].concat())
}

fn children(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn kill(pid: u32) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    // It may have ended with its parent.
    let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
}
