use crate::blur::{Window, gaussian};
use crate::region::{Dice, Turned, window};
use crate::{DefectKind, DefectParams, DefectSettings, DefectsError};
use rand::Rng;
use segad_core::{Image, ImageId, LabelMap, Seed};
use serde::{Deserialize, Serialize};

/// Defects drawn in a row before the settings count as too weak.
const TRIES: usize = 20;
/// Attempts at a part of a segment, and at a shade with contrast.
const ATTEMPTS: usize = 10;
/// Grey levels by which a pixel must change to count as changed.
const VISIBLE: u8 = 2;

/// A damaged image.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The image.
    pub image: Image,
    /// Its pixels that differ from the good image by more than 2 grey levels in any channel,
    /// row-major.
    pub mask: Vec<bool>,
    /// What was done.
    pub record: Record,
}

/// What was done to an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The good image.
    pub image: ImageId,
    /// The run's seed.
    pub seed: u64,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Changed pixels.
    pub changed: usize,
    /// The defects in the order in which they were drawn.
    pub defects: Vec<Defect>,
}

/// One defect; lengths in pixels of the image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Defect {
    /// What it is.
    pub kind: DefectKind,
    /// The segment that it lies in.
    pub segment: String,
    /// Centre x, y; absent where a whole segment is blurred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub centre: Option<[f64; 2]>,
    /// Sides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<[f64; 2]>,
    /// How far it is turned, clockwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degrees: Option<f64>,
    /// Shade of a rectangle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grey: Option<u8>,
    /// Spread of a blur.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigma: Option<f64>,
}

impl Record {
    /// One line of JSON, without the line's end.
    ///
    /// # Errors
    /// Never in practice: all numbers are finite.
    pub fn json_line(&self) -> Result<String, DefectsError> {
        Ok(serde_json::to_string(self)?)
    }
}

/// Damages a good image. `map` has the image's size and the segments called `names`.
///
/// # Errors
/// [`DefectsError::Size`], [`DefectsError::UnknownSegment`], [`DefectsError::NoSegment`],
/// [`DefectsError::Unchanged`].
pub fn generate(
    image: &Image,
    map: &LabelMap,
    names: &[String],
    id: &ImageId,
    seed: Seed,
    params: &DefectParams,
) -> Result<Generated, DefectsError> {
    let settings = params.settings();
    let (height, width) = (image.height(), image.width());
    if (map.height(), map.width()) != (height, width) {
        return Err(DefectsError::Size {
            image: id.to_string(),
            actual: format!("{}×{}", map.height(), map.width()),
            expected: format!("{height}×{width}"),
        });
    }
    if let Some(name) = settings.exclude.iter().find(|n| !names.contains(n)) {
        return Err(DefectsError::UnknownSegment {
            name: name.clone(),
            known: names.to_vec(),
        });
    }
    let areas = map.areas();
    let allowed = |l: &usize| names.get(*l).is_none_or(|n| !settings.exclude.contains(n));
    let segments: Vec<usize> = (0..areas.len())
        .filter(|&l| areas[l] >= settings.least_segment.max(1))
        .filter(allowed)
        .collect();
    if segments.is_empty() {
        return Err(DefectsError::NoSegment {
            image: id.to_string(),
            least: settings.least_segment,
        });
    }
    let mut dice = Dice(seed.derive("defect").derive(id.as_str()).rng());
    let scale = width as f64 / 512.0;
    let least = settings.least_change * scale * scale;
    let count = settings.count[0] + dice.index(settings.count[1] - settings.count[0] + 1);
    let mut rgb = image.rgb().to_vec();
    let mut defects = Vec::new();
    for _ in 0..count {
        let mut done = false;
        for _ in 0..TRIES {
            let label = segments[dice.index(segments.len())];
            let own: Vec<usize> = (0..height * width)
                .filter(|&i| usize::from(map.labels()[i]) == label)
                .collect();
            let place = Place {
                settings,
                scale,
                height,
                width,
                own: &own,
            };
            let mut after = rgb.clone();
            let mut defect = place.draw(&mut dice, &mut after);
            if (changed(&rgb, &after).filter(|&c| c).count() as f64) < least.max(1.0) {
                continue;
            }
            defect.segment = names
                .get(label)
                .cloned()
                .unwrap_or_else(|| label.to_string());
            defects.push(defect);
            rgb = after;
            done = true;
            break;
        }
        if !done {
            return Err(DefectsError::Unchanged {
                image: id.to_string(),
                tries: TRIES,
                least,
            });
        }
    }
    let mask: Vec<bool> = changed(image.rgb(), &rgb).collect();
    let changed = mask.iter().filter(|&&m| m).count();
    let record = Record {
        image: id.clone(),
        seed: seed.0,
        height,
        width,
        changed,
        defects,
    };
    Ok(Generated {
        image: Image::from_rgb(height, width, rgb)?,
        mask,
        record,
    })
}

