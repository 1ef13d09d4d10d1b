//! Lines over the number of bindings.

use plotters::style::text_anchor::HPos;

use super::canvas::{Canvas, WIDTH, Words, title_height, width_of};
use super::scale::{Scale, tick};
use super::theme::{FAINT, GRID, Who};
use super::{Lines, Series};
use crate::harness::{amount, shown};

/// The height between the axes.
const HIGH: f64 = 330.0;
/// Between the title and the plane, with the words of the axis upwards.
const HEAD: f64 = 24.0;
/// Below the plane: the axis across with its words.
const FOOT: f64 = 52.0;
/// How far labels are apart, at least.
const APART: f64 = 17.0;
/// A dash, with the gap after it as long about.
const DASH: f64 = 5.0;
/// From the last points to the labels.
const LEADER: f64 = 22.0;

/// The plane between the axes.
struct Plane {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Lines {
    pub(super) fn draw(&self) -> String {
        let top = title_height(&self.title) + HEAD;
        let labels = self.series.iter().map(|series| width_of(&series.label()));
        let right = WIDTH - LEADER - 16.0 - labels.fold(0.0, f64::max);
        let plane = Plane { left: 66.0, right, top, bottom: top + HIGH };
        Canvas::draw(plane.bottom + FOOT, |canvas| {
            canvas.title(&self.title);
            let values = self.series.iter().flat_map(|series| {
                series
                    .points
                    .iter()
                    .flat_map(|(_, spread)| [spread.low, spread.median, spread.high])
            });
            let upwards = Scale::logarithmic(values, (plane.bottom, plane.top));
            let across = self.across(&plane);
            self.axes(canvas, &plane, &across, &upwards);
            // Ours last: it is never covered.
            let mut order: Vec<&Series> = self.series.iter().collect();
            order.sort_by_key(|series| series.who == Who::Fip);
            for series in order {
                series.draw(canvas, &across, &upwards);
            }
            self.label_ends(canvas, &plane, &across, &upwards);
        })
    }

    fn counts(&self) -> Vec<u64> {
        let points = self.series.iter().flat_map(|series| &series.points);
        let mut counts: Vec<u64> = points.map(|(count, _)| *count).collect();
        counts.sort_unstable();
        counts.dedup();
        counts
    }

    fn across(&self, plane: &Plane) -> Across {
        let counts = self.counts();
        let smallest = counts.iter().copied().find(|&count| count > 0).unwrap_or(1) as f64;
        // 0 has no logarithm: it is a good decade left of the next.
        let zero = smallest / 20.0;
        let value = |count: u64| if count == 0 { zero } else { count as f64 };
        let places = (plane.left, plane.right);
        Across { zero, scale: Scale::logarithmic(counts.into_iter().map(value), places) }
    }

    fn axes(&self, canvas: &Canvas<'_>, plane: &Plane, across: &Across, upwards: &Scale) {
        for value in upwards.ticks() {
            let y = upwards.place(value);
            canvas.line(&[(plane.left, y), (plane.right, y)], GRID, 1.0);
            canvas.text((plane.left - 8.0, y), Words::faint(HPos::Right), &tick(value));
        }
        for count in self.counts() {
            let x = across.place(count);
            canvas.line(&[(x, plane.bottom), (x, plane.bottom + 5.0)], FAINT, 1.0);
            let words = amount(i64::try_from(count).unwrap_or(i64::MAX));
            canvas.text((x, plane.bottom + 16.0), Words::faint(HPos::Center), &words);
        }
        canvas.line(&[(plane.left, plane.bottom), (plane.right, plane.bottom)], FAINT, 1.0);
        canvas.text((16.0, plane.top - 14.0), Words::faint(HPos::Left), &self.y);
        let middle = f64::midpoint(plane.left, plane.right);
        canvas.text((middle, plane.bottom + 37.0), Words::faint(HPos::Center), &self.x);
    }

    /// Writes each name beside the end of its line, moved up or down where others are in the way.
    fn label_ends(&self, canvas: &Canvas<'_>, plane: &Plane, across: &Across, upwards: &Scale) {
        let mut ends: Vec<(f64, f64, &Series)> = self
            .series
            .iter()
            .filter_map(|series| {
                let (count, spread) = series.points.last()?;
                Some((upwards.place(spread.median), across.place(*count), series))
            })
            .collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        let wanted: Vec<f64> = ends.iter().map(|end| end.0).collect();
        let places = spread_out(&wanted, (plane.top, plane.bottom));
        for ((y, x, series), label) in ends.into_iter().zip(places) {
            let start = plane.right + LEADER;
            canvas.line(&[(x + 6.0, y), (start - 12.0, label), (start - 4.0, label)], GRID, 1.0);
            let words = Words {
                color: series.who.color(),
                bold: series.who == Who::Fip && !series.dashed,
                ..Words::new(HPos::Left)
            };
            canvas.text((start, label), words, &series.label());
        }
    }
}

impl Series {
    fn label(&self) -> String {
        let last = self.points.last().map(|(_, spread)| shown(spread.median));
        format!("{}  {}", self.name, last.unwrap_or_default())
    }

    fn draw(&self, canvas: &Canvas<'_>, across: &Across, upwards: &Scale) {
        let color = self.who.color();
        let width = if self.who == Who::Fip && !self.dashed { 3.5 } else { 2.0 };
        let place = |count: u64, value: f64| (across.place(count), upwards.place(value));
        let line: Vec<_> =
            self.points.iter().map(|(count, spread)| place(*count, spread.median)).collect();
        for part in if self.dashed { dashes(&line) } else { vec![line] } {
            canvas.line(&part, color, width);
        }
        for (count, spread) in &self.points {
            canvas.line(&[place(*count, spread.low), place(*count, spread.high)], color, 1.5);
            canvas.dot(place(*count, spread.median), width + 1.0, color);
        }
    }
}

/// The line in short pieces, with gaps between them.
fn dashes(line: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    let between = |(a, b): ((f64, f64), (f64, f64))| {
        let count = ((b.0 - a.0).hypot(b.1 - a.1) / (2.0 * DASH)).ceil().max(1.0);
        let at = move |part: f64| (a.0 + (b.0 - a.0) * part, a.1 + (b.1 - a.1) * part);
        (0..count as u32)
            .map(move |n| vec![at(f64::from(n) / count), at((f64::from(n) + 0.6) / count)])
    };
    line.windows(2).flat_map(|pair| between((pair[0], pair[1]))).collect()
}

/// The axis across, on which there is a place for 0 too.
struct Across {
    scale: Scale,
    zero: f64,
}

impl Across {
    fn place(&self, count: u64) -> f64 {
        self.scale.place(if count == 0 { self.zero } else { count as f64 })
    }
}

/// Places as near as can be to the wanted ones, which ascend, but [`APART`].
fn spread_out(wanted: &[f64], (top, bottom): (f64, f64)) -> Vec<f64> {
    let mut places = wanted.to_vec();
    // Each pass moves neighbours apart by half of what they lack: it settles soon.
    for _ in 0..200 {
        for index in 1..places.len() {
            let lack = APART - (places[index] - places[index - 1]);
            if lack > 0.0 {
                places[index - 1] -= lack / 2.0;
                places[index] += lack / 2.0;
            }
        }
        for place in &mut places {
            *place = place.clamp(top, bottom);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_overlap() {
        let places = spread_out(&[100.0, 101.0, 102.0, 300.0, 329.0], (0.0, 330.0));
        let nearest = places.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::MAX, f64::min);
        assert!(nearest > APART - 0.5, "{places:?}");
        assert_eq!(places[3], 300.0);
    }
}
