//! The state directory: torn, taken, read-only, full.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::{ALLOW, addresses, floating, mount_small, names, remembered, wait_until_right, with};
use crate::docker::{Engine, IMAGE, Options, PATIENCE, Plugin, wait_for_page};
use crate::lab::{Finished, Lan, Ns, Running};

const STATE: &str = "/run/disk/fip";

/// Runs the plugin in the machine, where it cannot start, to its end.
fn refused(engine: &Engine, socket: &str, state: &str) -> Finished {
    let mut command = engine.machine().command("setpriv");
    command.args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_fip-plugin"), "serve"]);
    command.args(["--socket", socket, "--state-dir", state]);
    let done = Running::spawn("fip-plugin serve", command, "").finish(PATIENCE);
    assert_eq!(done.code, Some(1), "{done:?}");
    done
}

fn file_of(engine: &Engine, plugin: &Plugin, kind: &str, id: &str) -> PathBuf {
    let id = match kind {
        "networks" => engine.inspect(&format!("network {id}"))["Id"].take(),
        _ => engine.inspect(&format!("container {id}"))["NetworkSettings"]["Networks"]
            .as_object_mut()
            .unwrap()
            .values_mut()
            .next()
            .unwrap()["EndpointID"]
            .take(),
    };
    plugin.state_dir().join(kind).join(format!("{}.json", id.as_str().unwrap()))
}

/// The names of all links, all addresses of IPv4, and the rules of the host.
fn host_state(host: &Ns) -> [Vec<String>; 3] {
    let word = |number: usize, text: String| -> Vec<String> {
        let words = text.lines().filter_map(|line| line.split_whitespace().nth(number));
        words.map(str::to_owned).collect()
    };
    let ruleset = host.nft("-s list ruleset");
    [
        word(0, host.ip("-br link show")),
        word(3, host.ip("-o -4 address show")),
        ruleset.lines().map(str::to_owned).collect(),
    ]
}

#[test]
fn a_torn_file_of_an_endpoint_is_told_of_and_harms_no_other() {
    let lan = Lan::new();
    let (a, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&a, &Options::default());
    let plugin = Plugin::start(&engine, ALLOW);
    engine.docker_ok("network create --driver fip one");
    engine.web("c1", &with(200), "one");
    engine.web("c2", &with(201), "two");
    engine.web("c3", &with(202), "three");

    plugin.kill();
    let torn = file_of(&engine, &plugin, "endpoints", "c1");
    fs::write(&torn, "{\"id\":\"").unwrap();
    // One that cannot even be read.
    let unreadable = file_of(&engine, &plugin, "endpoints", "c2");
    fs::remove_file(&unreadable).unwrap();
    fs::create_dir(&unreadable).unwrap();
    plugin.up();

    let log = plugin.log();
    for file in [&torn, &unreadable] {
        let name = file.file_name().unwrap().to_str().unwrap();
        let line = log.lines().find(|line| line.contains("left out") && line.contains(name));
        assert!(line.is_some_and(|line| line.contains("ERROR")), "{name}: {log}");
    }
    wait_for_page(&client, floating(202), "three");
    // Such a container is helped by a restart.
    fs::remove_dir(&unreadable).unwrap();
    engine.docker_ok("restart c1 c2");
    wait_for_page(&client, floating(200), "one");
    wait_for_page(&client, floating(201), "two");
    engine.docker_ok("rm --force c1 c2 c3");
    engine.docker_ok("network rm one");
    assert_eq!(addresses(&a).len(), 0);
    assert!(!a.ip("-br link show").contains("fv"));
}

#[test]
fn a_torn_file_of_a_network_is_told_of_and_harms_no_other() {
    let lan = Lan::new();
    let (a, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&a, &Options::default());
    let plugin = Plugin::start(&engine, ALLOW);
    let [links, ..] = host_state(&a);
    engine.docker_ok("network create --driver fip one");
    engine.docker_ok("network create --driver fip two");
    engine.web("c1", &with(200), "one");
    engine.web("c2", "--network name=two,driver-opt=fip.address=192.168.99.201", "two");

    plugin.kill();
    let torn = file_of(&engine, &plugin, "networks", "two");
    fs::write(&torn, "").unwrap();
    plugin.up();

    let log = plugin.log();
    let name = torn.file_name().unwrap().to_str().unwrap();
    let line = log.lines().find(|line| line.contains("left out") && line.contains(name));
    assert!(line.is_some_and(|line| line.contains("ERROR")), "{log}");
    wait_for_page(&client, floating(200), "one");
    // Who runs goes on.
    wait_for_page(&client, floating(201), "two");
    engine
        .docker(&format!("run --network two {IMAGE}"))
        .exits(125)
        .complains_of(&["is not known here", "docker network rm"]);

    // And the way out that this names is one.
    engine.docker_ok("rm --force c1 c2");
    engine.docker("ps --all --quiet").stdout.lines().for_each(|id| {
        engine.docker_ok(&format!("rm --force {id}"));
    });
    engine.docker_ok("network rm one two");
    assert_eq!(addresses(&a).len(), 0);
    assert_eq!(host_state(&a)[0], links);
    engine.docker_ok("network create --driver fip two");
    engine.web("c2", "--network name=two,driver-opt=fip.address=192.168.99.201", "two");
    wait_for_page(&client, floating(201), "two");
}

