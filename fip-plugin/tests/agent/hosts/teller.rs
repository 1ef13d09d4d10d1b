//! Who tells an agent what runs.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::lab::Ns;
use crate::metadata::{Fault, Metadata, container, with};
use crate::web::Directory;

/// Where each host asks its metadata service.
const PORT: u16 = 9346;

/// A workload somewhere in the environment.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) name: String,
    /// The name of the host.
    pub(super) host: String,
    pub(super) floating: IpAddr,
    pub(super) fixed: IpAddr,
    pub(super) starts: u64,
}

/// What kind of source the agents have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rancher,
    File,
}

/// How a host can lose its source without losing the LAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Nobody listens any more.
    Refused,
    /// All packets are lost, in the middle of a poll.
    Blackholed,
    /// It has nothing but errors to say.
    Wrong,
    /// The file is gone.
    Removed,
}

/// The source of one host.
pub(super) struct Teller {
    host: String,
    /// Where it is asked from.
    ns: Ns,
    directory: Directory,
    /// None if a file tells.
    service: Option<Metadata>,
}

impl Teller {
    /// Tells the host of that name; nothing at first.
    pub(super) fn new(ns: &Ns, host: &str, address: IpAddr, kind: Kind) -> Self {
        let service = (kind == Kind::Rancher).then(|| {
            let service = Metadata::start_at(ns, PORT);
            service.add_host(host, &uuid(host), address);
            service.default_host(host);
            service
        });
        let ns = Ns::of(ns.name(), &ns.path());
        let teller = Self { host: host.to_owned(), ns, directory: Directory::new(), service };
        teller.tell(&[]);
        teller
    }

    /// The service, where there is one.
    pub(super) fn service(&self) -> &Metadata {
        self.service.as_ref().unwrap()
    }

    /// A place for a socket of the agent.
    pub(super) fn socket(&self) -> PathBuf {
        self.directory.join("agent.sock")
    }

    fn file(&self) -> PathBuf {
        self.directory.join("map")
    }

    /// What makes the agent ask here.
    pub(super) fn args(&self) -> String {
        match &self.service {
            Some(service) => format!("--source rancher --rancher-url {}", service.local()),
            None => format!("--source file --file {}", self.file().display()),
        }
    }

    /// These are all workloads of the environment now.
    pub(super) fn tell(&self, jobs: &[Job]) {
        if let Some(service) = &self.service {
            return service.publish(containers(&self.host, jobs));
        }
        let here = jobs.iter().filter(|job| job.host == self.host);
        let lines = here.map(|job| format!("{} {}\n", job.floating, job.fixed));
        let map = format!("# all\n{}", lines.collect::<String>());
        let beside = self.directory.join("map.new");
        fs::write(&beside, map).unwrap();
        fs::rename(beside, self.file()).unwrap();
    }

    /// From now on the agent learns nothing.
    pub(super) fn cut(&self, how: Cut) {
        match how {
            Cut::Refused => self.service().kill(),
            Cut::Wrong => {
                self.service().fault("*", Fault::Status(500));
                self.service().reload();
            }
            Cut::Blackholed => self.ns.nft_script(&format!(
                "table inet hole {{\nchain input {{\ntype filter hook input priority -300\n\
                 tcp sport {PORT} drop\ntcp dport {PORT} drop\n}}\n}}\n"
            )),
            Cut::Removed => fs::remove_file(self.file()).unwrap(),
        }
    }

    /// Ends that; a file is there again with the next [`Teller::tell`].
    pub(super) fn mend(&self, how: Cut) {
        match how {
            Cut::Refused | Cut::Wrong => self.service().heal(),
            Cut::Blackholed => self.ns.nft_script("delete table inet hole\n"),
            Cut::Removed => {}
        }
    }
}

/// What the service knows the host by.
pub(super) fn uuid(host: &str) -> String {
    format!("uuid of host {host}")
}

/// As the service lists them: with one that asks for nothing on each host.
fn containers(own: &str, jobs: &[Job]) -> Vec<Value> {
    let on = |container: Value, host: &str| with(container, "host_uuid", uuid(host));
    let agent = with(container("network-agent", "", "10.42.0.1"), "labels", json!({}));
    let mut all = vec![on(agent, own)];
    all.extend(jobs.iter().map(|job| {
        let floating = job.floating.to_string();
        let running = container(&job.name, &floating, &job.fixed.to_string());
        with(on(running, &job.host), "start_count", job.starts)
    }));
    all
}
