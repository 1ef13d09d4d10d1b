//! A host with a workload, and a client on the LAN.

// Each test program uses its part of it.
#![allow(dead_code)]

use std::net::IpAddr;

use crate::lab::{
    Family, Fip, Host, Lan, Ns, Whoami, Workload, lan, tcp_whoami, udp_whoami, wait_for,
};

/// Host A with a workload behind `br0`, which serves port 80, and a client.
pub(crate) struct Scene {
    pub(crate) lan: Lan,
    pub(crate) client: Ns,
    pub(crate) a: Host,
    pub(crate) workload: Workload,
    _server: Whoami,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let lan = Lan::new();
        let client = lan.client();
        let a = lan.host_a();
        a.bridge("br0", 18);
        let workload = a.workload("workload", "br0", 18, 2);
        let server = Whoami::start(&workload, &[80]);
        Self { lan, client, a, workload, _server: server }
    }

    /// The command, on host A.
    pub(crate) fn fip(&self) -> Fip<'_> {
        Fip::new(env!("CARGO_BIN_EXE_fip"), &self.a)
    }

    /// The floating and the fixed address of the tests.
    pub(crate) fn pair(&self, family: Family) -> (IpAddr, IpAddr) {
        (lan(family, 200), self.workload.address(family))
    }

    /// All addresses and links of host A, and its ruleset without counters and handles.
    pub(crate) fn state(&self) -> State {
        State {
            addresses: self.a.ip("address show"),
            routes: self.a.ip("route show table all") + &self.a.ip("-6 route show table all"),
            ruleset: self.a.nft("-s list ruleset"),
        }
    }

    /// Waits until the client reaches the workload at the address, over TCP and UDP.
    pub(crate) fn wait_for_traffic(&self, floating: IpAddr) {
        for (what, ask) in [("TCP", tcp_whoami as fn(&Ns, _) -> _), ("UDP", udp_whoami)] {
            let answer = wait_for(&format!("an answer over {what} from {floating}"), || {
                ask(&self.client, (floating, 80)).ok()
            });
            assert_eq!(answer.name, "workload", "over {what} from {floating}");
        }
    }
}

/// What a host looks like.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State {
    addresses: String,
    routes: String,
    pub(crate) ruleset: String,
}

impl State {
    /// Panics if it differs, and shows the lines that do.
    #[track_caller]
    pub(crate) fn assert_is(&self, expected: &Self, when: &str) {
        for (what, is, should) in [
            ("ruleset", &self.ruleset, &expected.ruleset),
            ("addresses", &self.addresses, &expected.addresses),
            ("routes", &self.routes, &expected.routes),
        ] {
            let extra: Vec<&str> =
                is.lines().filter(|l| !should.lines().any(|s| s == *l)).collect();
            let gone: Vec<&str> = should.lines().filter(|l| !is.lines().any(|i| i == *l)).collect();
            assert!(is == should, "the {what} {when}: extra {extra:#?}, missing {gone:#?}");
        }
    }
}
