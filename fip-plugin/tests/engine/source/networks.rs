//! Where on this host a container is.

use std::net::IpAddr;

use super::follower::{Follower, docker};
use super::{docker0, running};
use crate::docker::{Engine, IMAGE, Options};
use crate::lab::Lan;

#[test]
fn the_network_of_the_default_route_comes_first() {
    let lan = Lan::new();
    let engine = Engine::start(&lan.host_a(), &Options::default());
    let mut follower = Follower::new(&engine);
    let run = format!("run --detach --label fip.address=192.168.99.200 --name c1 {IMAGE}");
    engine.docker_ok(&run);
    follower.wait_for_one("its start", |w| running(w) == Some(&[docker0(2)]));

    let internal = "network create --internal --subnet 172.18.0.0/16 a";
    let both = "network create --ipv6 --subnet 172.20.0.0/16 --subnet 2001:db8:1::/64 c";
    engine.docker_ok(internal);
    engine.docker_ok("network create --subnet 172.19.0.0/16 b");
    engine.docker_ok(both);
    let inside = engine.inside("c1");
    let mut first = docker0(2);
    for (change, all) in [
        ("connect a c1", ["172.17.0.2", "172.18.0.2"].as_slice()),
        ("connect b c1", &["172.17.0.2", "172.18.0.2", "172.19.0.2"]),
        ("disconnect bridge c1", &["172.18.0.2", "172.19.0.2"]),
        ("connect bridge c1", &["172.17.0.2", "172.18.0.2", "172.19.0.2"]),
        (
            "connect c c1",
            &["172.17.0.2", "172.18.0.2", "172.19.0.2", "172.20.0.2", "2001:db8:1::2"],
        ),
        ("disconnect b c1", &["172.17.0.2", "172.18.0.2", "172.20.0.2", "2001:db8:1::2"]),
        (
            "connect --ip 172.19.7.7 b c1",
            &["172.17.0.2", "172.18.0.2", "172.19.7.7", "172.20.0.2", "2001:db8:1::2"],
        ),
    ] {
        engine.docker_ok(&format!("network {change}"));
        let all: Vec<IpAddr> = all.iter().map(|address| address.parse().unwrap()).collect();
        let workload = follower.wait_for_one(change, |workload| {
            let mut fixed = running(workload).unwrap_or_default().to_vec();
            fixed.sort();
            fixed == all
        });
        first = running(&workload).unwrap()[0];
        eprintln!(
            "{change}: {} {}",
            engine.inspect("container c1")["NetworkSettings"]["Networks"],
            inside.ip("route show default")
        );
        let route = inside.ip("route show default");
        let gateway = route.split_whitespace().nth(2).unwrap();
        let network = |address: &str| address.split('.').take(2).collect::<Vec<_>>().join(".");
        assert_eq!(network(gateway), network(&first.to_string()), "after {change}: {route}");
    }
    assert_eq!(first, IpAddr::from([172, 20, 0, 2]), "the network with gateways for both families");
}

#[test]
fn a_container_without_a_network_of_its_own_runs_nowhere() {
    let lan = Lan::new();
    let engine = Engine::start(&lan.host_a(), &Options::default());
    engine.docker_ok(&format!("run --detach --name base {IMAGE}"));
    for (number, network) in ["host", "none", "container:base"].into_iter().enumerate() {
        let label = "--label fip.address=192.168.99.200";
        let name = format!("c{number}");
        engine
            .docker_ok(&format!("run --detach --network {network} {label} --name {name} {IMAGE}"));
    }
    let mut follower = Follower::new(&engine);
    follower.wait("three that run", |workloads| {
        workloads.len() == 3 && workloads.iter().all(|workload| running(workload) == Some(&[]))
    });
    let containers = docker(&engine).containers(&fip_plugin::docker::Filter::All).unwrap();
    let mut shares: Vec<_> = containers.iter().map(|c| (c.name.as_str(), c.shares)).collect();
    shares.sort();
    assert_eq!(shares, [("base", false), ("c0", true), ("c1", false), ("c2", true)]);
}
