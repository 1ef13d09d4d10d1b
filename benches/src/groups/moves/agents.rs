//! The moves that agents make: `fip-agent`, told by a file, with the address bound to the
//! workload's own.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use crate::docker::eventually;
use crate::harness::{Bench, Figures};
use crate::lab::Family;

use super::scene::{Program, Scene, Side};

const PATIENCE: Duration = Duration::from_secs(8);

/// `fip-agent` on a host.
struct Agent {
    map: PathBuf,
    program: Program,
}

impl Agent {
    /// One that is told of nothing yet.
    fn start(bench: &Bench, side: &Side, name: &str, more: &[&str]) -> Self {
        let map = bench.file(&format!("moves-map-{name}"), "# nothing\n");
        let socket = bench.scratch.path(&format!("moves-agent-{name}"));
        let _ = fs::remove_file(&socket);
        let program = bench.programs.agent.display().to_string();
        let (file, listen) = (map.display().to_string(), socket.display().to_string());
        let words = [&program, "--source", "file", "--file", &file, "--listen", &listen];
        let words = [&words[..], &["--attach", "direct"], more].concat();
        let program = Program::start(&side.host, &words);
        eventually("the agent listens", || {
            UnixStream::connect(&socket).map_err(|error| format!("{error}: {}", program.said()))
        });
        Self { map, program }
    }

    /// Its file says that the address leads to the workload of that host, or to nothing.
    fn tell(&self, scene: &Scene, workload: Option<&Side>) {
        let line = workload.map(|side| format!("{} {}\n", scene.floating, side.fixed));
        let beside = self.map.with_extension("new");
        fs::write(&beside, format!("# all\n{}", line.unwrap_or_default())).unwrap();
        fs::rename(beside, &self.map).unwrap();
    }
}

/// Two hosts with agents; A has the address.
struct Agents {
    scene: Scene,
    a: Agent,
    b: Agent,
}

impl Agents {
    fn start(bench: &Bench, family: Family, more_of_b: &[&str]) -> Self {
        let scene = Scene::new(family);
        let a = Agent::start(bench, &scene.a, "a", &[]);
        let b = Agent::start(bench, &scene.b, "b", more_of_b);
        let this = Self { scene, a, b };
        this.a.tell(&this.scene, Some(&this.scene.a));
        eventually("A has the address", || {
            let has = this.scene.has(&this.scene.a.host);
            has.then_some(()).ok_or_else(|| this.a.program.said())
        });
        this
    }
}

/// The workload starts on B, whose agent waits; then it stops on A.
pub(super) fn started_then_stopped(bench: &Bench, family: Family) -> Figures {
    let agents = Agents::start(bench, family, &[]);
    agents.b.tell(&agents.scene, Some(&agents.scene.b));
    agents.scene.measure(PATIENCE, || agents.a.tell(&agents.scene, None))
}

/// The workload stops on A, then it starts on B.
pub(super) fn stopped_then_started(bench: &Bench, family: Family) -> Figures {
    let agents = Agents::start(bench, family, &[]);
    agents.scene.measure(PATIENCE, || {
        agents.a.tell(&agents.scene, None);
        agents.b.tell(&agents.scene, Some(&agents.scene.b));
    })
}

/// B takes over, and A yields.
pub(super) fn take_over(bench: &Bench, family: Family) -> Figures {
    let agents = Agents::start(bench, family, &["--rival", "take-over"]);
    let b = &agents.scene.b;
    agents.scene.measure(PATIENCE, || agents.b.tell(&agents.scene, Some(b)))
}

/// A is gone, and B is told at once.
pub(super) fn dead(bench: &Bench, family: Family) -> Figures {
    let agents = Agents::start(bench, family, &[]);
    agents.scene.measure(PATIENCE, || {
        agents.a.program.signal("KILL");
        agents.scene.kill_a();
        agents.b.tell(&agents.scene, Some(&agents.scene.b));
    })
}

/// A has lost its source, and goes on with what it heard last; B is told that the workload is there.
pub(super) fn cut_off(bench: &Bench, family: Family) -> Figures {
    let agents = Agents::start(bench, family, &[]);
    fs::remove_file(&agents.a.map).unwrap();
    agents.scene.measure(PATIENCE, || agents.b.tell(&agents.scene, Some(&agents.scene.b)))
}
