//! From the command line to the parts of the agent.

use std::fmt;
use std::sync::Arc;

use fip_core::address::Links;
use fip_core::error::Chain;
use fip_core::kernel::host::Host;
use fip_plugin::agent::actuator::direct::{DirectActuator, DirectConfig};
use fip_plugin::agent::actuator::network::{NetworkActuator, NetworkSpec};
use fip_plugin::agent::actuator::{Actuator, Bell, Failure};
use fip_plugin::agent::board::Board;
use fip_plugin::agent::run::{Agent, Allow, Config};
use fip_plugin::agent::source::docker::DockerSource;
use fip_plugin::agent::source::file::FileSource;
use fip_plugin::agent::source::rancher::{RancherConfig, RancherSource};
use fip_plugin::agent::source::{OpenSource, SourceError};
use fip_plugin::agent::status::StatusError;
use fip_plugin::allow::{AllowList, own_subnets};
use fip_plugin::docker::{DEFAULT_TIMEOUT, Docker, DockerError};
use fip_plugin::http::ListenError;

use crate::args::{Attach, Direct, DockerHost, Drain, Run, SourceKind};

/// Why the agent cannot work: for people, with the way out.
pub(crate) struct Problem(String);

/// The agent that the command line describes.
pub(crate) fn agent(run: &Run, board: Board) -> Result<Agent, Problem> {
    let config = Config { open: source(run)?, allow: allow(run), hold_for: run.hold_for, board };
    Agent::new(config, |bell| match run.attach {
        Attach::Network => network(&run.docker, run.network.spec(), bell),
        Attach::Direct => direct(&run.direct, bell),
    })
}

/// A board that knows the names of the two ends.
pub(crate) fn board(run: &Run) -> Board {
    let source = match (run.source, &run.file) {
        (SourceKind::Docker, _) => "docker".to_owned(),
        (SourceKind::Rancher, _) => format!("rancher {}", run.rancher.rancher_url),
        (SourceKind::File, path) => {
            format!("file {}", path.as_deref().unwrap_or("".as_ref()).display())
        }
    };
    let attach = match run.attach {
        Attach::Network => format!("network {}", run.network.spec().name),
        Attach::Direct => "direct".to_owned(),
    };
    Board::new(&source, &attach)
}

/// All that may have left something on this host.
pub(crate) fn all_that_binds(args: &Drain) -> Result<Vec<Box<dyn Actuator>>, Problem> {
    let nobody = || Bell::new(|_| {});
    let mut all: Vec<Box<dyn Actuator>> = Vec::new();
    if !args.direct_only {
        all.push(network(&args.docker, args.network.spec(), nobody())?);
    }
    let config = DirectConfig::default();
    all.push(Box::new(DirectActuator::start(Arc::new(Host::open), config, nobody())?));
    Ok(all)
}

fn source(run: &Run) -> Result<OpenSource, Problem> {
    let docker = docker(&run.docker)?;
    let labels = run.label.clone();
    Ok(match run.source {
        SourceKind::Docker => {
            let resync = run.resync;
            Arc::new(move || Box::new(DockerSource::new(docker.clone(), labels.clone(), resync)))
        }
        SourceKind::Rancher => {
            let config = RancherConfig {
                url: run.rancher.rancher_url.clone(),
                version: run.rancher.rancher_version,
                ..RancherConfig::new(labels)
            };
            let source = RancherSource::new(config)?;
            Arc::new(move || Box::new(source.clone()))
        }
        SourceKind::File => {
            let path = run.file.clone().unwrap_or_default();
            Arc::new(move || Box::new(FileSource::new(path.clone(), docker.clone())))
        }
    })
}

/// Docker's driver has its own opinion; a direct binding has none but ours.
fn allow(run: &Run) -> Allow {
    let list = AllowList::union(run.allow.iter().cloned());
    let (attach, uplink) = (run.attach, run.direct.uplink.clone());
    Box::new(move || {
        if list.is_some() || attach == Attach::Network {
            return Ok(list.clone());
        }
        let links = Links::read(&mut Host::open()?)?;
        own_subnets(&links, uplink.as_ref()).map(Some)
    })
}

fn network(
    docker: &DockerHost,
    spec: NetworkSpec,
    bell: Bell,
) -> Result<Box<dyn Actuator>, Problem> {
    Ok(Box::new(NetworkActuator::start(&self::docker(docker)?, spec, bell)?))
}

fn direct(args: &Direct, bell: Bell) -> Result<Box<dyn Actuator>, Problem> {
    let config =
        DirectConfig { uplink: args.uplink.clone(), claim: args.claim(), options: args.options() };
    Ok(Box::new(DirectActuator::start(Arc::new(Host::open), config, bell)?))
}

fn docker(host: &DockerHost) -> Result<Docker, Problem> {
    Ok(Docker::from_environment(host.docker.as_deref(), DEFAULT_TIMEOUT)?)
}

impl Problem {
    fn new(error: &dyn std::error::Error, hint: Option<String>) -> Self {
        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        Self(format!("{}{hint}", Chain(error)))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Errors that know the way out.
macro_rules! hinted {
    ($($error:ty: $hint:expr),* $(,)?) => {$(
        impl From<$error> for Problem {
            fn from(error: $error) -> Self {
                let hint: fn(&$error) -> Option<String> = $hint;
                Self::new(&error, hint(&error))
            }
        }
    )*};
}

hinted! {
    fip_core::Error: |error| error.hint(),
    DockerError: |error| error.hint(),
    StatusError: |error| error.hint(),
    Failure: |error| error.hint.clone(),
    SourceError: |error| error.hint.clone(),
    ListenError: |_| None,
    std::io::Error: |_| None,
}
