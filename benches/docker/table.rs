//! The results, as the other benchmarks show theirs.

use std::time::Duration;

/// The table on standard output.
pub(super) struct Table;

impl Table {
    /// Prints the heads of its columns.
    pub(super) fn start() -> Self {
        println!(
            "{:<40} {:<10}│ {:<10}│ {:<10}│ {:<8}│ samples",
            "docker", "quartile", "median", "quartile", "ratio"
        );
        Self
    }

    /// Prints the rows of one operation. The first is what the others are compared with.
    pub(super) fn print<'n>(
        &self,
        operation: &str,
        count: u32,
        rows: impl Iterator<Item = (&'n str, Vec<Duration>)>,
    ) {
        println!("├─ {operation}, {count} present");
        let mut first = None;
        for (name, mut times) in rows {
            times.sort_unstable();
            let quartile = |n| times[(times.len() - 1) * n / 4];
            let median = quartile(2);
            let ratio = median.as_secs_f64() / first.get_or_insert(median).as_secs_f64();
            println!(
                "│  ├─ {name:<34} {:<10}│ {:<10}│ {:<10}│ {ratio:<8.2}│ {}",
                shown(quartile(1)),
                shown(median),
                shown(quartile(3)),
                times.len()
            );
        }
    }
}

fn shown(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
