//! Two engines with a plugin each, and the networks that are compared.

use std::net::{IpAddr, Ipv4Addr};

use fip_core::claim::{Claim, RivalPolicy};
use fip_core::fip::BindOptions;
use fip_core::netns::NetNs;
use fip_core::{Binding, FloatingIps};

use crate::docker::{Engine, IMAGE, Options, Plugin};
use crate::harness::docker_api;
use crate::lab::{Host, Lan, Ns, ping, wait_for};

use super::{ASKS, BUILT_IN};

/// The floating address of the container. Those of somebody else are in another subnet.
const FLOATING: &str = "192.168.99.200";

/// A container that waits to be connected.
const IDLE: &str = "idle";

/// Host A's plugin asks the LAN for an address before it claims it, host B's does not.
pub(super) struct Scene {
    _lan: Lan,
    client: Ns,
    hosts: [Host; 2],
    engines: [Engine; 2],
    _plugins: [Plugin; 2],
}

/// What is compared.
pub(super) struct Side<'a> {
    pub(super) name: &'static str,
    engine: &'a Engine,
    network: &'static str,
    floating: bool,
}

impl Scene {
    pub(super) fn new() -> Self {
        let lan = Lan::new();
        let (client, hosts) = (lan.client(), [lan.host_a(), lan.host_b()]);
        let engines = Engine::start_each([&hosts[0], &hosts[1]], &Options::default());
        let plugins = [Plugin::start(&engines[0], ""), Plugin::start(&engines[1], "--probe 0")];
        for engine in &engines {
            engine.docker_ok("network create --subnet 172.18.0.0/16 built-in");
            engine.docker_ok("network create --driver fip --subnet 172.19.0.0/16 fip");
            engine.docker_ok(&format!("run --detach --name {IDLE} {IMAGE}"));
        }
        Self { _lan: lan, client, hosts, engines, _plugins: plugins }
    }

    pub(super) fn sides(&self) -> [Side<'_>; 4] {
        let [asks, trusts] = &self.engines;
        let side = |name, engine, network, floating| Side { name, engine, network, floating };
        [
            side(BUILT_IN, asks, "built-in", false),
            side("fip", asks, "fip", false),
            side(ASKS, asks, "fip", true),
            side("fip.address, --probe 0", trusts, "fip", true),
        ]
    }

    /// A client of the LAN reaches the container by its floating address while, and only while, it
    /// is connected.
    pub(super) fn check(&self, sides: &[Side<'_>]) {
        let floating: IpAddr = FLOATING.parse().unwrap();
        for side in sides.iter().filter(|side| side.floating) {
            side.api_connect();
            wait_for(side.name, || ping(&self.client, floating).then_some(()));
            side.api_disconnect();
            assert!(!ping(&self.client, floating), "{}: it answers for ever", side.name);
        }
    }

    /// Binds that many floating addresses on each host, in the name of somebody else.
    pub(super) fn occupy(&self, count: u32) {
        let nth = |first: [u8; 4], n| Ipv4Addr::from_bits(Ipv4Addr::from(first).to_bits() + n);
        let binding =
            |n| Binding::new(nth([172, 28, 0, 1], n).into(), nth([172, 30, 0, 1], n).into());
        let bindings: Vec<Binding> = (0..count).map(|n| binding(n).unwrap()).collect();
        for host in &self.hosts {
            let netns: NetNs = host.path().display().to_string().parse().unwrap();
            let mut fips = FloatingIps::open_in(&netns, fip_core::Options::default()).unwrap();
            let claim = Claim { policy: RivalPolicy::TakeOver, ..Claim::default() };
            let options = BindOptions { claim, announcements: 0, ..BindOptions::default() };
            fips.reconcile(&"bench".parse().unwrap(), &bindings, &options).unwrap();
        }
    }
}

impl Side<'_> {
    fn post(&self, action: &str, body: &str) {
        let socket = self.engine.machine().path("/run/docker.sock");
        docker_api::post(&socket, &format!("/networks/{}/{action}", self.network), body);
    }

    fn option(&self, before: &str) -> String {
        if self.floating { format!("{before}fip.address={FLOATING}") } else { String::new() }
    }

    pub(super) fn api_connect(&self) {
        let options = if self.floating {
            format!(r#","EndpointConfig":{{"DriverOpts":{{"fip.address":"{FLOATING}"}}}}"#)
        } else {
            String::new()
        };
        self.post("connect", &format!(r#"{{"Container":"{IDLE}"{options}}}"#));
    }

    pub(super) fn api_disconnect(&self) {
        self.post("disconnect", &format!(r#"{{"Container":"{IDLE}"}}"#));
    }

    pub(super) fn connect(&self) {
        let option = self.option("--driver-opt ");
        self.engine.docker_ok(&format!("network connect {option} {} {IDLE}", self.network));
    }

    pub(super) fn disconnect(&self) {
        self.engine.docker_ok(&format!("network disconnect {} {IDLE}", self.network));
    }

    pub(super) fn run(&self) {
        let network = format!("name={}{}", self.network, self.option(",driver-opt="));
        self.engine.docker_ok(&format!("run --detach --name new --network {network} {IMAGE}"));
    }

    pub(super) fn remove(&self) {
        self.engine.docker_ok("rm --force new");
    }
}