#[test]
fn a_read_only_directory_is_refused_at_the_start_and_in_calls() {
    let lan = Lan::new();
    let a = lan.host_a();
    let engine = Engine::start(&a, &Options::default());
    mount_small(&engine, STATE, 1 << 20);
    let plugin = Plugin::start(&engine, ALLOW);
    engine.docker_ok("network create --driver fip one");
    let mount = |how: &str| {
        engine.machine().bash(r#"mount -o "remount,$1" /run/disk/fip"#, &[how]);
    };
    let before = host_state(&a);

    plugin.stop();
    mount("ro");
    let done = refused(&engine, "/run/docker/plugins/fip.sock", STATE);
    assert!(done.stderr.contains("cannot open /run/disk/fip/lock: Read-only"), "{done:?}");
    let left = engine.machine().path("/run/docker/plugins/fip.sock").exists();
    assert!(!left, "the socket of a plugin that did not start");
    mount("rw");
    plugin.up();
    // A file system that became read-only has open files: the plugin's lock is none to write to.
    let mount_under = r#"mount --bind "$1" "$1"; mount -o "remount,bind,ro" "$1""#;
    engine.machine().bash(mount_under, &[&format!("{STATE}/networks")]);
    engine.machine().bash(mount_under, &[&format!("{STATE}/endpoints")]);

    engine
        .docker("network create --driver fip two")
        .exits(1)
        .complains_of(&["cannot write /run/disk/fip/networks/", "Read-only file system"]);
    engine
        .docker(&format!("run --name c1 {} {IMAGE}", with(200)))
        .exits(125)
        .complains_of(&["cannot write /run/disk/fip/endpoints/", "Read-only file system"]);
    assert_eq!(host_state(&a), before);

    engine.machine().bash("umount /run/disk/fip/networks /run/disk/fip/endpoints", &[]);
    engine.docker_ok("start c1");
    wait_until_right(&a, &plugin, &[200], 1);
}

#[test]
fn a_second_plugin_is_refused_and_changes_nothing() {
    let lan = Lan::new();
    let (a, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&a, &Options::default());
    let plugin = Plugin::start(&engine, ALLOW);
    engine.docker_ok("network create --driver fip one");
    engine.web("c1", &with(200), "one");
    let before = host_state(&a);

    let done = refused(&engine, "/run/docker/plugins/fip.sock", "/run/disk/other");
    assert!(done.stderr.contains("/run/docker/plugins/fip.sock"), "{done:?}");
    assert!(done.stderr.contains("in use"), "{done:?}");
    let done = refused(&engine, "/run/docker/plugins/other.sock", STATE);
    assert!(done.stderr.contains("/run/disk/fip is in use by another fip-plugin"), "{done:?}");
    assert!(!engine.machine().path("/run/docker/plugins/other.sock").exists());

    assert_eq!(host_state(&a), before);
    UnixStream::connect(plugin.socket()).unwrap();
    wait_for_page(&client, floating(200), "one");
    engine.docker_ok("rm --force c1");
    wait_until_right(&a, &plugin, &[], 0);
}

/// Fills the state's file system, up to this many pages of memory.
fn fill(engine: &Engine, pages: usize) {
    const SCRIPT: &str = r#"
    cd "$1"
    dd if=/dev/zero of=filler bs=4096 2>/dev/null || true
    truncate --size="-$(($2 * 4096))" filler
    "#;
    engine.machine().bash(SCRIPT, &[STATE, &pages.to_string()]);
}

fn make_room(engine: &Engine) {
    engine.machine().bash(r#"rm "$1/filler""#, &[STATE]);
}

#[test]
fn a_full_disk_is_told_of_and_nothing_is_left_of_the_attempt() {
    let lan = Lan::new();
    let (a, client) = (lan.host_a(), lan.client());
    let engine = Engine::start(&a, &Options::default());
    mount_small(&engine, STATE, 64 << 10);
    let plugin = Plugin::start(&engine, ALLOW);
    let files = |kind: &str| names(&plugin.state_dir().join(kind));
    let full = "No space left on device";
    let before = host_state(&a);

    fill(&engine, 0);
    engine
        .docker("network create --driver fip one")
        .exits(1)
        .complains_of(&["cannot write /run/disk/fip/networks/", full]);
    assert_eq!(host_state(&a), before);
    assert!(files("networks").is_empty(), "{:?}", files("networks"));

    make_room(&engine);
    engine.docker_ok("network create --driver fip one");
    let before = host_state(&a);
    fill(&engine, 0);
    engine.docker(&format!("run --name c1 {} {IMAGE}", with(200))).exits(125).complains_of(&[
        "failed to create endpoint",
        "cannot write /run/disk/fip/endpoints/",
        full,
    ]);
    assert_eq!(host_state(&a), before);
    assert!(files("endpoints").is_empty(), "{:?}", files("endpoints"));

    // Room for the endpoint, and none for a newer version of it besides.
    make_room(&engine);
    fill(&engine, 1);
    engine
        .docker("start c1")
        .exits(1)
        .complains_of(&["cannot write /run/disk/fip/endpoints/", full]);
    assert!(plugin.log().contains("NetworkDriver.Join failed: cannot write"), "{}", plugin.log());
    assert_eq!(host_state(&a), before);
    assert!(files("endpoints").is_empty(), "{:?}", files("endpoints"));

    make_room(&engine);
    engine.docker_ok("start c1");
    wait_until_right(&a, &plugin, &[200], 1);
    engine.docker_ok("rm --force c1");

    // The end of a container needs no room.
    engine.web("c2", &with(201), "two");
    wait_for_page(&client, floating(201), "two");
    fill(&engine, 0);
    engine.docker_ok("stop c2");
    assert_eq!(remembered(&plugin, "endpoints"), 0);
    wait_until_right(&a, &plugin, &[], 0);
    engine.docker_ok("rm c2");
    engine.docker_ok("network rm one");
    assert!(!a.ip("-br link show").contains("br-"));
}
