//! An rtnetlink message with its body as it is on the wire.
//!
//! Requests are built with the codec of `netlink-packet-route`, answers are read as [`Attributes`].

use std::convert::Infallible;

use netlink_packet_core::{NetlinkDeserializable, NetlinkHeader, NetlinkSerializable};
use netlink_packet_route::RouteNetlinkMessage;

use crate::kernel::host::attributes::Attributes;

/// A message: its type (`RTM_NEWLINK` and so on in `linux/rtnetlink.h`) and its body.
#[derive(Debug, Clone)]
pub(super) struct Message {
    kind: u16,
    body: Vec<u8>,
}

impl Message {
    /// The body of a message of this type: the fixed header of `N` bytes, and the attributes.
    pub(super) fn parts<const N: usize>(&self, kind: u16) -> Option<(&[u8; N], Attributes<'_>)> {
        let (header, rest) = self.body.split_first_chunk()?;
        (self.kind == kind).then_some((header, Attributes(rest)))
    }

    #[cfg(test)]
    pub(super) fn raw(kind: u16, body: Vec<u8>) -> Self {
        Self { kind, body }
    }
}

impl From<&RouteNetlinkMessage> for Message {
    fn from(message: &RouteNetlinkMessage) -> Self {
        let mut body = vec![0; message.buffer_len()];
        message.serialize(&mut body);
        Self { kind: message.message_type(), body }
    }
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.body.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.body);
    }
}

impl NetlinkDeserializable for Message {
    type Error = Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Infallible> {
        Ok(Self { kind: header.message_type, body: payload.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_too_short_is_none() {
        assert!(Message::raw(16, vec![0; 15]).parts::<16>(16).is_none());
        assert!(Message::raw(17, vec![0; 16]).parts::<16>(16).is_none());
        assert!(Message::raw(16, vec![0; 16]).parts::<16>(16).is_some());
    }
}
