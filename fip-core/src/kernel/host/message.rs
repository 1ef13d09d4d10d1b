//! nfnetlink messages (`linux/netfilter/nfnetlink.h`) as a tree of attributes.
//!
//! nf_tables and conntrack describe everything by nested attributes. They are written straight
//! into the message and read in place, without a type for each: ten thousand map elements are
//! one allocation.

use netlink_packet_core::{DecodeError, NetlinkDeserializable, NetlinkHeader, NetlinkSerializable};

use super::attributes::Attributes;

/// `struct nfgenmsg`: family, version, resource.
const NFGENMSG: usize = 4;
/// `NLA_F_NESTED`
const NESTED: u16 = 1 << 15;

/// A message of an nfnetlink subsystem, to send or as received.
#[derive(Debug, Clone)]
pub(super) struct Message {
    kind: u16,
    body: Vec<u8>,
}

impl Message {
    /// A message of this subsystem and type, for this protocol family.
    pub(super) fn new(subsystem: u8, kind: u8, family: u8) -> Self {
        let body = vec![family, 0, 0, 0];
        Self { kind: u16::from_be_bytes([subsystem, kind]), body }
    }

    /// The same with a resource identifier, as batch messages have.
    pub(super) fn with_resource(mut self, resource: u8) -> Self {
        self.body[3] = resource;
        self
    }

    /// Writes attributes at the end.
    pub(super) fn with(mut self, write: impl FnOnce(&mut Writer<'_>)) -> Self {
        write(&mut Writer(&mut self.body));
        self
    }

    /// The protocol family.
    pub(super) fn family(&self) -> u8 {
        self.body.first().copied().unwrap_or_default()
    }

    /// The attributes.
    pub(super) fn attributes(&self) -> Attributes<'_> {
        Attributes(self.body.get(NFGENMSG..).unwrap_or_default())
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
        buffer[..self.body.len()].copy_from_slice(&self.body);
    }
}

impl NetlinkDeserializable for Message {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self { kind: header.message_type, body: payload.to_vec() })
    }
}

/// Writes attributes.
pub(super) struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    /// How long the message is by now.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// An attribute with this value.
    pub(super) fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.attribute(kind, |body| body.extend_from_slice(value))
    }

    /// A number in network byte order, as nf_tables has all of them.
    pub(super) fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// A number in network byte order.
    pub(super) fn be64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// A string, NUL terminated.
    pub(super) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.attribute(kind, |body| {
            body.extend_from_slice(value.as_bytes());
            body.push(0);
        })
    }

    /// An attribute as it was received.
    pub(super) fn copy(&mut self, kind: u16, value: &[u8], nested: bool) -> &mut Self {
        self.bytes(if nested { kind | NESTED } else { kind }, value)
    }

    /// Attributes within an attribute.
    pub(super) fn nest(&mut self, kind: u16, write: impl FnOnce(&mut Writer<'_>)) -> &mut Self {
        self.attribute(kind | NESTED, |body| write(&mut Writer(body)))
    }

    fn attribute(&mut self, kind: u16, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        write(self.0);
        let length = (self.0.len() - start) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0[start + 2..start + 4].copy_from_slice(&kind.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_were_written() {
        let message = Message::new(10, 3, 1).with(|w| {
            w.text(1, "name").be32(2, 7).nest(3, |w| {
                w.bytes(1, &[1, 2, 3]).be64(2, 9);
            });
        });
        assert_eq!((message.message_type(), message.family()), (0x0a03, 1));
        let attributes = message.attributes();
        assert_eq!(attributes.text(1), Some("name"));
        assert_eq!(attributes.be32(2), Some(7));
        let nest = attributes.nested(3).unwrap();
        assert_eq!((nest.get(1), nest.be64(2)), (Some(&[1, 2, 3][..]), Some(9)));
        assert_eq!(attributes.be32(9), None);
    }
}
