//! The configuration files in `examples/`, each used as it says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../fip-core/tests/lab/mod.rs"]
mod lab;

use std::fs;

use lab::{Fip, Host, Lan, PATIENCE, Running, wait_for};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");

fn read(file: &str) -> String {
    fs::read_to_string(format!("{EXAMPLES}/{file}")).unwrap()
}

fn host() -> (Lan, Host) {
    let lan = Lan::new();
    let host = lan.host_a();
    host.bridge("br0", 18);
    (lan, host)
}

fn fip(host: &Host) -> Fip<'_> {
    Fip::new(env!("CARGO_BIN_EXE_fip"), host)
}

#[test]
fn the_files_of_bindings_say_the_same() {
    let (_lan, host) = host();
    let plan = |file| fip(&host).ok(&format!("apply {EXAMPLES}/{file} --dry-run")).stdout.clone();
    let toml = plan("bindings.toml");
    assert_eq!(toml, plan("bindings.json"));
    for line in [
        "add local route 192.168.99.200/32 dev eth0",
        "add local route 192.168.99.201/32 dev eth0",
        "add address 2001:db8:99::200/128 dev eth0",
    ] {
        assert!(toml.lines().any(|found| found == line), "no {line} in {toml}");
    }
    assert!(toml.contains("192.168.99.201 . tcp . 80 "), "{toml}");
    assert_eq!(host.nft("list ruleset"), "");
}

#[test]
fn confd_has_its_file_checked_and_applied() {
    let (_lan, host) = host();
    let resource: toml::Table = read("confd/conf.d/fip.toml").parse().unwrap();
    let written = format!("{EXAMPLES}/confd/bindings");
    let arguments = |key: &str, file: &str| {
        let command = resource["template"][key].as_str().unwrap();
        command.strip_prefix("fip ").unwrap().replace(file, &written)
    };
    let destination = resource["template"]["dest"].as_str().unwrap();
    fip(&host).ok(&arguments("check_cmd", "{{.src}}"));
    assert_eq!(fip(&host).list(), Vec::<serde_json::Value>::new());
    fip(&host).ok(&arguments("reload_cmd", destination));
    let owned: Vec<_> = fip(&host).list().iter().map(|row| row["owner"].clone()).collect();
    assert_eq!(owned, ["confd", "confd"]);
}

/// The file in the examples is what confd makes of the template.
#[test]
fn the_template_gives_the_file() {
    let template = read("confd/templates/fip.tmpl");
    let (head, rest) = template.split_once("{{range gets \"/fip/*\"}}").unwrap();
    let (each, tail) = rest.split_once("{{end}}").unwrap();
    let bindings = [("192.168.99.200", "172.18.0.2"), ("2001:db8:99::200", "2001:db8:18::2")];
    let lines = bindings.map(|(floating, fixed)| {
        each.replace("{{base .Key}}", floating).replace("{{.Value}}", fixed)
    });
    assert_eq!(format!("{head}{}{tail}", lines.concat()), read("confd/bindings"));
}

#[test]
fn the_unit_has_the_capabilities_that_it_needs() {
    let (_lan, host) = host();
    let unit = read("fip-watch.service");
    let setting = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let command = setting("ExecStart=").replace("/etc/fip", EXAMPLES);
    let capabilities = setting("CapabilityBoundingSet=").to_lowercase().replace("cap_", "+");
    let bounds = format!("-all,{}", capabilities.replace(' ', ","));
    let mut arguments = vec!["--bounding-set", &bounds, "--", env!("CARGO_BIN_EXE_fip")];
    arguments.extend(command.split(' ').skip(1));
    let watch = Running::start(&host, "setpriv", &arguments, "");
    wait_for("the bindings of the unit", || {
        let list = fip(&host).list();
        (list.iter().filter(|row| row["owner"] == "fip-watch").count() == 4).then_some(())
    });
    watch.signal("TERM");
    let done = watch.finish(PATIENCE);
    assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
    assert_eq!(fip(&host).list().len(), 4);
}
