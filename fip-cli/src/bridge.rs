//! `fip bridge`.

use fip_core::bridge::{BridgeManager, BridgeSpec, PortSpec};

use crate::args::{AttachArgs, BridgeCommand, DeleteArgs, DetachArgs, EnsureArgs, HostArgs};
use crate::failure::Failure;
use crate::output;

pub(crate) fn bridge(host: &HostArgs, command: &BridgeCommand) -> Result<(), Failure> {
    let mut fips = host.open()?;
    let mut bridges = BridgeManager::new(fips.kernel());
    let (changes, json) = match command {
        BridgeCommand::Ensure(args) => (bridges.ensure(&bridge_spec(args)), args.json),
        BridgeCommand::Delete(DeleteArgs { name, force, json }) => {
            (bridges.delete(name, *force), *json)
        }
        BridgeCommand::Attach(args) => (bridges.attach(&port_spec(args)), args.json),
        BridgeCommand::Detach(DetachArgs { name, port, json }) => {
            (bridges.detach(name, &port.netns, &port.peer), *json)
        }
    };
    output::bridge(&changes?, json)
}

fn bridge_spec(args: &EnsureArgs) -> BridgeSpec {
    BridgeSpec { name: args.name.clone(), addresses: args.addresses.clone(), mtu: args.mtu }
}

fn port_spec(args: &AttachArgs) -> PortSpec {
    PortSpec {
        bridge: args.name.clone(),
        netns: args.port.netns.clone(),
        addresses: args.addresses.clone(),
        peer: args.port.peer.clone(),
        mac: args.mac,
        default_route: !args.no_default_route,
    }
}
