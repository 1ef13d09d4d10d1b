//! Where bindings are made: a LAN with a client, and hosts with one workload each.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};

use fip_core::claim::{Claim, RivalPolicy};
use fip_core::fip::BindOptions;
use fip_core::kernel::host::Host as Kernel;
use fip_core::netns::NetNs;
use fip_core::{Binding, FloatingIps, Options, Owner};

use super::peers::{BRIDGE, Hold, Pair, addresses, iptables_rules, local_routes, nft_table};
use crate::lab::{Host, Lan, Ns, Whoami, Workload, udp_whoami};

/// The binding that comes and goes while others are there: the workload's.
pub(crate) const EXTRA: Pair =
    Pair { floating: Ipv4Addr::new(172, 29, 0, 1), fixed: Ipv4Addr::new(172, 18, 0, 2) };

/// Where else the floating address may lead.
pub(crate) const OTHER: Ipv4Addr = Ipv4Addr::new(172, 18, 0, 3);

/// A binding that stays: the first one makes the table, and the last one takes it away.
const STAYS: Pair =
    Pair { floating: Ipv4Addr::new(172, 29, 0, 2), fixed: Ipv4Addr::new(172, 18, 0, 4) };

/// Where the workload tells who it is.
const PORT: u16 = 80;

/// The subnet of all workloads, 172.18.0.0/16: hosts do not see each other's.
const SUBNET: u8 = 18;

/// A LAN with a client.
pub(crate) struct World {
    lan: Lan,
    pub(crate) client: Ns,
    hosts: Cell<u8>,
}

/// A host with one workload.
pub(crate) struct Site {
    pub(crate) host: Host,
    pub(crate) workload: Workload,
    _whoami: Whoami,
}

impl World {
    pub(crate) fn new() -> Self {
        let lan = Lan::new();
        let client = lan.client();
        client.ip("route add 172.28.0.0/15 dev eth0");
        Self { lan, client, hosts: Cell::new(0) }
    }

    /// One more host, with nothing bound.
    pub(crate) fn site(&self, name: &str) -> Site {
        let number = self.hosts.get() + 1;
        self.hosts.set(number);
        let host = self.lan.host(name, 10 + number);
        host.bridge(BRIDGE, SUBNET);
        let workload = host.workload(&format!("workload-{name}"), BRIDGE, SUBNET, 2);
        let whoami = Whoami::start(&workload, &[PORT]);
        Site { host, workload, _whoami: whoami }
    }

    /// Panics unless a client of the LAN reaches the workload of the site at the floating address.
    pub(crate) fn must_reach(&self, what: &str, site: &Site, floating: Ipv4Addr) {
        // It may have known it on another host.
        self.client.ip("neigh flush dev eth0");
        let reply = udp_whoami(&self.client, (IpAddr::V4(floating), PORT));
        let name =
            reply.unwrap_or_else(|error| panic!("{what}: {floating} is not reached: {error}"));
        assert_eq!(name.name, site.workload.name(), "{what}: {floating} leads elsewhere");
    }
}

impl Site {
    /// Three iptables rules and an address for each.
    pub(crate) fn have_iptables(&self, pairs: &[Pair]) {
        self.host.tool("iptables-nft-restore", &[], &iptables_rules("-A", pairs));
        self.host.ip_batch(&addresses("add", pairs));
    }

    /// Two nft map elements, and an address or a `local` route for each.
    pub(crate) fn have_nft(&self, pairs: &[Pair], hold: Hold) {
        self.host.nft_script(&nft_table(pairs));
        let held = match hold {
            Hold::Address => addresses("add", pairs),
            Hold::Route => local_routes("add", pairs),
        };
        self.host.ip_batch(&held);
    }

    /// Bindings of `fip`, of another owner than the command's.
    pub(crate) fn have_fip(&self, hold: Hold, pairs: &[Pair]) {
        let bindings: Vec<Binding> = pairs.iter().map(binding).collect();
        let mut fips = self.fips(hold);
        fips.reconcile(&owner(), &bindings, &bind_options()).expect("cannot bind");
    }

    /// Has fip's table on this host, as the peers have their chains, whatever else is bound.
    pub(crate) fn have_table(&self, hold: Hold) {
        let stays = binding(&STAYS).owned_by(owner_that_stays());
        self.fips(hold).bind_with(&stays, &bind_options()).expect("cannot bind");
    }

    /// The library on this host.
    pub(crate) fn fips(&self, hold: Hold) -> FloatingIps<Kernel> {
        let netns: NetNs = self.host.path().display().to_string().parse().expect("a path");
        let options = Options { hold: Some(hold), ..Options::default() };
        FloatingIps::open_in(&netns, options).expect("netlink")
    }
}

/// Of a pair, the command's.
pub(crate) fn binding(pair: &Pair) -> Binding {
    Binding::new(pair.floating.into(), pair.fixed.into()).expect("a valid binding")
}

fn owner_that_stays() -> Owner {
    "stays".parse().expect("a valid owner")
}

/// Whose the bindings are that are just there.
pub(crate) fn owner() -> Owner {
    "bench".parse().expect("a valid owner")
}

/// Nobody is asked and nothing announced: no peer does.
pub(crate) fn bind_options() -> BindOptions {
    let claim = Claim { policy: RivalPolicy::TakeOver, ..Claim::default() };
    BindOptions { replace: true, claim, announcements: 0 }
}
