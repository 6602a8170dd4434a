//! What the images are, before anything is learned from them.

use crate::alike::{self, Thumbnail};
use crate::card::{Candidate, DataCard};
use crate::data::{Data, Item, Refused};
use crate::error::{ProductError, Result};
use crate::threshold::least_promise;
use crate::units::{unit_counts, units};
use rayon::prelude::*;
use segad_core::{BoxError, FitContext, Image, Key, KeyHasher, Label};
use segad_imaging::ImagingError;
use segad_metrics::percent;
use std::collections::{BTreeMap, HashSet};

/// Fewer good images than this teach nothing worth keeping.
const LEAST_GOOD: usize = 10;
/// Fewer bad images than this cannot be held out.
const LEAST_BAD: usize = 2;

pub(crate) struct Survey {
    /// Unit of each image.
    pub units: Vec<usize>,
    /// Digest of each image's pixels.
    pub pixels: Vec<Key>,
    pub card: DataCard,
}

impl Survey {
    /// Reads every image once.
    pub(crate) fn new(data: &Data<'_>, ctx: &FitContext) -> Result<Self> {
        let good = data.good().len();
        let bad = data.items.len() - good;
        // Files that cannot be used may be why there are too few, and are then the better answer.
        if data.refused.is_empty() {
            enough(Label::Good, good, good, LEAST_GOOD)?;
            enough(Label::Bad, bad, bad, LEAST_BAD)?;
        }
        let task = ctx.progress.start("images", Some(data.items.len() as u64));
        let seen = data.items.par_iter().map(|item| look_at(data, item, ctx));
        let seen = all_usable(data, seen.collect())?;
        task.advance(data.items.len() as u64);
        let pixels: Vec<Key> = seen.iter().map(|s| s.key).collect();
        let labels = data.labels();
        // Names are better than looks: who names groups knows what belongs together.
        let pairs = if data.items.iter().all(|i| i.unit.is_none()) {
            let thumbnails: Vec<&Thumbnail> = seen.iter().map(|s| &s.thumbnail).collect();
            alike::pairs(&thumbnails, &labels)
        } else {
            Vec::new()
        };
        let units = units(&data.items, &pixels, &pairs)?;
        let [good_units, bad_units] = unit_counts(&labels, &units);
        enough(Label::Good, good, good_units, LEAST_GOOD)?;
        enough(Label::Bad, bad, bad_units, LEAST_BAD)?;
        let mut sizes: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for look in &seen {
            *sizes.entry(look.size).or_default() += 1;
        }
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for kind in data.items.iter().filter_map(Item::kind) {
            *kinds.entry(kind.to_owned()).or_default() += 1;
        }
        let mut digest = KeyHasher::new("product data", 1);
        for (item, pixels) in data.items.iter().zip(&pixels) {
            digest
                .field("sample", &item.sample)
                .field("unit", &item.unit)
                .field("pixels", pixels);
        }
        let card = DataCard {
            good,
            bad,
            kinds,
            units: units.iter().collect::<HashSet<_>>().len(),
            units_with: [good_units, bad_units],
            alike: grouped(&units).filter(|_| !pairs.is_empty()),
            repeated: pixels.len() - pixels.iter().collect::<HashSet<_>>().len(),
            sizes: sizes.into_iter().map(|((h, w), n)| (h, w, n)).collect(),
            folds: 0,
            digest: digest.finish(),
        };
        Ok(Self {
            units,
            pixels,
            card,
        })
    }
}

/// What one look at an image leaves.
struct Look {
    /// Digest of its pixels.
    key: Key,
    /// Height and width.
    size: (usize, usize),
    thumbnail: Thumbnail,
}

/// Images that share their group with others, and how many such groups there are.
fn grouped(units: &[usize]) -> Option<[usize; 2]> {
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    for &unit in units {
        *sizes.entry(unit).or_default() += 1;
    }
    let shared = sizes.values().filter(|n| **n > 1);
    let images = shared.clone().sum();
    (images > 0).then(|| [images, shared.count()])
}

