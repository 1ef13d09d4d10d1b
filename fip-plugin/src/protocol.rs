//! The JSON of Docker's remote network driver protocol (libnetwork `drivers/remote/api`).
//!
//! Requests are as tolerant as dockerd's encoder is varied (`null` for an empty list, `""` for no
//! address, fields that only some engines send) and as strict as what follows from them demands:
//! ids become names of links and files, addresses become rules. Parsing is the only validation.

mod answer;
mod id;
mod request;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use answer::{
    Activated, AllocatedNetwork, Capabilities, CreatedEndpoint, Done, Failure, GatewaysToSkip,
    InterfaceName, Joined, OperationalInfo, Scope, StaticRoute,
};
pub use id::Id;
pub use request::{
    AllocateNetwork, CreateEndpoint, CreateNetwork, Discovery, EndpointRef, GwAllocCheck,
    Interface, Join, NetworkRef, Options, Pool, ProgramExternalConnectivity,
};

/// A method of the protocol: the path that dockerd posts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// The handshake of every plugin, at the first use after each start of dockerd.
    Activate,
    /// Follows [`Method::Activate`].
    GetCapabilities,
    /// Asks, before CreateNetwork, which gateways need no address; only of drivers that say so in
    /// their [`Capabilities`], and only by newer engines.
    GwAllocCheck,
    /// `docker network create`. Never repeated when dockerd restarts.
    CreateNetwork,
    /// `docker network rm`.
    DeleteNetwork,
    /// First call of a container's start or connect.
    CreateEndpoint,
    /// Asks for details of an endpoint; an error fails the start on some engines.
    EndpointOperInfo,
    /// Last call of a stop or disconnect.
    DeleteEndpoint,
    /// Follows CreateEndpoint: asks for the link to move into the container.
    Join,
    /// First call of a stop or disconnect.
    Leave,
    /// The endpoint carries the container's default route from now on.
    ProgramExternalConnectivity,
    /// The endpoint carries it no more.
    RevokeExternalConnectivity,
    /// A node of the cluster appeared.
    DiscoverNew,
    /// A node of the cluster is gone.
    DiscoverDelete,
    /// A swarm manager allocates a network.
    AllocateNetwork,
    /// A swarm manager frees it.
    FreeNetwork,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 16] = [
        Self::Activate,
        Self::GetCapabilities,
        Self::GwAllocCheck,
        Self::CreateNetwork,
        Self::DeleteNetwork,
        Self::CreateEndpoint,
        Self::EndpointOperInfo,
        Self::DeleteEndpoint,
        Self::Join,
        Self::Leave,
        Self::ProgramExternalConnectivity,
        Self::RevokeExternalConnectivity,
        Self::DiscoverNew,
        Self::DiscoverDelete,
        Self::AllocateNetwork,
        Self::FreeNetwork,
    ];

    /// The method that dockerd calls with this path, if there is one.
    pub fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.path() == path)
    }

    /// The path, as `/NetworkDriver.Join`.
    pub fn path(self) -> &'static str {
        match self {
            Self::Activate => "/Plugin.Activate",
            Self::GetCapabilities => "/NetworkDriver.GetCapabilities",
            Self::GwAllocCheck => "/NetworkDriver.GwAllocCheck",
            Self::CreateNetwork => "/NetworkDriver.CreateNetwork",
            Self::DeleteNetwork => "/NetworkDriver.DeleteNetwork",
            Self::CreateEndpoint => "/NetworkDriver.CreateEndpoint",
            Self::EndpointOperInfo => "/NetworkDriver.EndpointOperInfo",
            Self::DeleteEndpoint => "/NetworkDriver.DeleteEndpoint",
            Self::Join => "/NetworkDriver.Join",
            Self::Leave => "/NetworkDriver.Leave",
            Self::ProgramExternalConnectivity => "/NetworkDriver.ProgramExternalConnectivity",
            Self::RevokeExternalConnectivity => "/NetworkDriver.RevokeExternalConnectivity",
            Self::DiscoverNew => "/NetworkDriver.DiscoverNew",
            Self::DiscoverDelete => "/NetworkDriver.DiscoverDelete",
            Self::AllocateNetwork => "/NetworkDriver.AllocateNetwork",
            Self::FreeNetwork => "/NetworkDriver.FreeNetwork",
        }
    }

    /// Whether a call of this method without a body is a broken one.
    ///
    /// When a plugin dies in the middle of a call, dockerd makes the same call again with an empty
    /// body (its buffer is drained). Such a call must fail: dockerd would take `{}` for success.
    pub fn needs_body(self) -> bool {
        !matches!(self, Self::Activate | Self::GetCapabilities)
    }
}

impl fmt::Display for Method {
    /// Without the slash, as dockerd names it in its messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path()[1..])
    }
}

/// Why a request is not understood.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No body where the method needs one; see [`Method::needs_body`].
    #[error("the request has no body; dockerd repeats a broken call so: try the command again")]
    Empty,
    /// Not JSON, or not the JSON of this method.
    #[error("the request is not understood: {}", shortened(&.0.to_string()))]
    Malformed(#[from] serde_json::Error),
}

/// The text without its middle, if it is long: it may hold a whole value of the request.
fn shortened(text: &str) -> String {
    const KEPT: usize = 100;
    let mut places = text.char_indices().map(|(place, _)| place);
    match (places.nth(KEPT), places.nth_back(KEPT)) {
        (Some(from), Some(to)) => format!("{}…{}", &text[..from], &text[to..]),
        _ => text.to_owned(),
    }
}

/// The request in `body`.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    let body = body.trim_ascii();
    if body.is_empty() || body == b"null" {
        return Err(DecodeError::Empty);
    }
    Ok(serde_json::from_slice(body)?)
}

/// The body of `answer`.
pub fn encode(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).unwrap_or_else(|_| br#"{"Err":"the answer is no JSON"}"#.to_vec())
}
