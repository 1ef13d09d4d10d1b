//! The plugin as Docker itself runs it: made by `scripts/plugin`, in a container of its own.

use std::net::IpAddr;
use std::process::Command;

use fip_plugin::driver::LABEL;

use crate::docker::{Engine, Options, PATIENCE, wait_for_page};
use crate::lab::{Family, Lan, lan, wait_for};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/plugin");

/// The driver's name has the tag in it.
const DRIVER: &str = "fip:latest";

/// The plugin in an engine. Dropped, it is disabled: its control groups are not in the machine's.
struct Managed<'a>(&'a Engine);

impl<'a> Managed<'a> {
    /// Makes it and has the engine run it.
    fn enable(engine: &'a Engine) -> Self {
        let directory = engine.machine().path("/run/disk/plugin");
        let directory = directory.to_str().unwrap();
        let binary = env!("CARGO_BIN_EXE_fip-plugin");
        let made = Command::new(SCRIPT).args([binary, directory]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        engine.docker_ok(&format!("plugin create fip {directory}"));
        let allow = "args=--allow 192.168.99.200-192.168.99.220 --log-level debug";
        engine.docker_with(&["plugin", "set", "fip", allow]).exits(0);
        let managed = Self(engine);
        engine.docker_ok("plugin enable fip");
        managed
    }

    /// Its process id in the machine, if it runs.
    fn process(&self) -> Option<String> {
        let id = self.0.machine().bash("pgrep --full '^/fip-plugin serve' || true", &[]);
        (!id.is_empty()).then(|| id.trim().to_owned())
    }
}

impl Drop for Managed<'_> {
    fn drop(&mut self) {
        // A test may have removed it, and one that fails may have no engine to ask.
        let _ = self.0.spawn(&["plugin", "disable", "--force", "fip"]).finish(PATIENCE);
    }
}

#[test]
fn a_managed_plugin_has_all_that_it_needs_on_the_host() {
    let lan = Lan::new();
    let (a, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&a, &Options::default());
    let _managed = Managed::enable(&engine);

    // A parameter of the kernel: read-only to plugins, until they change that.
    a.sysctl("net/ipv4/ip_forward", "0");
    engine.docker_ok(&format!("network create --driver {DRIVER} one"));
    assert_eq!(a.read_sysctl("net/ipv4/ip_forward"), "1");

    engine.web("c1", "--network name=one,driver-opt=fip.address=192.168.99.200", "one");
    assert_eq!(wait_for_page(&client, floating(200), "one"), floating(1));

    // The Docker API, for the label, and the container's namespace, for the source rule.
    let inside = engine.web("c2", &format!("--label {LABEL}=192.168.99.201"), "two");
    engine.docker_ok("network connect one c2");
    assert_eq!(wait_for_page(&client, floating(201), "two"), floating(1));
    wait_for("the source rule in the container", || {
        inside.ip("rule show").contains("from 172.").then_some(())
    });

    // Its arguments.
    let refused = engine.docker("run --network name=one,driver-opt=fip.address=192.168.99.99 lab");
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("192.168.99.99 cannot be bound"), "{}", refused.stderr);
}

#[test]
fn a_managed_plugin_that_dies_is_started_again_and_remembers() {
    let lan = Lan::new();
    let (a, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&a, &Options::default());
    let managed = Managed::enable(&engine);
    engine.docker_ok(&format!("network create --driver {DRIVER} one"));
    let always = "--restart always --network name=one,driver-opt=fip.address=192.168.99";
    engine.web("c1", &format!("{always}.200"), "one");
    engine.web("c2", &format!("{always}.201"), "two");

    let first = managed.process().expect("the plugin runs");
    engine.machine().bash(r#"kill -s KILL "$1""#, &[&first]);
    wait_for("another process of the plugin", || managed.process().filter(|id| *id != first));
    wait_for_page(&client, floating(200), "one");
    engine.docker_ok("rm --force c1");
    let gone = || (!a.carried("eth0").contains("192.168.99.200/")).then_some(());
    wait_for("the floating address of a removed container to go", gone);

    engine.power_cycle();
    engine.up();
    wait_for_page(&client, floating(201), "two");
}

#[test]
fn a_managed_plugin_that_outlives_dockerd_finds_the_next_one() {
    let lan = Lan::new();
    let (a, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&a, &Options { live_restore: true, ..Options::default() });
    let managed = Managed::enable(&engine);
    engine.docker_ok(&format!("network create --driver {DRIVER} one"));

    let before = managed.process().expect("the plugin runs");
    engine.restart();
    assert_eq!(managed.process(), Some(before));
    engine.web("c1", &format!("--network one --label {LABEL}=192.168.99.200"), "one");
    wait_for_page(&client, floating(200), "one");
}

#[test]
fn a_managed_plugin_goes_without_a_trace() {
    let lan = Lan::new();
    let a = lan.host_a();
    let engine = Engine::start(&a, &Options::default());
    let links = a.ip("-br link show");
    let managed = Managed::enable(&engine);
    engine.docker_ok(&format!("network create --driver {DRIVER} one"));
    engine.web("c1", "--network name=one,driver-opt=fip.address=192.168.99.200", "one");

    let in_use = engine.docker("plugin disable fip");
    assert!(in_use.stderr.contains("in use"), "{}", in_use.stderr);
    engine.docker_ok("rm --force c1");
    engine.docker_ok("network rm one");
    engine.docker_ok("plugin disable fip");
    assert_eq!(managed.process(), None);
    engine.docker_ok("plugin rm fip");

    assert_eq!(a.ip("-br link show"), links);
    assert!(!a.nft("list tables").contains("fip"));
    assert!(!a.ip("address show").contains("192.168.99.200"));
}

fn floating(number: u8) -> IpAddr {
    lan(Family::V4, number)
}
