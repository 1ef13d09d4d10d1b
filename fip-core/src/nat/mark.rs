//! The mark of our connections.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The bit of the connection mark and the packet mark that our connections carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark(u32);

impl Mark {
    /// A mark of exactly one bit.
    ///
    /// # Errors
    /// [`Error::Parse`] for any other number.
    pub fn new(bits: u32) -> Result<Self> {
        if bits.count_ones() == 1 {
            Ok(Self(bits))
        } else {
            Err(Error::parse(&format!("{bits:#x}"), "a mark of exactly one bit, as 0x1000"))
        }
    }

    /// The bit, as a number.
    pub fn bits(self) -> u32 {
        self.0
    }

    pub(super) fn invert(self) -> Self {
        Self(!self.0)
    }
}

impl Default for Mark {
    /// `0x1000`: used by none of Docker, kube-proxy, Tailscale and Calico by default.
    fn default() -> Self {
        Self(0x1000)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

impl FromStr for Mark {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = match text.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => text.parse(),
        };
        let expected = "a mark of exactly one bit, as 0x1000";
        Self::new(number.map_err(|_| Error::parse(text, expected))?)
    }
}
