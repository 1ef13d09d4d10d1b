//! An rtnetlink message with its body as it is on the wire.
//!
//! Requests are built with the codec of `netlink-packet-route`. Answers are read attribute by
//! attribute, only what is needed: the codec refuses a whole message for one attribute that it
//! does not understand, and then one odd link would hide all others.

use std::convert::Infallible;
use std::net::IpAddr;

use netlink_packet_core::{
    NetlinkDeserializable, NetlinkHeader, NetlinkSerializable, NlaBuffer, NlasIterator,
};
use netlink_packet_route::RouteNetlinkMessage;

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
        Self {
            kind: message.message_type(),
            body,
        }
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
        Ok(Self {
            kind: header.message_type,
            body: payload.to_vec(),
        })
    }
}

/// Attributes, one after the other. What follows a malformed one is not looked at.
#[derive(Clone, Copy)]
pub(super) struct Attributes<'a>(pub(super) &'a [u8]);

impl<'a> Attributes<'a> {
    /// The attributes' types and values.
    pub(super) fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        NlasIterator::new(self.0)
            .map_while(Result::ok)
            .map(|attribute| {
                let whole: &'a [u8] = attribute.into_inner();
                let attribute = NlaBuffer::new(whole);
                (
                    attribute.kind(),
                    &whole[HEADER..HEADER + attribute.value_length()],
                )
            })
    }

    /// The value of the first attribute of this type.
    pub(super) fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.iter()
            .find(|&(k, _)| k == kind)
            .map(|(_, value)| value)
    }

    /// The attributes within the attribute of this type.
    pub(super) fn nested(self, kind: u16) -> Option<Self> {
        self.get(kind).map(Self)
    }

    /// A number of 32 bits.
    pub(super) fn number(self, kind: u16) -> Option<u32> {
        Some(u32::from_ne_bytes(self.get(kind)?.try_into().ok()?))
    }

    /// A text that ends with NUL.
    pub(super) fn text(self, kind: u16) -> Option<&'a str> {
        std::str::from_utf8(self.get(kind)?)
            .ok()?
            .split('\0')
            .next()
    }

    /// An address: IPv4 if it has 4 bytes, IPv6 if it has 16.
    pub(super) fn address(self, kind: u16) -> Option<IpAddr> {
        address(self.get(kind)?)
    }
}

/// The length of an attribute's header (`NLA_HDRLEN` in `linux/netlink.h`).
const HEADER: usize = 4;

/// The address of 4 or 16 bytes.
pub(super) fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_attributes() {
        let bytes = [8u8, 0, 3, 0, b'l', b'o', 0, 0, 8, 0, 4, 0x80, 1, 0, 0, 0];
        let attributes = Attributes(&bytes);
        assert_eq!(attributes.text(3), Some("lo"));
        assert_eq!(attributes.number(4), Some(u32::from_ne_bytes([1, 0, 0, 0])));
        assert_eq!(attributes.get(5), None);
    }

    #[test]
    fn malformed_attributes_end_the_list() {
        for bytes in [
            &[8u8, 0, 3][..],
            &[0, 0, 3, 0],
            &[3, 0, 3, 0],
            &[9, 0, 3, 0, 1, 2, 3, 4],
        ] {
            assert_eq!(Attributes(bytes).iter().count(), 0, "{bytes:?}");
        }
        let odd = [5u8, 0, 1, 0, 9, 0, 0, 0, 255, 255, 2, 0];
        assert_eq!(
            Attributes(&odd).iter().collect::<Vec<_>>(),
            [(1, &[9u8][..])]
        );
        assert_eq!(Attributes(&odd).number(1), None);
        assert_eq!(Attributes(&odd).address(1), None);
    }

    #[test]
    fn a_body_that_is_too_short_is_none() {
        assert!(Message::raw(16, vec![0; 15]).parts::<16>(16).is_none());
        assert!(Message::raw(17, vec![0; 16]).parts::<16>(16).is_none());
        assert!(Message::raw(16, vec![0; 16]).parts::<16>(16).is_some());
    }
}
