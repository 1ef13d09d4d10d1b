//! Containers of a fip network that have no floating address: as on Docker's own networks.

use std::net::IpAddr;
use std::thread;

use crate::docker::{IMAGE, fetch};
use crate::lab::{Family, Ns, Whoami, ping, udp_whoami};
use crate::scene::{LABEL, Scene, v4, visit};

const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";

/// Whom a machine of the LAN sees that is asked by the container.
fn leaves_as(inside: &Ns, machine: IpAddr) -> Result<IpAddr, String> {
    udp_whoami(inside, (machine, 53)).map(|reply| reply.peer)
}

/// A route of the client to the containers, so that nothing but the host keeps it out.
fn route_to_containers(client: &Ns, subnet: &str) {
    client.ip(&format!("route add {subnet} via {}", v4(11)));
}

#[test]
fn it_reaches_the_lan_with_the_hosts_address_and_its_neighbours_with_its_own() {
    let scene = Scene::new();
    let _answers = Whoami::start(&scene.client, &[53]);
    let (c1, c2) = (scene.web("c1", ""), scene.web("c2", ""));
    let [fixed1, fixed2] = ["c1", "c2"].map(|name| scene.address_in("fip", name, Family::V4));

    assert_eq!(leaves_as(&c1, v4(1)), Ok(v4(11)));
    assert!(ping(&c1, v4(1)));
    assert_eq!(visit(&c1, fixed2, "c2"), Ok(fixed1));
    assert_eq!(visit(&c2, fixed1, "c1"), Ok(fixed2));
    assert_eq!(visit(&scene.host, fixed1, "c1"), Ok([172, 18, 0, 1].into()));
    // By their names too: Docker's own resolver answers them.
    let page = scene.engine.docker_ok("exec c1 wget -qO- http://c2/");
    assert_eq!(page, "c2");

    route_to_containers(&scene.client, "172.18.0.0/16");
    assert!(fetch(&scene.client, fixed1).is_err() && !ping(&scene.client, fixed1));
}

#[test]
fn it_keeps_its_own_address_where_nothing_is_masqueraded() {
    let scene = Scene::with_network(&format!("--subnet 172.18.0.0/16 -o {MASQUERADE}=false"));
    let _answers = Whoami::start(&scene.client, &[53]);
    let c1 = scene.web("c1", "");
    let fixed = scene.address_in("fip", "c1", Family::V4);
    route_to_containers(&scene.client, "172.18.0.0/16");
    assert_eq!(leaves_as(&c1, v4(1)), Ok(fixed));
    assert!(ping(&c1, v4(1)));

    // Who has a floating address leaves with that.
    let bound = scene.web_with("bound", "fip.address=192.168.99.200");
    assert_eq!(leaves_as(&bound, v4(1)), Ok(v4(200)));
}

#[test]
fn from_an_internal_network_nothing_leaves() {
    let scene = Scene::with_network("--subnet 172.18.0.0/16 --internal");
    let _answers = Whoami::start(&scene.client, &[53]);
    let (c1, _c2) = (scene.web("c1", ""), scene.web("c2", ""));
    let [fixed1, fixed2] = ["c1", "c2"].map(|name| scene.address_in("fip", name, Family::V4));
    assert_eq!(visit(&c1, fixed2, "c2"), Ok(fixed1));
    assert_eq!(c1.ip("route show default"), "");
    assert!(!c1.ip("-br link").contains("eth1"), "docker_gwbridge");
    assert!(leaves_as(&c1, v4(1)).is_err());

    // Nor by a route that somebody in the container makes, nor the other way.
    c1.ip("route add default via 172.18.0.1");
    route_to_containers(&scene.client, "172.18.0.0/16");
    assert!(leaves_as(&c1, v4(1)).is_err() && !ping(&c1, v4(1)));
    assert!(fetch(&scene.client, fixed1).is_err() && !ping(&scene.client, fixed1));

    let option = "--network name=fip,driver-opt=fip.address=192.168.99.200";
    let refused = scene.engine.docker(&format!("run --detach --name c3 {option} {IMAGE}"));
    assert_ne!(refused.code, Some(0));
    refused.complains_of(&["192.168.99.200", "internal", "connect"]);
    scene.engine.docker_ok("rm --force c3");
    // A label is for the one of a container's networks that can have the address.
    scene.web("c3", &format!("--label {LABEL}=192.168.99.200"));
    assert!(!scene.host.ip("address").contains("192.168.99.200"));
    scene.engine.docker_ok("network create --driver fip --subnet 172.19.0.0/16 outer");
    scene.engine.docker_ok("network connect outer c3");
    assert_eq!(visit(&scene.client, v4(200), "c3"), Ok(v4(1)));
}

