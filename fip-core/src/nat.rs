//! The rule builder: bindings to the desired state of the table `inet fip`.
//!
//! The table's [`Skeleton`] is constant; a binding is a few elements of its maps. Everything here
//! is plain data: it is compared by [`crate::diff`], and printed as nft would write it.

mod about;
mod bridges;
mod elements;
pub mod expr;
mod family;
mod key;
mod mark;
mod rules;
mod ruleset;
pub mod skeleton;
mod value;

pub use about::{About, Maps, elements_about};
pub use bridges::{BridgeRules, bridge_rules};
pub use elements::{Bound, Elements, bindings, elements};
pub(crate) use elements::{bindings_among, translations};
pub use family::Family;
pub use key::Key;
pub(crate) use key::{INTERNAL, MASQUERADED, THROUGH};
pub use mark::Mark;
pub use rules::pass_rule;
pub use ruleset::{Foreign, Pass, Ruleset, Snapshot};
pub use skeleton::Skeleton;
pub use value::{Note, Value};

/// The name of our table, of family `inet`.
pub const TABLE: &str = "fip";

#[cfg(test)]
pub(crate) mod tests;
