//! The host's state against Docker's word: both as a set of facts, each a line of text.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::word::{Container, Word};
use crate::docker::{Engine, PATIENCE, Plugin};
use crate::lab::Ns;

/// What is so, in lines.
pub(crate) type Facts = BTreeSet<String>;

/// Looks at a host, with an engine and the plugin.
pub(crate) struct Inspector<'a> {
    host: &'a Ns,
    engine: &'a Engine,
    state: PathBuf,
    /// The facts of the host when it had no network of the driver.
    before: Facts,
    /// The same in all detail.
    blank: String,
}

/// What of the host is Docker's to say.
struct Seen {
    facts: Facts,
    /// The whole addresses' map: floating to fixed.
    bound: BTreeMap<IpAddr, IpAddr>,
}

impl<'a> Inspector<'a> {
    /// The host must be as it is without any network of the driver.
    pub(crate) fn new(host: &'a Ns, engine: &'a Engine, plugin: &Plugin) -> Self {
        let state = plugin.state_dir();
        let (before, blank) = (Facts::new(), blank(host));
        let mut inspector = Self { host, engine, state, before, blank };
        let none = Word { networks: BTreeMap::new(), containers: BTreeMap::new() };
        inspector.before = inspector.see(&none).facts;
        inspector
    }

    /// Waits until the host is as Docker says, and panics with the difference if it is not so in
    /// [`PATIENCE`]. Returns what Docker says.
    #[track_caller]
    pub(crate) fn agrees(&self) -> Word {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let difference = match Word::of(self.engine) {
                Ok(word) => match self.difference(&word) {
                    None => return word,
                    Some(difference) => format!("{difference}\nDocker's word: {word:?}"),
                },
                Err(error) => error,
            };
            let late = Instant::now() >= deadline;
            assert!(!late, "the host is not as Docker says:\n{difference}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What is so and should not be (`+`), and what should be and is not (`-`).
    pub(crate) fn difference(&self, word: &Word) -> Option<String> {
        let seen = self.see(word);
        let mut due = self.before.clone();
        due.extend(facts(word, &seen.bound));
        let more = seen.facts.difference(&due).map(|fact| format!("+ {fact}"));
        let less = due.difference(&seen.facts).map(|fact| format!("- {fact}"));
        let stale = word.stale_endpoints().into_iter();
        let stale = stale.map(|(network, name)| format!("! Docker has {name} in {network} still"));
        let lines: Vec<String> = more.chain(less).chain(stale).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// Waits until the host is in all detail as it was at first.
    #[track_caller]
    pub(crate) fn is_blank(&self) {
        let word = self.agrees();
        assert!(word.networks.is_empty() && word.containers.is_empty(), "left: {word:#?}");
        assert_eq!(blank(self.host), self.blank, "the host is not as it was");
    }

    /// The floating addresses that are bound, each with its fixed address.
    pub(crate) fn bound(&self) -> BTreeMap<IpAddr, IpAddr> {
        let mut seen = Seen { facts: Facts::new(), bound: BTreeMap::new() };
        seen.rules(self.host);
        seen.bound
    }

    fn see(&self, word: &Word) -> Seen {
        let mut seen = Seen { facts: Facts::new(), bound: BTreeMap::new() };
        seen.links(self.host);
        seen.rules(self.host);
        for (name, container) in word.running() {
            seen.sources(self.engine, name, container);
        }
        for kind in ["networks", "endpoints"] {
            let files = std::fs::read_dir(self.state.join(kind)).unwrap();
            let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
            seen.facts.extend(names.map(|name| format!("state {kind}/{name}")));
        }
        seen
    }
}

impl Seen {
    /// All links but those of Docker's own bridges, and all addresses but those that the kernel
    /// makes itself.
    fn links(&mut self, host: &Ns) {
        for link in json(&host.ip("-j address show")).iter().flat_map(items) {
            let name = text(&link["ifname"]);
            if !name.starts_with("veth") {
                let master = text(&link["master"]);
                let up = items(&link["flags"]).any(|flag| flag == "UP");
                self.facts.insert(format!("link {name} master {master:?} up {up}"));
                for address in items(&link["addr_info"]).filter(|info| info["scope"] != "link") {
                    let (local, length) = (text(&address["local"]), &address["prefixlen"]);
                    self.facts.insert(format!("address {local}/{length} dev {name}"));
                }
            }
        }
        let held = host.held_by_routes("eth0");
        self.facts.extend(held.iter().map(|local| format!("address {local}/32 dev eth0")));
    }

    /// All elements of our table, and our rules in Docker's chain for them.
    fn rules(&mut self, host: &Ns) {
        let ruleset = json(&host.nft("-j list ruleset")).remove(0);
        for object in items(&ruleset["nftables"]) {
            let (kind, told) = object.as_object().unwrap().iter().next().unwrap();
            if kind == "rule" && told["chain"] == "DOCKER-USER" && told["comment"] == "fip" {
                self.facts.insert(format!("rule in {} DOCKER-USER", text(&told["family"])));
            }
            if told["family"] == "inet" && told["table"] == "fip" && told["elem"].is_array() {
                let name = text(&told["name"]);
                items(&told["elem"]).for_each(|element| self.element(&name, kind, element));
            }
            if kind == "table" && told["name"] == "fip" {
                self.facts.insert("table inet fip".to_owned());
            }
        }
    }

    fn element(&mut self, name: &str, kind: &str, element: &Value) {
        let (key, value) = if kind == "map" {
            (&element[0], nft_text(&element[1]))
        } else {
            (element, String::new())
        };
        let comment = text(&key["elem"]["comment"]);
        let key = nft_text(key);
        if name.starts_with("dnat") {
            self.bound.insert(key.parse().unwrap(), value.parse().unwrap());
        }
        self.facts.insert(element_fact(name, &key, &value, &comment));
    }

    /// The source rules in a container's namespace, each with the gateway of its table.
    fn sources(&mut self, engine: &Engine, name: &str, container: &Container) {
        const SCRIPT: &str = "ip -j rule; ip -j -6 rule
            ip -j route show table all; ip -j -6 route show table all";
        let pid = container.pid.expect("a running container");
        if !engine.machine().path(&format!("/proc/{pid}/ns/net")).exists() {
            return;
        }
        let inside = engine.machine().net_of(name, pid);
        let told = json(&inside.tool("sh", &["-c", SCRIPT], ""));
        let [rules4, rules6, routes4, routes6] = told.as_slice() else {
            panic!("not four answers: {told:?}")
        };
        for (rules, routes) in [(rules4, routes4), (rules6, routes6)] {
            for rule in items(rules).filter(|rule| rule["priority"] == 30_000) {
                let default = items(routes)
                    .find(|route| route["table"] == rule["table"] && route["dst"] == "default");
                let gateway = default.map(|route| text(&route["gateway"])).unwrap_or_default();
                self.facts.insert(source_fact(name, &text(&rule["src"]), &gateway));
            }
        }
    }
}

/// What follows from Docker's word.
fn facts(word: &Word, bound: &BTreeMap<IpAddr, IpAddr>) -> Facts {
    let mut facts = Facts::new();
    let mut add = |fact: String| _ = facts.insert(fact);
    if !word.networks.is_empty() {
        add("table inet fip".to_owned());
        add("rule in ip DOCKER-USER".to_owned());
    }
    for network in word.networks.values() {
        let bridge = network.bridge();
        add(format!("link {bridge} master \"\" up true"));
        add(format!("state networks/{}.json", network.id));
        network.gateways.iter().for_each(|gateway| add(format!("address {gateway} dev {bridge}")));
        add(element_fact("through", &format!("{bridge} . {bridge}"), "", ""));
        if network.internal {
            add(element_fact("internal", &bridge, "", ""));
        } else {
            add(element_fact("through", &format!("{bridge} . eth0"), "", ""));
            add(element_fact("masqueraded", &format!("{bridge} . eth0"), "", ""));
        }
    }
    for (name, network, place) in word.places() {
        let near = format!("fv{}", &place.endpoint[..12]);
        add(format!("link {near} master {:?} up true", network.bridge()));
        add(format!("state endpoints/{}.json", place.endpoint));
        for fixed in place.fixed.iter().filter(|_| !network.internal) {
            let gateway = network.gateways.iter().find(|g| g.is_ipv4() == fixed.is_ipv4());
            let gateway = gateway.unwrap().ip().to_string();
            add(source_fact(name, &fixed.to_string(), &gateway));
        }
    }
    for (floating, (fixed, network)) in word.bindings(bound) {
        let (family, bits) = if floating.is_ipv4() { (4, 32) } else { (6, 128) };
        let owner = format!("plugin:{}", network.short());
        translation(floating, fixed, &owner).into_iter().for_each(&mut add);
        let subnet = network.subnet(floating.is_ipv4());
        add(element_fact(&format!("hairpin{family}"), &format!("{subnet} . {subnet}"), "", ""));
        add(format!("address {floating}/{bits} dev eth0"));
    }
    facts
}

/// All that our table translates: the elements of its maps.
pub(crate) fn translations(host: &Ns) -> Facts {
    let mut seen = Seen { facts: Facts::new(), bound: BTreeMap::new() };
    seen.rules(host);
    let maps = ["element dnat", "element snat", "element port"];
    seen.facts.retain(|fact| maps.iter().any(|map| fact.starts_with(map)));
    seen.facts
}

/// The elements by which a floating address leads to a fixed address, and that one out by it.
pub(crate) fn translation(floating: IpAddr, fixed: IpAddr, owner: &str) -> [String; 2] {
    let family = if floating.is_ipv4() { 4 } else { 6 };
    let (key, value) = (floating.to_string(), fixed.to_string());
    let comment = format!("owner={owner} uplink=eth0");
    [
        element_fact(&format!("dnat{family}"), &key, &value, &comment),
        element_fact(&format!("snat{family}"), &format!("eth0 . {fixed}"), &key, ""),
    ]
}

fn element_fact(set: &str, key: &str, value: &str, comment: &str) -> String {
    format!("element {set} {key:?} : {value:?} comment {comment:?}")
}

fn source_fact(container: &str, source: &str, gateway: &str) -> String {
    format!("in {container}: from {source} via {gateway}")
}

/// The whole host, as far as it lasts: rules without counters, links, addresses and routes.
pub(crate) fn blank(host: &Ns) -> String {
    let links = host.ip("-br link show");
    // The carrier of `docker0` comes and goes with its containers.
    let names = links.lines().filter_map(|line| line.split([' ', '@']).next());
    let names: Vec<&str> = names.collect();
    let addresses = host.ip("-br address show scope global");
    let addresses: Vec<String> = addresses
        .lines()
        .map(|line| line.split_whitespace().filter(|word| *word != "UP" && *word != "DOWN"))
        .map(|words| words.collect::<Vec<_>>().join(" "))
        .collect();
    let rules = [host.ip("rule show"), host.ip("-6 rule show")].concat();
    let routes = host.ip("route show table main").replace(" linkdown", "");
    // Docker does not make its chains in the same order each time it starts.
    let ruleset = host.nft("-s list ruleset");
    let (mut block, mut lines) = ("", Vec::new());
    for line in ruleset.lines() {
        if line.ends_with('{') {
            block = line;
        }
        lines.extend((line.trim().len() > 1).then(|| format!("{block} {line}")));
    }
    lines.sort();
    format!("{names:?}\n{addresses:?}\n{rules}\n{routes}\n{}", lines.join("\n"))
}

/// The JSON values of a text, one after the other.
fn json(text: &str) -> Vec<Value> {
    let values = serde_json::Deserializer::from_str(text).into_iter();
    values.map(|value| value.unwrap_or_else(|error| panic!("{error}: {text}"))).collect()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A key or a value of nft's JSON, as nft writes it otherwise.
fn nft_text(value: &Value) -> String {
    if let Some(parts) = value["concat"].as_array() {
        return parts.iter().map(nft_text).collect::<Vec<_>>().join(" . ");
    }
    if let Some(prefix) = value.get("prefix") {
        return format!("{}/{}", text(&prefix["addr"]), prefix["len"]);
    }
    match value.get("elem") {
        Some(element) => nft_text(&element["val"]),
        None => text(value),
    }
}
