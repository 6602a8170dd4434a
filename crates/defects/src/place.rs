//! Drawing a defect into one segment of an image.

use crate::blur::gaussian;
use crate::region::{Dice, Turned, window};
use crate::{Defect, DefectKind, DefectSettings};
use rand::Rng;

/// Attempts at a part of a segment, and at a shade with contrast.
const ATTEMPTS: usize = 10;

/// A segment of an image.
pub(crate) struct Place<'a> {
    pub settings: &'a DefectSettings,
    /// Image pixels per pixel of an image 512 wide.
    pub scale: f64,
    pub height: usize,
    pub width: usize,
    /// The segment's pixels.
    pub own: &'a [usize],
}

impl Place<'_> {
    /// Draws one defect into `rgb`.
    pub(crate) fn draw(&self, dice: &mut Dice<impl Rng>, rgb: &mut [u8]) -> Defect {
        let s = self.settings;
        let throw = dice.unit() * (s.blur + s.small + s.thin);
        if throw < s.blur {
            self.blur(dice, rgb)
        } else if throw < s.blur + s.small {
            let mut size = self.small_size(dice);
            // A ratio near 1 may be out of reach of the range of sides; then the last one counts.
            for _ in 0..100 {
                if size[0].min(size[1]) / size[0].max(size[1]) >= s.small_ratio {
                    break;
                }
                size = self.small_size(dice);
            }
            self.rectangle(dice, rgb, DefectKind::Small, size)
        } else {
            let size = [
                dice.within(s.thin_width) * self.scale,
                dice.within(s.thin_length) * self.scale,
            ];
            self.rectangle(dice, rgb, DefectKind::Thin, size)
        }
    }

    fn small_size(&self, dice: &mut Dice<impl Rng>) -> [f64; 2] {
        [
            dice.within(self.settings.small_side) * self.scale,
            dice.within(self.settings.small_side) * self.scale,
        ]
    }

    /// A rectangle of this size about a pixel of the segment.
    fn turned(&self, dice: &mut Dice<impl Rng>, size: [f64; 2]) -> Turned {
        let pixel = self.own[dice.index(self.own.len())];
        let centre = [
            (pixel % self.width) as f64 + 0.5,
            (pixel / self.width) as f64 + 0.5,
        ];
        Turned {
            centre,
            size,
            degrees: dice.within([0.0, 180.0]),
        }
    }

    /// Those of the pixels that belong to the segment, whose pixels are in ascending order.
    fn inside(&self, pixels: Vec<usize>) -> Vec<usize> {
        pixels
            .into_iter()
            .filter(|p| self.own.binary_search(p).is_ok())
            .collect()
    }

    fn rectangle(
        &self,
        dice: &mut Dice<impl Rng>,
        rgb: &mut [u8],
        kind: DefectKind,
        size: [f64; 2],
    ) -> Defect {
        let turned = self.turned(dice, size);
        let mut pixels = turned.pixels(self.height, self.width);
        if self.settings.clip {
            pixels = self.inside(pixels);
        }
        let sum: f64 = pixels
            .iter()
            .flat_map(|&p| &rgb[3 * p..3 * p + 3])
            .map(|&v| f64::from(v))
            .sum();
        let local = sum / (3 * pixels.len()).max(1) as f64;
        let mut grey = dice.index(256) as u8;
        for _ in 0..ATTEMPTS {
            // Bounded: on mid-grey, few greys may be far enough away, and the last one then counts.
            if (f64::from(grey) - local).abs() >= self.settings.min_contrast {
                break;
            }
            grey = dice.index(256) as u8;
        }
        pixels
            .iter()
            .for_each(|&p| rgb[3 * p..3 * p + 3].fill(grey));
        Defect {
            kind,
            segment: String::new(),
            centre: Some(turned.centre),
            size: Some(size),
            degrees: Some(turned.degrees),
            grey: Some(grey),
            sigma: None,
        }
    }

    fn blur(&self, dice: &mut Dice<impl Rng>, rgb: &mut [u8]) -> Defect {
        let s = self.settings;
        let sigma = dice.within(s.blur_sigma) * self.scale;
        let mut part = None;
        let mut pixels = self.own.to_vec();
        if dice.unit() >= s.blur_whole
            && let Some(bounds) = window(self.own, self.width)
        {
            let sides = [bounds.right - bounds.left, bounds.bottom - bounds.top];
            for _ in 0..ATTEMPTS {
                let size = sides.map(|n| dice.within(s.blur_part) * n as f64);
                let turned = self.turned(dice, size);
                pixels = self.inside(turned.pixels(self.height, self.width));
                part = Some(turned);
                // In a thin or ragged segment the rectangle may miss most of it.
                if pixels.len() as f64 >= 100.0 * self.scale * self.scale {
                    break;
                }
            }
        }
        self.soften(&pixels, sigma, rgb);
        Defect {
            kind: DefectKind::Blur,
            segment: String::new(),
            centre: part.map(|t| t.centre),
            size: part.map(|t| t.size),
            degrees: part.map(|t| t.degrees),
            grey: None,
            sigma: Some(sigma),
        }
    }

    /// Replaces these pixels by those of the blurred image.
    fn soften(&self, pixels: &[usize], sigma: f64, rgb: &mut [u8]) {
        let Some(around) = window(pixels, self.width) else {
            return;
        };
        let values: Vec<f32> = rgb.iter().map(|&v| f32::from(v)).collect();
        let blurred = gaussian(&values, (self.height, self.width, 3), around, sigma);
        // The blurred mask fades the edge of a blur in, so that no line shows where it begins.
        let weights = (self.settings.feather > 0.0).then(|| {
            let mut mask = vec![0.0f32; self.height * self.width];
            pixels.iter().for_each(|&p| mask[p] = 1.0);
            let feather = self.settings.feather * self.scale;
            gaussian(&mask, (self.height, self.width, 1), around, feather)
        });
        let columns = around.right - around.left;
        for &p in pixels {
            let within = (p / self.width - around.top) * columns + p % self.width - around.left;
            let weight = weights.as_ref().map_or(1.0, |w| w[within]);
            for c in 0..3 {
                let sharp = f32::from(rgb[3 * p + c]);
                let value = sharp + (blurred[3 * within + c] - sharp) * weight;
                rgb[3 * p + c] = value.round().clamp(0.0, 255.0) as u8;
            }
        }
    }
}
