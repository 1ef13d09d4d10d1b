//! A host with its agent and its workloads.

use std::net::IpAddr;

use crate::lab::{Family, Host, Lan, Whoami, Workload, lan};

use super::program::Agent;
use super::teller::{Job, Kind, Teller};

/// The bridge of the workloads.
const BRIDGE: &str = "br0";

pub(super) struct Side {
    pub(super) host: Host,
    pub(super) mac: String,
    pub(super) teller: Teller,
    subnet: u8,
    agent: Option<Agent>,
}

/// A workload that runs, and serves port 80: it answers with its name. Dropped, it is gone.
pub(super) struct Web {
    pub(super) workload: Workload,
    name: String,
    _server: Whoami,
}

impl Side {
    /// The host of that name and number, without an agent.
    pub(super) fn new(network: &Lan, name: &str, number: u8, kind: Kind) -> Self {
        let host = network.host(name, number);
        let subnet = number + 7;
        host.bridge(BRIDGE, subnet);
        let teller = Teller::new(&host, name, lan(Family::V4, number), kind);
        Self { mac: host.mac("eth0"), host, teller, subnet, agent: None }
    }

    /// Starts the agent, with these arguments more.
    pub(super) fn start(&mut self, more: &str) {
        let args = format!("{} {more}", self.teller.args());
        self.agent = Some(Agent::start(&self.host, &self.teller.socket(), &args));
    }

    /// The agent, which works.
    pub(super) fn agent(&self) -> &Agent {
        self.agent.as_ref().unwrap()
    }

    /// Ends the agent with that signal.
    pub(super) fn end(&mut self, signal: &str) -> Option<i32> {
        self.agent.take().unwrap().end(signal)
    }

    /// Starts a workload, as number so-and-so of this host.
    pub(super) fn run(&self, name: &str, number: u8) -> Web {
        let workload = self.host.workload(name, BRIDGE, self.subnet, number);
        let server = Whoami::start(&workload, &[80]);
        Web { workload, name: name.to_owned(), _server: server }
    }

    /// Whether the host has that address.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.host.carried("eth0").contains(&format!(" {address}/"))
    }

    /// What of the host the agent makes: addresses and rules, without counters.
    pub(super) fn made(&self) -> String {
        self.host.carried("eth0") + &self.host.nft("-s list table inet fip")
    }
}

impl Web {
    /// It as a workload of that host that asks for this address.
    pub(super) fn job(&self, side: &Side, floating: IpAddr) -> Job {
        let family = if floating.is_ipv4() { Family::V4 } else { Family::V6 };
        Job {
            name: self.name.clone(),
            host: side.host.name().to_owned(),
            floating,
            fixed: self.workload.address(family),
            starts: 1,
        }
    }
}
