//! Tables for people.

use super::group::Group;
use super::numbers::{Spread, amount, shown};

/// A table in Markdown.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// What it shows, with the unit: its headline.
    pub(crate) title: String,
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty one with these columns.
    pub(crate) fn new(title: &str, head: &[&str]) -> Self {
        let head = head.iter().map(|&column| column.to_owned()).collect();
        Self { title: title.to_owned(), head, rows: Vec::new() }
    }

    /// A row for each case, a column for each number of bindings present: median (quartiles), and
    /// the ratio of the medians to those of the case `base` with as many present.
    pub(crate) fn over_present(title: &str, group: &Group, metric: &str, base: &str) -> Self {
        let counts = group.counts(metric);
        let mut table = Self::new(title, &[""]);
        table.head.extend(counts.iter().map(|&count| format!("{} present", amount(count as i64))));
        table.head.push(format!("÷ {base}"));
        for case in group.cases(metric) {
            let spread = |case: &str, count| group.spread(case, Some(count), metric);
            let mut row = vec![case.to_owned()];
            row.extend(counts.iter().map(|&count| cell(spread(case, count))));
            let ratios =
                counts.iter().map(|&count| ratio(spread(case, count), spread(base, count)));
            row.push(ratios.collect::<Vec<_>>().join(" / "));
            table.rows.push(row);
        }
        table
    }

    /// As Markdown.
    pub(crate) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut text = format!("**{}**\n\n{}", self.title, line(&self.head));
        text.push_str(&format!("|---|{}\n", "---:|".repeat(self.head.len() - 1)));
        text.extend(self.rows.iter().map(|row| line(row)));
        text
    }
}

/// `median (low–high)`, or a dash for what was not measured.
pub(crate) fn cell(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "–".to_owned(), |spread| spread.shown())
}

/// The ratio of the medians, or a dash.
pub(crate) fn ratio(spread: Option<Spread>, base: Option<Spread>) -> String {
    match (spread, base) {
        (Some(spread), Some(base)) if base.median > 0.0 => shown(spread.median / base.median),
        _ => "–".to_owned(),
    }
}
