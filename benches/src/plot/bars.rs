//! Bars.

use plotters::style::text_anchor::HPos;

use super::canvas::{Canvas, WIDTH, Words, title_height, width_of};
use super::scale::{Scale, tick};
use super::theme::{FAINT, GRID, Who};
use super::{Bar, Bars};
use crate::harness::shown;

/// How far one bar is from the next, and how thick it is.
const PITCH: f64 = 27.0;
const THICK: f64 = 15.0;

/// How much wider bold words are, which ours are.
const BOLD: f64 = 1.1;

/// Below the bars: the axis with its words.
const FOOT: f64 = 52.0;

impl Bars {
    pub(super) fn draw(&self) -> String {
        let top = title_height(&self.title);
        let bottom = top + self.bars.len() as f64 * PITCH;
        Canvas::draw(bottom + FOOT, |canvas| {
            canvas.title(&self.title);
            let left = 26.0 + self.widest(|bar| bar.name.clone()) * BOLD;
            let right = WIDTH - 24.0 - self.widest(|bar| shown(bar.value.median));
            let scale = self.scale((left, right));
            self.axis(canvas, &scale, (left, right), (top, bottom));
            for (index, bar) in self.bars.iter().enumerate() {
                bar.draw(canvas, &scale, left, top + (index as f64 + 0.5) * PITCH);
            }
        })
    }

    fn widest(&self, words: impl Fn(&Bar) -> String) -> f64 {
        self.bars.iter().map(|bar| width_of(&words(bar))).fold(0.0, f64::max)
    }

    fn scale(&self, places: (f64, f64)) -> Scale {
        let values =
            self.bars.iter().flat_map(|bar| [bar.value.low, bar.value.median, bar.value.high]);
        if self.logarithmic {
            Scale::logarithmic(values, places)
        } else {
            Scale::linear(values, places)
        }
    }

    fn axis(
        &self,
        canvas: &Canvas<'_>,
        scale: &Scale,
        (left, right): (f64, f64),
        (top, bottom): (f64, f64),
    ) {
        for value in scale.ticks() {
            let x = scale.place(value);
            canvas.line(&[(x, top), (x, bottom)], GRID, 1.0);
            canvas.text((x, bottom + 13.0), Words::faint(HPos::Center), &tick(value));
        }
        canvas.line(&[(left, top), (left, bottom)], FAINT, 1.0);
        let middle = f64::midpoint(left, right);
        canvas.text((middle, bottom + 35.0), Words::faint(HPos::Center), &self.x);
    }
}

impl Bar {
    fn draw(&self, canvas: &Canvas<'_>, scale: &Scale, left: f64, y: f64) {
        let (above, below) = (y - THICK / 2.0, y + THICK / 2.0);
        let words = Words { bold: self.who == Who::Fip, ..Words::new(HPos::Right) };
        canvas.text((left - 10.0, y), words, &self.name);
        let [low, end, high] =
            [self.value.low, self.value.median, self.value.high].map(|value| scale.place(value));
        canvas.filled((left, above), (end, below), self.who.color());
        // Whiskers too short to be seen would only blur the end.
        if high - low > 3.0 {
            canvas.line(&[(low, y), (high, y)], FAINT, 1.2);
            for x in [low, high] {
                canvas.line(&[(x, y - 4.0), (x, y + 4.0)], FAINT, 1.2);
            }
        }
        let words = Words { across: HPos::Left, ..words };
        canvas.text((high.max(end) + 8.0, y), words, &shown(self.value.median));
    }
}
