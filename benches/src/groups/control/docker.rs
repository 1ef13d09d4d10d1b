//! Docker's own ways to make a container reachable.

use super::super::peers::{Pair, docker_rules};
use crate::docker::{Engine, IMAGE, Options};
use crate::harness::docker_api::post;
use crate::harness::{Case, Figures, Group, Took, timed_here};
use crate::lab::{Family, Host, Lan, lan};

const HOST: u8 = 200;
const NETWORK: &str = "other";
const IDLE: &str = "idle";

/// An engine with a container that is idle, and a network that it is not in.
pub(super) struct Docker {
    engine: Engine,
    host: Host,
    have: usize,
    _lan: Lan,
}

impl Docker {
    /// None where Docker is not installed.
    pub(super) fn start(group: &mut Group) -> Option<Self> {
        group.peer("docker")?;
        group.peer("dockerd")?;
        group.set("docker", "no userland proxy, iptables on; the image is a static busybox");
        group.set("docker, present", "rules of N published ports, loaded by iptables-restore");
        let network = Lan::new();
        let host = network.host("docker", HOST);
        let engine = Engine::start(&host, &Options::default());
        engine.docker_ok(&format!("network create {NETWORK}"));
        engine.docker_ok(&format!("run --detach --name {IDLE} {IMAGE}"));
        Some(Self { engine, host, have: 0, _lan: network })
    }

    /// Adds rules until there are as many as these; there must not be more already.
    pub(super) fn have(&mut self, present: &[Pair]) {
        let rules = docker_rules(&present[self.have..]);
        self.host.tool("iptables-nft-restore", &["--noflush"], &rules);
        self.have = present.len();
    }

    pub(super) fn cases(&self) -> Vec<Case<'_>> {
        let count = Some(self.have as u64);
        let network = move |verb: &str| self.docker(&format!("network {verb} {NETWORK} {IDLE}"));
        let mut port = 20_000;
        let published = move || {
            port += 1;
            format!("--publish {}:{port}:80", lan(Family::V4, HOST))
        };
        vec![
            Case::new("docker network connect (CLI)", count, move || {
                figures(network("connect"), network("disconnect"))
            }),
            Case::new("docker network connect (API)", count, || self.api()),
            Case::new("docker run", count, || self.run("")).every(2),
            Case::new("docker run -p", count, {
                let mut published = published;
                move || self.run(&published())
            })
            .every(2),
        ]
    }

    fn run(&self, options: &str) -> Figures {
        let begun = self.docker(&format!("run --detach --name new {options} {IMAGE}"));
        figures(begun, self.docker("rm --force new"))
    }

    fn api(&self) -> Figures {
        let socket = self.engine.machine().path("/run/docker.sock");
        let body = format!(r#"{{"Container":"{IDLE}"}}"#);
        let ms = |verb: &str| {
            let began = std::time::Instant::now();
            post(&socket, &format!("/networks/{NETWORK}/{verb}"), &body);
            began.elapsed().as_secs_f64() * 1e3
        };
        vec![("bind ms", ms("connect")), ("unbind ms", ms("disconnect"))]
    }

    /// The command, whole. What dockerd takes of the processor is not known.
    fn docker(&self, args: &str) -> Took {
        let socket = self.engine.machine().path("/run/docker.sock");
        let socket = format!("--host=unix://{}", socket.display());
        let mut words = vec!["docker", "--config", "/nonexistent", &socket];
        words.extend(args.split_whitespace());
        timed_here(&words, None)
    }
}

fn figures(bind: Took, unbind: Took) -> Figures {
    vec![("bind ms", bind.ms()), ("unbind ms", unbind.ms())]
}
