//! `fip bind`, `unbind`, `list` and `apply`.

use fip_core::FloatingIps;
use fip_core::fip::{Plan, Report};
use fip_core::kernel::host::Host;

use crate::args::{ApplyArgs, BindArgs, HostArgs, ListArgs, UnbindArgs};
use crate::failure::{Failure, warn};
use crate::{file, output};

pub(crate) fn bind(host: &HostArgs, args: &BindArgs) -> Result<(), Failure> {
    let binding = args.binding()?;
    let options = args.options();
    let mut fips = host.open_to_hold(args.hold)?;
    if args.common.dry_run {
        return show(&fips.plan_bind(&binding, options.replace)?, args.common.json);
    }
    let outcome = fips.bind_with(&binding, &options);
    finish(&mut fips, outcome, args.common.json)
}

pub(crate) fn unbind(host: &HostArgs, args: &UnbindArgs) -> Result<(), Failure> {
    let (floating, ports, owner) = (args.floating, &args.ports, &args.common.owner);
    let mut fips = host.open()?;
    if args.common.dry_run {
        return show(&fips.plan_unbind(floating, ports, owner)?, args.common.json);
    }
    let outcome = fips.unbind(floating, ports, owner);
    finish(&mut fips, outcome, args.common.json)
}

pub(crate) fn apply(host: &HostArgs, args: &ApplyArgs) -> Result<(), Failure> {
    let bindings = file::read(&args.file)?;
    let owner = &args.common.owner;
    let mut fips = host.open_to_hold(args.hold)?;
    if args.common.dry_run {
        return show(&fips.plan(owner, &bindings)?, args.common.json);
    }
    let outcome = fips.reconcile(owner, &bindings, &args.claim.options());
    finish(&mut fips, outcome, args.common.json)
}

pub(crate) fn list(host: &HostArgs, args: &ListArgs) -> Result<(), Failure> {
    let mut fips = host.open()?;
    let mut statuses = fips.list()?;
    let mut strays = fips.strays()?;
    if let Some(owner) = &args.owner {
        statuses.retain(|status| status.binding.owner() == owner);
        // They are nobody's.
        strays.clear();
    }
    output::list(&statuses, &strays, args.json)
}

fn show(plan: &Plan, json: bool) -> Result<(), Failure> {
    output::plan(&plan.lines(), &plan.warnings, json)
}

/// Tells at once what was done, then announces it again, whatever became of the telling. Where
/// only some addresses could be bound, those are announced too.
fn finish(
    fips: &mut FloatingIps<Host>,
    outcome: fip_core::Result<Report>,
    json: bool,
) -> Result<(), Failure> {
    let told = match outcome {
        Ok(report) => output::report(&report, json),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = fips.finish_announcements() {
        // It is bound, and was announced once.
        warn(&format!("cannot announce again: {}", fip_core::error::Chain(&error)));
    }
    told
}
