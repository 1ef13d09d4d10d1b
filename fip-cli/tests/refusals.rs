//! What `fip` refuses: with the right exit code, a message that names it, and nothing changed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../fip-core/tests/lab/mod.rs"]
mod lab;
#[path = "cli/scene.rs"]
mod scene;

use lab::{Finished, Ns};
use scene::Scene;

const FIP: &str = env!("CARGO_BIN_EXE_fip");

const FAILED: i32 = 1;
const USAGE: i32 = 2;
const NOT_FOUND: i32 = 4;
const NOT_PERMITTED: i32 = 5;

/// Panics unless each command ends so, says so in the three-line form, and changes nothing.
fn refuses(scene: &Scene, code: i32, commands: &[(&str, &[&str])]) {
    let before = scene.state();
    for (command, parts) in commands {
        let run = scene.fip().run(command).exits(code).complains_of(parts);
        assert_eq!(run.stdout, "", "fip {command}");
        assert_form(&run.stderr);
        scene.state().assert_is(&before, &format!("after `fip {command}`"));
    }
}

#[track_caller]
fn assert_form(stderr: &str) {
    let lines: Vec<&str> = stderr.lines().collect();
    let (first, rest) = lines.split_first().expect("a message");
    assert!(first.starts_with("fip: "), "{stderr}");
    let labels: Vec<&str> =
        rest.iter().filter_map(|line| line.split_once(": ")).map(|l| l.0).collect();
    assert_eq!(labels.len(), rest.len(), "{stderr}");
    assert!(
        [&[][..], &["  why"], &["  way out"], &["  why", "  way out"]].contains(&labels.as_slice()),
        "{stderr}"
    );
}

#[test]
fn addresses_that_are_somebody_elses() {
    let scene = Scene::new();
    refuses(
        &scene,
        FAILED,
        &[
            ("bind 192.168.99.11 172.18.0.2", &["192.168.99.11", "this host's own", "eth0"]),
            ("bind 172.18.0.1 172.18.0.2", &["172.18.0.1", "this host's own", "br0"]),
            ("bind 2001:db8:99::11 2001:db8:18::2", &["2001:db8:99::11", "this host's own"]),
            ("bind 192.168.99.254 172.18.0.2", &["192.168.99.254", "gateway"]),
            ("bind 2001:db8:99::254 2001:db8:18::2", &["2001:db8:99::254", "gateway"]),
            ("bind 192.168.99.255 172.18.0.2", &["192.168.99.255", "broadcast", "eth0"]),
            ("bind 192.168.99.0 172.18.0.2", &["192.168.99.0", "network address", "eth0"]),
            ("bind 2001:db8:99:: 2001:db8:18::2", &["2001:db8:99::", "network address"]),
        ],
    );
}

#[test]
fn addresses_that_cannot_be_bound_anywhere() {
    let scene = Scene::new();
    let v4 = ["127.0.0.1", "224.0.0.251", "255.255.255.255", "0.0.0.0", "169.254.1.1", "240.0.0.1"];
    let v6 = ["::1", "ff02::1", "::", "fe80::1", "::ffff:192.0.2.1"];
    let pairs = v4.map(|address| (address, "172.18.0.2"));
    let pairs = pairs.into_iter().chain(v6.map(|address| (address, "2001:db8:18::2")));
    for (address, other) in pairs {
        let floating = format!("bind {address} {other}");
        let fixed = format!("bind {other} {address}");
        for command in [&floating, &fixed] {
            refuses(&scene, FAILED, &[(command, &[address, "cannot be bound"])]);
        }
    }
    refuses(
        &scene,
        FAILED,
        &[
            ("bind 192.0.2.1 192.0.2.1", &["192.0.2.1", "the same"]),
            ("bind 192.0.2.1 2001:db8:18::2", &["192.0.2.1", "family"]),
            ("bind 2001:db8:99::200 172.18.0.2", &["2001:db8:99::200", "family"]),
            ("bind 192.168.99.200 172.18.0.2 -i lo", &["192.168.99.200", "lo ", "loopback"]),
            (
                "bind 192.168.99.200 172.18.0.2 -p tcp:80:1 -p tcp:80:2",
                &["192.168.99.200", "tcp:80", "twice"],
            ),
        ],
    );
}

