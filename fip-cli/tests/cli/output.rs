//! What is printed, and to whom.

use std::process::Stdio;

use crate::lab::Family;
use crate::live::Live;
use crate::scene::Scene;

#[test]
fn without_a_terminal_success_is_silent() {
    let scene = Scene::new();
    let (floating, fixed) = scene.pair(Family::V4);
    for command in [
        format!("bind {floating} {fixed} --probe 0 --announce 0"),
        format!("unbind {floating}"),
        "apply -".to_owned(),
        "bridge ensure br0 --address 172.18.0.1/16".to_owned(),
    ] {
        let run = scene.fip().ok(&command);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""), "{command}");
    }
}

#[test]
fn what_was_done_is_told_before_it_is_announced_again() {
    let scene = Scene::new();
    let (floating, fixed) = scene.pair(Family::V4);
    let command = format!("bind {floating} {fixed} --probe 0 --announce 1000 --json");
    let bind = Live::start(&scene.a, env!("CARGO_BIN_EXE_fip"), &command);
    // A thousand announcements take twenty minutes.
    bind.wait_for(0, "the changes", |line| {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        !json["changes"].as_array().unwrap().is_empty()
            && json["waited_ms"].is_f64()
            && json["committed_ms"].as_f64().is_some_and(|time| time > 0.0)
    });
    assert_eq!(scene.fip().list()[0]["state"], "active");
}

#[test]
fn the_list_tells_what_arrived_and_what_is_wrong() {
    let scene = Scene::new();
    let (floating, fixed) = scene.pair(Family::V4);
    scene.fip().ok(&format!("bind {floating} {fixed} --announce 1 --owner me"));
    scene.wait_for_traffic(floating);
    let row = &scene.fip().list()[0];
    assert_eq!(row["floating"], floating.to_string());
    assert_eq!(row["fixed"], fixed.to_string());
    assert_eq!((&row["interface"], &row["owner"]), (&"eth0".into(), &"me".into()));
    assert_eq!((&row["egress"], &row["state"]), (&true.into(), &"active".into()));
    assert!(row["packets"].as_u64().unwrap() > 1 && row["bytes"].as_u64().unwrap() > 80, "{row}");
    assert_eq!(row.get("problems"), None);
    assert_eq!(scene.fip().ok("list --owner other --json").json(), serde_json::json!([]));

    scene.a.ip("link set br0 down");
    let row = &scene.fip().list()[0];
    assert_eq!(row["state"], "degraded");
    assert!(row["problems"][0].as_str().unwrap().contains("br0"), "{row}");
    let table = scene.fip().ok("list").stdout.clone();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("FLOATING"), "{table}");
    assert!(lines[1].starts_with(&floating.to_string()), "{table}");
    assert!(lines[2].starts_with("  ") && lines[2].contains("br0"), "{table}");
}

/// Runs `fip ARGS` on the host, with that standard output; the exit code and standard error.
fn run_into(scene: &Scene, args: &str, stdout: impl Into<Stdio>) -> (Option<i32>, String) {
    let mut command = scene.a.command(env!("CARGO_BIN_EXE_fip"));
    let output = command.args(args.split_whitespace()).stdout(stdout).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_reader_who_left_is_no_failure() {
    let scene = Scene::new();
    for args in
        ["list", "list --json", "--help", "bind 192.168.99.200 172.18.0.2 --json --announce 1"]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(run_into(&scene, args, writer), (Some(0), String::new()), "{args}");
    }
    assert_eq!(scene.fip().list().len(), 1);
}

#[test]
fn a_full_disk_is_a_failure() {
    let scene = Scene::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (code, stderr) = run_into(&scene, "list", full);
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("fip: cannot write to standard output\n  why: "), "{stderr}");
}

#[test]
fn a_host_can_be_named() {
    let scene = Scene::new();
    let elsewhere = crate::lab::Ns::new("elsewhere");
    let fip = crate::lab::Fip::new(env!("CARGO_BIN_EXE_fip"), &elsewhere);
    let (floating, fixed) = scene.pair(Family::V4);
    let there = format!("--in-netns {}", scene.a.pid());
    fip.ok(&format!("bind {floating} {fixed} --announce 1 {there}"));
    assert_eq!(scene.fip().list().len(), 1);
    assert_eq!(fip.list().len(), 0);
    scene.wait_for_traffic(floating);
}

#[test]
fn bridges_are_made_and_unmade_and_each_again_changes_nothing() {
    let scene = Scene::new();
    let workload = crate::lab::Ns::new("joined");
    let netns = format!("--netns {}", workload.pid());
    let ensure = "bridge ensure br7 --address 172.27.0.1/16 2001:db8:27::1/64 --json";
    let attach = format!(
        "bridge attach br7 {netns} --address 172.27.0.2/16 --address 2001:db8:27::2/64 \
         --mac 02:00:5e:10:00:07 --json"
    );
    let detach = format!("bridge detach br7 {netns} --json");
    let delete = "bridge delete br7 --json";
    let run = |command: &str, changes: bool| {
        let json = scene.fip().ok(command).json();
        assert_eq!(!json["changes"].as_array().unwrap().is_empty(), changes, "{command}: {json}");
    };
    let before = scene.state();
    run(ensure, true);
    run(ensure, false);
    run(&attach, true);
    run(&attach, false);
    assert_eq!(workload.mac("eth0"), "02:00:5e:10:00:07");
    scene.fip().ok("bind 192.168.99.200 172.27.0.2 --announce 1");
    let _server = crate::lab::Whoami::start(&workload, &[80]);
    let answer = crate::lab::wait_for("an answer through the new bridge", || {
        crate::lab::tcp_whoami(&scene.client, ("192.168.99.200".parse().unwrap(), 80)).ok()
    });
    assert_eq!(answer.name, "joined");
    scene.fip().ok("unbind 192.168.99.200");
    scene.fip().run(delete).exits(1).complains_of(&["br7", "still has ports", "way out: "]);
    run(&detach, true);
    run(&detach, false);
    run(delete, true);
    run(delete, false);
    crate::lab::wait_for("the links to be as before", || {
        let now = scene.state();
        std::panic::catch_unwind(|| now.assert_is(&before, "")).ok()
    });
}
