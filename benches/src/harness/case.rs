//! What is compared, in turn.

use super::row::Row;

/// What one run of a case has measured: metrics with their unit, as `"bind ms"`.
pub(crate) type Figures = Vec<(&'static str, f64)>;

/// One of those that are compared.
pub(crate) struct Case<'a> {
    pub(crate) name: String,
    /// How many bindings are present meanwhile, where that is what varies.
    pub(crate) present: Option<u64>,
    /// Takes part in each round (1), or only in each second, third, ...: for what is slow.
    pub(crate) every: usize,
    pub(crate) run: Box<dyn FnMut() -> Figures + 'a>,
}

impl<'a> Case<'a> {
    /// One that takes part in each round.
    pub(crate) fn new(name: &str, present: Option<u64>, run: impl FnMut() -> Figures + 'a) -> Self {
        Self { name: name.to_owned(), present, every: 1, run: Box::new(run) }
    }

    /// Takes part only in each round of that many.
    pub(crate) fn every(mut self, rounds: usize) -> Self {
        self.every = rounds.max(1);
        self
    }
}

/// Runs all in turn, A B C, B C A, ..., so that whatever else the machine does meets all alike.
/// What the rounds before the first give is thrown away; slow cases do not take part in them.
pub(crate) fn in_turn(rounds: usize, warm_up: usize, mut cases: Vec<Case<'_>>) -> Vec<Row> {
    let mut rows = Vec::new();
    for _ in 0..warm_up {
        for case in cases.iter_mut().filter(|case| case.every == 1) {
            (case.run)();
        }
    }
    let count = cases.len();
    for round in 0..rounds {
        for turn in 0..count {
            let case = &mut cases[(round + turn) % count];
            if round.is_multiple_of(case.every) {
                let figures = (case.run)();
                enter(&mut rows, case, figures);
            }
        }
    }
    rows.sort_by_key(|row: &Row| cases.iter().position(|case| row.is_of(&case.name, case.present)));
    rows
}

fn enter(rows: &mut Vec<Row>, case: &Case<'_>, figures: Figures) {
    for (metric, value) in figures {
        let known = |row: &&mut Row| row.is_of(&case.name, case.present) && row.metric == metric;
        match rows.iter_mut().find(known) {
            Some(row) => row.values.push(value),
            None => rows.push(Row {
                case: case.name.clone(),
                present: case.present,
                metric: metric.to_owned(),
                values: vec![value],
            }),
        }
    }
}
