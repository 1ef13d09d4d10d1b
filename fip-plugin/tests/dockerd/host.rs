//! The host on which the driver runs: a kernel in memory and a directory for its state.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fip_core::fip::Status;
use fip_core::kernel::fake::FakeKernel;
use fip_core::kernel::{Link, LinkChange, Route, Rtnl};
use fip_core::nat::Ruleset;
use fip_core::{Binding, FloatingIps, LinkName, Options};
use fip_plugin::driver::{Config, Driver};
use fip_plugin::protocol::Method;
use ipnetwork::IpNetwork;
use serde_json::Value;

/// The MTU of the uplink: not the usual one, which a bridge has by itself.
pub(crate) const MTU: u32 = 1400;

pub(crate) struct Host {
    pub(crate) kernel: FakeKernel,
    state: StateDir,
    driver: Option<Driver<FakeKernel>>,
}

/// What the driver answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// The text of its error, if it is one.
    pub(crate) fn error(&self) -> Option<&str> {
        self.body.get("Err").map(|text| text.as_str().expect("Err is a text"))
    }
}

/// All that a driver can leave behind, a line each.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Footprint(BTreeSet<String>);

impl Footprint {
    /// What there is here and was not before, or the other way round.
    pub(crate) fn since(&self, before: &Self) -> Vec<String> {
        let new = self.0.difference(&before.0).map(|line| format!("left: {line}"));
        new.chain(before.0.difference(&self.0).map(|line| format!("lost: {line}"))).collect()
    }
}

impl Host {
    /// A host on the LAN 192.0.2.0/24 and 2001:db8::/64, with the driver running.
    pub(crate) fn new() -> Self {
        let kernel = FakeKernel::bare();
        let eth0 = name("eth0");
        let card = kernel.add_link(&eth0).unwrap();
        kernel.clone().change_link(card.index, &LinkChange::Mtu(MTU)).unwrap();
        for (address, destination, gateway) in [
            ("192.0.2.10/24", "0.0.0.0/0", "192.0.2.1"),
            ("2001:db8::10/64", "::/0", "2001:db8::1"),
        ] {
            kernel.add_address(&eth0, address.parse().unwrap()).unwrap();
            let route = Route {
                destination: destination.parse().unwrap(),
                gateway: Some(gateway.parse().unwrap()),
                link: Some(card.index),
                metric: 0,
            };
            kernel.add_route(&route).unwrap();
        }
        let state = StateDir::new();
        let driver = Some(start(&kernel, &state.0));
        Self { kernel, state, driver }
    }

    /// Asks the driver, and checks what is true of every answer.
    pub(crate) fn call(&self, path: &str, body: &[u8]) -> Answer {
        let driver = self.driver.as_ref().expect("the driver runs");
        let reply = driver.call(path, body);
        let what = || {
            let body = String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned();
            format!("{path} {body}: {}", String::from_utf8_lossy(&reply.body))
        };
        assert!([200, 400, 404].contains(&reply.status), "{} for {}", reply.status, what());
        let json = serde_json::from_slice(&reply.body);
        let json = json.unwrap_or_else(|error| panic!("{error}: {}", what()));
        let answer = Answer { status: reply.status, body: json };
        let object = answer.body.as_object().unwrap_or_else(|| panic!("{}", what()));
        match answer.error() {
            Some(text) => {
                assert!(object.len() == 1 && !text.trim().is_empty(), "{}", what());
                assert!(!text.contains('\n') && text.len() < 2000, "{}", what());
            }
            None => assert_eq!(answer.status, 200, "{}", what()),
        }
        let method = Method::from_path(path);
        assert_eq!(answer.status == 404, method.is_none(), "{}", what());
        let broken = body.is_empty() && method.is_some_and(Method::needs_body);
        assert!(!broken || answer.error().is_some(), "{}", what());
        answer
    }

    /// Ends the driver, and starts it again with the state that it kept.
    pub(crate) fn restart_driver(&mut self) {
        self.driver = None;
        self.driver = Some(start(&self.kernel, &self.state.0));
    }

    /// Ends the driver, for good.
    pub(crate) fn stop_driver(&mut self) {
        self.driver = None;
    }

    pub(crate) fn footprint(&self) -> Footprint {
        let mut kernel = self.kernel.clone();
        let mut lines: BTreeSet<String> = BTreeSet::new();
        lines.extend(self.links().iter().map(|link| format!("{link:?}")));
        lines.extend(kernel.addresses().unwrap().iter().map(|address| format!("{address:?}")));
        lines.extend(kernel.routes().unwrap().iter().map(|route| format!("{route:?}")));
        let Ruleset { skeleton, elements, passes } = kernel.ruleset();
        lines.extend(skeleton.map(|_| "table inet fip".to_owned()));
        lines.extend(elements.iter().map(|element| format!("{element:?}")));
        lines.insert(format!("{passes:?}"));
        lines.extend(self.state_files().iter().map(|file| file.display().to_string()));
        Footprint(lines)
    }

    pub(crate) fn links(&self) -> Vec<Link> {
        self.kernel.clone().links().unwrap()
    }

    pub(crate) fn link(&self, name: &str) -> Option<Link> {
        self.links().into_iter().find(|link| link.name.as_str() == name)
    }

    pub(crate) fn addresses_of(&self, link: &Link) -> BTreeSet<IpNetwork> {
        let addresses = self.kernel.clone().addresses().unwrap();
        let on_link = addresses.iter().filter(|address| address.link == link.index);
        on_link.map(|address| address.network).collect()
    }

    /// All bindings, which must be well; only that a workload's link is not yet up is fine.
    pub(crate) fn bindings(&self) -> Vec<Binding> {
        let list = FloatingIps::new(self.kernel.clone(), Options::default()).list().unwrap();
        let early = |problem: &String| problem.ends_with("is down or has no carrier");
        let well = |status: Status| {
            assert!(status.problems.iter().all(early), "{status:?}");
            status.binding
        };
        list.into_iter().map(well).collect()
    }

    /// The files about networks and endpoints.
    pub(crate) fn state_files(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        for kind in ["networks", "endpoints"] {
            let Ok(entries) = fs::read_dir(self.state.0.join(kind)) else { continue };
            found.extend(entries.map(|entry| entry.unwrap().path()));
        }
        found
    }
}

/// A link's name.
pub(crate) fn name(text: &str) -> LinkName {
    text.parse().unwrap()
}

/// A directory of our own, removed in the end.
struct StateDir(PathBuf);

impl StateDir {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("fip-calls-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn start(kernel: &FakeKernel, state: &Path) -> Driver<FakeKernel> {
    let kernel = kernel.clone();
    Driver::start(Config::default(), state, Arc::new(move || Ok(kernel.clone()))).unwrap()
}
