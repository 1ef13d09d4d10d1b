//! What dockerd may expect.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use fip_core::kernel::{Link, Rtnl};
use fip_plugin::protocol::Method;
use ipnetwork::IpNetwork;
use serde_json::{Map, Value, json};

use super::{Answer, Call, Dockerd, Endpoint, Host, Joined, MTU, Network, name, text};

/// How long the driver may take for what it does after it answered.
const PATIENCE: Duration = Duration::from_secs(20);

/// The shape of an answer that is no error.
pub(crate) fn answer(dockerd: &Dockerd, call: &Call, answer: &Answer) {
    let body = answer.body.as_object().unwrap();
    match call.method() {
        Method::Activate => assert_eq!(answer.body, json!({"Implements": ["NetworkDriver"]})),
        Method::GetCapabilities => {
            assert_eq!(answer.body["Scope"], "local");
            keys(body, &["Scope", "ConnectivityScope", "GwAllocChecker"]);
        }
        Method::GwAllocCheck => keys(body, &["SkipIPv4", "SkipIPv6"]),
        Method::AllocateNetwork => {
            let given = &call.body.as_ref().unwrap()["Options"];
            assert_eq!(answer.body, json!({"Options": given}));
        }
        Method::EndpointOperInfo => {
            keys(body, &["Value"]);
            assert!(body["Value"].is_object(), "{answer:?}");
        }
        Method::CreateEndpoint => created(call, body),
        Method::Join => joined(dockerd, call, body),
        _ => assert_eq!(answer.body, json!({}), "{call:?}"),
    }
}

fn keys(object: &Map<String, Value>, known: &[&str]) {
    assert!(object.keys().all(|key| known.contains(&key.as_str())), "{object:?}");
}

/// An Ethernet address where dockerd gave none, and only there.
fn created(call: &Call, body: &Map<String, Value>) {
    let given = text(&call.body.as_ref().unwrap()["Interface"]["MacAddress"]);
    let Some(interface) = body.get("Interface") else {
        return assert_ne!(given, "", "no Ethernet address: {call:?}");
    };
    let interface = interface.as_object().unwrap();
    keys(body, &["Interface"]);
    keys(interface, &["MacAddress"]);
    assert_eq!(given, "", "{body:?}");
    let fip_core::kernel::Mac(mac) = text(&interface["MacAddress"]).parse().unwrap();
    assert_eq!(mac[0] & 0b11, 0b10, "unicast, locally administered: {body:?}");
}

/// A link to move, and the gateways of the addresses' families.
fn joined(dockerd: &Dockerd, call: &Call, body: &Map<String, Value>) {
    let known =
        ["InterfaceName", "Gateway", "GatewayIPv6", "StaticRoutes", "DisableGatewayService"];
    keys(body, &known);
    assert_eq!(body["InterfaceName"]["DstPrefix"], "eth");
    let endpoint = &dockerd.endpoints[call.endpoint().unwrap()];
    let gateways = &dockerd.networks[&endpoint.network].gateways;
    let expected = |v4: bool| {
        let has = endpoint.addresses.iter().any(|address| address.is_ipv4() == v4);
        let gateway = gateways.iter().find(|gateway| gateway.is_ipv4() == v4);
        gateway.filter(|_| has).map(|gateway| gateway.ip().to_string()).unwrap_or_default()
    };
    for (key, v4) in [("Gateway", true), ("GatewayIPv6", false)] {
        assert_eq!(text(body.get(key).unwrap_or(&Value::Null)), expected(v4), "{key}");
    }
    let routes = body.get("StaticRoutes").and_then(Value::as_array).into_iter().flatten();
    let routes: BTreeSet<(String, String)> =
        routes.map(|route| (text(&route["Destination"]), text(&route["NextHop"]))).collect();
    let floating = endpoint.floating.iter();
    let wanted = floating.map(|address| {
        let v4 = address.is_ipv4();
        (format!("{address}/{}", if v4 { 32 } else { 128 }), expected(v4))
    });
    let wanted: BTreeSet<(String, String)> = wanted.collect();
    assert_eq!(routes, wanted, "the way to itself");
}

/// The host is as dockerd knows it, and has nothing else of the driver's.
pub(crate) fn host(dockerd: &Dockerd, host: &Host) {
    let mut expected: BTreeSet<String> = ["lo".to_owned(), "eth0".to_owned()].into();
    for (id, network) in &dockerd.networks {
        bridge(host, id, network);
        expected.insert(bridge_name(id));
    }
    for (id, endpoint) in &dockerd.endpoints {
        if endpoint.is_joined() {
            pair(host, id, endpoint);
        }
        expected.extend(["fv", "fc"].map(|end| format!("{end}{}", short(id))));
    }
    let links: BTreeSet<String> = host.links().iter().map(|l| l.name.as_str().into()).collect();
    let foreign: Vec<&String> = links.difference(&expected).collect();
    assert!(foreign.is_empty(), "links of nobody's: {foreign:?}");
    bindings(dockerd, host);
    no_policy_rules(dockerd, host);
    let known = |id: &str| dockerd.networks.contains_key(id) || dockerd.endpoints.contains_key(id);
    for file in host.state_files() {
        assert!(known(file.file_stem().unwrap().to_str().unwrap()), "{}", file.display());
    }
}

