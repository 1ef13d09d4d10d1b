//! The kernel's limit: ready-made messages by a raw program, then the announcement, at once.

use std::time::Duration;

use fip_core::kernel::host::Host;
use fip_core::kernel::{Link, Rtnl, Wire};

use crate::harness::{Bench, Figures, run, timed};
use crate::lab::Family;

use super::scene::{Scene, Side, UPLINK};
use super::shell;

const PATIENCE: Duration = Duration::from_secs(8);

/// B takes the address, then A lets go.
pub(super) fn planned(bench: &Bench) -> Figures {
    let scene = Scene::new(Family::V4);
    let mut announcer = begin(bench, &scene);
    scene.measure(PATIENCE, || {
        take(bench, &scene, &mut announcer);
        call(bench, &scene, "unbind", &scene.a);
        let forget = format!("conntrack -D -d {} || :", scene.floating);
        run(&scene.a.host, &["sh", "-c", &forget]);
    })
}

/// A is gone; B takes the address.
pub(super) fn dead(bench: &Bench) -> Figures {
    let scene = Scene::new(Family::V4);
    let mut announcer = begin(bench, &scene);
    scene.measure(PATIENCE, || {
        scene.kill_a();
        take(bench, &scene, &mut announcer);
    })
}

/// A has the address; B is ready to announce it.
fn begin(bench: &Bench, scene: &Scene) -> (Host, Link) {
    [&scene.a, &scene.b].into_iter().for_each(shell::table);
    call(bench, scene, "bind", &scene.a);
    scene.b.host.run(|| {
        let mut host = Host::open().unwrap();
        let links = host.links().unwrap();
        let link = links.into_iter().find(|link| link.name.as_str() == UPLINK).unwrap();
        (host, link)
    })
}

fn take(bench: &Bench, scene: &Scene, (host, link): &mut (Host, Link)) {
    call(bench, scene, "bind", &scene.b);
    // The socket is opened in the namespace of the thread.
    scene.b.host.run(|| host.announce(link, &[scene.floating])).unwrap();
}

fn call(bench: &Bench, scene: &Scene, verb: &str, side: &Side) {
    let program = bench.programs.limit.display().to_string();
    let (floating, fixed) = (scene.floating.to_string(), side.fixed.to_string());
    timed(&side.host, &[&program, verb, UPLINK, &floating, &fixed, "route"]);
}
