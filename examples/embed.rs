//! Binds a floating address to a workload, and unbinds it when its input ends.
//!
//! `cargo run -p fip-core --example embed -- 192.168.99.200 172.18.0.2`

use std::error::Error;
use std::{env, io};

use fip_core::binding::parse_address;
use fip_core::{Binding, FloatingIps, Options, Owner};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [floating, fixed] = args.as_slice() else {
        return Err("usage: embed FLOATING FIXED".into());
    };
    let owner: Owner = "embed".parse()?;
    let binding = Binding::new(parse_address(floating)?, parse_address(fixed)?)?;
    let binding = binding.owned_by(owner.clone());

    let mut fips = FloatingIps::open(Options::default())?;
    let report = fips.bind(&binding)?;
    for change in report.changes {
        println!("{change}");
    }
    println!("bound {binding}");
    // Neighbours may ignore the first announcement; this makes the second one, a second later.
    fips.finish_announcements()?;

    io::read_to_string(io::stdin())?;
    fips.unbind(binding.floating(), &[], &owner)?;
    println!("unbound {floating}");
    Ok(())
}
