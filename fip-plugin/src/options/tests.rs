mod endpoint;
mod floating;
mod network;

use serde_json::{Map, Value};

use super::*;

/// The object that this JSON text is.
fn object(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).unwrap()
}
