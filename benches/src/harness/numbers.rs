//! Statistics, and how numbers are shown.

/// How many digits of a measured value mean anything, and one more.
const DIGITS: i32 = 4;

/// The middle of many values, and how far they spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    /// The lower quartile.
    pub(crate) low: f64,
    pub(crate) median: f64,
    /// The upper quartile.
    pub(crate) high: f64,
}

impl Spread {
    /// Of these values, which must not be none. Between two values it is interpolated (as R's and
    /// NumPy's default, type 7).
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            low: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            high: quantile(&sorted, 0.75),
        }
    }

    /// `median (low–high)`.
    pub(crate) fn shown(&self) -> String {
        format!("{} ({}–{})", shown(self.median), shown(self.low), shown(self.high))
    }
}

fn quantile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().checked_sub(1).expect("a case without a value");
    let place = part * last as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * (place - place.floor())
}

/// With as many digits as are worth keeping.
pub(crate) fn rounded(value: f64) -> f64 {
    format!("{value:.*e}", DIGITS as usize - 1).parse().unwrap_or(value)
}

/// For people: three digits, thousands apart.
pub(crate) fn shown(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if size == 0.0 => "0".to_owned(),
        _ if size >= 99.95 => amount(value.round() as i64),
        _ if size >= 9.995 => format!("{value:.1}"),
        _ if size >= 0.9995 => format!("{value:.2}"),
        _ if size >= 0.09995 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

/// A whole number, thousands apart: `10,000`.
pub(crate) fn amount(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = if value < 0 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_values_where_they_must() {
        let spread = Spread::of(&[4.0, 1.0, 3.0, 2.0]);
        assert_eq!(spread, Spread { low: 1.75, median: 2.5, high: 3.25 });
        assert_eq!(Spread::of(&[7.0]), Spread { low: 7.0, median: 7.0, high: 7.0 });
    }

    #[test]
    fn numbers_are_short_and_right() {
        assert_eq!(
            [12_345.6, 99.96, 9.997, 0.99951, 0.0181].map(shown),
            ["12,346", "100", "10.0", "1.00", "0.0181"]
        );
        assert_eq!(rounded(0.123_456), 0.1235);
        assert_eq!(rounded(123_456.0), 123_500.0);
        assert_eq!(amount(-1_234_567), "-1,234,567");
    }
}
