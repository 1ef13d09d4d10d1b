//! What makes traffic and measures it.

pub(crate) mod connect;
mod cpu;
pub(crate) mod probe;
pub(crate) mod rtt;
pub(crate) mod serve;
pub(crate) mod stream;

use std::time::Duration;

/// The time, in microseconds, that this part of all did not exceed.
fn quantile_us(times: &[Duration], part: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().checked_sub(1).expect("nothing was answered");
    sorted[(part * last as f64) as usize].as_secs_f64() * 1e6
}
