//! dockerd's part in the tests: what it calls, as recorded from real engines; what it does to links
//! between its calls; and what it may expect of the answers and of the host.

#![allow(dead_code, unused_imports, reason = "each test uses some of it")]

mod checks;
mod host;
mod lives;
mod random;
mod recording;

use std::collections::BTreeMap;
use std::net::IpAddr;

use fip_core::LinkName;
use fip_core::netns::NetNs;
use fip_plugin::protocol::Method;
use ipnetwork::IpNetwork;
use serde_json::{Value, json};

pub(crate) use host::{Answer, Footprint, Host, MTU, name};
pub(crate) use lives::Lives;
pub(crate) use random::Random;
pub(crate) use recording::{Call, Place, Recorded, Recording};

/// What dockerd knows. Links, addresses and bindings of the host follow from it.
#[derive(Debug, Default)]
pub(crate) struct Dockerd {
    pub(crate) networks: BTreeMap<String, Network>,
    pub(crate) endpoints: BTreeMap<String, Endpoint>,
    /// The host is not looked at between calls: something fails, or others are at work too.
    pub(crate) blind: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Network {
    /// With the prefix length of the subnet.
    pub(crate) gateways: Vec<IpNetwork>,
}

#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) network: String,
    /// With the prefix length of the subnet.
    pub(crate) addresses: Vec<IpNetwork>,
    /// What dockerd gave or was answered.
    pub(crate) mac: String,
    pub(crate) floating: Vec<IpAddr>,
    /// Set from Join to DeleteEndpoint.
    pub(crate) joined: Option<Joined>,
}

#[derive(Debug, Clone)]
pub(crate) struct Joined {
    pub(crate) sandbox: NetNs,
    /// The driver's name of the workload's link.
    pub(crate) link: String,
    /// Its name in the container, while it is there.
    pub(crate) inside: Option<LinkName>,
    /// After Leave.
    pub(crate) left: bool,
}

impl Endpoint {
    /// Whether a container is joined.
    pub(crate) fn is_joined(&self) -> bool {
        self.joined.as_ref().is_some_and(|joined| !joined.left)
    }
}

/// What must come of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Done,
    Refused,
    Either,
}

impl Dockerd {
    /// What must come of this call, on a host where nothing fails.
    pub(crate) fn due(&self, call: &Call) -> Due {
        let method = call.method();
        if method.needs_body() && call.body.is_none() {
            return Due::Refused;
        }
        let known = call.endpoint().is_some_and(|id| self.endpoints.contains_key(id));
        let network = call.network().is_some_and(|id| self.networks.contains_key(id));
        match method {
            // The host is the gateway: GwAllocCheck was answered otherwise in this recording.
            Method::CreateNetwork if pools(call).any(|pool| pool["Gateway"].is_null()) => {
                Due::Refused
            }
            Method::CreateEndpoint if !network => Due::Refused,
            Method::Join if !known => Due::Refused,
            Method::ProgramExternalConnectivity if !known => Due::Either,
            _ => Due::Done,
        }
    }

    /// Makes the call as dockerd does, and checks the answer and the host.
    pub(crate) fn call(&mut self, host: &Host, call: &Call) -> Answer {
        self.move_link(host, call);
        let answer = host.call(&call.path, &call.bytes());
        let (due, error) = (self.due(call), answer.error());
        match due {
            Due::Done => assert_eq!(error, None, "{call:?}"),
            Due::Refused => assert!(error.is_some(), "{call:?}: {answer:?}"),
            Due::Either => {}
        }
        self.learn(host, call, &answer);
        answer
    }

    /// Takes note of the answer; checks it and the host, unless it is an error.
    pub(crate) fn learn(&mut self, host: &Host, call: &Call, answer: &Answer) {
        if answer.error().is_none() {
            self.note(call, answer);
            checks::answer(self, call, answer);
            if !self.blind {
                checks::host(self, host);
            }
        }
    }

    fn note(&mut self, call: &Call, answer: &Answer) {
        let id = |id: Option<&str>| id.unwrap_or_default().to_owned();
        let (network, endpoint) = (id(call.network()), id(call.endpoint()));
        let body = call.body.as_ref().unwrap_or(&Value::Null);
        match call.method() {
            Method::CreateNetwork => {
                let gateways = pools(call).map(|pool| text(&pool["Gateway"]).parse().unwrap());
                self.networks.entry(network).or_insert(Network { gateways: gateways.collect() });
            }
            Method::DeleteNetwork => {
                self.endpoints.retain(|_, endpoint| endpoint.network != network);
                self.networks.remove(&network);
            }
            Method::CreateEndpoint => self.note_endpoint(network, endpoint, body, answer),
            Method::DeleteEndpoint => _ = self.endpoints.remove(&endpoint),
            Method::Join => {
                let joined = Joined {
                    sandbox: text(&body["SandboxKey"]).parse().unwrap(),
                    link: text(&answer.body["InterfaceName"]["SrcName"]),
                    inside: None,
                    left: false,
                };
                self.endpoints.get_mut(&endpoint).unwrap().joined.get_or_insert(joined);
            }
            Method::Leave => {
                let joined = self.endpoints.get_mut(&endpoint).map(|endpoint| &mut endpoint.joined);
                joined.into_iter().flatten().for_each(|joined| joined.left = true);
            }
            _ => {}
        }
    }

