//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use fip_core::binding::parse_address;
use fip_core::claim::{Claim, RivalPolicy};
use fip_core::duration::parse_duration;
use fip_core::fip::{BindOptions, OnRival, Options};
use fip_core::kernel::host::Host;
use fip_core::kernel::{Hold, Mac};
use fip_core::nat::Mark;
use fip_core::netns::NetNs;
use fip_core::{Binding, Error, FloatingIps, LinkName, Owner, PortForward, Protocol};
use ipnetwork::IpNetwork;

/// Floating IP addresses: an external address that belongs to a workload, not to a host.
///
/// `fip bind 192.168.99.200 172.18.0.2` puts 192.168.99.200 on this host's network card, translates
/// it to the workload's inside address 172.18.0.2 with nf_tables, and tells the LAN.
#[derive(Debug, Parser)]
#[command(name = "fip", version, subcommand_required = true, arg_required_else_help = false)]
#[command(after_help = "Exit codes: 0 done (or already so), 1 failed, 2 wrong usage, 3 conflict, \
                        4 not found, 5 not permitted.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) host: HostArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What holds for every command.
#[derive(Debug, Args)]
pub(crate) struct HostArgs {
    /// The bit of the packet mark that floating traffic carries [default: the present table's, else
    /// 0x1000]
    #[arg(long, global = true, value_name = "BIT")]
    mark: Option<Mark>,
    /// Go on although iptables-legacy is in use, whose rules cannot be looked into
    #[arg(long, global = true)]
    allow_legacy_iptables: bool,
    /// Work in this network namespace: a name, a path, or a process id
    #[arg(long, global = true, value_name = "NETNS")]
    in_netns: Option<NetNs>,
}

impl HostArgs {
    /// The floating addresses of the host that is meant.
    pub(crate) fn open(&self) -> Result<FloatingIps<Host>, Error> {
        self.open_to_hold(HoldArgs::default())
    }

    /// The same, to be held as it is asked for.
    pub(crate) fn open_to_hold(&self, args: HoldArgs) -> Result<FloatingIps<Host>, Error> {
        let options = Options {
            mark: self.mark,
            allow_legacy_iptables: self.allow_legacy_iptables,
            hold: args.hold,
        };
        match &self.in_netns {
            Some(netns) => FloatingIps::open_in(netns, options),
            None => FloatingIps::open(options),
        }
    }
}

/// How the link holds floating addresses.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct HoldArgs {
    /// Hold floating addresses as addresses of the link, or by local routes, of which any number
    /// costs nothing [default: as it is; else by routes where neighbours get an answer for these]
    #[arg(long, value_name = "address|route")]
    hold: Option<Hold>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bind a floating address to a workload's fixed address
    Bind(BindArgs),
    /// Undo a binding, or the translation of some of its ports
    Unbind(UnbindArgs),
    /// Show the bindings and how they are
    List(ListArgs),
    /// Make the bindings of an owner exactly those of a file
    Apply(ApplyArgs),
    /// Apply a file and keep it true, reporting each repair, until stopped (SIGHUP re-reads it)
    Watch(WatchArgs),
    /// Bridges that workloads are attached to
    #[command(subcommand)]
    Bridge(BridgeCommand),
}

#[derive(Debug, Args)]
pub(crate) struct BindArgs {
    /// The external address
    #[arg(value_parser = parse_address)]
    floating: IpAddr,
    /// The workload's inside address
    #[arg(value_parser = parse_address)]
    fixed: IpAddr,
    /// The link that shall carry the address [default: the one whose subnet holds it, else the one
    /// of the default route]
    #[arg(short, long, value_name = "LINK")]
    interface: Option<LinkName>,
    /// Translate only this port (repeatable)
    #[arg(short, long = "port", value_name = "PROTO:PORT[:FIXED_PORT]")]
    ports: Vec<PortForward>,
    /// Do not give traffic that the workload starts the floating source address
    #[arg(long)]
    no_egress: bool,
    /// Let a binding of the same owner that is in the way give way
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    pub(crate) hold: HoldArgs,
    #[command(flatten)]
    claim: ClaimArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

impl BindArgs {
    pub(crate) fn binding(&self) -> Result<Binding, Error> {
        let binding = Binding::new(self.floating, self.fixed)?
            .with_ports(self.ports.iter().copied())
            .with_egress(!self.no_egress)
            .owned_by(self.common.owner.clone());
        Ok(match &self.interface {
            Some(link) => binding.on(link.clone()),
            None => binding,
        })
    }

    pub(crate) fn options(&self) -> BindOptions {
        BindOptions { replace: self.replace, ..self.claim.options() }
    }
}

/// How an address is claimed on the LAN.
#[derive(Debug, Args)]
pub(crate) struct ClaimArgs {
    /// What to do if another host has the address: wait until it falls silent, refuse, or
    /// take-over without asking
    #[arg(long, value_name = "wait|refuse|take-over", default_value_t)]
    rival: RivalPolicy,
    #[command(flatten)]
    probe: ProbeArgs,
    /// How long to wait for a rival to fall silent
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    deadline: Duration,
}

impl ClaimArgs {
    pub(crate) fn options(&self) -> BindOptions {
        let mut options = self.probe.options();
        options.claim.policy = self.rival;
        options.claim.deadline = self.deadline;
        options
    }
}

/// How the LAN is asked and told.
#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    /// How long nobody may answer for the address to be free; 0 does not ask
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = parse_duration)]
    probe: Duration,
    /// How often to announce the address: at once, and again every 1.1 s
    #[arg(long, value_name = "N", default_value_t = 2)]
    announce: u32,
}

