//! The moves that an operator makes with `ip`, `nft`, `conntrack` and `arping`.

use std::time::Duration;

use crate::harness::{Figures, run, timed};
use crate::lab::Family;

use super::scene::{Program, Scene, Side, UPLINK};

/// Whether the new host announces the address (`arping -U`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Announced {
    Yes,
    No,
}

/// The same maps as those of `fip`, in the smallest table that does it. It is there before.
const TABLE: &str = "table ip bench {
    map dnat4 { type ipv4_addr : ipv4_addr; }
    map snat4 { type ipv4_addr : ipv4_addr; }
    chain prerouting {
        type nat hook prerouting priority -110
        iifname != \"br-fip\" dnat to ip daddr map @dnat4
    }
    chain postrouting {
        type nat hook postrouting priority 90
        oifname != \"br-fip\" snat to ip saddr map @snat4
    }
}
";

fn elements(verb: &str, scene: &Scene, side: &Side) -> String {
    let (floating, fixed) = (scene.floating, side.fixed);
    format!(
        "{verb} element ip bench dnat4 {{ {floating} : {fixed} }}; \
         {verb} element ip bench snat4 {{ {fixed} : {floating} }}"
    )
}

/// That host has the table, without elements.
pub(super) fn table(side: &Side) {
    side.host.nft_script(TABLE);
}

/// That host translates the address from now on.
pub(super) fn translate(scene: &Scene, side: &Side) {
    table(side);
    side.host.nft_script(&(elements("add", scene, side) + "\n"));
}

/// And no longer.
pub(super) fn forget(scene: &Scene, side: &Side) {
    let script = format!("nft delete table ip bench; conntrack -D -d {} || :", scene.floating);
    run(&side.host, &["sh", "-c", &script]);
}

/// A has the address and translates it; B has the table, without elements.
pub(super) fn begin(scene: &Scene) {
    translate(scene, &scene.a);
    table(&scene.b);
    scene.a.host.ip(&format!("address add {}/32 dev {UPLINK}", scene.floating));
}

/// From A, which lets go, to B.
pub(super) fn planned(announced: Announced, patience: Duration) -> Figures {
    let scene = Scene::new(Family::V4);
    begin(&scene);
    scene.measure(patience, || {
        release(&scene);
        take(&scene, announced);
    })
}

/// From A, which is gone, to B. Then it is dark at the most for that time.
pub(super) fn dead(announced: Announced, patience: Duration) -> Figures {
    let scene = Scene::new(Family::V4);
    begin(&scene);
    scene.measure(patience, || {
        scene.kill_a();
        take(&scene, announced);
    })
}

/// A has it no more, at the end of this.
pub(super) fn release(scene: &Scene) {
    let floating = scene.floating;
    let script = format!(
        "ip address del {floating}/32 dev {UPLINK}; nft '{}'; conntrack -D -d {floating} || :",
        elements("delete", scene, &scene.a)
    );
    timed(&scene.a.host, &["sh", "-c", &script]);
}

fn take(scene: &Scene, announced: Announced) {
    let floating = scene.floating;
    let script = format!(
        "nft '{}'; ip address add {floating}/32 dev {UPLINK}",
        elements("add", scene, &scene.b)
    );
    timed(&scene.b.host, &["sh", "-c", &script]);
    if announced == Announced::Yes {
        // It waits for an answer that does not come.
        let words = ["arping", "-q", "-U", "-c", "1", "-I", UPLINK, &floating.to_string()];
        Program::start(&scene.b.host, &words).leave();
    }
}
