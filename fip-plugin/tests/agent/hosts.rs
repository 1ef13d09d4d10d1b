//! The program `fip-agent` on hosts of a LAN, with `--attach direct`: containers are namespaces
//! behind a bridge, and Rancher's metadata service or a file says where they run.

mod cut_off;
mod dead;
mod faults;
mod many;
mod migration;
mod monitor;
mod program;
mod puzzle;
mod quiet;
mod restart;
mod side;
mod steady;
mod teller;

use std::net::IpAddr;
use std::sync::Arc;

use crate::lab::{Capture, Claim, Family, Lan, Ns, Prober, holders, lan};
use program::Agent;
use side::{Side, Web};
use teller::{Job, Kind};

/// The address that moves.
const ADDRESS: u8 = 200;

fn floating(family: Family) -> IpAddr {
    lan(family, ADDRESS)
}

/// Two hosts and a client on a LAN.
struct Scene {
    a: Side,
    b: Side,
    client: Arc<Ns>,
    lan: Lan,
}

impl Scene {
    fn new(kind: Kind) -> Self {
        let lan = Lan::new();
        let client = Arc::new(lan.client());
        let [a, b] =
            [("A", 11), ("B", 12)].map(|(name, number)| Side::new(&lan, name, number, kind));
        Self { a, b, client, lan }
    }

    /// All sources know the same.
    fn tell(&self, jobs: &[Job]) {
        self.a.teller.tell(jobs);
        self.b.teller.tell(jobs);
    }

    /// Both agents work, and a workload `old` of A has the address.
    fn begin(&mut self, family: Family) -> Web {
        let old = self.a.run("old", 2);
        self.tell(&[old.job(&self.a, floating(family))]);
        self.a.start("");
        self.b.start("");
        self.a.agent().wait_for_state(floating(family), "bound");
        old
    }

    fn capture(&self) -> Capture {
        Capture::start(&self.lan.switch)
    }

    fn prober(&self, family: Family) -> Prober {
        let prober = Prober::start(&self.client, (floating(family), 80));
        prober.wait_for("old");
        prober
    }

    /// Panics unless these, and no others, answered for the address or announced it since the
    /// capture began, one after the other.
    #[track_caller]
    fn assert_holders(&self, capture: &Capture, family: Family, wanted: &[&Side]) {
        capture.catch_up(&self.client);
        assert_order(&capture.claims(floating(family)), wanted);
    }
}

/// Panics unless these hosts spoke for an address, and no others, one after the other.
#[track_caller]
fn assert_order(claims: &[Claim], wanted: &[&Side]) {
    let wanted: Vec<&str> = wanted.iter().map(|side| side.mac.as_str()).collect();
    assert_eq!(holders(claims), wanted, "who had it, in order: {claims:?}");
}

/// Ends the probes of a move: first `old` answered, then `new`, and how much was lost is told.
#[track_caller]
fn assert_moved(what: &str, prober: Prober) {
    prober.wait_for("new");
    let lost = prober.lost();
    for seen in <[Vec<String>; 2]>::from(prober.stop()) {
        let changes: Vec<_> = seen.chunk_by(|a, b| a == b).map(|chunk| &chunk[0]).collect();
        assert_eq!(changes, ["old", "new"], "{what}: who answered, in order");
    }
    println!("{what}: {lost} probes lost, one each millisecond");
}
