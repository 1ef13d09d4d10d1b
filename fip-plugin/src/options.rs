//! What users say with driver options and with labels.
//!
//! Everything here is pure: text and JSON in, well-formed values out, or an error that names the
//! option, what it got and what it takes.

mod endpoint;
mod floating;
mod network;
mod value;

pub use endpoint::{Endpoint, EndpointOptions, NO_ADDRESS};
pub use floating::{Floating, parse_floating};
pub use network::NetworkOptions;

/// How many floating addresses a container can have on one network.
pub const ADDRESSES_MAX: usize = 64;

/// How many ports can be translated to a container on one network, those of all its floating
/// addresses together.
pub const PORTS_MAX: usize = 256;

/// The longest text of an option or a label, in bytes.
pub const TEXT_MAX: usize = 4096;

#[cfg(test)]
mod tests;
