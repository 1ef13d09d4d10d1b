//! Kernel parameters in memory: those that forwarding and answers to neighbours are about.

use std::collections::BTreeMap;
use std::io;

use crate::binding::LinkName;

use super::world::errno;

const IPV4_FORWARD: &str = "net/ipv4/ip_forward";
const IPV4: &str = "net/ipv4/conf";
const IPV6: &str = "net/ipv6/conf";
/// The parameters that each link has: the family, the name, the value on a new host.
const PARAMETERS: [(&str, &str, &str); 4] =
    [(IPV6, "accept_ra", "1"), (IPV6, DISABLED, "0"), (IPV6, FORWARDING, "0"), (IPV4, IGNORE, "0")];
const IGNORE: &str = "arp_ignore";
const DISABLED: &str = "disable_ipv6";
const FORWARDING: &str = "forwarding";

/// Parameters by their path below `/proc/sys`.
#[derive(Debug)]
pub(super) struct Sysctls(BTreeMap<String, String>);

impl Default for Sysctls {
    fn default() -> Self {
        let mut values = BTreeMap::from([(IPV4_FORWARD.to_owned(), "0".to_owned())]);
        for place in ["all", "default"] {
            let paths = PARAMETERS
                .map(|(family, name, value)| (path(family, place, name), value.to_owned()));
            values.extend(paths);
        }
        Self(values)
    }
}

fn path(family: &str, place: &str, parameter: &str) -> String {
    format!("{family}/{place}/{parameter}")
}

impl Sysctls {
    /// A new link has the defaults.
    pub(super) fn add_link(&mut self, link: &LinkName) {
        for (family, name, _) in PARAMETERS {
            if let Some(value) = self.0.get(&path(family, "default", name)).cloned() {
                self.0.insert(path(family, link.as_str(), name), value);
            }
        }
    }

    pub(super) fn remove_link(&mut self, link: &LinkName) {
        for (family, name, _) in PARAMETERS {
            self.0.remove(&path(family, link.as_str(), name));
        }
    }

    pub(super) fn rename_link(&mut self, old: &LinkName, new: &LinkName) {
        for (family, name, _) in PARAMETERS {
            if let Some(value) = self.0.remove(&path(family, old.as_str(), name)) {
                self.0.insert(path(family, new.as_str(), name), value);
            }
        }
    }

    pub(super) fn get(&self, path: &str) -> Option<&String> {
        self.0.get(path)
    }

    /// Whether it changed a parameter of forwarding, of which others are told.
    pub(super) fn set(&mut self, path: &str, value: &str) -> io::Result<bool> {
        let old = self.0.get_mut(path).ok_or_else(|| errno(libc::ENOENT))?;
        let number: i32 = value.trim().parse().map_err(|_| errno(libc::EINVAL))?;
        let before = std::mem::replace(old, number.to_string());
        let told = path == IPV4_FORWARD || path.ends_with(FORWARDING);
        let changed = told && before != number.to_string();
        // Setting these two for all sets them for each.
        for parameter in [DISABLED, FORWARDING] {
            if path == self::path(IPV6, "all", parameter) {
                let each = |path: &str| path.starts_with(IPV6) && path.ends_with(parameter);
                let found = self.0.iter_mut().filter(|(path, _)| each(path));
                found.for_each(|(_, value)| *value = number.to_string());
            }
        }
        Ok(changed)
    }

    pub(super) fn ipv6_disabled(&self, link: &LinkName) -> bool {
        self.0.get(&path(IPV6, link.as_str(), DISABLED)).is_some_and(|value| value != "0")
    }

    /// What the link goes by: the larger one of its own and that for all.
    pub(super) fn arp_ignore(&self, link: &LinkName) -> u32 {
        let value = |place| self.0.get(&path(IPV4, place, IGNORE))?.parse().ok();
        value("all").max(value(link.as_str())).unwrap_or(0)
    }
}
