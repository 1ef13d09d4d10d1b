//! The lives of containers, taken apart so that they can go on side by side.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fip_plugin::protocol::Method;
use ipnetwork::IpNetwork;
use serde_json::{Value, json};

use super::{Call, Recorded, Recording, text};

/// A recording's calls, by what they are about.
#[derive(Debug)]
pub(crate) struct Lives {
    /// The creation of each network that has an endpoint.
    pub(crate) networks: Vec<Call>,
    /// The calls about each endpoint, each in a container of its own. Their addresses do not
    /// collide: in the recording one life often began after another ended, with its addresses.
    pub(crate) endpoints: Vec<VecDeque<Call>>,
}

impl Lives {
    pub(crate) fn of(recording: &Recording) -> Self {
        let mut networks = BTreeMap::new();
        let mut endpoints: BTreeMap<String, VecDeque<Call>> = BTreeMap::new();
        for call in recording.calls() {
            let call = Call { answer: Recorded::Done, ..call.clone() };
            match (call.network(), call.endpoint()) {
                (_, Some(id)) => endpoints.entry(id.to_owned()).or_default().push_back(call),
                (Some(id), None) if call.method() == Method::CreateNetwork => {
                    networks.insert(id.to_owned(), call);
                }
                _ => {}
            }
        }
        let inhabited =
            |call: &Call| endpoints.values().any(|life| life[0].network() == call.network());
        let mut networks: Vec<Call> = networks.into_values().filter(inhabited).collect();
        // Those who have had the same subnet, one after the other, cannot have it side by side.
        for (number, call) in networks.iter_mut().enumerate() {
            set_pools(call, number as u8);
        }
        let mut lives: Vec<VecDeque<Call>> = endpoints.into_values().collect();
        for (number, life) in lives.iter_mut().enumerate() {
            let of_it = networks.iter().position(|call| call.network() == life[0].network());
            let network = of_it.expect("a recorded network");
            life.iter_mut().for_each(|call| set_apart(call, network as u8, number as u8));
        }
        Self { networks, endpoints: lives }
    }
}

fn set_pools(call: &mut Call, network: u8) {
    let body = call.body.as_mut().unwrap();
    let number = 16 + network;
    for (key, pool, gateway) in [
        ("IPv4Data", format!("172.{number}.0.0/16"), format!("172.{number}.0.1/16")),
        ("IPv6Data", format!("2001:db8:{number}::/64"), format!("2001:db8:{number}::1/64")),
    ] {
        for data in body[key].as_array_mut().into_iter().flatten() {
            *data = json!({"AddressSpace": "LocalDefault", "Pool": pool, "Gateway": gateway});
        }
    }
}

fn set_apart(call: &mut Call, network: u8, number: u8) {
    if call.method() == Method::Join {
        call.body.as_mut().unwrap()["SandboxKey"] =
            json!(format!("/run/docker/netns/{number:012x}"));
    }
    if call.method() == Method::CreateEndpoint {
        let body = call.body.as_mut().unwrap();
        let fixed4 = IpAddr::from(Ipv4Addr::new(172, 16 + network, 1, number));
        let fixed6: Ipv6Addr = format!("2001:db8:{}::1:{number}", 16 + network).parse().unwrap();
        replace(&mut body["Interface"]["Address"], &network_of(fixed4, 16));
        replace(&mut body["Interface"]["AddressIPv6"], &network_of(fixed6.into(), 64));
        let floating = &mut body["Options"]["fip.address"];
        if floating.is_string() {
            *floating = json!(Ipv4Addr::new(192, 0, 2, 100 + number).to_string());
        } else if let Some(options) = body["Options"].as_object_mut() {
            options.remove("fip.address");
        }
    }
}

fn network_of(address: IpAddr, prefix: u8) -> String {
    IpNetwork::new(address, prefix).unwrap().to_string()
}

/// Another text in the place of one that is not empty.
fn replace(value: &mut Value, new: &str) {
    if !text(value).is_empty() {
        *value = json!(new);
    }
}
