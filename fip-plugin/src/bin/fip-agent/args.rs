//! The command line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use fip_core::claim::{Claim, RivalPolicy};
use fip_core::duration::parse_duration;
use fip_core::{LinkName, Options};
use fip_plugin::agent::actuator::network::NetworkSpec;
use fip_plugin::agent::source::rancher::{DEFAULT_URL, Version};
use fip_plugin::agent::status::Place;
use fip_plugin::allow::AllowList;
use fip_plugin::arguments::Rules;
use fip_plugin::driver::LABEL;
use ipnetwork::IpNetwork;
use log::LevelFilter;

/// Floating IP addresses for labelled containers: watches what runs on this host
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tell what the agent of this host knows and does; exit code 1 if it is not well
    Status {
        /// Where the agent tells it: a socket's path, or ADDRESS:PORT
        #[arg(long, value_name = "PLACE", default_value = Place::DEFAULT)]
        listen: Place,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take back all that agents of this host ever made; the agent must be stopped
    Drain(Drain),
}

#[derive(Debug, Args)]
pub(crate) struct Drain {
    /// Where the agent would tell its status: nobody may be there
    #[arg(long, value_name = "PLACE", default_value = Place::DEFAULT)]
    pub(crate) listen: Place,
    /// Leave Docker alone: take back only what --attach direct made
    #[arg(long)]
    pub(crate) direct_only: bool,
    #[command(flatten)]
    pub(crate) docker: DockerHost,
    #[command(flatten)]
    pub(crate) network: NetworkName,
}

/// Who says what should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SourceKind {
    /// Labels of the containers of this host's Docker
    Docker,
    /// Rancher's metadata service
    Rancher,
    /// A file with a line for each address: FLOATING FIXED or FLOATING CONTAINER
    File,
}

/// Who makes it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Attach {
    /// Docker connects the container to a network of the driver fip
    Network,
    /// The address is bound to the one that the container has; no second network
    Direct,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Who says which containers have floating addresses
    #[arg(long, value_enum, default_value_t = SourceKind::Docker)]
    pub(crate) source: SourceKind,
    /// How they get them
    #[arg(long, value_enum, default_value_t = Attach::Network)]
    pub(crate) attach: Attach,
    /// The label by which containers ask for floating addresses (repeatable)
    #[arg(long, value_name = "NAME", default_value = LABEL)]
    pub(crate) label: Vec<String>,
    /// What may be claimed: subnets, addresses, FIRST-LAST (repeatable) [default: what the driver
    /// permits; with --attach direct the subnets of the uplink]
    #[arg(long, value_name = "RANGES")]
    pub(crate) allow: Vec<AllowList>,
    /// How long addresses are held while the source does not answer [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) hold_for: Option<Duration>,
    /// Where to tell the status: ADDRESS:PORT, besides the socket /run/fip/agent.sock; or the path of
    /// another socket (repeatable)
    #[arg(long, value_name = "PLACE")]
    listen: Vec<Place>,
    /// Look once, do what is to be done, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// Tell what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How much to tell: error, warn, info, debug
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: LevelFilter,
    #[command(flatten)]
    pub(crate) docker: DockerHost,
    #[command(flatten)]
    pub(crate) network: Network,
    #[command(flatten)]
    pub(crate) direct: Direct,
    #[command(flatten)]
    pub(crate) rancher: Rancher,
    /// The file
    #[arg(long, value_name = "PATH", required_if_eq("source", "file"))]
    #[arg(help_heading = "With --source file")]
    pub(crate) file: Option<PathBuf>,
    /// How often all containers are listed, whatever happens
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    #[arg(help_heading = "With --source docker")]
    pub(crate) resync: Duration,
}

impl Run {
    /// Where the status is told. There is always a socket: one agent is enough for a host, and that
    /// is how another one finds it.
    pub(crate) fn places(&self) -> Vec<Place> {
        let mut places = self.listen.clone();
        if !places.iter().any(|place| matches!(place, Place::Unix(_))) {
            places.push(Place::Unix(Place::DEFAULT.into()));
        }
        places
    }
}

#[derive(Debug, Args)]
pub(crate) struct DockerHost {
    /// Where dockerd answers [default: DOCKER_HOST, else unix:///var/run/docker.sock]
    #[arg(long, value_name = "HOST")]
    pub(crate) docker: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "With --attach network")]
pub(crate) struct NetworkName {
    /// The network to connect containers to; it is made if it is not there
    #[arg(long, value_name = "NAME", default_value = "fip")]
    network: String,
    /// Its driver
    #[arg(long, value_name = "DRIVER", default_value = "fip")]
    network_driver: String,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "With --attach network")]
pub(crate) struct Network {
    #[command(flatten)]
    name: NetworkName,
    /// Its subnets (repeatable) [default: one that Docker chooses]
    #[arg(long, value_name = "SUBNET")]
    subnet: Vec<IpNetwork>,
    /// An option for the driver (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    network_opt: Vec<(String, String)>,
}

impl NetworkName {
    /// The network, as it is if it is there.
    pub(crate) fn spec(&self) -> NetworkSpec {
        NetworkSpec {
            name: self.network.clone(),
            driver: self.network_driver.clone(),
            subnets: Vec::new(),
            options: BTreeMap::new(),
        }
    }
}

impl Network {
    /// The network, as it is to be made.
    pub(crate) fn spec(&self) -> NetworkSpec {
        let options = self.network_opt.iter().cloned().collect();
        NetworkSpec { subnets: self.subnet.clone(), options, ..self.name.spec() }
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "With --attach direct")]
pub(crate) struct Direct {
    /// The link that carries floating addresses [default: the one whose subnet holds the address,
    /// else the one of the default route]
    #[arg(long, value_name = "LINK")]
    pub(crate) uplink: Option<LinkName>,
    /// What to do about another host that has an address
    #[arg(long, value_name = "wait|refuse|take-over", default_value_t)]
    rival: RivalPolicy,
    /// How long nobody may answer probes for an address
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = parse_duration)]
    probe: Duration,
    /// How long another host that has an address is asked all the time; then every two seconds
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    deadline: Duration,
    #[command(flatten)]
    rules: Rules,
}

impl Direct {
    pub(crate) fn claim(&self) -> Claim {
        Claim { policy: self.rival, window: self.probe, deadline: self.deadline }
    }

    pub(crate) fn options(&self) -> Options {
        (&self.rules).into()
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "With --source rancher")]
pub(crate) struct Rancher {
    /// Where the metadata service answers
    #[arg(long, value_name = "URL", default_value = DEFAULT_URL)]
    pub(crate) rancher_url: String,
    /// The version of its answers
    #[arg(long, value_name = "VERSION", default_value_t)]
    pub(crate) rancher_version: Version,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it is not KEY=VALUE, as fip.uplink=eth1")?;
    Ok((key.to_owned(), value.to_owned()))
}
