//! The options of a network.

use fip_core::error::Result;
use fip_core::{Error, LinkName};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::endpoint;
use super::value::{Subject, boolean, check_names, get};
use crate::allow::AllowList;

const UPLINK: &str = "fip.uplink";
const ALLOW: &str = "fip.allow";

pub(super) const SUBJECT: Subject = Subject { name: "a network", known: &[UPLINK, ALLOW] };

// Docker's names: libnetwork's `netlabel` package and its bridge driver's `labels.go`.
const GENERIC: &str = "com.docker.network.generic";
const IPV6: &str = "com.docker.network.enable_ipv6";
const INTERNAL: &str = "com.docker.network.internal";
const BRIDGE: &str = "com.docker.network.bridge.name";
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
const MTU: &str = "com.docker.network.driver.mtu";

/// The smallest MTU of IPv4 (RFC 791, section 3.2).
const MTU_MIN: u32 = 68;
/// The smallest MTU of IPv6 (RFC 8200, section 5): with less, the kernel turns IPv6 off.
const MTU_MIN_IPV6: u32 = 1280;
/// The largest MTU of a bridge and of a veth pair (`ETH_MAX_MTU` in `linux/if_ether.h`).
const MTU_MAX: u32 = 65535;

/// What `docker network create` was told: `--internal`, and the options given with `-o`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkOptions {
    /// `com.docker.network.bridge.name`: the name of the bridge, if the user chose one.
    pub bridge: Option<LinkName>,
    /// `com.docker.network.driver.mtu` in bytes; by default the uplink's.
    pub mtu: Option<u32>,
    /// `--internal`: nothing leaves the network or comes in.
    pub internal: bool,
    /// `com.docker.network.bridge.enable_ip_masquerade`: what leaves the host from a container
    /// without a floating address has the host's address. On by default.
    pub masquerade: bool,
    /// `fip.uplink`: the link that carries the floating addresses of this network.
    pub uplink: Option<LinkName>,
    /// `fip.allow`: the floating addresses that containers of this network may claim.
    pub allow: Option<AllowList>,
}

impl NetworkOptions {
    /// Reads the `Options` of `NetworkDriver.CreateNetwork`.
    ///
    /// # Errors
    /// [`Error::Parse`] for a value that is not what its option takes, and for an option that
    /// begins with `fip.` and is unknown. Other unknown options are not ours and are ignored.
    pub fn parse(options: &Map<String, Value>) -> Result<Self> {
        let none = Map::new();
        let given = match options.get(GENERIC) {
            None | Some(Value::Null) => &none,
            Some(Value::Object(generic)) => generic,
            Some(other) => {
                let expected = format!("a JSON object (option {GENERIC})");
                return Err(Error::parse(&other.to_string(), expected));
            }
        };
        check_names(given, &SUBJECT, &endpoint::SUBJECT)?;
        let ipv6 = get(options, IPV6, boolean)?.unwrap_or(false);
        Ok(Self {
            bridge: get(given, BRIDGE, str::parse)?,
            mtu: get(given, MTU, |text| parse_mtu(text, ipv6))?,
            internal: get(options, INTERNAL, boolean)?.unwrap_or(false),
            masquerade: get(given, MASQUERADE, boolean)?.unwrap_or(true),
            uplink: get(given, UPLINK, str::parse)?,
            allow: get(given, ALLOW, str::parse)?,
        })
    }
}

/// What a network without any option has.
impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            bridge: None,
            mtu: None,
            internal: false,
            masquerade: true,
            uplink: None,
            allow: None,
        }
    }
}

fn parse_mtu(text: &str, ipv6: bool) -> Result<u32> {
    let (min, of) = if ipv6 { (MTU_MIN_IPV6, " with IPv6") } else { (MTU_MIN, "") };
    let mtu = text.parse().ok().filter(|mtu| (min..=MTU_MAX).contains(mtu));
    mtu.ok_or_else(|| Error::parse(text, format!("an MTU in bytes, {min} to {MTU_MAX}{of}")))
}