pub(crate) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

pub(crate) fn bridge_name(network: &str) -> String {
    format!("br-{}", short(network))
}

fn bridge(host: &Host, id: &str, network: &Network) {
    let link = host.link(&bridge_name(id)).unwrap_or_else(|| panic!("no bridge of {id}"));
    assert_eq!(link.kind.as_deref(), Some("bridge"));
    assert_eq!((link.mtu, link.up), (MTU, true), "{link:?}");
    assert_eq!(host.addresses_of(&link), network.gateways.iter().copied().collect());
}

/// The near end at the bridge, up; the far end where dockerd put it.
fn pair(host: &Host, id: &str, endpoint: &Endpoint) {
    let bridge = host.link(&bridge_name(&endpoint.network)).unwrap();
    let joined = endpoint.joined.as_ref().unwrap();
    assert_eq!(joined.link, format!("fc{}", short(id)));
    let near = host.link(&format!("fv{}", short(id))).unwrap_or_else(|| panic!("no link of {id}"));
    assert_eq!((near.master, near.mtu, near.up), (Some(bridge.index), MTU, true), "{near:?}");
    let far: Link = match &joined.inside {
        Some(inside) => host.kernel.namespace(&joined.sandbox).link(inside).unwrap(),
        None => host.kernel.link(&name(&joined.link)).unwrap(),
    };
    assert_eq!(far.kind.as_deref(), Some("veth"));
    assert_eq!((far.mtu, far.mac), (MTU, Some(endpoint.mac.parse().unwrap())), "{far:?}");
}

/// Exactly the floating addresses of those that are joined, on the uplink.
fn bindings(dockerd: &Dockerd, host: &Host) {
    let mut expected = BTreeSet::new();
    for endpoint in dockerd.endpoints.values().filter(|endpoint| endpoint.is_joined()) {
        let owner = format!("plugin:{}", short(&endpoint.network));
        for floating in &endpoint.floating {
            let same = |address: &IpAddr| address.is_ipv4() == floating.is_ipv4();
            let fixed = endpoint.addresses.iter().map(|address| address.ip()).find(same).unwrap();
            expected.insert((*floating, fixed, owner.clone()));
        }
    }
    let found = host.bindings().into_iter();
    let found: BTreeSet<_> =
        found.map(|b| (b.floating(), b.fixed(), b.owner().as_str().to_owned())).collect();
    assert_eq!(found, expected, "bindings");
    let uplink = host.link("eth0").unwrap();
    let own: [IpAddr; 2] = ["192.0.2.10".parse().unwrap(), "2001:db8::10".parse().unwrap()];
    let carried = host.addresses_of(&uplink).into_iter().map(|address| address.ip());
    let carried: BTreeSet<IpAddr> = carried.filter(|address| !own.contains(address)).collect();
    assert_eq!(carried, expected.iter().map(|(floating, ..)| *floating).collect(), "carried");
    if dockerd.networks.is_empty() {
        let elements = host.kernel.ruleset().elements;
        assert!(elements.is_empty(), "elements of nobody's: {elements:?}");
    }
}

/// Soon the replies of the container leave by its network, from each of its addresses.
pub(crate) fn way_back(host: &Host, joined: &Joined, addresses: &[IpNetwork]) {
    let deadline = Instant::now() + PATIENCE;
    let expected: BTreeSet<IpAddr> = addresses.iter().map(IpNetwork::ip).collect();
    let mut inside = host.kernel.namespace(&joined.sandbox);
    loop {
        let rules = inside.policy_rules().unwrap();
        let sources: BTreeSet<IpAddr> = rules.iter().map(|rule| rule.source.ip()).collect();
        if expected.is_subset(&sources) {
            break;
        }
        assert!(Instant::now() < deadline, "no way back from {expected:?}: {rules:?}");
        thread::yield_now();
    }
}

/// No way back in the containers of those that have left.
fn no_policy_rules(dockerd: &Dockerd, host: &Host) {
    for endpoint in dockerd.endpoints.values().filter(|endpoint| !endpoint.is_joined()) {
        if let Some(joined) = &endpoint.joined {
            let mut rules = host.kernel.namespace(&joined.sandbox).policy_rules().unwrap();
            let fixed: Vec<IpAddr> = endpoint.addresses.iter().map(IpNetwork::ip).collect();
            rules.retain(|rule| fixed.contains(&rule.source.ip()));
            assert!(rules.is_empty(), "{rules:?} in {}", joined.sandbox);
        }
    }
}
