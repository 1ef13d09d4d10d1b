//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use fip_core::LinkName;
use fip_core::claim::{Claim, RivalPolicy};
use fip_core::duration::parse_duration;
use fip_plugin::allow::AllowList;
use fip_plugin::arguments::Rules;
use fip_plugin::docker::{DEFAULT_TIMEOUT, Docker, DockerError};
use fip_plugin::driver::{Config, LABEL};
use log::LevelFilter;

/// Floating IP addresses for Docker containers: a network driver
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve dockerd, until SIGTERM; networks and floating addresses stay then
    Serve(Serve),
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The socket: its name without `.sock` is the driver's name
    #[arg(long, value_name = "PATH", default_value = "/run/docker/plugins/fip.sock")]
    pub(crate) socket: PathBuf,
    /// Serve this address too, without any protection: for a plugin's .spec of tcp://...
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where networks are remembered that dockerd will not describe again
    #[arg(long, value_name = "DIR", default_value = "/var/lib/fip")]
    pub(crate) state_dir: PathBuf,
    /// The link that carries floating addresses [default: the one whose subnet holds the address,
    /// else the one of the default route]
    #[arg(long, value_name = "LINK")]
    uplink: Option<LinkName>,
    /// What may be claimed: subnets, addresses, FIRST-LAST (repeatable) [default: the subnets of
    /// the uplink]
    #[arg(long, value_name = "RANGES")]
    allow: Vec<AllowList>,
    /// The label by which containers ask for floating addresses
    #[arg(long, value_name = "NAME", default_value = LABEL)]
    label: String,
    /// Where dockerd answers, for labels and for what was missed [default: unix:///var/run/docker.sock]
    #[arg(long, value_name = "HOST", default_value = Docker::SOCKET, hide_default_value = true)]
    #[arg(overrides_with = "docker")]
    docker: String,
    /// What to do about another host that has an address
    #[arg(long, value_name = "wait|refuse|take-over", default_value_t)]
    rival: RivalPolicy,
    /// How long nobody may answer probes for an address
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = parse_duration)]
    probe: Duration,
    /// How long a container's start waits for another host to let go of its address
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    deadline: Duration,
    #[command(flatten)]
    rules: Rules,
    /// Make /proc/sys writable first: Docker mounts it read-only in a managed plugin
    #[arg(long)]
    pub(crate) unlock_proc_sys: bool,
    /// How much to tell: error, warn, info, debug
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: LevelFilter,
}

impl Serve {
    /// How the driver shall work.
    pub(crate) fn config(&self) -> Result<Config, DockerError> {
        Ok(Config {
            uplink: self.uplink.clone(),
            allow: AllowList::union(self.allow.iter().cloned()),
            label: self.label.clone(),
            docker: Some(Docker::from_environment(Some(&self.docker), DEFAULT_TIMEOUT)?),
            claim: Claim { policy: self.rival, window: self.probe, deadline: self.deadline },
            options: (&self.rules).into(),
        })
    }
}
