//! How a link shall hold a floating address.

use std::net::IpAddr;

use crate::address::Links;
use crate::error::{Error, Result};
use crate::kernel::{Hold, Link};

/// How the link shall hold the address: as it is asked for; else as it does, if that is answered;
/// else by a route, if that can be.
///
/// # Errors
/// [`Error::Unsupported`] if a route is asked for where neighbours would get no answer.
pub(super) fn choose(
    links: &Links,
    floating: IpAddr,
    link: &Link,
    asked: Option<Hold>,
) -> Result<Hold> {
    let holds = |hold| {
        let mut carrying = links.carrying(floating);
        carrying.any(|address| address.link == link.index && address.hold == hold)
    };
    match (asked, unanswered(links, floating, link)) {
        (Some(Hold::Address), _) | (None, Some(_)) => Ok(Hold::Address),
        (Some(Hold::Route), Some(why)) => Err(impossible(floating, &why)),
        (_, None) if holds(Hold::Route) => Ok(Hold::Route),
        (Some(Hold::Route), None) if links.lives_by_floating(link) => {
            let why = format!(
                "{} has no IPv4 address but floating ones, and with the last of them the kernel \
                 takes its routes away",
                link.name
            );
            Err(impossible(floating, &why))
        }
        (Some(Hold::Route), None) => Ok(Hold::Route),
        (None, None) if holds(Hold::Address) || links.lives_by_floating(link) => Ok(Hold::Address),
        (None, None) => Ok(Hold::Route),
    }
}

/// Why neighbours would get no answer for the address if the link held it by a route; none if they
/// would.
fn unanswered(links: &Links, floating: IpAddr, link: &Link) -> Option<String> {
    match floating {
        IpAddr::V4(_) => links.mute(link),
        IpAddr::V6(_) => Some("the kernel answers IPv6 neighbours for addresses only".to_owned()),
    }
}

fn impossible(floating: IpAddr, why: &str) -> Error {
    Error::Unsupported {
        what: format!("{floating} cannot be held by a route: {why}"),
        hint: "hold it as an address (--hold address), or let fip choose (without --hold)"
            .to_owned(),
    }
}
