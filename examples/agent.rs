//! An agent that learns from its orchestrator which workloads run on this host, and keeps the
//! bindings in step. Here the orchestrator is whoever writes lines to standard input:
//!
//! ```text
//! start web 192.168.99.200 172.18.0.2
//! stop web
//! ```
//!
//! After each event the agent hands over the whole desired state. So an event may come twice, and
//! whatever a former run of the agent has left behind is put right by the first one.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;

use fip_core::binding::parse_address;
use fip_core::error::Chain;
use fip_core::fip::BindOptions;
use fip_core::{Binding, FloatingIps, Options, Owner};

/// The workloads of this host, by name.
type Workloads = BTreeMap<String, Binding>;

fn main() -> Result<(), Box<dyn Error>> {
    let owner: Owner = "agent".parse()?;
    let options = BindOptions::default();
    let mut fips = FloatingIps::open(Options::default())?;
    let mut workloads = Workloads::new();
    for line in io::stdin().lines() {
        if let Err(error) = note(&mut workloads, &line?) {
            eprintln!("{error}");
            continue;
        }
        let desired: Vec<Binding> = workloads.values().cloned().collect();
        match fips.reconcile(&owner, &desired, &options) {
            Ok(report) => report.changes.iter().for_each(|change| println!("{change}")),
            // The next event tries it again, with all the rest.
            Err(error) => eprintln!("{}", Chain(&error)),
        }
        println!("{} bound", fips.bindings(&owner)?.len());
        // Where something was bound, this takes a second. Who cannot wait holds a `Watch` instead.
        fips.finish_announcements()?;
    }
    Ok(())
}

/// Notes an event.
fn note(workloads: &mut Workloads, event: &str) -> Result<(), Box<dyn Error>> {
    let words: Vec<&str> = event.split_whitespace().collect();
    match words.as_slice() {
        ["start", name, floating, fixed] => {
            let binding = Binding::new(parse_address(floating)?, parse_address(fixed)?)?;
            workloads.insert((*name).to_owned(), binding);
        }
        ["stop", name] => {
            workloads.remove(*name);
        }
        _ => return Err(format!("not an event: {event:?}").into()),
    }
    Ok(())
}
