//! Reading netlink attributes (`struct nlattr`), in place, only what is needed.
//!
//! A codec refuses a whole message for one attribute that it does not understand, and then one odd
//! link or rule would hide all others. Here what is malformed is as if it were not there.

use std::net::IpAddr;

use crate::nat::Family;

/// The length of an attribute's header (`NLA_HDRLEN` in `linux/netlink.h`).
const HEADER: usize = 4;
/// What of the type is the type (`NLA_TYPE_MASK`).
const TYPE: u16 = 0x3fff;

/// Attributes, one after the other. What follows a malformed one is not looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Attributes<'a>(pub(super) &'a [u8]);

impl<'a> Attributes<'a> {
    /// All, with their types.
    pub(super) fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let &[a, b, c, d, ..] = rest else { return None };
            let length = usize::from(u16::from_ne_bytes([a, b]));
            let value = rest.get(HEADER..length)?;
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            Some((u16::from_ne_bytes([c, d]) & TYPE, value))
        })
    }

    /// The values of the first of each type below `N`, all found in one pass.
    pub(super) fn table<const N: usize>(self) -> [Option<&'a [u8]>; N] {
        let mut table = [None; N];
        for (kind, value) in self.iter() {
            if let Some(place) = table.get_mut(usize::from(kind)) {
                place.get_or_insert(value);
            }
        }
        table
    }

    /// The value of the first of this type.
    pub(super) fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.iter().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// The attributes within the first of this type.
    pub(super) fn nested(self, kind: u16) -> Option<Self> {
        self.get(kind).map(Self)
    }

    /// The attributes within each of this type.
    pub(super) fn each(self, kind: u16) -> impl Iterator<Item = Self> {
        self.iter().filter(move |(found, _)| *found == kind).map(|(_, value)| Self(value))
    }

    /// A number of 32 bits in the host's byte order, as rtnetlink has them.
    pub(super) fn number(self, kind: u16) -> Option<u32> {
        Some(u32::from_ne_bytes(self.get(kind)?.try_into().ok()?))
    }

    /// A number in network byte order, as nfnetlink has them.
    pub(super) fn be32(self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.get(kind)?.try_into().ok()?))
    }

    /// A number in network byte order.
    pub(super) fn be64(self, kind: u16) -> Option<u64> {
        Some(u64::from_be_bytes(self.get(kind)?.try_into().ok()?))
    }

    /// A text that ends with NUL.
    pub(super) fn text(self, kind: u16) -> Option<&'a str> {
        std::str::from_utf8(self.get(kind)?).ok()?.split('\0').next()
    }

    /// An address: IPv4 if it has 4 bytes, IPv6 if it has 16.
    pub(super) fn address(self, kind: u16) -> Option<IpAddr> {
        address(self.get(kind)?)
    }
}

/// The address of 4 or 16 bytes.
pub(super) fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// The address of this family at the beginning of a longer value.
pub(super) fn leading_address(bytes: &[u8], family: Family) -> Option<IpAddr> {
    address(bytes.get(..usize::from(family.bits() / 8))?)
}

/// An address as attributes have it.
pub(super) fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
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
        assert_eq!(attributes.be32(4), Some(0x0100_0000));
        assert_eq!(attributes.get(5), None);
        assert_eq!(attributes.table::<4>(), [None, None, None, attributes.get(3)]);
    }

    #[test]
    fn the_first_of_a_type_counts() {
        let bytes = [5u8, 0, 1, 0x80, 7, 0, 0, 0, 5, 0, 1, 0, 8, 0, 0, 0];
        assert_eq!(Attributes(&bytes).get(1), Some(&[7u8][..]));
        assert_eq!(Attributes(&bytes).table::<2>(), [None, Some(&[7u8][..])]);
    }

    #[test]
    fn malformed_attributes_end_the_list() {
        for bytes in [&[8u8, 0, 3][..], &[0, 0, 3, 0], &[3, 0, 3, 0], &[9, 0, 3, 0, 1, 2, 3, 4]] {
            assert_eq!(Attributes(bytes).iter().count(), 0, "{bytes:?}");
        }
        let odd = [5u8, 0, 1, 0, 9, 0, 0, 0, 255, 255, 2, 0];
        assert_eq!(Attributes(&odd).iter().collect::<Vec<_>>(), [(1, &[9u8][..])]);
        assert_eq!(Attributes(&odd).number(1), None);
        assert_eq!(Attributes(&odd).address(1), None);
    }
}
