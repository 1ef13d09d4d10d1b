//! Podman's netavark.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::peers::Pair;
use super::super::world::EXTRA;
use crate::harness::{Bench, Case, Figures, Group, Took, timed_here};
use crate::lab::Ns;

/// A host with a container of so many published ports, and one more container.
pub(super) struct Site {
    netavark: PathBuf,
    config: PathBuf,
    host: Ns,
    container: Ns,
    _busy: Ns,
    with_port: PathBuf,
    without: PathBuf,
    count: u64,
}

impl Site {
    /// None where it is not installed.
    pub(super) fn start(bench: &Bench, group: &mut Group, present: &[Pair]) -> Option<Self> {
        let netavark = group.peer("netavark")?;
        group.set("netavark", "its default firewall driver, no DNS");
        group.set(
            "netavark, present",
            "another container with a port; N - 1 times the same rules, loaded by iptables-restore",
        );
        let site = Self::new(bench, netavark, present.len() as u64);
        if let Some(first) = present.first() {
            let ports = [port(&first.floating.to_string())];
            let busy = bench.file("netavark-busy.json", &request("cd", "10.88.0.9", &ports));
            site.call("setup", &site._busy, &busy);
            site.repeat(*first, &present[1..]);
        }
        Some(site)
    }

    /// As many ports more, with the rules that it wrote for the first: its own set-up of so many
    /// runs iptables for each rule, and takes minutes.
    fn repeat(&self, first: Pair, more: &[Pair]) {
        let first = first.floating.to_string();
        let saved = self.host.tool("iptables-save", &["-t", "nat"], "");
        let is_of_first = |line: &&str| line.starts_with("-A") && line.contains(&*first);
        let rules: Vec<&str> = saved.lines().filter(is_of_first).collect();
        assert!(rules.len() >= 2, "netavark wrote no rules of iptables for a port: {saved}");
        let of = |pair: &Pair| {
            let floating = pair.floating.to_string();
            rules.iter().map(|rule| rule.replace(&first, &floating) + "\n").collect::<String>()
        };
        let rules = more.iter().map(of).collect::<String>();
        self.host.tool("iptables-restore", &["--noflush"], &format!("*nat\n{rules}COMMIT\n"));
    }

    fn new(bench: &Bench, netavark: PathBuf, count: u64) -> Self {
        let config = bench.scratch.path(&format!("netavark-{count}"));
        std::fs::create_dir_all(&config).expect("cannot make a directory");
        let one = [port(&EXTRA.floating.to_string())];
        let [host, container, busy] = ["nvhost", "nv", "nvbusy"].map(Ns::new);
        Self {
            netavark,
            config,
            host,
            container,
            _busy: busy,
            with_port: bench.file("netavark-1.json", &request("ef", "10.88.0.10", &one)),
            without: bench.file("netavark-0.json", &request("ef", "10.88.0.10", &[])),
            count,
        }
    }

    pub(super) fn cases(&self) -> Vec<Case<'_>> {
        let count = Some(self.count);
        let every = if self.count == 0 { 1 } else { 4 };
        let case =
            |name: &str, file| Case::new(name, count, move || self.figures(file)).every(every);
        vec![
            case("netavark, one port", &*self.with_port),
            case("netavark, no port", &*self.without),
        ]
    }

    fn figures(&self, request: &Path) -> Figures {
        let [bind, unbind] =
            ["setup", "teardown"].map(|verb| self.call(verb, &self.container, request));
        vec![
            ("bind ms", bind.ms()),
            ("unbind ms", unbind.ms()),
            ("cpu ms", bind.cpu_ms() + unbind.cpu_ms()),
        ]
    }

    fn call(&self, verb: &str, container: &Ns, request: &Path) -> Took {
        let [program, config, netns] = [&self.netavark, &self.config, &container.path()]
            .map(|path| path.display().to_string());
        self.host.run(|| timed_here(&[&*program, "--config", &config, verb, &netns], Some(request)))
    }
}

fn request(id: &str, address: &str, ports: &[Value]) -> String {
    let network = json!({
        "id": "ab".repeat(32), "name": "bench", "driver": "bridge", "network_interface": "br-nv",
        "subnets": [{ "gateway": "10.88.0.1", "subnet": "10.88.0.0/16" }],
        "dns_enabled": false, "internal": false, "ipv6_enabled": false,
        "ipam_options": { "driver": "host-local" },
    });
    json!({
        "container_id": id.repeat(32), "container_name": id, "port_mappings": ports,
        "networks": { "bench": { "static_ips": [address], "interface_name": "eth0" } },
        "network_info": { "bench": network },
    })
    .to_string()
}

fn port(host: &str) -> Value {
    json!({
        "container_ip": "", "container_port": 80, "host_ip": host, "host_port": 80,
        "protocol": "tcp", "range": 1,
    })
}
