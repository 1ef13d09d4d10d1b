//! Kernel parameters in memory: those that forwarding is about.

use std::collections::BTreeMap;
use std::io;

use crate::binding::LinkName;

use super::world::errno;

const IPV4_FORWARD: &str = "net/ipv4/ip_forward";
const IPV6: &str = "net/ipv6/conf";
/// The parameters that each link has, with the value on a new host.
const PARAMETERS: [(&str, &str); 3] = [("accept_ra", "1"), (DISABLED, "0"), (FORWARDING, "0")];
const DISABLED: &str = "disable_ipv6";
const FORWARDING: &str = "forwarding";

/// Parameters by their path below `/proc/sys`.
#[derive(Debug)]
pub(super) struct Sysctls(BTreeMap<String, String>);

impl Default for Sysctls {
    fn default() -> Self {
        let mut values = BTreeMap::from([(IPV4_FORWARD.to_owned(), "0".to_owned())]);
        for place in ["all", "default"] {
            let paths = PARAMETERS.map(|(name, value)| (path(place, name), value.to_owned()));
            values.extend(paths);
        }
        Self(values)
    }
}

fn path(place: &str, parameter: &str) -> String {
    format!("{IPV6}/{place}/{parameter}")
}

impl Sysctls {
    /// A new link has the defaults.
    pub(super) fn add_link(&mut self, link: &LinkName) {
        for (name, _) in PARAMETERS {
            if let Some(value) = self.0.get(&path("default", name)).cloned() {
                self.0.insert(path(link.as_str(), name), value);
            }
        }
    }

    pub(super) fn remove_link(&mut self, link: &LinkName) {
        for (name, _) in PARAMETERS {
            self.0.remove(&path(link.as_str(), name));
        }
    }

    pub(super) fn rename_link(&mut self, old: &LinkName, new: &LinkName) {
        for (name, _) in PARAMETERS {
            if let Some(value) = self.0.remove(&path(old.as_str(), name)) {
                self.0.insert(path(new.as_str(), name), value);
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
            if path == self::path("all", parameter) {
                let each = |path: &str| path.starts_with(IPV6) && path.ends_with(parameter);
                let found = self.0.iter_mut().filter(|(path, _)| each(path));
                found.for_each(|(_, value)| *value = number.to_string());
            }
        }
        Ok(changed)
    }

    pub(super) fn ipv6_disabled(&self, link: &LinkName) -> bool {
        self.0.get(&path(link.as_str(), DISABLED)).is_some_and(|value| value != "0")
    }
}
