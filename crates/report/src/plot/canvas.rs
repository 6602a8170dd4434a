//! A small SVG writer: scales, axes, legends.

use crate::html::escape;
use crate::round::{fixed, short};
use std::fmt::Write;

/// Colours of what follows the reader's mode; series have fixed colours that show on both.
pub(crate) const PLOT_CSS: &str = "\
.plot{font:12px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}\
.plot .bg{fill:#fff}.plot text{fill:#24292f}.plot .dim{fill:#656d76}\
.plot .axis{stroke:#57606a;fill:none}.plot .grid{stroke:#d8dee4;fill:none}.plot .rule{stroke:#24292f;fill:none}\
.plot .mark{fill:#24292f}\
@media(prefers-color-scheme:dark){.plot .bg{fill:#0d1117}.plot text{fill:#e6edf3}.plot .dim{fill:#9198a1}\
.plot .axis{stroke:#9198a1}.plot .grid{stroke:#2a3038}.plot .rule{stroke:#e6edf3}.plot .mark{fill:#e6edf3}}";

/// Colours of series that have no meaning of their own (Okabe and Ito's, which colour-blind readers
/// can tell apart).
const PALETTE: [&str; 8] = [
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#7f7f7f",
];

/// A linear scale from values to pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub min: f64,
    pub max: f64,
    pub from: f64,
    pub to: f64,
}

impl Scale {
    pub(crate) fn at(&self, value: f64) -> f64 {
        self.from + (value - self.min) / (self.max - self.min) * (self.to - self.from)
    }

    /// Round values (1, 2 or 5 times a power of ten) within the scale, about `count` of them.
    pub(crate) fn ticks(&self, count: usize) -> Vec<f64> {
        let raw = (self.max - self.min) / count as f64;
        let power = 10f64.powf(raw.log10().floor());
        // Rounding may leave `raw` just above a round step, which is meant.
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|m| m * power)
            .find(|s| *s >= raw * 0.999)
            .unwrap_or(raw);
        let first = (self.min / step - 1e-9).ceil();
        let mut ticks = Vec::new();
        let mut k = first;
        // A multiple each time: adding steps would add up rounding.
        while k * step <= self.max + 1e-9 * step && ticks.len() < 100 {
            ticks.push(k * step);
            k += 1.0;
        }
        ticks
    }
}

/// Collects elements.
#[derive(Default)]
pub(crate) struct Canvas {
    pub body: String,
}

/// Room at the left of the y axis for its numbers and title.
pub(crate) const LEFT: f64 = 56.0;
/// Room at the right edge.
pub(crate) const RIGHT: f64 = 12.0;

/// The colour of series `index`; after the last one they start again.
pub(crate) fn colour(index: usize) -> &'static str {
    PALETTE[index % PALETTE.len()]
}

/// True if no earlier series has the same colour.
pub(crate) fn has_own_colour(index: usize) -> bool {
    index < PALETTE.len()
}

/// A length in whole pixels, rounded up.
pub(crate) fn whole(length: f64) -> u32 {
    length.ceil() as u32
}

/// A coordinate with at most two decimals.
pub(crate) fn px(value: f64) -> String {
    // Shorter files, and no digits in which machines could differ.
    short(value, 2)
}

impl Canvas {
    pub(crate) fn line(&mut self, class: &str, x1: f64, y1: f64, x2: f64, y2: f64) {
        let _ = writeln!(
            self.body,
            r#"<line class="{class}" x1="{}" y1="{}" x2="{}" y2="{}"/>"#,
            px(x1),
            px(y1),
            px(x2),
            px(y2)
        );
    }

    pub(crate) fn dashed(&mut self, class: &str, x1: f64, y1: f64, x2: f64, y2: f64) {
        let _ = writeln!(
            self.body,
            r#"<line class="{class}" stroke-dasharray="4 3" x1="{}" y1="{}" x2="{}" y2="{}"/>"#,
            px(x1),
            px(y1),
            px(x2),
            px(y2)
        );
    }