#[test]
fn words_that_make_no_sense() {
    let scene = Scene::new();
    let long = "a".repeat(256);
    let long_link = format!("bind 192.168.99.200 172.18.0.2 -i {long}");
    let long_owner = format!("bind 192.168.99.200 172.18.0.2 --owner {long}");
    let long_floating = format!("bind {long} 172.18.0.2");
    let long_bridge = format!("bridge ensure {long} --address 172.19.0.1/16");
    let long_netns = format!("bridge attach br0 --netns {long} --address 172.18.0.3/16");
    refuses(
        &scene,
        USAGE,
        &[
            ("", &["subcommand"]),
            ("bnid", &["'bnid'", "fip --help"]),
            ("bind", &["<FLOATING>", "fip bind --help"]),
            ("bind 192.168.99.200", &["<FIXED>"]),
            ("bind 192.168.99.200/24 172.18.0.2", &["192.168.99.200/24", "mask"]),
            ("bind 192.168.99.200 172.18.0.2/16", &["172.18.0.2/16", "mask"]),
            ("bind fe80::1%eth0 2001:db8:18::2", &["fe80::1%eth0", "zone", "--interface"]),
            ("bind host.example 172.18.0.2", &["host.example", "IPv4 or IPv6"]),
            (&long_link, &["--interface", "a link name"]),
            (&long_owner, &["--owner", "an owner"]),
            (&long_floating, &["<FLOATING>", "IPv4 or IPv6"]),
            (&long_bridge, &["<NAME>", "a link name"]),
            (&long_netns, &["--netns", "a network namespace"]),
            ("bind 192.168.99.200 172.18.0.2 -p 80", &["--port", "\"80\""]),
            ("bind 192.168.99.200 172.18.0.2 -p icmp:1", &["--port", "icmp"]),
            ("unbind 192.168.99.200 -p tcp:80:8080", &["--port", "tcp:80:8080"]),
            ("bind 192.168.99.200 172.18.0.2 --rival hope", &["--rival", "hope", "take-over"]),
            ("bind 192.168.99.200 172.18.0.2 --probe 100", &["--probe", "100ms"]),
            ("bind 192.168.99.200 172.18.0.2 --deadline=-1s", &["--deadline", "-1s"]),
            ("bind 192.168.99.200 172.18.0.2 --announce -1", &["-1"]),
            ("bind 192.168.99.200 172.18.0.2 --mark 0x3", &["--mark", "one bit"]),
            ("watch - --rival-policy fight", &["--rival-policy", "fight"]),
            ("bridge ensure br9 --address 172.19.0.1", &["--address", "prefix length"]),
            ("bridge ensure br9 --address 172.19.0.0/16", &["172.19.0.0/16"]),
            ("bridge attach br0 --netns 1 --address 172.18.0.3/16 --mac 2", &["--mac", "Ethernet"]),
        ],
    );
}

#[test]
fn what_does_not_exist() {
    let scene = Scene::new();
    refuses(
        &scene,
        NOT_FOUND,
        &[
            ("bind 192.168.99.200 172.18.0.2 -i eth7", &["eth7"]),
            ("bind 192.168.99.200 172.18.0.2 --in-netns nowhere", &["nowhere"]),
            ("bridge attach br7 --netns 1 --address 172.18.0.3/16", &["br7"]),
            ("bridge attach br0 --netns nowhere --address 172.18.0.3/16", &["nowhere"]),
            ("apply /nonexistent/fip.toml", &["/nonexistent/fip.toml", "No such file"]),
            ("watch /nonexistent/fip.toml", &["/nonexistent/fip.toml", "No such file"]),
        ],
    );
}

#[test]
fn a_host_without_a_way_out() {
    let scene = Scene::new();
    scene.a.ip("route del default");
    scene.a.ip("-6 route del default");
    refuses(
        &scene,
        FAILED,
        &[
            ("bind 203.0.113.7 172.18.0.2", &["203.0.113.7", "no default route", "--interface"]),
            ("bind 2001:db8:203::7 2001:db8:18::2", &["2001:db8:203::7", "no default route"]),
        ],
    );
    // What a subnet of the host holds needs none.
    scene.fip().ok("bind 192.168.99.200 172.18.0.2 --announce 1");
}

#[test]
fn a_fixed_address_that_cannot_be_reached_is_a_warning() {
    let scene = Scene::new();
    let run = scene.fip().ok("bind 192.168.99.200 172.30.0.2 --announce 1");
    let run = run.complains_of(&["warning: ", "172.30.0.2"]);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    let row = &scene.fip().list()[0];
    assert_eq!((&row["fixed"], &row["state"]), (&"172.30.0.2".into(), &"degraded".into()));
}