/// Who reaches whom of these at his own address, by TCP or by ping; nobody is asked for himself.
fn reached(callers: &[(&str, &Ns)], addresses: &[(&str, IpAddr)]) -> Vec<String> {
    let pairs = callers.iter().flat_map(|caller| addresses.iter().map(move |to| (caller, to)));
    let pairs = pairs.filter(|((from, _), (to, _))| from != to);
    // Most wait in vain for an answer: they do so together.
    thread::scope(|scope| {
        let ask = |((from, caller), (to, address)): (&(&str, &Ns), &(&str, IpAddr))| {
            let reached = fetch(caller, *address).is_ok() || ping(caller, *address);
            reached.then(|| format!("{from} -> {to}"))
        };
        let asked: Vec<_> = pairs.map(|pair| scope.spawn(move || ask(pair))).collect();
        asked.into_iter().filter_map(|asked| asked.join().unwrap()).collect()
    })
}

/// Networks are closed to one another. (Only Docker's own containers may send to whatever is not a
/// network of Docker's own bridge driver: that is out of the host, as far as Docker knows.)
#[test]
fn networks_are_as_closed_as_docker_makes_them() {
    let scene = Scene::new();
    scene.engine.docker_ok("network create --driver fip --subnet 172.19.0.0/16 second");
    scene.engine.docker_ok("network create --driver bridge --subnet 172.20.0.0/16 other");
    let of_fip = ["fip", "second"];
    let of_docker = ["bridge", "other"];
    let web = |network: &str| scene.engine.web(network, &format!("--network {network}"), network);
    let (fip, second, bridge, other) = (web("fip"), web("second"), web("bridge"), web("other"));
    let bound = scene.web_with("bound", "fip.address=192.168.99.200");

    let own = |network: &'static str| (network, scene.address_in(network, network, Family::V4));
    let addresses_of_docker = of_docker.map(own);
    let addresses_of_fip = of_fip.map(own);
    let bound_at = ("bound", scene.address_in("fip", "bound", Family::V4));

    let inside_of_fip = [("fip", &fip), ("second", &second), ("bound", &bound)];
    assert_eq!(reached(&inside_of_fip, &addresses_of_docker), [""; 0], "Docker's own networks");
    assert_eq!(reached(&[("bridge", &bridge), ("other", &other)], &addresses_of_docker), [""; 0]);
    assert_eq!(reached(&[("second", &second)], &[addresses_of_fip[0], bound_at]), [""; 0]);
    assert_eq!(reached(&[("fip", &fip), ("bound", &bound)], &addresses_of_fip[1..]), [""; 0]);
    for subnet in ["172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16", "172.20.0.0/16"] {
        route_to_containers(&scene.client, subnet);
    }
    let all = [&addresses_of_docker[..], &addresses_of_fip, &[bound_at]].concat();
    assert_eq!(reached(&[("the client", &scene.client)], &all), [""; 0]);

    // What is meant to be reached is, from all of them.
    for inside in [&fip, &second, &bridge, &other, &scene.client, &scene.host] {
        assert!(visit(inside, v4(200), "bound").is_ok(), "{}", inside.name());
    }
}