/// Which pixels changed visibly.
fn changed<'a>(before: &'a [u8], after: &'a [u8]) -> impl Iterator<Item = bool> + 'a {
    let pairs = before.chunks_exact(3).zip(after.chunks_exact(3));
    pairs.map(|(a, b)| a.iter().zip(b).any(|(x, y)| x.abs_diff(*y) > VISIBLE))
}

/// A segment of an image.
struct Place<'a> {
    settings: &'a DefectSettings,
    /// Image pixels per pixel of an image 512 wide.
    scale: f64,
    height: usize,
    width: usize,
    /// The segment's pixels.
    own: &'a [usize],
}

impl Place<'_> {
    /// Draws one defect into `rgb`.
    fn draw(&self, dice: &mut Dice<impl Rng>, rgb: &mut [u8]) -> Defect {
        let s = self.settings;
        let throw = dice.unit() * (s.blur + s.small + s.thin);
        if throw < s.blur {
            self.blur(dice, rgb)
        } else if throw < s.blur + s.small {
            let mut side = || dice.within(s.small_side) * self.scale;
            let mut size = [side(), side()];
            for _ in 0..100 {
                if size[0].min(size[1]) / size[0].max(size[1]) >= s.small_ratio {
                    break;
                }
                size = [side(), side()];
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

    /// Those of the pixels that lie in the segment, whose pixels are in order.
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
        let pixels = turned.pixels(self.height, self.width);
        let pixels = if self.settings.clip {
            self.inside(pixels)
        } else {
            pixels
        };
        let sum: f64 = pixels
            .iter()
            .flat_map(|&p| &rgb[3 * p..3 * p + 3])
            .map(|&v| f64::from(v))
            .sum();
        let local = sum / (3 * pixels.len()).max(1) as f64;
        let mut grey = dice.index(256) as u8;
        for _ in 0..ATTEMPTS {
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
            && let Some(Window {
                top,
                bottom,
                left,
                right,
            }) = window(self.own, self.width)
        {
            for _ in 0..ATTEMPTS {
                let size =
                    [right - left, bottom - top].map(|n| dice.within(s.blur_part) * n as f64);
                let turned = self.turned(dice, size);
                let inside = self.inside(turned.pixels(self.height, self.width));
                let enough = inside.len() as f64 >= 100.0 * self.scale * self.scale;
                (pixels, part) = (inside, Some(turned));
                if enough {
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
        let columns = around.right - around.left;
        let at = |p: usize| (p / self.width - around.top) * columns + p % self.width - around.left;
        let weights = if self.settings.feather > 0.0 {
            let mut mask = vec![0.0f32; self.height * self.width];
            pixels.iter().for_each(|&p| mask[p] = 1.0);
            Some(gaussian(
                &mask,
                (self.height, self.width, 1),
                around,
                self.settings.feather * self.scale,
            ))
        } else {
            None
        };
        for &p in pixels {
            let weight = weights.as_ref().map_or(1.0, |w| w[at(p)]);
            for c in 0..3 {
                let sharp = f32::from(rgb[3 * p + c]);
                let value = sharp + (blurred[3 * at(p) + c] - sharp) * weight;
                rgb[3 * p + c] = value.round().clamp(0.0, 255.0) as u8;
            }
        }
    }
}
