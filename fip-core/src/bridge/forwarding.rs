//! The sysctls that make a host forward packets.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::binding::LinkName;
use crate::error::{Error, Result};
use crate::kernel::{Link, Route, Rtnl};
use crate::nat::Family;

const FORWARDING6: &str = "net/ipv6/conf/all/forwarding";

/// Sees to it that the host forwards packets of this family, and tells what that changed, as
/// `sysctl net.ipv4.ip_forward=1`. `uplink` is the link to the LAN, if there is one.
///
/// Turning forwarding on makes Linux a router, with more consequences than the name says
/// (`Documentation/networking/ip-sysctl.rst`):
///
/// - IPv4: per-link parameters take the defaults of a router (no ICMP redirects accepted).
/// - IPv6: router advertisements are ignored from now on, and what they taught is forgotten at
///   once, unless `accept_ra` is 2. So that is set first where it is 1, for the uplink and for
///   every other link with a default route through a link-local gateway, which is what an
///   advertisement makes. Other links stay as they are: a workload may be behind them, and whoever
///   may send advertisements can take all traffic. A value of 0 stays, too: then a network manager
///   handles advertisements itself.
///
/// Reverse path filtering (`rp_filter`) is not touched.
///
/// # Errors
/// [`Error::Unsupported`] for [`Family::V6`] where the kernel has no IPv6, or has it disabled on
/// the uplink; what the kernel refuses.
pub fn ensure_forwarding(
    kernel: &mut impl Rtnl,
    family: Family,
    uplink: Option<&LinkName>,
) -> Result<Vec<String>> {
    if family == Family::V6 {
        check_ipv6(kernel, uplink)?;
    }
    if forwards(kernel, family)? {
        return Ok(Vec::new());
    }
    let mut changes = Vec::new();
    if family == Family::V6 {
        for link in advertised(&kernel.links()?, &kernel.routes()?, uplink) {
            let path = format!("net/ipv6/conf/{link}/accept_ra");
            if kernel.sysctl(&path)?.as_deref() == Some("1") {
                changes.extend(ensure_sysctl(kernel, &path, "2")?);
            }
        }
    }
    changes.extend(ensure_sysctl(kernel, parameter(family), "1")?);
    Ok(changes)
}

/// Whether the host forwards packets of this family.
pub(crate) fn forwards(kernel: &mut impl Rtnl, family: Family) -> Result<bool> {
    Ok(kernel.sysctl(parameter(family))?.as_deref() == Some("1"))
}

fn parameter(family: Family) -> &'static str {
    match family {
        Family::V4 => "net/ipv4/ip_forward",
        Family::V6 => FORWARDING6,
    }
}

/// Whether the kernel has IPv6, and has it enabled on the uplink, if one is given.
pub(super) fn check_ipv6(kernel: &mut impl Rtnl, uplink: Option<&LinkName>) -> Result<()> {
    if kernel.sysctl(FORWARDING6)?.is_none() {
        return Err(Error::Unsupported {
            what: "this host has no IPv6".to_owned(),
            hint: "boot without ipv6.disable=1, or use IPv4".to_owned(),
        });
    }
    let Some(uplink) = uplink else { return Ok(()) };
    let path = format!("net/ipv6/conf/{uplink}/disable_ipv6");
    if kernel.sysctl(&path)?.as_deref() != Some("1") {
        return Ok(());
    }
    Err(Error::Unsupported {
        what: format!("IPv6 is disabled on {uplink}"),
        hint: format!("enable it (sysctl -w {}=0), or use IPv4", sysctl_name(&path)),
    })
}

/// The links on which router advertisements must go on being heard.
fn advertised(links: &[Link], routes: &[Route], uplink: Option<&LinkName>) -> BTreeSet<LinkName> {
    let learned = routes.iter().filter(|route| {
        let link_local = |gateway| matches!(gateway, IpAddr::V6(g) if g.is_unicast_link_local());
        route.destination.prefix() == 0 && route.gateway.is_some_and(link_local)
    });
    let index = learned.filter(|route| route.destination.is_ipv6()).filter_map(|route| route.link);
    let found = index.filter_map(|index| super::by_index(links, index));
    found.map(|link| &link.name).chain(uplink).cloned().collect()
}

/// Sets a sysctl that exists and has another value; what was changed.
pub(super) fn ensure_sysctl(
    kernel: &mut impl Rtnl,
    path: &str,
    value: &str,
) -> Result<Option<String>> {
    match kernel.sysctl(path)? {
        Some(old) if old != value => {
            kernel.set_sysctl(path, value)?;
            Ok(Some(format!("sysctl {}={value}", sysctl_name(path))))
        }
        _ => Ok(None),
    }
}

/// As sysctl(8) spells it: dots between the parts, unless a part (a link's name) has one.
fn sysctl_name(path: &str) -> String {
    if path.contains('.') { path.to_owned() } else { path.replace('/', ".") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_sysctl() {
        assert_eq!(sysctl_name("net/ipv4/ip_forward"), "net.ipv4.ip_forward");
        let vlan = "net/ipv6/conf/eth0.100/accept_ra";
        assert_eq!(sysctl_name(vlan), vlan);
    }
}
