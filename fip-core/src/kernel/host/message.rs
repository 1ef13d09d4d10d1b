//! nfnetlink messages (`linux/netfilter/nfnetlink.h`) as a tree of attributes.
//!
//! nf_tables and conntrack describe everything by nested attributes. They are written straight
//! into the message and read in place, without a type for each: ten thousand map elements are
//! one allocation.

use std::net::IpAddr;

use netlink_packet_core::{
    DecodeError, NetlinkDeserializable, NetlinkHeader, NetlinkSerializable, NlaBuffer, NlasIterator,
};

use crate::nat::Family;

/// `struct nfgenmsg`: family, version, resource.
const NFGENMSG: usize = 4;
/// The length of an attribute's header.
const HEADER: usize = 4;
/// `NLA_F_NESTED`, and the bits that are not the type (`NLA_TYPE_MASK`).
const NESTED: u16 = 1 << 15;
const TYPE: u16 = 0x3fff;

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

    /// The type within the subsystem.
    pub(super) fn kind(&self) -> u8 {
        self.kind as u8
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

/// Attributes of a received message. What is malformed is as if it were not there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// All, with their types.
    pub(super) fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        NlasIterator::new(self.0).map_while(Result::ok).map(|attribute| {
            let whole: &'a [u8] = attribute.into_inner();
            let attribute = NlaBuffer::new(whole);
            (attribute.kind() & TYPE, &whole[HEADER..HEADER + attribute.value_length()])
        })
    }

    /// The value of the first of this type.
    pub(super) fn bytes(self, kind: u16) -> Option<&'a [u8]> {
        self.iter().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// The attributes within it.
    pub(super) fn nest(self, kind: u16) -> Option<Attributes<'a>> {
        self.bytes(kind).map(Attributes)
    }

    /// The attributes within each of this type.
    pub(super) fn nests(self, kind: u16) -> impl Iterator<Item = Attributes<'a>> {
        self.iter().filter(move |(found, _)| *found == kind).map(|(_, value)| Attributes(value))
    }

    /// A number in network byte order.
    pub(super) fn be32(self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.bytes(kind)?.try_into().ok()?))
    }

    /// A number in network byte order.
    pub(super) fn be64(self, kind: u16) -> Option<u64> {
        Some(u64::from_be_bytes(self.bytes(kind)?.try_into().ok()?))
    }

    /// A string.
    pub(super) fn text(self, kind: u16) -> Option<&'a str> {
        let bytes = self.bytes(kind)?;
        std::str::from_utf8(bytes.strip_suffix(&[0]).unwrap_or(bytes)).ok()
    }
}

/// An address as attributes have it.
pub(super) fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

/// The address in the first bytes.
pub(super) fn read_address(bytes: &[u8], family: Family) -> Option<IpAddr> {
    match family {
        Family::V4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes.get(..4)?).ok()?)),
        Family::V6 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes.get(..16)?).ok()?)),
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
        assert_eq!((message.kind(), message.family()), (3, 1));
        let attributes = message.attributes();
        assert_eq!(attributes.text(1), Some("name"));
        assert_eq!(attributes.be32(2), Some(7));
        let nest = attributes.nest(3).unwrap();
        assert_eq!((nest.bytes(1), nest.be64(2)), (Some(&[1, 2, 3][..]), Some(9)));
        assert_eq!(attributes.be32(9), None);
    }

    #[test]
    fn malformed_attributes_end_the_list() {
        for junk in [&[][..], &[1], &[3, 0, 1, 0], &[255, 255, 1, 0, 1], &[0; 64]] {
            let message = Message { kind: 0, body: [&[0; NFGENMSG][..], junk].concat() };
            assert_eq!(message.attributes().bytes(1), None);
        }
        assert_eq!(Message { kind: 0, body: vec![] }.attributes().iter().count(), 0);
    }
}
