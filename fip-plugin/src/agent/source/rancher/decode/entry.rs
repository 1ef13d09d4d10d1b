//! One container as the service tells it.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{ADDRESS_LABEL, address};
use crate::ask::shown;

/// What is read of a container. Each field may be anything; all others are left alone.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct Entry {
    pub(super) uuid: Value,
    pub(super) name: Value,
    pub(super) host_uuid: Value,
    pub(super) external_id: Value,
    pub(super) state: Value,
    pub(super) labels: Value,
    primary_ip: Value,
    pub(super) network_from_container_uuid: Value,
    pub(super) create_index: Value,
    pub(super) start_count: Value,
}

impl Entry {
    /// Its name, for people; its uuid if it has none.
    pub(super) fn shown(&self) -> String {
        shown(text(&self.name).or_else(|| text(&self.uuid)).unwrap_or("without a name"))
    }

    /// Its address, if one of the places for it has one.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.places().into_iter().find_map(|place| text(place).and_then(address))
    }

    /// Whether something stands where the address should, and is none.
    pub(super) fn has_bad_address(&self) -> bool {
        self.places().into_iter().any(|place| !is_missing(place))
    }

    fn places(&self) -> [&Value; 2] {
        [&self.primary_ip, self.labels.get(ADDRESS_LABEL).unwrap_or(&Value::Null)]
    }
}

/// The text, if it is one; an empty one is none.
pub(super) fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

/// Whether there is nothing, which is written in several ways.
pub(super) fn is_missing(value: &Value) -> bool {
    value.is_null() || *value == ""
}

/// The number, also if it comes as text: some of the fields do.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// A value that is written as an object. By itself a structure is also read from an array, in the
/// order of its fields: then `[[]]` would be a container that asks for nothing.
#[derive(Debug)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}
