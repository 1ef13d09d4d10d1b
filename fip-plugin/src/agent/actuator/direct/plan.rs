//! What would be done, as text.

use std::net::IpAddr;

use fip_core::error::Result;
use fip_core::kernel::Kernel;
use fip_core::{Binding, FloatingIps, Owner};

use super::wanted::{Want, Wanted};

/// The changes, a line each: `+` and what would come, `-` and what would go, `!` and what cannot be
/// had.
pub(super) fn lines<K: Kernel>(
    fips: &mut FloatingIps<K>,
    owner: &Owner,
    mut wanted: Wanted,
) -> Result<Vec<String>> {
    let mut refused = Vec::new();
    let bindings: Vec<Binding> = wanted.bindings().cloned().collect();
    let plan = match fips.plan(owner, &bindings) {
        Ok(plan) => plan,
        Err(_) => {
            // One that cannot be had must not hide the others.
            wanted.addresses.retain(|address, wants| {
                let error = alone(fips, wants).err();
                refused.extend(error.as_ref().map(|error| complaint(*address, wants, error)));
                error.is_none()
            });
            let bindings: Vec<Binding> = wanted.bindings().cloned().collect();
            fips.plan(owner, &bindings)?
        }
    };
    let lines = plan.lines().into_iter().flat_map(|change| signed(&change));
    Ok(lines.chain(refused).collect())
}

/// Whether one address can be had.
fn alone<K: Kernel>(fips: &mut FloatingIps<K>, wants: &[Want]) -> Result<()> {
    wants.iter().try_for_each(|want| fips.plan_bind(&want.binding, true).map(drop))
}

fn complaint(address: IpAddr, wants: &[Want], error: &fip_core::Error) -> String {
    let names: Vec<&str> = wants.iter().map(|want| want.name()).collect();
    format!("! {}: {address}: {}", names.join(", "), super::explain(error))
}

/// A change, as in a diff. That of a whole table is many lines.
fn signed(change: &str) -> Vec<String> {
    if let Some(rest) = change.strip_prefix("delete ") {
        return vec![format!("- {rest}")];
    }
    let added = change.strip_prefix("add ").unwrap_or(change);
    added.lines().map(|line| format!("+ {line}")).collect()
}
