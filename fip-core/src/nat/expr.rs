//! The expressions that our rules are made of, one for one as the kernel has them
//! (`linux/netfilter/nf_tables.h`), so that a rule read back can be compared with a rule meant.

use super::Family;

/// A 32-bit register, counted from 0 (`NFT_REG32_00`). Wider values take the following ones too.
pub type Slot = u8;

/// One expression of a rule. Values are in the byte order in which the kernel holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// Load packet metadata.
    Meta {
        /// What to load.
        key: Meta,
        /// Where to.
        slot: Slot,
    },
    /// Set the packet mark from a register.
    SetMetaMark(Slot),
    /// Load from the connection tracking entry.
    Ct {
        /// What to load.
        key: Ct,
        /// Where to.
        slot: Slot,
    },
    /// Set the connection mark from a register.
    SetCtMark(Slot),
    /// Load from the packet.
    Payload {
        /// From which header.
        header: Header,
        /// Bytes from its start.
        offset: u32,
        /// Bytes to load.
        length: u32,
        /// Where to.
        slot: Slot,
    },
    /// `slot = (slot & mask) ^ xor`, on 32 bits in host byte order.
    Bitwise {
        /// Operand and result.
        slot: Slot,
        /// Bits to keep.
        mask: u32,
        /// Bits to flip afterwards.
        xor: u32,
    },
    /// Go on only if the register (not) equals the value.
    Compare {
        /// The register.
        slot: Slot,
        /// Equal, or not equal.
        equal: bool,
        /// The value.
        value: Vec<u8>,
    },
    /// Go on only if the key is in the set; with a result slot, load its data from the map.
    Lookup {
        /// The set or map of our table.
        set: String,
        /// The key.
        slot: Slot,
        /// Where the data goes.
        result: Option<Slot>,
    },
    /// Translate the destination or source to what the registers hold.
    Nat {
        /// Source instead of destination.
        source: bool,
        /// The address family.
        family: Family,
        /// The new address.
        address: Slot,
        /// The new port.
        port: Option<Slot>,
    },
    /// Translate the source to the outgoing link's address.
    Masquerade,
    /// Count packets and bytes.
    Counter,
    /// End the rule with a verdict.
    Verdict(Verdict),
    /// An expression that we never use, by its name: the rule is not ours.
    Foreign(String),
}

/// Packet metadata (`NFT_META_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meta {
    /// The packet mark.
    Mark,
    /// The address family, one byte.
    NfProto,
    /// The transport protocol, one byte.
    L4Proto,
    /// The name of the incoming link, 16 bytes.
    IifName,
    /// The name of the outgoing link, 16 bytes.
    OifName,
}

/// Connection tracking keys (`NFT_CT_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ct {
    /// The state, as bits.
    State,
    /// The direction of this packet, one byte.
    Direction,
    /// The status, as bits.
    Status,
    /// The connection mark.
    Mark,
}

/// Where a payload load begins (`NFT_PAYLOAD_*_HEADER`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// The IP header.
    Network,
    /// The transport header.
    Transport,
}

/// What becomes of the packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It passes this base chain.
    Accept,
    /// It is dropped.
    Drop,
    /// Back to the calling chain.
    Return,
    /// On to a chain, and back.
    Jump(String),
}
