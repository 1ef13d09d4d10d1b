//! The daemons whose rest is looked at.

use std::fmt::Write;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fip_core::FloatingIps;
use fip_core::netns::NetNs;

use crate::docker::{Engine, IMAGE, Options, Plugin, eventually};
use crate::harness::{Bench, Group};
use crate::lab::{Host, Lan, Ns};

use super::proc_of;
use super::usage::{Usage, family, named};

/// A container asks for so many addresses: more than 64 are refused.
const OF_ONE: u32 = 50;

/// What the two agents of the engine listen to.
pub(super) const DIRECT: &str = "bench.direct";
pub(super) const NETWORK: &str = "bench.network";

/// Where the floating addresses come from.
const ALLOW: &str = "172.28.0.0/16,192.168.99.0/24";

/// Processes of one name.
pub(super) struct Subject {
    pub(super) name: String,
    /// How many bindings it has.
    pub(super) present: Option<u64>,
    proc: PathBuf,
    pids: Vec<u32>,
    /// None where somebody else ends it.
    _program: Option<Program>,
}

/// A program under way, killed in the end.
pub(super) struct Program(Child);

impl Program {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("cannot start a program"))
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // One that has ended is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Subject {
    pub(super) fn usage(&self) -> Usage {
        Usage::of(&self.proc, &self.pids)
    }

    /// `fip-agent` with a file of so many bindings, which are there when this returns.
    pub(super) fn file_agent(bench: &Bench, host: &Host, count: u32) -> Self {
        let name = format!("resident-{count}");
        let map = bench.file(&format!("{name}-map"), &map(count));
        let program = file_agent(bench, host, &name, &map);
        eventually("the agent binds", || bound(host, "agent", count));
        let (proc, pids) = (PathBuf::from("/proc"), vec![program.pid()]);
        let name = "fip-agent, file, direct".to_owned();
        Self { name, present: Some(count.into()), proc, pids, _program: Some(program) }
    }
}

/// Starts an agent that follows a map, without Docker, from a file of its own.
pub(super) fn file_agent(bench: &Bench, host: &Host, name: &str, map: &Path) -> Program {
    let copy = copy(bench, &bench.programs.agent, name);
    let mut command = host.command("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(copy);
    command.args(["--source", "file", "--attach", "direct", "--probe", "0", "--allow", ALLOW]);
    command.arg("--file").arg(map);
    command.arg("--listen").arg(bench.scratch.path(&format!("{name}.sock")));
    Program::start(command)
}

/// A map of so many addresses.
pub(super) fn map(count: u32) -> String {
    let mut text = "# the file is complete\n".to_owned();
    for n in 0..count {
        writeln!(text, "{} {}", floating(n), nth([172, 30, 0, 1], n)).unwrap();
    }
    text
}

fn floating(n: u32) -> Ipv4Addr {
    nth([172, 28, 0, 1], n)
}

fn nth(first: [u8; 4], n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::from(first).to_bits() + n)
}

/// Whether so many addresses are bound on the host for owners of that name.
pub(super) fn bound(host: &Ns, owner: &str, count: u32) -> Result<(), String> {
    let netns: NetNs = host.path().display().to_string().parse().unwrap();
    let mut fips = FloatingIps::open_in(&netns, fip_core::Options::default()).unwrap();
    let all = fips.list().unwrap();
    let owned = all.iter().filter(|status| status.binding.owner().as_str().starts_with(owner));
    let found = owned.count();
    if found == count as usize { Ok(()) } else { Err(format!("{found} of {count}")) }
}

/// The program as a file of its own: its pages are shared with no other process.
fn copy(bench: &Bench, program: &Path, name: &str) -> PathBuf {
    let directory = bench.scratch.path(name);
    fs::create_dir_all(&directory).unwrap();
    let copy = directory.join(program.file_name().unwrap());
    fs::copy(program, &copy).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    copy
}