#[test]
fn what_is_bound_otherwise() {
    let scene = Scene::new();
    scene.fip().ok("bind 192.168.99.200 172.18.0.2 --announce 1");
    scene.fip().ok("bind 192.168.99.201 172.18.0.3 -p tcp:80 --announce 1 --owner agent");
    let conflict = |commands: &[(&str, &[&str])]| refuses(&scene, 3, commands);
    conflict(&[
        ("bind 192.168.99.200 172.18.0.3", &["192.168.99.200", "172.18.0.2", "cli", "--replace"]),
        ("bind 192.168.99.200 172.18.0.3 --owner agent", &["192.168.99.200", "cli"]),
        ("bind 192.168.99.200 172.18.0.3 --replace --owner agent", &["192.168.99.200", "cli"]),
        ("bind 192.168.99.201 172.18.0.4", &["192.168.99.201", "agent", "--owner agent"]),
        ("bind 192.168.99.201 172.18.0.4 -p tcp:80 --owner agent", &["tcp:80", "172.18.0.3"]),
        ("bind 192.168.99.202 172.18.0.2", &["172.18.0.2", "egress"]),
        ("unbind 192.168.99.200 --owner agent", &["192.168.99.200", "cli"]),
        ("unbind 192.168.99.201", &["192.168.99.201", "agent"]),
    ]);
    let before = scene.state();
    let file = "192.168.99.210 172.18.0.9\n192.168.99.201 172.18.0.3\n";
    let run = scene.fip().run_with_input("apply -", file).exits(3);
    run.complains_of(&["192.168.99.201", "agent"]);
    scene.state().assert_is(&before, "after a file with another owner's address");
}

#[test]
fn files_that_make_no_sense() {
    let scene = Scene::new();
    scene.fip().ok("bind 192.168.99.200 172.18.0.2 --announce 1");
    let before = scene.state();
    let twice = "[[binding]]\nfloating = '192.168.99.201'\nfixed = '172.18.0.2'\n\
                 [[binding]]\nfloating = '192.168.99.201'\nfixed = '172.18.0.3'\n";
    for (text, code, parts) in [
        (twice, USAGE, &["standard input, line 4", "192.168.99.201 is bound twice", "line 1"][..]),
        ("192.168.99.201 172.18.0.2\n192.168.99.201 172.18.0.3\n", USAGE, &["line 2", "line 1"]),
        ("192.168.99.201/24 172.18.0.2\n", USAGE, &["line 1", "mask"]),
        ("fe80::1%eth0 2001:db8::1\n", USAGE, &["line 1", "zone"]),
        ("[[binding]]\nfloatin = '192.168.99.201'\n", USAGE, &["line 2", "floatin"]),
        ("[{\"floating\": \"192.168.99.201\"}]", USAGE, &["line 1", "fixed"]),
        ("not a file\n", USAGE, &["line 1", "FLOATING FIXED"]),
        ("192.168.99.201 172.18.0.2\n127.0.0.1 172.18.0.2\n", FAILED, &["line 2", "loopback"]),
        (
            "192.168.99.201 172.18.0.2\n192.168.99.11 172.18.0.3\n",
            FAILED,
            &["192.168.99.11", "own"],
        ),
    ] {
        for command in ["apply -", "apply - --dry-run", "apply - --json"] {
            let run = scene.fip().run_with_input(command, text).exits(code).complains_of(parts);
            assert_eq!(run.stdout, "", "{text}");
            assert_form(&run.stderr);
            scene.state().assert_is(&before, &format!("after {text:?}"));
        }
        if code == USAGE {
            scene.fip().run_with_input("watch -", text).exits(code).complains_of(parts);
            scene.state().assert_is(&before, &format!("after a watch of {text:?}"));
        }
    }
}

/// Runs `fip ARGS` with fewer privileges.
fn run_with_less(ns: &Ns, less: &[&str], args: &str) -> Finished {
    let args: Vec<&str> =
        less.iter().copied().chain([FIP]).chain(args.split_whitespace()).collect();
    ns.try_tool("setpriv", &args, "192.168.99.201 172.18.0.2\n")
}

#[test]
fn not_root() {
    let scene = Scene::new();
    scene.fip().ok("bind 192.168.99.200 172.18.0.2 --announce 1");
    let before = scene.state();
    let nobody = ["--reuid", "65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"];
    for command in [
        "bind 192.168.99.201 172.18.0.2",
        "bind 192.168.99.201 172.18.0.2 --dry-run",
        "bind 192.168.99.200 172.18.0.2",
        "unbind 192.168.99.200",
        "list",
        "list --json",
        "apply -",
        "watch -",
        "bridge ensure br9 --address 172.19.0.1/16",
        "bridge delete br0 --force",
    ] {
        let run = run_with_less(&scene.a, &nobody, command);
        assert_eq!(run.code, Some(NOT_PERMITTED), "fip {command}: {run:?}");
        assert!(run.stderr.contains("way out: run as root"), "fip {command}: {run:?}");
        assert_form(&run.stderr);
        scene.state().assert_is(&before, &format!("after `fip {command}`"));
    }
}

