//! A laboratory: hosts, clients and workloads as network namespaces, with real traffic.
//!
//! Everything in it belongs to the test that made it and ends with it, also when the test is
//! killed. Waiting is always for a condition, with a deadline; nothing sleeps to be in time.

// Each test program uses its part of the laboratory, none uses all of it.
#![allow(dead_code, unused_imports)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod capture;
mod docker;
mod fip;
mod flow;
mod ns;
mod process;
mod topology;
mod traffic;
mod whoami;

use std::time::{Duration, Instant};

pub(crate) use capture::{Capture, Claim, holders};
pub(crate) use docker::{install_docker_20, install_docker_28, install_docker_nftables};
pub(crate) use fip::{Fip, Run};
pub(crate) use flow::{Prober, TCP_PACE, TcpFlow, UdpFlow};
pub(crate) use ns::Ns;
pub(crate) use process::{Finished, Running};
pub(crate) use topology::{Family, Host, Lan, Workload, add_route_to, container, lan};
pub(crate) use traffic::{EchoWitness, Proto, ping, tcp_whoami, udp_socket, udp_whoami, whoami};
pub(crate) use whoami::{Reply, Whoami};

/// How long to wait for what must happen, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How long a single answer may take before it counts as none.
pub(crate) const ANSWER: Duration = Duration::from_secs(2);

/// Waits until `probe` gives something, and panics with `what` if it does not in [`PATIENCE`].
pub(crate) fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
