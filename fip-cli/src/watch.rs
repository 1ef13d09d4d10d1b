//! `fip watch`: keeps a desired state true, and tells what happens.

use fip_core::Binding;
use fip_core::error::Chain;
use fip_core::fip::{Event, OnRival, Watch};
use fip_core::kernel::host::Host;
use serde::Serialize;

use crate::args::{HostArgs, WatchArgs};
use crate::failure::{Failure, say};
use crate::file::FileError;
use crate::signals::{Request, Signals};
use crate::{file, output};

/// How many changes of a repair are told to people; programs get all.
const SHOWN: usize = 8;

/// A line of the report.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Line {
    /// The state was applied, or it was tried; from now on it is kept.
    Watching {
        owner: String,
        bindings: usize,
    },
    /// Something was not as desired, and is again.
    Repaired {
        changes: Vec<String>,
        waited_ms: f64,
        committed_ms: f64,
    },
    /// Another host claimed an address.
    Rival {
        address: String,
        interface: String,
        mac: String,
        done: &'static str,
    },
    /// A link is back, and its addresses were announced.
    Announced {
        interface: String,
        addresses: usize,
    },
    Warning {
        warning: String,
    },
    /// The state could not be reached; it is tried again.
    Failed {
        error: String,
        hint: Option<String>,
    },
    /// The file was read again.
    Reloaded {
        bindings: usize,
    },
    /// The file could not be read again: what was desired before still is.
    ReloadFailed {
        error: String,
    },
}

pub(crate) fn watch(host: &HostArgs, args: &WatchArgs) -> Result<(), Failure> {
    let reload = args.file.metadata().is_ok_and(|metadata| metadata.is_file());
    let signals = Signals::hold(reload).map_err(|error| Failure::System("hold signals", error))?;
    let bindings = read(args)?;
    let watching = Line::Watching { owner: args.owner.to_string(), bindings: bindings.len() };
    let fips = host.open_to_hold(args.hold)?;
    let options = args.probe.options();
    let mut watch = fips.watch([args.owner.clone()], bindings, options, args.rival_policy)?;
    let requests =
        signals.take(watch.waker()).map_err(|error| Failure::System("start a thread", error))?;
    tell(&watching, args.json)?;
    while let Some(event) = watch.next(None)? {
        match event {
            Event::Woken => {
                for request in requests.try_iter() {
                    match request {
                        Request::Stop => return Ok(()),
                        Request::Reload => tell(&read_again(&mut watch, args), args.json)?,
                    }
                }
            }
            other => tell_event(other, args.json)?,
        }
    }
    Ok(())
}

/// The bindings in the file, as the owner's.
fn read(args: &WatchArgs) -> Result<Vec<Binding>, FileError> {
    let bindings = file::read(&args.file)?.into_iter();
    Ok(bindings.map(|binding| binding.owned_by(args.owner.clone())).collect())
}

fn read_again(watch: &mut Watch<Host>, args: &WatchArgs) -> Line {
    match read(args) {
        Ok(desired) => {
            let bindings = desired.len();
            watch.set_desired(desired);
            Line::Reloaded { bindings }
        }
        Err(error) => {
            let text = error.to_string();
            say(&Failure::from(error).message());
            Line::ReloadFailed { error: text }
        }
    }
}

fn tell_event(event: Event, json: bool) -> Result<(), Failure> {
    let line = match event {
        Event::Repaired(report) => Line::Repaired {
            waited_ms: output::milliseconds(report.waited),
            committed_ms: output::milliseconds(report.committed),
            changes: report.changes,
        },
        Event::Rival { address, link, mac, done } => Line::Rival {
            address: address.to_string(),
            interface: link.to_string(),
            mac: mac.to_string(),
            done: match done {
                OnRival::Yield => "yielded",
                OnRival::Defend => "defended",
            },
        },
        Event::Announced { link, addresses } => {
            Line::Announced { interface: link.to_string(), addresses }
        }
        Event::Warning(warning) => Line::Warning { warning },
        Event::Failed(error) => {
            Line::Failed { error: Chain(&error).to_string(), hint: error.hint() }
        }
        // The kernel answers, and the address stays: one who waits asks many times.
        Event::Challenged { .. } | Event::Woken => return Ok(()),
    };
    tell(&line, json)
}

fn tell(line: &Line, json: bool) -> Result<(), Failure> {
    let told =
        if json { output::print_json(line) } else { output::print(&format!("{}\n", text(line))) };
    // Here even a reader who left is a failure: nothing is kept true any more.
    told.map_err(|failure| match failure {
        Failure::Output(error) => Failure::System("tell what happens", error),
        other => other,
    })
}

fn text(line: &Line) -> String {
    match line {
        Line::Watching { owner, bindings } => {
            format!("watching {} of {owner}", output::count(*bindings, "binding"))
        }
        Line::Repaired { changes, committed_ms, .. } => {
            let shown = changes.iter().take(SHOWN).map(|change| first_line(change));
            let mut shown = shown.collect::<Vec<_>>().join("; ");
            if let Some(more) = changes.len().checked_sub(SHOWN).filter(|&more| more > 0) {
                shown.push_str(&format!("; and {more} more"));
            }
            format!("repaired in {committed_ms} ms: {shown}")
        }
        Line::Rival { address, interface, mac, done } => {
            format!("{done} {address}: {mac} claimed it on {interface}")
        }
        Line::Announced { interface, addresses } => {
            format!("{interface} is back: announced {}", output::count(*addresses, "floating IP"))
        }
        Line::Warning { warning } => format!("warning: {warning}"),
        Line::Failed { error, hint: Some(hint) } => format!("failed: {error} (way out: {hint})"),
        Line::Failed { error, hint: None } => format!("failed: {error}"),
        Line::Reloaded { bindings } => {
            format!("read the file again: {}", output::count(*bindings, "binding"))
        }
        Line::ReloadFailed { error } => format!("kept what was desired before: {error}"),
    }
}

/// The table as a whole is many lines.
fn first_line(change: &str) -> &str {
    change.lines().next().unwrap_or_default().trim_end_matches([' ', '{'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_line() {
        let changes = vec!["add table inet fip {\n  map x\n}".to_owned(); 10];
        let line = Line::Repaired { changes, waited_ms: 0.0, committed_ms: 1.5 };
        let text = text(&line);
        assert!(!text.contains('\n'), "{text}");
        assert!(text.starts_with("repaired in 1.5 ms: add table inet fip; "), "{text}");
        assert!(text.ends_with("; and 2 more"), "{text}");
        let json = serde_json::to_value(&line).unwrap();
        assert_eq!(json["event"], "repaired");
        assert_eq!(json["changes"].as_array().unwrap().len(), 10);
    }

    #[test]
    fn events_are_named_in_lower_case() {
        let line = Line::ReloadFailed { error: String::new() };
        assert_eq!(serde_json::to_value(&line).unwrap()["event"], "reload-failed");
    }
}