#[test]
fn not_allowed_to_ask_the_neighbours() {
    let scene = Scene::new();
    let before = scene.state();
    let command = "bind 192.168.99.200 172.18.0.2";
    let run = run_with_less(&scene.a, &["--bounding-set=-net_raw"], command);
    assert_eq!(run.code, Some(NOT_PERMITTED), "{run:?}");
    assert!(run.stderr.contains("CAP_NET_RAW"), "{run:?}");
    scene.state().assert_is(&before, "after the attempt");
}

#[test]
fn legacy_iptables() {
    let scene = Scene::new();
    for (tool, rule) in [
        ("iptables-legacy", ["-t", "filter", "-P", "FORWARD", "DROP"]),
        ("ip6tables-legacy", ["-t", "nat", "-P", "PREROUTING", "ACCEPT"]),
    ] {
        scene.a.tool(tool, &rule, "");
        let before = scene.state();
        refuses(
            &scene,
            FAILED,
            &[
                ("bind 192.168.99.200 172.18.0.2", &["iptables-legacy", rule[1], "way out: "]),
                ("bind 192.168.99.200 172.18.0.2 --dry-run", &["--allow-legacy-iptables"]),
            ],
        );
        let file = "192.168.99.200 172.18.0.2\n";
        scene.fip().run_with_input("apply -", file).exits(FAILED).complains_of(&["-legacy"]);
        // It can be undone, and looked at, all the same.
        scene.fip().ok("bind 192.168.99.200 172.18.0.2 --announce 0 --allow-legacy-iptables");
        assert_eq!(scene.fip().list().len(), 1);
        scene.fip().ok("unbind 192.168.99.200");
        scene.state().assert_is(&before, "in the end");
    }
}

/// What the kernel says where it has no nf_tables, put in its mouth by strace(1): no kernel that
/// runs these tests is without.
#[test]
fn a_kernel_without_nf_tables() {
    let scene = Scene::new();
    for command in ["bind 192.168.99.200 172.18.0.2", "list"] {
        // No netfilter sockets at all: it is the second socket that is opened.
        let no_sockets = ["--trace=socket", "--inject=socket:error=EPROTONOSUPPORT:when=2"];
        // Or sockets, but nobody behind them: the first answer, of 44 bytes, becomes an error message
        // for the first request that says EINVAL (`struct nlmsghdr`, `struct nlmsgerr`).
        let first = first_answer_of_nf_tables(&scene, command);
        let einval = ["2c000000", "0200", "0000", "01000000", "00000000", "eaffffff"].concat();
        let einval = format!("--inject=recvfrom:poke_exit=@arg2={einval}:when={first}");
        let before = scene.state();
        for inject in [no_sockets, ["--trace=recvfrom", &einval]] {
            let strace = ["-o", "/dev/null", inject[0], inject[1], FIP];
            let args: Vec<&str> = strace.into_iter().chain(command.split(' ')).collect();
            let run = scene.a.try_tool("strace", &args, "");
            assert_eq!(run.code, Some(FAILED), "fip {command}: {run:?}");
            assert!(run.stderr.contains("nf_tables"), "fip {command}: {run:?}");
            assert!(run.stderr.contains("way out: "), "fip {command}: {run:?}");
            assert_form(&run.stderr);
            scene.state().assert_is(&before, &format!("after `fip {command}`"));
        }
    }
}

/// Which call of recvfrom(2) gets the first answer of nf_tables.
fn first_answer_of_nf_tables(scene: &Scene, command: &str) -> usize {
    let args: Vec<&str> = ["--trace=recvfrom", FIP].into_iter().chain(command.split(' ')).collect();
    let trace = scene.a.try_tool("strace", &args, "").stderr;
    scene.fip().ok("unbind 192.168.99.200");
    let calls: Vec<&str> = trace.lines().filter(|line| line.starts_with("recvfrom(")).collect();
    let first = calls.iter().position(|line| line.contains("NFT_MSG_NEWGEN"));
    first.unwrap_or_else(|| panic!("no answer of nf_tables in: {trace}")) + 1
}