/// keepalived as master, with so many addresses on each host.
pub(super) fn keepalived(
    bench: &Bench,
    group: &mut Group,
    hosts: [(&Host, u32); 2],
) -> Vec<Subject> {
    let Some(path) = group.peer("keepalived") else { return Vec::new() };
    group.set("keepalived", "master, VRRP, advert_int 1; all but the first address excluded");
    let subject = |(host, count): (&Host, u32)| {
        let name = format!("resident-keepalived-{count}");
        let file = bench.file(&format!("{name}.conf"), &configuration(count));
        let mut command = host.command("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(copy(bench, &path, &name));
        command.args(["--dont-fork", "--vrrp", "--use-file"]).arg(file);
        for (option, end) in [("--pid", "pid"), ("--vrrp_pid", "vrrp")] {
            command.arg(option).arg(bench.scratch.path(&format!("{name}.{end}")));
        }
        let program = Program::start(command);
        let last = floating(count - 1).to_string();
        eventually("keepalived has its addresses", || {
            let addresses = host.ip("address show dev eth0");
            addresses.contains(&last).then_some(()).ok_or(addresses)
        });
        let proc = PathBuf::from("/proc");
        let pids = family(&proc, program.pid(), &["keepalived"]);
        let name = "keepalived, master".to_owned();
        Subject { name, present: Some(count.into()), proc, pids, _program: Some(program) }
    };
    hosts.map(subject).into()
}

fn configuration(count: u32) -> String {
    let line = |n| format!("  {}/32 dev eth0\n", floating(n));
    let excluded: String = (1..count).map(line).collect();
    format!(
        "global_defs {{\n script_user root\n}}\nvrrp_instance V {{\n state MASTER\n \
         interface eth0\n virtual_router_id {}\n priority 150\n advert_int 1\n \
         virtual_ipaddress {{\n{} }}\n virtual_ipaddress_excluded {{\n{excluded} }}\n}}\n",
        if count == 1 { 51 } else { 52 },
        line(0)
    )
}

/// An engine with the plugin and both kinds of agents: each follows a label of its own.
pub(super) struct Site {
    pub(super) engine: Engine,
    pub(super) client: Ns,
    host: Host,
    plugin: Plugin,
    agents: [Program; 2],
}

impl Site {
    pub(super) fn start(bench: &Bench, group: &mut Group, lan: &Lan) -> Self {
        let (host, client) = (lan.host_a(), lan.client());
        let engine = Engine::start(&host, &Options::default());
        let plugin = Plugin::start(&engine, &format!("--allow {ALLOW}"));
        let attach = [("direct", DIRECT), ("network", NETWORK)];
        let agents = attach.map(|(attach, label)| docker_agent(bench, &engine, attach, label));
        group.set("docker", "one engine with fip-plugin and one agent for each way to attach");
        for (attach, _) in attach {
            let socket = engine.machine().path(&format!("/run/fip-{attach}.sock"));
            eventually("an agent listens", || {
                std::os::unix::net::UnixStream::connect(&socket).map_err(|error| error.to_string())
            });
        }
        Self { engine, client, host, plugin, agents }
    }

    /// The daemons of the engine, which have so many bindings each.
    pub(super) fn subjects(&self, present: Option<u32>) -> Vec<Subject> {
        let (proc, present) = (PathBuf::from("/proc"), present.map(u64::from));
        let subject = |name: &str, proc: PathBuf, pids| Subject {
            name: name.to_owned(),
            present,
            proc,
            pids,
            _program: None,
        };
        let agent = |n: usize| family(&proc, self.agents[n].pid(), &["fip-agent"]);
        let machine = proc_of(&self.engine);
        let engine = named(&machine, &["dockerd", "containerd"]);
        vec![
            subject("fip-agent, docker, direct", proc.clone(), agent(0)),
            subject("fip-agent, docker, network", proc.clone(), agent(1)),
            subject("fip-plugin", machine.clone(), vec![self.plugin.pid()]),
            subject("dockerd, containerd", machine, engine),
        ]
    }

    /// Starts containers that ask both agents for so many addresses, and waits for these.
    pub(super) fn fill(&self, count: u32) {
        let list = |first: u32| {
            (first..first + OF_ONE).map(|n| floating(n).to_string()).collect::<Vec<_>>().join(",")
        };
        for first in (0..count).step_by(OF_ONE as usize) {
            let labels = [(DIRECT, first), (NETWORK, first + 10 * count)];
            let labels = labels.map(|(label, first)| format!("--label={label}={}", list(first)));
            let words = ["run", "--detach", &labels[0], &labels[1], IMAGE];
            self.engine.docker_with(&words).exits(0);
        }
        eventually("the agent binds", || bound(&self.host, "agent", count));
        eventually("the plugin binds", || bound(&self.host, "plugin:", count));
    }
}

/// An agent in the engine's machine, from a file of its own. It ends with the machine.
fn docker_agent(bench: &Bench, engine: &Engine, attach: &str, label: &str) -> Program {
    let copy = copy(bench, &bench.programs.agent, &format!("resident-{attach}"));
    let mut command = engine.machine().command(&copy.display().to_string());
    command.args(["--docker", "unix:///run/docker.sock", "--attach", attach, "--label", label]);
    command.args(["--allow", ALLOW, "--listen"]).arg(format!("/run/fip-{attach}.sock"));
    Program::start(command)
}
