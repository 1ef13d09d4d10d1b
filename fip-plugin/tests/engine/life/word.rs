//! What Docker says there is.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;

use ipnetwork::IpNetwork;
use serde_json::Value;

use crate::docker::{Engine, PATIENCE};

/// The label by which containers ask for floating addresses.
pub(crate) const LABEL: &str = "io.rancher.container.floating.ip";

/// The networks of the driver, and all containers.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    /// By name.
    pub(crate) networks: BTreeMap<String, Network>,
    /// By name.
    pub(crate) containers: BTreeMap<String, Container>,
}

#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) id: String,
    /// With the prefix length of the subnet.
    pub(crate) gateways: Vec<IpNetwork>,
    pub(crate) internal: bool,
    /// The endpoints that Docker has in it, each with the container that it belonged to last.
    pub(crate) endpoints: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Container {
    /// As Docker says: `created`, `running`, `paused`, `exited`.
    pub(crate) state: String,
    /// Its process in the machine, while it runs.
    pub(crate) pid: Option<u64>,
    /// What its label asks for.
    pub(crate) label: Vec<IpAddr>,
    /// By the network's name, Docker's own networks too.
    pub(crate) attachments: BTreeMap<String, Attachment>,
}

#[derive(Debug, Clone)]
pub(crate) struct Attachment {
    /// Empty as long as the container does not run.
    pub(crate) endpoint: String,
    pub(crate) fixed: Vec<IpAddr>,
    /// What the option asks for.
    pub(crate) option: Vec<IpAddr>,
}

impl Word {
    /// Asks dockerd. What changes between two questions is an error: ask again.
    pub(crate) fn of(engine: &Engine) -> Result<Self, String> {
        let (mut networks, mut containers) = (BTreeMap::new(), BTreeMap::new());
        for listed in list(&get(engine, "/networks")?) {
            if listed["Driver"] == "fip" {
                let told = get(engine, &format!("/networks/{}", text(&listed["Id"])))?;
                networks.insert(text(&told["Name"]), Network::read(&told));
            }
        }
        for listed in list(&get(engine, "/containers/json?all=1")?) {
            let told = get(engine, &format!("/containers/{}/json", text(&listed["Id"])))?;
            let name = text(&told["Name"]).trim_start_matches('/').to_owned();
            containers.insert(name, Container::read(&told));
        }
        Ok(Self { networks, containers })
    }

    /// The running containers, by name.
    pub(crate) fn running(&self) -> impl Iterator<Item = (&String, &Container)> {
        self.containers.iter().filter(|(_, container)| container.pid.is_some())
    }

    /// The places of running containers in the driver's networks: the container's name, the
    /// network and the attachment. A running container that was refused a network is told to be in
    /// it all the same, but the network does not have that endpoint.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&String, &Network, &Attachment)> {
        self.running().flat_map(move |(name, container)| {
            container.attachments.iter().filter_map(move |(network, attachment)| {
                let network = self.networks.get(network)?;
                let there = network.endpoints.contains_key(&attachment.endpoint);
                there.then_some((name, network, attachment))
            })
        })
    }

    /// The floating addresses that running containers have, each with its fixed address and the
    /// network. Where a label may be about either of two networks, `bound` says about which.
    pub(crate) fn bindings(
        &self,
        bound: &BTreeMap<IpAddr, IpAddr>,
    ) -> BTreeMap<IpAddr, (IpAddr, &Network)> {
        let mut bindings = BTreeMap::new();
        for (name, network, place) in self.places() {
            let label = &self.containers[name].label;
            let asked = match place.option.as_slice() {
                [] if network.internal => &[],
                [] => label.as_slice(),
                option => option,
            };
            for &floating in asked {
                let fixed = place.fixed.iter().find(|f| f.is_ipv4() == floating.is_ipv4());
                let fixed = *fixed.expect("a fixed address of that family");
                if !bindings.contains_key(&floating) || bound.get(&floating) == Some(&fixed) {
                    bindings.insert(floating, (fixed, network));
                }
            }
        }
        bindings
    }

    /// Endpoints that no running container has and Docker could not part with: the network's name
    /// and the container's.
    pub(crate) fn stale_endpoints(&self) -> Vec<(&String, &String)> {
        let live: BTreeSet<_> = self.places().map(|(_, _, place)| &place.endpoint).collect();
        let all = self.networks.iter().flat_map(|(name, network)| {
            network.endpoints.iter().map(move |(endpoint, container)| (endpoint, name, container))
        });
        let stale = all.filter(|(endpoint, ..)| !live.contains(endpoint));
        stale.map(|(_, network, container)| (network, container)).collect()
    }
}

impl Network {
    fn read(told: &Value) -> Self {
        let subnets = list(&told["IPAM"]["Config"]).into_iter().map(|config| {
            let subnet: IpNetwork = text(&config["Subnet"]).parse().unwrap();
            let gateway = text(&config["Gateway"]);
            // Some versions tell the prefix length, others do not.
            let gateway: IpAddr = gateway.split('/').next().unwrap().parse().unwrap();
            IpNetwork::new(gateway, subnet.prefix()).unwrap()
        });
        let endpoints = entries(&told["Containers"])
            .map(|(_, container)| (text(&container["EndpointID"]), text(&container["Name"])));
        Self {
            id: text(&told["Id"]),
            gateways: subnets.collect(),
            internal: told["Internal"] == true,
            endpoints: endpoints.collect(),
        }
    }

    /// The name of its bridge.
    pub(crate) fn bridge(&self) -> String {
        format!("br-{}", self.short())
    }

    /// By this it is known.
    pub(crate) fn short(&self) -> &str {
        &self.id[..12]
    }

    /// The subnet of that family.
    pub(crate) fn subnet(&self, v4: bool) -> IpNetwork {
        let gateway = self.gateways.iter().find(|gateway| gateway.is_ipv4() == v4).unwrap();
        IpNetwork::new(gateway.network(), gateway.prefix()).unwrap()
    }
}

impl Container {
    fn read(told: &Value) -> Self {
        let attachments = entries(&told["NetworkSettings"]["Networks"]);
        Self {
            state: text(&told["State"]["Status"]),
            pid: told["State"]["Pid"].as_u64().filter(|&pid| pid > 0),
            label: addresses(&told["Config"]["Labels"][LABEL]),
            attachments: attachments.map(|(name, told)| (name, Attachment::read(told))).collect(),
        }
    }
}

impl Attachment {
    fn read(told: &Value) -> Self {
        let fixed = [&told["IPAddress"], &told["GlobalIPv6Address"]];
        Self {
            endpoint: text(&told["EndpointID"]),
            fixed: fixed.into_iter().flat_map(addresses).collect(),
            option: addresses(&told["DriverOpts"]["fip.address"]),
        }
    }
}

/// Asks the Docker API. HTTP/1.0, so that the answer ends with the connection.
fn get(engine: &Engine, path: &str) -> Result<Value, String> {
    let ask = || {
        let mut stream = UnixStream::connect(engine.machine().path("/run/docker.sock"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error: std::io::Error| format!("GET {path}: {error}"))?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => {
            serde_json::from_str(body).map_err(|error| format!("GET {path}: {error}: {body}"))
        }
        _ => Err(format!("GET {path}: {answer}")),
    }
}

fn addresses(value: &Value) -> Vec<IpAddr> {
    let text = text(value);
    text.split(',').filter(|word| !word.is_empty()).map(|word| word.parse().unwrap()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn entries(value: &Value) -> impl Iterator<Item = (String, &Value)> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value))
}
