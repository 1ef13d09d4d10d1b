//! The methods of the network driver: from what dockerd asks to what fip-core does.
//!
//! Between calls nothing is in memory that is not in the state directory or in the kernel, so that
//! the plugin may end at any moment and another one goes on.

mod book;
mod dead;
mod endpoints;
mod failure;
mod follow;
mod joining;
mod model;
mod networks;
mod outlets;
mod permission;
mod restore;
mod scouts;
mod turns;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use fip_core::claim::Claim;
use fip_core::fip::BindOptions;
use fip_core::kernel::Kernel;
use fip_core::{Binding, BridgeRules, Error, FloatingIps, LinkName, Options, Owner};
use serde::Serialize;

use crate::allow::AllowList;
use crate::docker::Docker;
use crate::keeper::{self, Keeper};
use crate::protocol::{
    self, Activated, AllocateNetwork, AllocatedNetwork, Capabilities, Done, EndpointRef,
    GatewaysToSkip, GwAllocCheck, Method, NetworkRef, ProgramExternalConnectivity, Scope, decode,
};
use crate::settle::Settler;
use crate::state::{StateError, Store};

use book::Book;
use failure::{Failure, with_hint};
use scouts::{Open, Scouts};
use turns::Turns;

/// The label by which a container asks for its floating addresses.
pub const LABEL: &str = "io.rancher.container.floating.ip";

/// How the driver works on this host.
#[derive(Debug, Clone)]
pub struct Config {
    /// The link that carries floating addresses, unless the network names another one.
    pub uplink: Option<LinkName>,
    /// Which addresses may be claimed; the subnets of the uplink if none.
    pub allow: Option<AllowList>,
    /// The label by which containers ask for floating addresses.
    pub label: String,
    /// Where to ask for labels, and for what was missed; nowhere if none.
    pub docker: Option<Docker>,
    /// What to do about another host that has an address.
    pub claim: Claim,
    /// How the rules are made.
    pub options: Options,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            uplink: None,
            allow: None,
            label: LABEL.to_owned(),
            docker: None,
            claim: Claim::default(),
            options: Options::default(),
        }
    }
}

/// The answer to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// JSON.
    pub body: Vec<u8>,
}

/// Why the driver cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The kernel refuses.
    #[error(transparent)]
    Kernel(#[from] Error),
}

/// The rules of the networks' bridges, by the bridge.
type Bridges = Mutex<BTreeMap<LinkName, BridgeRules>>;

/// The network driver.
pub struct Driver<K: Kernel> {
    config: Config,
    book: Book,
    turns: Turns,
    scouts: Scouts<K>,
    keeper: Keeper<K>,
    settler: Settler<K>,
    bridges: Arc<Bridges>,
    docker_answers: AtomicBool,
}

impl<K> Driver<K>
where
    K: Kernel + Send + 'static,
    K::Monitor: Send,
{
    /// Starts with what the state directory and the kernel have; `open` gives handles on the
    /// kernel.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(config: Config, state: &Path, open: Open<K>) -> Result<Self, StartError> {
        let book = Book::open(Store::open(state)?)?;
        let scouts = Scouts::new(Arc::clone(&open));
        restore::bury(&book, &scouts.with(|kernel| restore::link_names(kernel))?)?;
        let fips = FloatingIps::new(open()?, config.options.clone());
        let (owners, desired) = held_before(&book, &config);
        let driver = Self {
            keeper: Keeper::start(fips, owners, desired, BindOptions::default(), |event| {
                keeper::note(event, with_hint);
            })?,
            scouts,
            settler: Settler::new(open),
            turns: Turns::default(),
            bridges: Arc::default(),
            docker_answers: AtomicBool::new(false),
            config,
            book,
        };
        driver.restore();
        Ok(driver)
    }

    /// Answers a call. Any text may come.
    pub fn call(&self, path: &str, body: &[u8]) -> Reply {
        let Some(method) = Method::from_path(path) else {
            log::debug!("asked for {path:?}, which is no method");
            return reply(404, &protocol::Failure { error: "there is no such method".to_owned() });
        };
        log::debug!("{method} {}", String::from_utf8_lossy(body.trim_ascii()));
        let answered = self.dispatch(method, body);
        // Who waits for whom when nothing goes on: dockerd is silent about it.
        log::debug!("answered {method}");
        answered.unwrap_or_else(|failure| {
            log::warn!("{method} failed: {failure}");
            reply(failure.status(), &protocol::Failure { error: failure.to_string() })
        })
    }

    fn dispatch(&self, method: Method, body: &[u8]) -> Result<Reply, Failure> {
        Ok(match method {
            Method::Activate => done(&Activated::NETWORK_DRIVER),
            Method::GetCapabilities => done(&Capabilities {
                scope: Scope::Local,
                connectivity_scope: Scope::Local,
                gw_alloc_checker: false,
            }),
            Method::GwAllocCheck => {
                decode::<GwAllocCheck>(body)?;
                // The host is the gateway, of internal networks too.
                done(&GatewaysToSkip { ipv4: false, ipv6: false })
            }
            Method::CreateNetwork => done(&self.create_network(decode(body)?)?),
            Method::DeleteNetwork => done(&self.delete_network(&decode(body)?)?),
            Method::CreateEndpoint => done(&self.create_endpoint(decode(body)?)?),
            Method::EndpointOperInfo => done(&self.endpoint_info(&decode(body)?)),
            Method::DeleteEndpoint => done(&self.delete_endpoint(&decode(body)?)?),
            Method::Join => done(&self.join(&decode(body)?)?),
            Method::Leave => done(&self.leave(&decode(body)?)?),
            // Floating addresses do not hang on who has the default route.
            Method::ProgramExternalConnectivity => {
                decode::<ProgramExternalConnectivity>(body)?;
                done(&Done {})
            }
            Method::RevokeExternalConnectivity => {
                decode::<EndpointRef>(body)?;
                done(&Done {})
            }
            Method::DiscoverNew | Method::DiscoverDelete => {
                decode::<protocol::Discovery>(body)?;
                done(&Done {})
            }
            Method::AllocateNetwork => {
                // What is answered replaces the user's options on every node.
                let AllocateNetwork { options, .. } = decode(body)?;
                done(&AllocatedNetwork { options })
            }
            // It may come while the network is still in use.
            Method::FreeNetwork => {
                decode::<NetworkRef>(body)?;
                done(&Done {})
            }
        })
    }
}

/// Who holds addresses, and which, by what was known before.
fn held_before(book: &Book, config: &Config) -> (Vec<Owner>, Vec<Binding>) {
    let networks = book.networks();
    let owners = networks.iter().map(|network| network.owner.clone()).collect();
    let mut desired = Vec::new();
    for endpoint in book.endpoints() {
        let joined = endpoint.record.joined.is_some();
        if let Some(network) = book.network(&endpoint.record.network).filter(|_| joined) {
            let uplink = network.options.uplink.as_ref().or(config.uplink.as_ref());
            match endpoint.bindings(&network, uplink) {
                Ok(bindings) => desired.extend(bindings),
                Err(error) => log::error!("endpoint {}: {error}", endpoint.id().short()),
            }
        }
    }
    (owners, desired)
}

fn done(answer: &impl Serialize) -> Reply {
    reply(200, answer)
}

fn reply(status: u16, answer: &impl Serialize) -> Reply {
    Reply { status, body: protocol::encode(answer) }
}

/// Tells in the log what was changed.
fn note(changes: Vec<String>) {
    changes.iter().for_each(|change| log::debug!("{change}"));
}
