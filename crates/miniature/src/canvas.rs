//! Pixels: textured shapes on a background. Sines come from `libm`, so that they are the same on
//! every machine.

/// Red, green, blue from 0 to 255.
pub(crate) type Colour = [f32; 3];

/// An area of the unit square; x to the right, y down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figure {
    outline: Outline,
    /// Centre.
    x: f32,
    y: f32,
    /// Half axes, or half sides.
    rx: f32,
    ry: f32,
    /// Of a rectangle, in radians.
    angle: f32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outline {
    Everything,
    Ellipse,
    Rectangle,
}

impl Figure {
    /// All of the square.
    pub(crate) const EVERYTHING: Self = Self::new(Outline::Everything, [0.5; 4], 0.0);

    const fn new(outline: Outline, [x, y, rx, ry]: [f32; 4], angle: f32) -> Self {
        Self {
            outline,
            x,
            y,
            rx,
            ry,
            angle,
        }
    }

    /// An ellipse of this centre and these half axes.
    pub(crate) const fn ellipse(x: f32, y: f32, rx: f32, ry: f32) -> Self {
        Self::new(Outline::Ellipse, [x, y, rx, ry], 0.0)
    }

    /// A rectangle of this centre and these half sides, turned by an angle in radians.
    pub(crate) const fn rectangle(x: f32, y: f32, rx: f32, ry: f32, angle: f32) -> Self {
        Self::new(Outline::Rectangle, [x, y, rx, ry], angle)
    }

    pub(crate) fn contains(&self, px: f32, py: f32) -> bool {
        let dx = px - self.x;
        let dy = py - self.y;
        match self.outline {
            Outline::Everything => true,
            Outline::Ellipse => {
                let dx = dx / self.rx;
                let dy = dy / self.ry;
                dx * dx + dy * dy <= 1.0
            }
            Outline::Rectangle => {
                let (sin, cos) = libm::sincosf(self.angle);
                // Rotated back, so that the sides lie along the axes.
                (dx * cos + dy * sin).abs() <= self.rx && (dy * cos - dx * sin).abs() <= self.ry
            }
        }
    }

    /// The same shape elsewhere.
    pub(crate) fn moved(self, dx: f32, dy: f32) -> Self {
        Self {
            x: self.x + dx,
            y: self.y + dy,
            ..self
        }
    }
}

/// The texture on top of a shape's colour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pattern {
    Plain,
    /// This many waves across the image, in this direction.
    Stripes {
        waves: f32,
        angle: f32,
    },
    /// A chequerboard with this many fields across the image.
    Fields {
        fields: f32,
    },
}

impl Pattern {
    /// From −1 to 1.
    fn at(self, x: f32, y: f32) -> f32 {
        match self {
            Self::Plain => 0.0,
            Self::Stripes { waves, angle } => {
                let (sin, cos) = libm::sincosf(angle);
                libm::sinf(std::f32::consts::TAU * waves * (x * cos + y * sin))
            }
            Self::Fields { fields } => {
                let field = (x * fields).floor() as i64 + (y * fields).floor() as i64;
                if field.rem_euclid(2) == 0 { 1.0 } else { -1.0 }
            }
        }
    }
}

/// A shape and its appearance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Item {
    pub shape: Figure,
    pub colour: Colour,
    pub pattern: Pattern,
    /// Amplitude of the pattern and of the grain, in grey levels.
    pub contrast: f32,
}

/// How one picture of a scene differs from another.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct View {
    /// Of the whole scene, in units of the image's side.
    pub shift: (f32, f32),
    /// Added to every channel.
    pub brightness: f32,
    /// Of the noise.
    pub noise: u32,
}

/// Paints items in order; returns interleaved RGB, row-major.
pub(crate) fn paint(items: &[Item], view: View, height: usize, width: usize) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(height * width * 3);
    for row in 0..height {
        for column in 0..width {
            let x = (column as f32 + 0.5) / width as f32 - view.shift.0;
            let y = (row as f32 + 0.5) / height as f32 - view.shift.1;
            // The last item painted hides the ones below.
            let Some(item) = items.iter().rev().find(|i| i.shape.contains(x, y)) else {
                rgb.extend([0; 3]);
                continue;
            };
            // Grain of one pixel, and blotches of five, as real surfaces have.
            let fine = noise(view.noise, column as u32, row as u32);
            let coarse = noise(view.noise ^ 0x5bd1, column as u32 / 5, row as u32 / 5);
            let grain = item.contrast * (item.pattern.at(x, y) + 0.5 * coarse) + 6.0 * fine;
            rgb.extend(
                item.colour
                    .map(|c| (c + grain + view.brightness).round().clamp(0.0, 255.0) as u8),
            );
        }
    }
    rgb
}

/// True for the pixels in which two RGB pictures differ by more than two grey levels in any
/// channel.
pub(crate) fn changed(a: &[u8], b: &[u8]) -> Vec<bool> {
    a.chunks_exact(3)
        .zip(b.chunks_exact(3))
        .map(|(p, q)| p.iter().zip(q).any(|(v, w)| v.abs_diff(*w) > 2))
        .collect()
}

/// From −1 to 1, by position.
fn noise(seed: u32, x: u32, y: u32) -> f32 {
    // A hash instead of a generator, so that a pixel does not depend on the others.
    let mut h = seed
        .wrapping_add(x.wrapping_mul(0x9e37_79b1))
        .wrapping_add(y.wrapping_mul(0x85eb_ca77));
    h = (h ^ (h >> 16)).wrapping_mul(0x7feb_352d);
    h = (h ^ (h >> 15)).wrapping_mul(0x846c_a68b);
    h ^= h >> 16;
    h as f32 / u32::MAX as f32 * 2.0 - 1.0
}
