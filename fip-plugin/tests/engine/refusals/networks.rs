//! `docker network create`.

use super::Place;

const MTU: &str = "com.docker.network.driver.mtu";
const BRIDGE: &str = "com.docker.network.bridge.name";

impl Place {
    #[track_caller]
    fn refuses_network(&self, args: &str, words: &[&str]) {
        let create = "network create --driver fip".split(' ');
        let args: Vec<&str> = create.chain(args.split_whitespace()).chain(["refused"]).collect();
        self.refuses(&args, words);
    }
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let place = Place::new("--allow 192.168.99.128/25");
    let option = |name: &str, value: &str, words: &[&str]| {
        place.refuses_network(&format!("-o {name}={value}"), words);
    };
    option("fip.uplnk", "eth0", &["\"fip.uplnk\" is not an option", "did you mean fip.uplink?"]);
    option("FIP.nonsense", "", &["FIP.nonsense", "fip.uplink, fip.allow"]);
    option("fip.address", "192.168.99.200", &["fip.address", "one of a container on a network"]);

    for mtu in ["big", "67", "65536", "-1500", "1500.0", "0x5dc"] {
        option(MTU, mtu, &[&format!("{mtu:?} is not an MTU in bytes, 68 to 65535"), MTU]);
    }
    let both = "--ipv6 --subnet 172.25.0.0/16 --subnet 2001:db8:25::/64";
    place.refuses_network(
        &format!("{both} -o {MTU}=1279"),
        &["\"1279\" is not an MTU", "1280 to 65535 with IPv6"],
    );

    for name in ["sixteen-letters-", "a/b", "..", ".", "a:b", "%d"] {
        option(BRIDGE, name, &[&format!("{name:?} is not"), BRIDGE]);
    }
    option(BRIDGE, "eth0", &["this host has a link eth0 already", "choose another name"]);
    option(BRIDGE, "docker0", &["this host has a link docker0 already", "choose another name"]);
    let first = place.engine.inspect("network fip")["Id"].take();
    let owner = format!("bridge fip0 belongs to network {}", &first.as_str().unwrap()[..12]);
    option(BRIDGE, "fip0", &[&owner, "choose another name"]);

    option("fip.uplink", "eth7", &["this host has no link eth7", "name the network card"]);
    option("fip.uplink", "../eth0", &["\"../eth0\" is not", "fip.uplink"]);
    for range in ["rubbish", "192.168.99.0/33", "192.168.99.9-192.168.99.1", "192.168.99"] {
        option("fip.allow", range, &[range, "is not", "fip.allow"]);
    }
    let more = ["fip.allow=192.168.99.0/25 is more than this host permits (192.168.99.128/25)"];
    option("fip.allow", "192.168.99.0/25", &more);
    option(
        "com.docker.network.bridge.enable_ip_masquerade",
        "perhaps",
        &["perhaps", "true or false"],
    );

    place.engine.docker_ok(&format!(
        "network create -d fip -o {BRIDGE}=fip1 -o {MTU}=1400 -o fip.uplink=eth0 \
         -o fip.allow=192.168.99.240/28 good"
    ));
    place.works("good");
}

#[test]
fn subnets_that_the_host_has_already_are_refused() {
    let place = Place::new("");
    place.host.ip("link add other0 type bridge");
    place.host.ip("address add 172.25.0.1/16 dev other0");
    place.host.ip("link set other0 up");
    place.engine.docker_ok("network create --subnet 172.26.0.0/16 built-in");

    // Docker itself knows of its own networks.
    for taken in ["172.17.0.0/16", "172.18.128.0/17", "172.26.0.0/24"] {
        place.refuses_network(&format!("--subnet {taken}"), &["overlaps"]);
    }
    // Only the plugin knows of the host's.
    for (taken, why) in [
        ("192.168.99.0/24", "overlaps 192.168.99.11/24 on eth0"),
        ("192.168.99.64/26", "overlaps 192.168.99.11/24 on eth0"),
        ("192.168.0.0/16", "overlaps 192.168.99.11/24 on eth0"),
        ("172.25.4.0/24", "overlaps 172.25.0.1/16 on other0"),
    ] {
        place.refuses_network(&format!("--subnet {taken}"), &[why, "choose a subnet"]);
    }
    let both = "--ipv6 --subnet 172.27.0.0/16 --subnet 2001:db8:99::/64";
    place.refuses_network(both, &["overlaps 2001:db8:99::11/64 on eth0", "choose a subnet"]);

    place.engine.docker_ok("network create --driver fip --subnet 172.27.0.0/16 good");
    place.works("good");
}

#[test]
fn a_network_needs_a_gateway() {
    let place = Place::new("");
    place.refuses_network("--ipam-driver null", &["has no gateway", "--gateway"]);
    place.works("fip");
}
