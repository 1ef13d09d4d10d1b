//! One endpoint's way out of the host's namespace and into the container's.

use std::net::IpAddr;
use std::time::Instant;

use fip_core::error::Chain;
use fip_core::kernel::{Kernel, Link, Monitor, Signal};
use fip_core::source_route::{self, SourceRoute};
use fip_core::{Error, Result};
use ipnetwork::IpNetwork;
use log::{debug, info, warn};

use super::{Job, Open, Stop, is_no_namespace, netns};

/// What a look at a namespace found.
enum Look<T> {
    Done(T),
    /// What it was looked for is not there yet; what is missing.
    NotYet(String),
}

/// Why a job ended without success.
enum End {
    Stopped,
    GivenUp(String),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        Self::GivenUp(format!("{}{hint}", Chain(&error)))
    }
}

/// Does the job, and logs how it ended.
pub(super) fn run<K: Kernel>(open: &Open<K>, job: &Job, deadline: Instant, stop: &Stop) {
    let endpoint = &job.endpoint;
    match (Errand { job, deadline, stop }).settle(open) {
        Ok(changes) if changes.is_empty() => {}
        Ok(changes) => {
            info!("endpoint {endpoint:.12}: source routes are set: {}", changes.join(", "))
        }
        Err(End::Stopped) => {}
        Err(End::GivenUp(reason)) => warn!(
            "endpoint {endpoint:.12}: no source routes: {reason}; if the container has another \
             network, replies from its floating address may be lost"
        ),
    }
}

struct Errand<'a> {
    job: &'a Job,
    deadline: Instant,
    stop: &'a Stop,
}

impl Errand<'_> {
    /// Follows the link, and sets the routes when it is there. What was changed.
    fn settle<K: Kernel>(&self, open: &Open<K>) -> Result<Vec<String>, End> {
        let mut inside = self.watch(&mut open()?, |host| self.follow(host))?;
        let (mut missing, mut changes) = (self.job.routes.clone(), Vec::new());
        self.watch(&mut inside, |inside| self.set(inside, &mut missing, &mut changes))?;
        Ok(changes)
    }

    /// Looks, and looks again whenever links, addresses or routes of the namespace have changed.
    fn watch<K: Kernel, T>(
        &self,
        kernel: &mut K,
        mut look: impl FnMut(&mut K) -> Result<Look<T>>,
    ) -> Result<T, End> {
        // It listens first: what changes after the first look is not missed.
        let mut monitor = kernel.monitor()?;
        self.stop.waits_at(monitor.waker());
        loop {
            if self.stop.is_stopped() {
                return Err(End::Stopped);
            }
            let missing = match look(kernel) {
                Ok(Look::Done(found)) => return Ok(found),
                Ok(Look::NotYet(missing)) => missing,
                Err(error) if error.is_busy() => Chain(&error).to_string(),
                Err(error) => return Err(error.into()),
            };
            if !self.wait(&mut monitor)? {
                return Err(End::GivenUp(format!("waited in vain: {missing}")));
            }
        }
    }

    /// Waits for a change, or for the end of the job; false when it is too late.
    fn wait(&self, monitor: &mut impl Monitor) -> Result<bool> {
        while Instant::now() < self.deadline {
            match monitor.next(Some(self.deadline))? {
                Some(Signal::Links | Signal::Lost | Signal::Woken) => return Ok(true),
                Some(Signal::Ruleset | Signal::Heard(_)) | None => {}
            }
        }
        Ok(false)
    }

    /// The container's namespace, as soon as the link has left the host's. By then it exists.
    fn follow<K: Kernel>(&self, host: &mut K) -> Result<Look<K>> {
        let Job { far, sandbox, .. } = self.job;
        if host.links()?.iter().any(|link| link.name == *far) {
            let missing = format!("Docker has not moved link {far} into the container");
            return Ok(Look::NotYet(missing));
        }
        match host.in_netns(&netns(sandbox)?) {
            Ok(inside) => Ok(Look::Done(inside)),
            Err(error) if is_no_namespace(&error) => {
                Ok(Look::NotYet(format!("{error} (is Docker's directory visible from here?)")))
            }
            Err(error) if error.is_permission_denied() => Err(Error::Unsupported {
                what: format!("{} may not be entered: {}", sandbox.display(), Chain(&error)),
                hint: "give the plugin the capability CAP_SYS_ADMIN".to_owned(),
            }),
            Err(error) => Err(error),
        }
    }

    /// Sets the routes of those addresses that are there, and leaves the others in `routes`.
    fn set<K: Kernel>(
        &self,
        inside: &mut K,
        routes: &mut Vec<(IpNetwork, IpAddr)>,
        changes: &mut Vec<String>,
    ) -> Result<Look<()>> {
        let mut missing = Vec::new();
        for (fixed, gateway) in std::mem::take(routes) {
            match self.set_one(inside, fixed, gateway)? {
                Look::Done(made) => changes.extend(made),
                Look::NotYet(what) => {
                    routes.push((fixed, gateway));
                    missing.push(what);
                }
            }
        }
        Ok(if missing.is_empty() { Look::Done(()) } else { Look::NotYet(missing.join("; ")) })
    }

    fn set_one<K: Kernel>(
        &self,
        inside: &mut K,
        fixed: IpNetwork,
        gateway: IpAddr,
    ) -> Result<Look<Vec<String>>> {
        let addresses = inside.addresses()?;
        let has = |index| addresses.iter().any(|a| a.link == index && a.network.ip() == fixed.ip());
        let links = inside.links()?;
        let ours = |link: &&Link| link.up && link.mac == Some(self.job.mac) && has(link.index);
        let Some(link) = links.iter().find(ours) else {
            let mac = self.job.mac;
            let missing = format!("the container's link with {mac} is not up with {}", fixed.ip());
            return Ok(Look::NotYet(missing));
        };
        let route = SourceRoute { fixed, gateway, link: link.index };
        match source_route::ensure(inside, &route) {
            Ok(changes) => {
                self.announce(inside, link, fixed.ip());
                Ok(Look::Done(changes))
            }
            Err(error) if may_pass(&error) => Ok(Look::NotYet(Chain(&error).to_string())),
            Err(error) => Err(error),
        }
    }

    /// Floating addresses are bound before the container has its link. Packets that come in between
    /// make the host ask for the fixed address in vain, and it asks again only a second later.
    fn announce<K: Kernel>(&self, inside: &mut K, link: &Link, fixed: IpAddr) {
        if let Err(error) = inside.announce(link, &[fixed]) {
            let endpoint = &self.job.endpoint;
            debug!("endpoint {endpoint:.12}: {fixed} is not announced: {}", Chain(&error));
        }
    }
}

/// Whether the link may just have been on its way up, down or out.
fn may_pass(error: &Error) -> bool {
    error.is_not_found() || matches!(error, Error::Kernel { .. }) && !error.is_permission_denied()
}
