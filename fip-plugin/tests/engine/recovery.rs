//! What is right again, or still, after one of them died: the plugin, dockerd, the host, a disk.

#[path = "recovery/collect.rs"]
mod collect;
#[path = "recovery/crash.rs"]
mod crash;
#[path = "recovery/disk.rs"]
mod disk;
#[path = "recovery/dockerd.rs"]
mod dockerd;
#[path = "recovery/liar.rs"]
mod liar;
#[path = "recovery/reboot.rs"]
mod reboot;

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use crate::docker::{Engine, Plugin};
use crate::lab::{Family, Ns, lan, wait_for};

/// Floating addresses may be any of the LAN.
const ALLOW: &str = "--allow 192.168.99.0/24";

fn floating(number: u8) -> IpAddr {
    lan(Family::V4, number)
}

/// The arguments of `docker run` for a container of the network `one` with that floating address.
fn with(number: u8) -> String {
    format!("--network name=one,driver-opt=fip.address={}", floating(number))
}

/// The floating addresses on the host's card, as the kernel tells.
fn addresses(host: &Ns) -> BTreeSet<String> {
    let lines = host.carried("eth0");
    let words = lines.lines().filter_map(|line| line.split_whitespace().nth(3));
    words.filter_map(|word| word.strip_suffix("/32")).map(str::to_owned).collect()
}

/// The addresses that the table translates to a workload's.
fn translated(host: &Ns) -> BTreeSet<String> {
    let table = host.nft("list map inet fip dnat4");
    let Some((_, elements)) = table.split_once("elements = {") else { return BTreeSet::new() };
    let words = elements.split([' ', ',', '\n', '\t', '}']).filter(|word| word.contains(".99."));
    words.map(str::to_owned).collect()
}

/// The links of the plugin's endpoints.
fn endpoint_links(host: &Ns) -> usize {
    host.ip("-br link show").lines().filter(|line| line.starts_with("fv")).count()
}

/// How many endpoints, or networks, the plugin remembers.
fn remembered(plugin: &Plugin, kind: &str) -> usize {
    fs::read_dir(plugin.state_dir().join(kind)).unwrap().count()
}

/// Waits until the host has exactly these floating addresses, and as many endpoints as there are
/// containers on the plugin's networks.
#[track_caller]
fn wait_until_right(host: &Ns, plugin: &Plugin, numbers: &[u8], containers: usize) {
    let wanted: BTreeSet<String> = numbers.iter().map(|n| floating(*n).to_string()).collect();
    let mut seen = String::new();
    let probe = || {
        let now = (addresses(host), translated(host));
        let counts = [endpoint_links(host), remembered(plugin, "endpoints")];
        seen = format!("{now:?}, endpoints: {counts:?}");
        (now == (wanted.clone(), wanted.clone()) && counts == [containers; 2]).then_some(())
    };
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_for("the state to be right", probe);
    }));
    assert!(found.is_ok(), "wanted {wanted:?} and {containers} endpoints; last seen {seen}");
}

/// A directory of the machine becomes a file system of its own, of this many bytes.
fn mount_small(engine: &Engine, directory: &str, bytes: usize) {
    let script = r#"mkdir -p "$1"; mount -t tmpfs -o "size=$2,mode=700" tmpfs "$1""#;
    engine.machine().bash(script, &[directory, &bytes.to_string()]);
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
