use crate::place::Place;
use crate::region::Dice;
use crate::{DefectKind, DefectParams, DefectSettings, DefectsError};
use rand::Rng;
use segad_core::{Image, ImageId, LabelMap, Seed};
use serde::{Deserialize, Serialize};

/// Defects drawn in a row before the settings count as too weak.
const TRIES: usize = 20;
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
    /// The segment that it is in.
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
    let segments = allowed_segments(image, map, names, id, settings)?;
    // From the image's own id, so that an image gets the same defect in any selection.
    let mut dice = Dice(seed.derive("defect").derive(id.as_str()).rng());
    let count = settings.count[0] + dice.index(settings.count[1] - settings.count[0] + 1);
    let mut rgb = image.rgb().to_vec();
    let mut defects = Vec::new();
    for _ in 0..count {
        let (mut defect, label, after) = draw_visible(&rgb, map, &segments, &mut dice, settings)
            .ok_or_else(|| DefectsError::Unchanged {
                image: id.to_string(),
                tries: TRIES,
                least: least_change(map, settings),
            })?;
        defect.segment = match names.get(label) {
            Some(name) => name.clone(),
            None => label.to_string(),
        };
        defects.push(defect);
        rgb = after;
    }
    // Against the original: of two defects, the second may undo part of the first.
    let mask: Vec<bool> = changed(image.rgb(), &rgb).collect();
    let changed = mask.iter().filter(|&&m| m).count();
    Ok(Generated {
        image: Image::from_rgb(image.height(), image.width(), rgb)?,
        mask,
        record: Record {
            image: id.clone(),
            seed: seed.0,
            height: image.height(),
            width: image.width(),
            changed,
            defects,
        },
    })
}

/// Labels of the segments that may be damaged.
fn allowed_segments(
    image: &Image,
    map: &LabelMap,
    names: &[String],
    id: &ImageId,
    settings: &DefectSettings,
) -> Result<Vec<usize>, DefectsError> {
    if (map.height(), map.width()) != (image.height(), image.width()) {
        return Err(DefectsError::Size {
            image: id.to_string(),
            actual: format!("{}×{}", map.height(), map.width()),
            expected: format!("{}×{}", image.height(), image.width()),
        });
    }
    if let Some(name) = settings.exclude.iter().find(|n| !names.contains(n)) {
        return Err(DefectsError::UnknownSegment {
            name: name.clone(),
            known: names.to_vec(),
        });
    }
    let areas = map.areas().into_iter().enumerate();
    let segments: Vec<usize> = areas
        // A defect in a handful of pixels would be learned as one, and seen by nobody.
        .filter(|&(_, area)| area >= settings.least_segment.max(1))
        .map(|(label, _)| label)
        .filter(|&label| {
            !names
                .get(label)
                .is_some_and(|n| settings.exclude.contains(n))
        })
        .collect();
    if segments.is_empty() {
        return Err(DefectsError::NoSegment {
            image: id.to_string(),
            least: settings.least_segment,
        });
    }
    Ok(segments)
}

/// Draws until a defect shows: the defect, the label of its segment, and the damaged image. `None`
/// after too many that do not.
fn draw_visible(
    rgb: &[u8],
    map: &LabelMap,
    segments: &[usize],
    dice: &mut Dice<impl Rng>,
    settings: &DefectSettings,
) -> Option<(Defect, usize, Vec<u8>)> {
    for _ in 0..TRIES {
        let label = segments[dice.index(segments.len())];
        let own: Vec<usize> = (0..map.labels().len())
            .filter(|&i| usize::from(map.labels()[i]) == label)
            .collect();
        let place = Place {
            settings,
            scale: scale(map),
            height: map.height(),
            width: map.width(),
            own: &own,
        };
        // A defect that does not show leaves no trace, but the dice do not roll back: what comes
        // next depends on it.
        let mut after = rgb.to_vec();
        let defect = place.draw(dice, &mut after);
        let count = changed(rgb, &after).filter(|&c| c).count();
        if count as f64 >= least_change(map, settings).max(1.0) {
            return Some((defect, label, after));
        }
    }
    None
}

/// Image pixels per pixel of an image 512 wide.
fn scale(map: &LabelMap) -> f64 {
    // Sizes are stated for images of 512 pixels; others keep the same share.
    map.width() as f64 / 512.0
}

/// How many pixels of the image must change.
fn least_change(map: &LabelMap, settings: &DefectSettings) -> f64 {
    settings.least_change * scale(map) * scale(map)
}

/// Which pixels changed visibly.
fn changed<'a>(before: &'a [u8], after: &'a [u8]) -> impl Iterator<Item = bool> + 'a {
    let pairs = before.chunks_exact(3).zip(after.chunks_exact(3));
    pairs.map(|(a, b)| a.iter().zip(b).any(|(x, y)| x.abs_diff(*y) > VISIBLE))
}
