//! Prints what binding a floating address would change, as `nft` and `ip` would be told, and
//! changes nothing.
//!
//! `cargo run -p fip-core --example dry_run -- 192.168.99.200 172.18.0.2`

use std::env;
use std::error::Error;

use fip_core::binding::parse_address;
use fip_core::{Binding, FloatingIps, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [floating, fixed] = args.as_slice() else {
        return Err("usage: dry_run FLOATING FIXED".into());
    };
    let binding = Binding::new(parse_address(floating)?, parse_address(fixed)?)?;
    let plan = FloatingIps::open(Options::default())?.plan_bind(&binding, false)?;
    print!("{plan}");
    for warning in &plan.warnings {
        eprintln!("warning: {warning}");
    }
    Ok(())
}