    /// `anchor`: `start`, `middle` or `end`; `class`: `dim` or nothing.
    pub(crate) fn text(&mut self, class: &str, anchor: &str, x: f64, y: f64, text: &str) {
        let class = if class.is_empty() {
            String::new()
        } else {
            format!(r#" class="{class}""#)
        };
        let _ = writeln!(
            self.body,
            r#"<text{class} text-anchor="{anchor}" x="{}" y="{}">{}</text>"#,
            px(x),
            px(y),
            escape(text)
        );
    }

    pub(crate) fn rotated(&mut self, anchor: &str, x: f64, y: f64, degrees: i32, text: &str) {
        let x = px(x);
        let y = px(y);
        let _ = writeln!(
            self.body,
            r#"<text text-anchor="{anchor}" x="{x}" y="{y}" transform="rotate({degrees} {x} {y})">{}</text>"#,
            escape(text)
        );
    }

    pub(crate) fn title(&mut self, x: f64, text: &str) {
        let _ = writeln!(
            self.body,
            r#"<text x="{}" y="18" font-size="14" font-weight="600">{}</text>"#,
            px(x),
            escape(text)
        );
    }

    pub(crate) fn rect(
        &mut self,
        colour: &str,
        x: f64,
        y: f64,
        width: f64,
        height: f64,
        hint: &str,
    ) {
        let hint = if hint.is_empty() {
            String::new()
        } else {
            format!("<title>{}</title>", escape(hint))
        };
        let _ = writeln!(
            self.body,
            r#"<rect fill="{colour}" x="{}" y="{}" width="{}" height="{}">{hint}</rect>"#,
            px(x),
            px(y),
            px(width),
            px(height)
        );
    }

    pub(crate) fn path(&mut self, attributes: &str, points: &[(f64, f64)], close: bool) {
        let mut d = String::new();
        for (i, (x, y)) in points.iter().enumerate() {
            let _ = write!(d, "{}{} {}", if i == 0 { 'M' } else { 'L' }, px(*x), px(*y));
        }
        if close {
            d.push('Z');
        }
        let _ = writeln!(self.body, r#"<path {attributes} d="{d}"/>"#);
    }

    /// Horizontal grid lines with numbers at their left.
    pub(crate) fn y_axis(
        &mut self,
        y: &Scale,
        ticks: &[(f64, String)],
        left: f64,
        right: f64,
        title: &str,
    ) {
        for (value, text) in ticks {
            let at = y.at(*value);
            self.line("grid", left, at, right, at);
            self.text("dim", "end", left - 6.0, at + 4.0, text);
        }
        if !title.is_empty() {
            self.rotated("middle", 14.0, f64::midpoint(y.from, y.to), -90, title);
        }
    }

    /// The baseline with ticks and numbers below.
    pub(crate) fn x_axis(&mut self, x: &Scale, ticks: &[(f64, String)], bottom: f64, title: &str) {
        self.line("axis", x.from, bottom, x.to, bottom);
        for (value, text) in ticks {
            let at = x.at(*value);
            self.line("axis", at, bottom, at, bottom + 4.0);
            self.text("dim", "middle", at, bottom + 17.0, text);
        }
        self.text(
            "",
            "middle",
            f64::midpoint(x.from, x.to),
            bottom + 35.0,
            title,
        );
    }

    /// A row of coloured names; a new line where the width is used up. Returns the y below it.
    pub(crate) fn legend(
        &mut self,
        entries: &[(String, &str)],
        left: f64,
        right: f64,
        top: f64,
    ) -> f64 {
        let mut x = left;
        let mut y = top;
        for (name, colour) in entries {
            let width = 24.0 + text_width(name);
            if x > left && x + width > right {
                x = left;
                y += 18.0;
            }
            self.rect(colour, x, y - 9.0, 11.0, 11.0, "");
            self.text("", "start", x + 16.0, y + 1.0, name);
            x += width + 10.0;
        }
        y + 14.0
    }
}

/// A generous guess of the width of text at 12 px.
pub(crate) fn text_width(text: &str) -> f64 {
    // No font is asked: browsers have others than this machine.
    7.0 * text.chars().count() as f64
}

/// Ticks with the fewest decimals that keep them distinct.
pub(crate) fn labelled(ticks: Vec<f64>) -> Vec<(f64, String)> {
    let step = ticks.windows(2).map(|w| w[1] - w[0]).next().unwrap_or(1.0);
    // As many digits as tell neighbouring ticks apart.
    let digits = if step > 0.0 {
        (-step.log10().floor()).clamp(0.0, 9.0)
    } else {
        0.0
    };
    let digits = digits as usize;
    ticks.into_iter().map(|t| (t, fixed(t, digits))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let s = Scale {
            min: 0.0,
            max: 97.0,
            from: 0.0,
            to: 1.0,
        };
        assert_eq!(s.ticks(5), [0.0, 20.0, 40.0, 60.0, 80.0]);
        let s = Scale {
            min: -0.13,
            max: 0.31,
            from: 0.0,
            to: 1.0,
        };
        let texts: Vec<String> = labelled(s.ticks(5)).into_iter().map(|t| t.1).collect();
        assert_eq!(texts, ["-0.1", "0.0", "0.1", "0.2", "0.3"]);
    }
}
