//! What may be claimed if nobody says.

use std::net::IpAddr;

use fip_core::LinkName;
use fip_core::address::Links;
use fip_core::error::{Error, Result};

use super::AllowList;

/// The subnets of the uplink; if none is named, those of the links by which a default route leads.
/// Of link-local addresses none floats.
///
/// # Errors
/// [`Error::NotFound`] if there is no such link, [`Error::Unsupported`] if there is no such subnet.
pub fn own_subnets(links: &Links, uplink: Option<&LinkName>) -> Result<AllowList> {
    let uplinks = match uplink {
        Some(name) => {
            vec![links.named(name).ok_or_else(|| Error::not_found("link named", name))?]
        }
        None => links.outward().collect(),
    };
    let subnets = uplinks.iter().flat_map(|link| links.subnets_of(link.index));
    // Every link has the link-local one.
    let subnets = subnets
        .filter(|subnet| !matches!(subnet.ip(), IpAddr::V6(v6) if v6.is_unicast_link_local()));
    AllowList::union(subnets.map(Into::into)).ok_or_else(|| Error::Unsupported {
        what: match uplink {
            Some(name) => format!("no address may be claimed: {name} has no subnet"),
            None => {
                "no address may be claimed: no link with a default route has a subnet".to_owned()
            }
        },
        hint: "name the uplink (--uplink), or what may be claimed (--allow)".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use fip_core::kernel::fake::FakeKernel;

    use super::*;

    fn subnets(kernel: &FakeKernel, uplink: Option<&str>) -> Result<String> {
        let links = Links::read(&mut kernel.clone()).unwrap();
        let uplink: Option<LinkName> = uplink.map(|name| name.parse().unwrap());
        own_subnets(&links, uplink.as_ref()).map(|list| list.to_string())
    }

    #[test]
    fn the_subnets_of_the_uplink_may_be_claimed() {
        let kernel = FakeKernel::new();
        kernel.add_address(&"eth0".parse().unwrap(), "fe80::1/64".parse().unwrap()).unwrap();
        assert_eq!(subnets(&kernel, None).unwrap(), "192.0.2.0/24, 2001:db8::/64");
        let bridge = "172.18.0.0/16, 2001:db8:18::/64";
        assert_eq!(subnets(&kernel, Some("br0")).unwrap(), bridge);
    }

    #[test]
    fn nothing_may_be_claimed_where_there_is_no_subnet() {
        assert!(subnets(&FakeKernel::new(), Some("none0")).unwrap_err().is_not_found());
        let bare = FakeKernel::bare();
        let error = subnets(&bare, None).unwrap_err();
        assert!(error.to_string().contains("no link with a default route"), "{error}");
        assert!(error.hint().unwrap().contains("--allow"));
        let error = subnets(&FakeKernel::new(), Some("port0")).unwrap_err();
        assert!(error.to_string().contains("port0 has no subnet"), "{error}");
    }
}
