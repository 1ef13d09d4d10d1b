//! Lines, boxes and words, at places given in points.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::theme::{FAINT, STYLE, TEXT};

/// The width of every picture, in points.
pub(super) const WIDTH: f64 = 860.0;

/// The size of titles.
const TITLE: f64 = 17.0;
/// How far the lines of a title are apart.
const LEADING: f64 = 23.0;
/// The size of all other words.
const WORDS: f64 = 13.0;

/// The backend counts in whole pixels; so many of them are a point.
const FINE: f64 = 4.0;

/// plotters takes a font's height, where SVG takes its size.
const HEIGHT_OF_SIZE: f64 = 1.24;

/// How a word is set.
#[derive(Clone, Copy)]
pub(super) struct Words {
    pub(super) color: RGBColor,
    pub(super) across: HPos,
    pub(super) bold: bool,
}

impl Words {
    /// Ordinary ones.
    pub(super) const fn new(across: HPos) -> Self {
        Self { color: TEXT, across, bold: false }
    }

    /// Those of axes.
    pub(super) const fn faint(across: HPos) -> Self {
        Self { color: FAINT, across, bold: false }
    }
}

/// A picture while it is drawn.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

impl Canvas<'_> {
    /// Draws a picture of that height and returns it.
    pub(super) fn draw(height: f64, draw: impl FnOnce(&Canvas<'_>)) -> String {
        let mut svg = String::new();
        let size = ((WIDTH * FINE) as u32, (height * FINE) as u32);
        {
            let canvas =
                Canvas { area: SVGBackend::with_string(&mut svg, size).into_drawing_area() };
            draw(&canvas);
            canvas.area.present().expect("a picture in memory");
        }
        let pixels = format!(r#"width="{}" height="{}""#, size.0, size.1);
        let svg = svg.replacen(&pixels, &format!(r#"width="{WIDTH}" height="{height}""#), 1);
        svg.replacen(">\n", &format!(">\n{STYLE}"), 1)
    }

    /// A line.
    pub(super) fn line(&self, points: &[(f64, f64)], color: RGBColor, width: f64) {
        let style = color.stroke_width((width * FINE).round() as u32);
        let points: Vec<_> = points.iter().copied().map(pixel).collect();
        self.area.draw(&PathElement::new(points, style)).expect("a picture in memory");
    }

    /// A box, filled, from its upper left to its lower right corner.
    pub(super) fn filled(&self, from: (f64, f64), to: (f64, f64), color: RGBColor) {
        let shape = Rectangle::new([pixel(from), pixel(to)], color.filled());
        self.area.draw(&shape).expect("a picture in memory");
    }

    /// A dot.
    pub(super) fn dot(&self, at: (f64, f64), radius: f64, color: RGBColor) {
        let shape = Circle::new(pixel(at), (radius * FINE).round() as i32, color.filled());
        self.area.draw(&shape).expect("a picture in memory");
    }

    /// Words, with their middle at this height.
    pub(super) fn text(&self, at: (f64, f64), words: Words, text: &str) {
        self.set(at, words, WORDS, text);
    }

    /// The title, at the top.
    pub(super) fn title(&self, title: &str) {
        let words = Words { bold: true, ..Words::new(HPos::Left) };
        for (index, line) in title_lines(title).iter().enumerate() {
            self.set((16.0, 24.0 + index as f64 * LEADING), words, TITLE, line);
        }
    }

    fn set(&self, at: (f64, f64), words: Words, size: f64, text: &str) {
        let font = FontDesc::new(
            FontFamily::SansSerif,
            size * FINE * HEIGHT_OF_SIZE,
            if words.bold { FontStyle::Bold } else { FontStyle::Normal },
        );
        let pos = Pos::new(words.across, VPos::Center);
        let style = TextStyle::from(font).color(&words.color).pos(pos);
        self.area.draw(&Text::new(text.to_owned(), pixel(at), style)).expect("a picture in memory");
    }
}

fn pixel(point: (f64, f64)) -> (i32, i32) {
    ((point.0 * FINE).round() as i32, (point.1 * FINE).round() as i32)
}

/// How wide these words are, about: no font is at hand where pictures are drawn.
pub(super) fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * WORDS * 0.54
}

/// How high the title is, with the space around it.
pub(super) fn title_height(title: &str) -> f64 {
    20.0 + title_lines(title).len() as f64 * LEADING
}

fn title_lines(title: &str) -> Vec<String> {
    let room = ((WIDTH - 32.0) / (TITLE * 0.54)) as usize;
    let mut lines = vec![String::new()];
    for word in title.split_whitespace() {
        let last = lines.last_mut().expect("one at least");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= room {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
