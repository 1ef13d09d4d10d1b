//! From values to places.

use std::ops::RangeInclusive;

/// An axis: which part of the values it shows, and where.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    values: (f64, f64),
    places: (f64, f64),
    logarithmic: bool,
}

impl Scale {
    /// A logarithmic one over all of these positive values, with some room around them.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>, places: (f64, f64)) -> Self {
        let positive = values.filter(|&value| value > 0.0);
        let (low, high) = positive
            .fold((f64::MAX, f64::MIN), |(low, high), value| (value.min(low), value.max(high)));
        let (low, high) = if low > high { (0.5, 2.0) } else { (low / 1.4, high * 1.3) };
        Self { values: (low, high), places, logarithmic: true }
    }

    /// A linear one from 0 over all of these values.
    pub(super) fn linear(values: impl Iterator<Item = f64>, places: (f64, f64)) -> Self {
        let high = values.fold(0.0, f64::max);
        let high = if high > 0.0 { high * 1.02 } else { 1.0 };
        Self { values: (0.0, high), places, logarithmic: false }
    }

    /// The place of a value; at the edge for what is not on the axis.
    pub(super) fn place(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        let part = if self.logarithmic {
            (value.max(low) / low).ln() / (high / low).ln()
        } else {
            (value - low) / (high - low)
        };
        self.places.0 + part.clamp(0.0, 1.0) * (self.places.1 - self.places.0)
    }

    /// Round values to mark.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if self.logarithmic { self.powers() } else { self.steps() }
    }

    /// Powers of ten; with 2 and 5 between them where there are few.
    fn powers(&self) -> Vec<f64> {
        let (low, high) = self.values;
        let powers: RangeInclusive<i32> = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let few = (high / low).log10() < 2.5;
        let factors: &[f64] = if few { &[1.0, 2.0, 5.0] } else { &[1.0] };
        powers
            .flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)))
            .filter(|tick| (low..=high).contains(tick))
            .collect()
    }

    fn steps(&self) -> Vec<f64> {
        let high = self.values.1;
        let rough = high / 5.0;
        let power = 10f64.powi(rough.log10().floor() as i32);
        let factors = [1.0, 2.0, 5.0, 10.0];
        let factor = factors.into_iter().find(|factor| factor * power >= rough).unwrap_or(10.0);
        let step = factor * power;
        (0..=(high / step) as u32).map(|count| f64::from(count) * step).collect()
    }
}

/// A tick's value, as short as it can be.
pub(super) fn tick(value: f64) -> String {
    if value >= 1000.0 {
        return crate::harness::amount(value.round() as i64);
    }
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_where_their_logarithm_is() {
        let scale = Scale { values: (1.0, 100.0), places: (0.0, 10.0), logarithmic: true };
        assert_eq!([0.0, 1.0, 10.0, 100.0].map(|value| scale.place(value)), [0.0, 0.0, 5.0, 10.0]);
        assert_eq!(scale.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
    }

    #[test]
    fn steps_are_round() {
        let scale = Scale::linear([37.0].into_iter(), (0.0, 100.0));
        assert_eq!(scale.ticks(), [0.0, 10.0, 20.0, 30.0]);
        assert_eq!([0.0, 0.02, 10.0, 10_000.0].map(tick), ["0", "0.02", "10", "10,000"]);
    }
}
