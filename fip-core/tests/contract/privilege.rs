//! A process without privilege.

use std::io;

use fip_core::address::floating_address;
use fip_core::diff::Changes;
use fip_core::kernel::fake::FakeKernel;
use fip_core::kernel::host::Host;
use fip_core::kernel::{AddressChange, Flows, Hold, Kernel, LinkChange, NewLink, Which};
use fip_core::{Binding, Error, FloatingIps, Options};

use super::scene::{HostScene, link, name};

/// What [`host`] says to the process that it starts.
const UNPRIVILEGED: &str = "FIP_CONTRACT_UNPRIVILEGED";

fn denied<T>(result: Result<T, Error>) {
    let error = result.err().expect("it was permitted");
    assert!(error.is_permission_denied(), "{error}: {:?}", std::error::Error::source(&error));
    assert!(error.hint().unwrap().contains("root"), "{error}");
}

fn nothing_changes<K: Kernel>(mut kernel: K, again: K) {
    let eth0 = link(&mut kernel, "eth0");
    let floating = "192.0.2.20".parse().unwrap();
    let add = AddressChange::Add(floating_address(eth0.index, floating, Hold::Address));
    let results = kernel.change_addresses(&[add]).unwrap();
    let codes: Vec<_> = results.into_iter().map(|r| r.map_err(|e: io::Error| e.kind())).collect();
    assert_eq!(codes, [Err(io::ErrorKind::PermissionDenied)]);
    denied(kernel.create_link(&NewLink::Bridge { name: name("br7"), mtu: 1500 }));
    denied(kernel.change_link(eth0.index, &LinkChange::Mtu(1400)));
    denied(kernel.generation());
    denied(kernel.snapshot());
    denied(kernel.commit(&Changes::default(), 1));
    denied(kernel.counters());
    denied(kernel.probe(&eth0, &[floating]));
    denied(kernel.announce(&eth0, &[floating]));
    denied(kernel.forget(&[Flows { floating, which: Which::Outbound }]));
    denied(kernel.monitor());
    let mut fips = FloatingIps::new(again, Options::default());
    let binding = Binding::new(floating, "172.18.0.2".parse().unwrap()).unwrap();
    denied(fips.bind(&binding));
    denied(fips.unbind(floating, &[], binding.owner()));
    denied(fips.list());
}

#[test]
fn fake() {
    let kernel = FakeKernel::new();
    nothing_changes(kernel.without_privilege(), kernel.without_privilege());
}

/// The same test in a process of its own, that has given up its capabilities.
#[test]
fn host() {
    if std::env::var_os(UNPRIVILEGED).is_some() {
        return nothing_changes(Host::open().unwrap(), Host::open().unwrap());
    }
    let scene = HostScene::new();
    // Where nothing is tracked there is nothing to forget, and nothing to be denied.
    let flow = "-I -p udp -s 192.0.2.1 -d 192.0.2.20 --sport 1 --dport 53 -t 300";
    let flow: Vec<&str> = flow.split(' ').collect();
    scene.namespace().tool("conntrack", &flow, "");
    let test = std::env::current_exe().unwrap();
    let status = scene
        .namespace()
        .command("setpriv")
        .args(["--bounding-set=-all", "--inh-caps=-all"])
        .arg(test)
        .args(["--exact", "contract::privilege::host"])
        .env(UNPRIVILEGED, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&status.stdout);
    assert!(status.status.success() && text.contains("1 passed"), "{text}");
}
