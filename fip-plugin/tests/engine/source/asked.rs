//! Networks are made, connected and removed.

use std::collections::BTreeMap;

use fip_plugin::docker::{DockerError, Filter, NewNetwork};

use super::follower::docker;
use crate::docker::{Engine, IMAGE, Options, PATIENCE};
use crate::lab::Lan;

fn map(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_network_is_made_used_and_removed() {
    let lan = Lan::new();
    let engine = Engine::start(&lan.host_a(), &Options::default());
    let docker = docker(&engine);
    let network = NewNetwork {
        name: "fip".to_owned(),
        driver: "bridge".to_owned(),
        subnets: ["172.18.0.0/16", "2001:db8:1::/64"].map(|s| s.parse().unwrap()).into(),
        options: map(&[("com.docker.network.bridge.name", "fip0")]),
        labels: map(&[("io.fip.by", "agent")]),
    };
    assert_eq!(docker.network("fip").unwrap(), None);
    let id = docker.create_network(&network).unwrap();
    let error = docker.create_network(&network).unwrap_err();
    assert!(matches!(error, DockerError::Refused { .. }), "{error}");
    let known = docker.network("fip").unwrap().unwrap();
    assert_eq!(docker.network(&id).unwrap().unwrap(), known);
    assert_eq!((&known.id, known.name.as_str(), &known.labels), (&id, "fip", &network.labels));
    assert_eq!(docker.network(&id[..12]).unwrap(), None, "only called so");
    let seen = engine.inspect("network fip");
    assert_eq!(seen["EnableIPv6"], true);
    assert_eq!(seen["IPAM"]["Config"][1]["Subnet"], "2001:db8:1::/64");
    assert_eq!(seen["Options"]["com.docker.network.bridge.name"], "fip0");

    let options = map(&[("fip.address", "192.168.99.200"), ("io.fip.by", "agent")]);
    let ran = engine.docker_ok(&format!("run --detach --name ran {IMAGE}"));
    let made = engine.docker_ok(&format!("create --name made {IMAGE}"));
    for container in [&ran, &made] {
        assert_eq!(docker.endpoint_options(container, &id).unwrap(), None);
        docker.disconnect(&id, container, PATIENCE).unwrap();
        docker.connect(&id, container, &options, PATIENCE).unwrap();
        assert_eq!(docker.endpoint_options(container, "fip").unwrap(), Some(options.clone()));
        let error = docker.connect(&id, "nobody", &options, PATIENCE).unwrap_err();
        assert!(error.to_string().contains("No such container: nobody"), "{error}");
    }
    assert_eq!(docker.endpoint_options(&ran, &id).unwrap(), Some(options.clone()));
    assert_eq!(docker.endpoint_options(&ran, "bridge").unwrap(), Some(BTreeMap::new()));
    assert_eq!(docker.endpoint_options("nobody", &id).unwrap(), None);

    engine.docker_ok("restart ran");
    assert_eq!(docker.endpoint_options(&ran, &id).unwrap(), Some(options.clone()), "it lasts");
    let connected = |filter: &str| {
        let containers = docker.containers(&Filter::Network(filter.to_owned())).unwrap();
        let mut names: Vec<_> = containers.into_iter().map(|container| container.name).collect();
        names.sort();
        names
    };
    assert_eq!(connected("fip"), ["made", "ran"]);
    assert_eq!(connected(&id), ["ran"], "the id of its network is written down when it runs");
    let error = docker.remove_network(&id).unwrap_err();
    assert!(error.to_string().contains("active endpoints"), "{error}");

    for container in [ran.as_str(), made.as_str(), ran.as_str(), "nobody"] {
        docker.disconnect(&id, container, PATIENCE).unwrap();
    }
    assert!(connected("fip").is_empty());
    docker.remove_network(&id).unwrap();
    docker.remove_network(&id).unwrap();
    docker.disconnect(&id, &ran, PATIENCE).unwrap();
    assert_eq!(docker.network("fip").unwrap(), None);
}
