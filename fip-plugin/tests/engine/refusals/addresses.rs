//! Floating addresses that a container may not have.

use fip_core::netns::NetNs;
use fip_core::{Binding, FloatingIps, Options as FipOptions};

use super::Place;
use crate::docker::{IMAGE, wait_for_page};
use crate::scene::v4;

impl Place {
    /// Has docker refuse the address to a container, in both ways in which it may be asked for.
    #[track_caller]
    fn refuses_address(&self, network: &str, address: &str, words: &[&str]) {
        let option = format!("fip.address={address}");
        let named = format!("name={network},driver-opt={option}");
        self.refuses_to_run(&["--network", &named], words);
        let before = self.traces();
        self.engine.docker_ok(&format!("run --detach --name refused {IMAGE}"));
        let connect = ["network", "connect", "--driver-opt", &option, network, "refused"];
        self.refuses(&connect, words);
        self.engine.docker_ok("rm --force refused");
        self.wait_for_traces("without the container", &before);
    }
}

#[test]
fn what_is_not_for_containers_is_refused() {
    let place =
        Place::new("--allow 192.168.99.0/24 --allow 224.0.0.0/4,127.0.0.0/8,169.254.0.0/16");
    for (address, why) in [
        (
            "192.168.98.255",
            "127.0.0.0/8, 169.254.0.0/16, 192.168.99.0/24, 224.0.0.0/4 may be claimed",
        ),
        ("203.0.113.7", "--allow permits more"),
        ("192.168.99.11", "it is this host's own address on eth0"),
        ("192.168.99.254", "it is the gateway of the route to 0.0.0.0/0"),
        ("192.168.99.0", "it is the network address of 192.168.99.0/24 on eth0"),
        ("192.168.99.255", "it is the broadcast address of 192.168.99.0/24 on eth0"),
        ("127.0.0.1", "loopback"),
        ("224.0.0.1", "multicast"),
        ("169.254.0.9", "link-local"),
        ("0.0.0.0", "unspecified"),
        ("2001:db8:99::200", "the container has no IPv6 address on this network"),
        ("192.168.99.200 2001:db8:99::200", "the container has no IPv6 address on this network"),
    ] {
        let refused = address.rsplit(' ').next().unwrap();
        place.refuses_address("fip", address, &[refused, why]);
    }
    place.engine.docker_ok(
        "network create --driver fip --subnet 172.19.0.0/16 -o fip.allow=192.168.99.250 narrow",
    );
    let why = "only 192.168.99.250 may be claimed on this network (its fip.allow)";
    place.refuses_address("narrow", "192.168.99.249", &["192.168.99.249", why]);
    place.works("narrow");

    place.engine.docker_ok("network create --driver fip --internal --subnet 172.20.0.0/16 inner");
    let why = "the network is internal";
    place.refuses_address("inner", "192.168.99.200", &["192.168.99.200", why]);
    place.works("fip");
}

#[test]
fn what_another_one_has_is_refused() {
    let place = Place::new("--deadline 300ms");
    place.engine.docker_ok("network create --driver fip --subnet 172.19.0.0/16 other");
    place.engine.web(
        "holder",
        "--network name=fip,driver-opt=fip.address=192.168.99.200",
        "holder",
    );
    let fixed = "172.18.0.2";

    let held = ["192.168.99.200 is already bound", fixed, "stop the other container"];
    place.refuses_address("fip", "192.168.99.200", &held);
    place.refuses_address("other", "192.168.99.200", &held);
    // All or nothing.
    place.refuses_address("fip", "192.168.99.201 192.168.99.200", &held);

    for owner in ["cli", "agent", "somebody"] {
        let bound = ["192.168.99.210 is already bound to 172.31.0.9", owner, "fip unbind --owner"];
        let binding = Binding::new(v4(210), [172, 31, 0, 9].into()).unwrap();
        let binding = binding.owned_by(owner.parse().unwrap());
        let mut fips = place.floating_ips();
        fips.bind(&binding).unwrap();
        place.refuses_address("fip", "192.168.99.210", &bound);
        fips.unbind(v4(210), &[], binding.owner()).unwrap();
    }

    let mac = place.client.mac("eth0");
    place.refuses_address("fip", "192.168.99.1", &["192.168.99.1 is in use on eth0", &mac]);

    wait_for_page(&place.client, v4(200), "holder");
    place.works("other");
    place.works("fip");
}

impl Place {
    /// The library, on the host.
    fn floating_ips(&self) -> FloatingIps<fip_core::kernel::host::Host> {
        let netns: NetNs = self.host.path().display().to_string().parse().unwrap();
        FloatingIps::open_in(&netns, FipOptions::default()).unwrap()
    }
}
