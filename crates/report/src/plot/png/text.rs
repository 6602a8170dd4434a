//! Words, in DejaVu Sans.

use super::raster::{Pixels, Point};
use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};
use std::sync::LazyLock;

/// How words are written.
pub(super) struct Style<'a> {
    /// Pixels from line to line.
    pub size: f32,
    pub bold: bool,
    /// `start`, `middle` or `end`: which part of the words stands at the point.
    pub anchor: &'a str,
    /// Turned clockwise around the point.
    pub degrees: f32,
}

static REGULAR: LazyLock<FontRef<'static>> = LazyLock::new(|| font(dejavu::sans::regular()));
static BOLD: LazyLock<FontRef<'static>> = LazyLock::new(|| font(dejavu::sans::bold()));

fn font(file: &'static [u8]) -> FontRef<'static> {
    FontRef::try_from_slice(file).expect("the font is compiled in and has been read before")
}

/// Writes one line; `at` is on its baseline.
pub(super) fn write(
    pixels: &mut Pixels,
    at: Point,
    text: &str,
    style: &Style<'_>,
    colour: [u8; 3],
) -> Result<(), String> {
    let font = if style.bold { &*BOLD } else { &*REGULAR };
    // The font's own unit is its em; a scale here is the height of a line.
    let em = style.size * font.height_unscaled() / font.units_per_em().unwrap_or(2048.0);
    let scaled = font.as_scaled(PxScale::from(em));
    let mut glyphs: Vec<Glyph> = Vec::new();
    let mut x = 0.0;
    let mut last = None;
    for c in text.chars() {
        let id = scaled.glyph_id(c);
        x += last.map_or(0.0, |last| scaled.kern(last, id));
        glyphs.push(id.with_scale_and_position(em, point(x, 0.0)));
        x += scaled.h_advance(id);
        last = Some(id);
    }
    let shift = match style.anchor {
        "start" => 0.0,
        "middle" => -x / 2.0,
        "end" => -x,
        other => return Err(format!("anchor {other:?}")),
    };
    let (sin, cos) = style.degrees.to_radians().sin_cos();
    for glyph in glyphs {
        let Some(outline) = font.outline_glyph(glyph) else {
            continue;
        };
        let bounds = outline.px_bounds();
        outline.draw(|px, py, cover| {
            let x = bounds.min.x + px as f32 + 0.5 + shift;
            let y = bounds.min.y + py as f32 + 0.5;
            let centre = (at.0 + x * cos - y * sin, at.1 + x * sin + y * cos);
            place(pixels, centre, cover, colour);
        });
    }
    Ok(())
}

/// Lays a covered unit square with this centre over the four pixels that it touches.
fn place(pixels: &mut Pixels, centre: Point, cover: f32, colour: [u8; 3]) {
    let corner = [centre.0 - 0.5, centre.1 - 0.5];
    let [fx, fy] = corner.map(|v| v - v.floor());
    let [x, y] = corner.map(|v| v.floor() as isize);
    for (dx, dy, share) in [
        (0, 0, (1.0 - fx) * (1.0 - fy)),
        (1, 0, fx * (1.0 - fy)),
        (0, 1, (1.0 - fx) * fy),
        (1, 1, fx * fy),
    ] {
        pixels.blend(x + dx, y + dy, colour, cover * share);
    }
}