impl ProbeArgs {
    pub(crate) fn options(&self) -> BindOptions {
        BindOptions {
            claim: Claim { window: self.probe, ..Claim::default() },
            announcements: self.announce,
            ..BindOptions::default()
        }
    }
}

/// What the commands have in common that change bindings.
#[derive(Debug, Args)]
pub(crate) struct CommonArgs {
    /// Who holds the bindings
    #[arg(long, value_name = "NAME", default_value_t)]
    pub(crate) owner: Owner,
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UnbindArgs {
    /// The external address
    #[arg(value_parser = parse_address)]
    pub(crate) floating: IpAddr,
    /// Undo only the translation of this port (repeatable)
    #[arg(short, long = "port", value_name = "PROTO:PORT", value_parser = parse_port)]
    pub(crate) ports: Vec<(Protocol, u16)>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only the bindings of this owner
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: Option<Owner>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The desired state, TOML, JSON or lines `FLOATING FIXED`; `-` is standard input. An empty
    /// file means no bindings
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) hold: HoldArgs,
    #[command(flatten)]
    pub(crate) claim: ClaimArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The desired state, TOML, JSON or lines `FLOATING FIXED`; `-` is standard input. An empty
    /// file means no bindings
    pub(crate) file: PathBuf,
    /// Who holds the bindings
    #[arg(long, value_name = "NAME", default_value_t)]
    pub(crate) owner: Owner,
    /// What to do if another host claims an address later: yield it, or defend it by announcing it
    /// again
    #[arg(long, value_name = "yield|defend", default_value = "yield")]
    pub(crate) rival_policy: OnRival,
    #[command(flatten)]
    pub(crate) hold: HoldArgs,
    #[command(flatten)]
    pub(crate) probe: ProbeArgs,
    /// Print events as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BridgeCommand {
    /// See to it that a bridge exists, with these gateway addresses, and that the host forwards
    Ensure(EnsureArgs),
    /// Delete a bridge
    Delete(DeleteArgs),
    /// Join a workload's network namespace to a bridge
    Attach(AttachArgs),
    /// Undo an attach
    Detach(DetachArgs),
}

#[derive(Debug, Args)]
pub(crate) struct EnsureArgs {
    /// The bridge
    pub(crate) name: LinkName,
    /// A gateway address with the prefix length of the workloads' subnet, as 172.18.0.1/16
    /// (repeatable)
    #[arg(long = "address", value_name = "CIDR", required = true, num_args = 1..,
          value_parser = parse_network)]
    pub(crate) addresses: Vec<IpNetwork>,
    /// The MTU in bytes [default: that of the link of the default route]
    #[arg(long, value_name = "N")]
    pub(crate) mtu: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The bridge
    pub(crate) name: LinkName,
    /// Delete it although workloads are attached
    #[arg(long)]
    pub(crate) force: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// The bridge
    pub(crate) name: LinkName,
    #[command(flatten)]
    pub(crate) port: PortArgs,
    /// An address of the workload with its subnet's prefix length, as 172.18.0.2/16 (repeatable)
    #[arg(long = "address", value_name = "CIDR", required = true, num_args = 1..,
          value_parser = parse_network)]
    pub(crate) addresses: Vec<IpNetwork>,
    /// The Ethernet address of the workload's link [default: random]
    #[arg(long, value_name = "MAC")]
    pub(crate) mac: Option<Mac>,
    /// Do not lead the workload's default routes through the bridge
    #[arg(long)]
    pub(crate) no_default_route: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DetachArgs {
    /// The bridge
    pub(crate) name: LinkName,
    #[command(flatten)]
    pub(crate) port: PortArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A workload's end of a veth pair.
#[derive(Debug, Args)]
pub(crate) struct PortArgs {
    /// The workload's network namespace: a name, a path, or a process id
    #[arg(long, value_name = "NETNS")]
    pub(crate) netns: NetNs,
    /// The name of the workload's link
    #[arg(long, value_name = "LINK", default_value = "eth0")]
    pub(crate) peer: LinkName,
}

fn parse_port(text: &str) -> Result<(Protocol, u16), Error> {
    if text.matches(':').count() > 1 {
        return Err(Error::parse(text, "a port to unbind (PROTOCOL:PORT, as tcp:80)"));
    }
    let forward: PortForward = text.parse()?;
    Ok((forward.protocol, forward.port))
}

fn parse_network(text: &str) -> Result<IpNetwork, Error> {
    let network = text.contains('/').then(|| text.parse().ok()).flatten();
    let expected = "an address with its subnet's prefix length, as 172.18.0.1/16";
    network.ok_or_else(|| Error::parse(text, expected))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_port_to_unbind_has_no_third_part() {
        assert_eq!(parse_port("udp:53").unwrap(), (Protocol::Udp, 53));
        for bad in ["tcp:80:8080", "tcp", "80", "tcp:0", "tcp:", ""] {
            assert!(parse_port(bad).unwrap_err().is_usage(), "{bad}");
        }
    }

    #[test]
    fn a_network_has_a_prefix_length() {
        assert!(parse_network("172.18.0.1/16").is_ok());
        assert!(parse_network("2001:db8::1/64").is_ok());
        for bad in ["172.18.0.1", "172.18.0.1/33", "172.18.0.1/", "/16", "x/16", ""] {
            assert!(parse_network(bad).unwrap_err().is_usage(), "{bad}");
        }
    }
}
