//! A LAN with a client, and a host with Docker, the driver, and a network `fip`.

use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use crate::docker::{Engine, IMAGE, Options, Page, Plugin, fetch};
use crate::lab::{Family, Fip, Host, Lan, Ns, lan, ping, wait_for};

/// The label by which containers ask for floating addresses.
pub(crate) use fip_plugin::driver::LABEL;

pub(crate) struct Scene {
    pub(crate) plugin: Plugin,
    pub(crate) engine: Engine,
    pub(crate) client: Ns,
    pub(crate) host: Host,
    _lan: Lan,
}

impl Scene {
    /// With a network `fip`, 172.18.0.0/16.
    pub(crate) fn new() -> Self {
        Self::with_network("--subnet 172.18.0.0/16")
    }

    /// With a network `fip` made with these options, split at spaces.
    pub(crate) fn with_network(options: &str) -> Self {
        let lan = Lan::new();
        let (host, client) = (lan.host_a(), lan.client());
        let engine = Engine::start(&host, &Options::default());
        let plugin = Plugin::start(&engine, "");
        engine.docker_ok(&format!("network create --driver fip {options} fip"));
        Self { plugin, engine, client, host, _lan: lan }
    }

    /// A container that is on the network `fip` alone, and serves its name as its page.
    #[track_caller]
    pub(crate) fn web(&self, name: &str, options: &str) -> Ns {
        self.engine.web(name, &format!("--network fip {options}"), name)
    }

    /// The same with these driver options, separated by commas.
    #[track_caller]
    pub(crate) fn web_with(&self, name: &str, driver_options: &str) -> Ns {
        let network = driver_options
            .split(',')
            .fold("name=fip".to_owned(), |all, option| format!("{all},driver-opt={option}"));
        self.engine.web(name, &format!("--network {network}"), name)
    }

    /// A container that does nothing, with these further arguments.
    #[track_caller]
    pub(crate) fn idle(&self, name: &str, options: &str) -> Ns {
        self.engine.docker_ok(&format!("run --detach --name {name} {options} {IMAGE}"));
        self.engine.inside(name)
    }

    /// The fixed address of a container on a network.
    #[track_caller]
    pub(crate) fn address_in(&self, network: &str, container: &str, family: Family) -> IpAddr {
        let key = match family {
            Family::V4 => "IPAddress",
            Family::V6 => "GlobalIPv6Address",
        };
        let container = self.engine.inspect(&format!("container {container}"));
        let address = &container["NetworkSettings"]["Networks"][network][key];
        address.as_str().unwrap().parse().unwrap()
    }

    /// The beginning of the id of a network, as it is in the names of its bridge and its owner.
    pub(crate) fn short_id(&self, network: &str) -> String {
        self.engine.inspect(&format!("network {network}"))["Id"].as_str().unwrap()[..12].to_owned()
    }

    /// The bridge of the network `fip`.
    pub(crate) fn bridge(&self) -> String {
        format!("br-{}", self.short_id("fip"))
    }

    /// The command `fip` on the host.
    pub(crate) fn fip(&self) -> Fip<'_> {
        Fip::new(fip_binary(), &self.host)
    }
}

/// The floating or other address of that number on the LAN.
pub(crate) fn v4(number: u8) -> IpAddr {
    lan(Family::V4, number)
}

/// The same in IPv6.
pub(crate) fn v6(number: u8) -> IpAddr {
    lan(Family::V6, number)
}

/// Whose request the container saw, if the address serves this page to that caller, and answers
/// its ping as well.
pub(crate) fn visit(caller: &Ns, address: IpAddr, page: &str) -> Result<IpAddr, String> {
    let Page { text, peer } = fetch(caller, address)?;
    if text != page {
        return Err(format!("another page: {text:?}"));
    }
    if !ping(caller, address) {
        return Err("a page, but no answer to a ping".to_owned());
    }
    Ok(peer)
}

/// Waits until the namespace has a rule for what is sent from the address.
#[track_caller]
pub(crate) fn wait_for_source_rule(inside: &Ns, fixed: IpAddr) {
    let family = if fixed.is_ipv4() { "-4" } else { "-6" };
    wait_for(&format!("a source rule for {fixed}"), || {
        let rules = inside.ip(&format!("{family} rule show"));
        rules.contains(&format!("from {fixed} ")).then_some(())
    });
}

/// The binary `fip`. Cargo makes it for the tests of its own package only, so these have to ask
/// for it; when tests run, no other build is under way in the target directory.
fn fip_binary() -> &'static str {
    static BINARY: OnceLock<String> = OnceLock::new();
    BINARY.get_or_init(|| {
        let mut command = Command::new(env!("CARGO"));
        command.args(["build", "--package", "fip-cli", "--bin", "fip", "--message-format=json"]);
        command.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let messages = String::from_utf8(done.stdout).unwrap();
        let messages = messages.lines().map(|line| line.parse::<serde_json::Value>().unwrap());
        let mut made =
            messages.filter_map(|message| Some(message["executable"].as_str()?.to_owned()));
        made.next().expect("cargo names the binary")
    })
}

/// A capture on one link, by `tcpdump`.
pub(crate) struct Packets {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Packets {
    /// From its return on, every packet of this filter is seen.
    pub(crate) fn start(ns: &Ns, link: &str, filter: &str) -> Self {
        let mut child = ns
            .command("setpriv")
            .args(["--pdeathsig", "KILL", "tcpdump", "-Z", "root", "-i", link, "-n", "-l"])
            .args(["--immediate-mode", filter])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cannot start tcpdump");
        let mut complaints = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = |line: std::io::Result<String>| line.unwrap().starts_with("listening on");
        assert!(complaints.any(listening), "tcpdump does not listen");
        std::thread::spawn(move || complaints.for_each(drop));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lines);
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).for_each(|line| seen.lock().unwrap().push(line));
        });
        Self { child, lines }
    }

    /// Waits for a packet in whose line all of this is.
    #[track_caller]
    pub(crate) fn wait_for(&self, parts: &[&str]) {
        wait_for(&format!("a packet with {parts:?}"), || {
            let is_it = |line: &String| parts.iter().all(|part| line.contains(part));
            self.lines().iter().any(is_it).then_some(())
        });
    }

    /// The packets so far, as tcpdump prints them.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl Drop for Packets {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
