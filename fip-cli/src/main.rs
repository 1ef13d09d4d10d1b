//! fip
fn main() {}