/// Every image's, or all files that cannot be used.
fn all_usable(data: &Data<'_>, looks: Vec<Result<Look>>) -> Result<Vec<Look>> {
    let mut refused = data.refused.clone();
    let mut seen = Vec::with_capacity(looks.len());
    for look in looks {
        match look {
            Ok(look) => seen.push(look),
            Err(ProductError::Image { id, source }) => refused.push(Refused {
                path: id,
                reason: reason(source),
            }),
            Err(other) => return Err(other),
        }
    }
    if refused.is_empty() {
        return Ok(seen);
    }
    refused.sort_by(|a, b| a.path.cmp(&b.path));
    Err(ProductError::Refused {
        seen: data.items.len() + data.refused.len(),
        refused,
    })
}

/// What is wrong, without the file's name, which is said already.
fn reason(source: BoxError) -> String {
    match source.downcast::<ImagingError>() {
        Ok(error) => error.bare().to_string(),
        Err(other) => other.to_string(),
    }
}

fn look_at(data: &Data<'_>, item: &Item, ctx: &FitContext) -> Result<Look> {
    if ctx.cancel.is_cancelled() {
        return Err(ProductError::Cancelled);
    }
    let image = data.load(item)?;
    Ok(Look {
        key: pixel_digest(&image),
        size: (image.height(), image.width()),
        thumbnail: Thumbnail::new(&image)?,
    })
}

/// Digest of an image's size and pixels, whatever file they come from.
pub fn pixel_digest(image: &Image) -> Key {
    let mut hasher = KeyHasher::new("pixels", 1);
    hasher
        .field("height", &image.height())
        .field("width", &image.width())
        .field("rgb", &Key::of_bytes(image.rgb()));
    hasher.finish()
}

fn enough(label: Label, found: usize, units: usize, needed: usize) -> Result<()> {
    if found >= needed && units >= 2 {
        return Ok(());
    }
    let why = match label {
        Label::Good => "to learn what is good and to hold some of them out",
        Label::Bad => "one to learn from while another is held out",
    };
    Err(ProductError::TooFew {
        label,
        found,
        needed,
        units: 2,
        why,
    })
}

/// What the data lacks, in words.
pub(crate) fn lacks(
    survey: &Survey,
    candidates: &[Candidate],
    level: f64,
    data: &Data<'_>,
) -> Vec<String> {
    let card = &survey.card;
    let mut out = Vec::new();
    if let Some(chosen) = candidates.iter().find(|c| c.chosen && c.low <= 0.5) {
        out.push(format!(
            "Nothing separates good from bad with confidence: {} may be no better than chance \
             (AUROC {} to {} %).",
            chosen.name,
            percent(chosen.low),
            percent(chosen.high)
        ));
    }
    let [good, bad] = card.units_with;
    out.extend(promise(bad, "bad", "misses", 0.05, level));
    out.extend(promise(good, "good", "false alarms", 0.01, level));
    if data.items.iter().all(|i| i.unit.is_none()) {
        let text = "No groups are named. If several images show the same piece, name it (column \
                    group of a list); images that only look alike may not be all of them.";
        out.push(text.to_owned());
    }
    match card.kinds.len() {
        0 => out.push(
            "No kinds of defect are named (sub-folders of bad/, or column type of a list), so \
             there is no figure for unseen kinds."
                .to_owned(),
        ),
        1 => out.push(
            "Only one kind of defect is named, so there is no figure for unseen kinds.".to_owned(),
        ),
        _ => {}
    }
    for (kind, &n) in card.kinds.iter().filter(|(_, n)| **n < 5) {
        out.push(format!("Only {n} images of kind {kind:?}."));
    }
    if card.repeated > 0 {
        out.push(format!(
            "{} images repeat another one, pixel for pixel; they were kept together.",
            card.repeated
        ));
    }
    if let [first, .., last] = &card.sizes[..] {
        out.push(format!(
            "The images have {} sizes, from {}×{} to {}×{}; all are resized to one, whatever their \
             aspect ratio.",
            card.sizes.len(),
            first.1,
            first.0,
            last.1,
            last.0
        ));
    }
    out
}

/// What too few groups with an image of a label cannot guarantee.
fn promise(groups: usize, label: &str, what: &str, target: f64, level: f64) -> Option<String> {
    let least = least_promise(groups as u64, level);
    if least <= target {
        return None;
    }
    let needed = ((1.0 - level).ln() / (1.0f64 - target).ln()).ceil() as usize;
    Some(format!(
        "{groups} groups with {label} images can guarantee {} % {what} at best; {} % would take \
         {} more.",
        percent(least),
        100.0 * target,
        needed.saturating_sub(groups)
    ))
}
