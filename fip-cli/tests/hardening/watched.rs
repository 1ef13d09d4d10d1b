//! A desired state under watch.

use std::net::IpAddr;

use crate::file::File;
use crate::lab::{Family, Ns, lan, wait_for};
use crate::live::Live;
use crate::scene::Scene;

/// The floating IPv4 address of that number of the LAN.
pub(crate) fn floating(number: u8) -> IpAddr {
    lan(Family::V4, number)
}

/// `fip watch` on host A.
pub(crate) struct Watched {
    pub(crate) watch: Live,
    _file: File,
}

impl Watched {
    /// From its return on, what can be bound is bound, and that is told.
    pub(crate) fn start(scene: &Scene, name: &str, state: &str, options: &str) -> Self {
        let file = File::with(name, state);
        let path = file.path().display();
        let command = format!("watch {path} --json --probe 50ms --announce 1 {options}");
        let watch = Live::start(&scene.a, env!("CARGO_BIN_EXE_fip"), &command);
        watch.wait_for_event(0, "watching", |_| true);
        watch.wait_for_event(0, "repaired", |_| true);
        Self { watch, _file: file }
    }

    /// Waits for a failure that is told with each of these words.
    pub(crate) fn tells_failure(&self, from: usize, words: &[&str]) {
        self.watch.wait_for_event(from, "failed", |event| {
            let error = event["error"].as_str().unwrap();
            words.iter().all(|word| error.contains(word))
        });
    }

    /// The ruleset is flushed, and repaired while the state as a whole cannot be reached.
    pub(crate) fn repairs_a_flush(&self, scene: &Scene, reached: IpAddr) {
        let from = self.watch.lines().len();
        scene.a.nft("flush ruleset");
        self.watch.wait_for_event(from, "repaired", |event| {
            let changes = event["changes"].as_array().unwrap();
            changes.iter().any(|change| change.as_str().unwrap().contains("table inet fip"))
        });
        scene.wait_for_traffic(reached);
    }
}

/// Waits until exactly these are bound on host A.
pub(crate) fn wait_for_bound(scene: &Scene, expected: &[IpAddr]) {
    let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
    wait_for(&format!("{expected:?} and no other to be bound"), || {
        let rows = scene.fip().list();
        let bound: Vec<&str> = rows.iter().map(|row| row["floating"].as_str().unwrap()).collect();
        (bound == expected).then_some(())
    });
}

/// A machine of the LAN that has the address, and answers for it.
pub(crate) fn rival_with(scene: &Scene, address: IpAddr) -> Ns {
    let rival = scene.lan.machine("rival", 66);
    rival.ip(&format!("address add {address}/32 dev eth0"));
    rival
}