    fn note_endpoint(&mut self, network: String, id: String, body: &Value, answer: &Answer) {
        let given = &body["Interface"];
        let addresses = ["Address", "AddressIPv6"].map(|key| text(&given[key]));
        let addresses: Vec<IpNetwork> =
            addresses.iter().filter(|text| !text.is_empty()).map(|t| t.parse().unwrap()).collect();
        // An address that IPAM gives again: whoever had it is no more.
        self.endpoints.retain(|other, endpoint| {
            *other == id
                || endpoint.network != network
                || !endpoint.addresses.iter().any(|address| addresses.contains(address))
        });
        let chosen = text(&answer.body["Interface"]["MacAddress"]);
        let given = text(&given["MacAddress"]);
        let floating = text(&body["Options"]["fip.address"]);
        let endpoint = Endpoint {
            network,
            addresses,
            mac: if given.is_empty() { chosen } else { given },
            floating: floating.split(',').filter_map(|text| text.parse().ok()).collect(),
            joined: None,
        };
        self.endpoints.entry(id).or_insert(endpoint);
    }

    /// Has the workload's link where it was when this call came.
    fn move_link(&mut self, host: &Host, call: &Call) {
        let endpoint = call.endpoint().and_then(|id| self.endpoints.get_mut(id));
        let Some((endpoint, place)) = endpoint.zip(call.link) else { return };
        let (mac, addresses) = (endpoint.mac.clone(), endpoint.addresses.clone());
        let Some(joined) = &mut endpoint.joined else { return };
        match (joined.inside.is_some(), place) {
            (false, Place::Sandbox) => {
                move_in(host, joined, &mac, &addresses);
                if !self.blind {
                    checks::way_back(host, joined, &addresses);
                }
            }
            (true, Place::Host) => move_out(host, joined),
            _ => {}
        }
    }

    /// The calls that remove all that dockerd knows.
    pub(crate) fn farewell(&self) -> Vec<Call> {
        let endpoints = self.endpoints.iter().map(|(id, endpoint)| {
            let body = json!({"NetworkID": endpoint.network, "EndpointID": id});
            Call::new(Method::DeleteEndpoint, body)
        });
        let delete = |id| Call::new(Method::DeleteNetwork, json!({"NetworkID": id}));
        endpoints.chain(self.networks.keys().map(delete)).collect()
    }
}

/// The subnets of a CreateNetwork.
fn pools(call: &Call) -> impl Iterator<Item = &Value> {
    let lists =
        ["IPv4Data", "IPv6Data"].map(|key| call.body.as_ref().and_then(|b| b[key].as_array()));
    lists.into_iter().flatten().flatten()
}

/// What dockerd does after Join: the link moves into the container, gets its name, its addresses
/// and is set up.
fn move_in(host: &Host, joined: &mut Joined, mac: &str, addresses: &[IpNetwork]) {
    let there = host.kernel.namespace(&joined.sandbox);
    let mut names = (0..).map(|number| name(&format!("eth{number}")));
    let inside = names.find(|name| there.link(name).is_err()).unwrap();
    let outside = name(&joined.link);
    host.kernel.move_link(&outside, &there).unwrap();
    there.rename_link(&outside, &inside).unwrap();
    assert_eq!(there.link(&inside).unwrap().mac, Some(mac.parse().unwrap()));
    for address in addresses {
        there.add_address(&inside, *address).unwrap();
    }
    there.set_up(&inside, true).unwrap();
    joined.inside = Some(inside);
}

/// What dockerd does after Leave: the link is back, down, with the name that it had.
fn move_out(host: &Host, joined: &mut Joined) {
    let there = host.kernel.namespace(&joined.sandbox);
    if let Some(inside) = joined.inside.take() {
        // Leave may have deleted the pair.
        if there.link(&inside).is_ok() {
            let outside = name(&joined.link);
            there.rename_link(&inside, &outside).unwrap();
            there.move_link(&outside, &host.kernel).unwrap();
        }
    }
}

/// A text, empty if it is missing or null.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
