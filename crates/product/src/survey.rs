//! What the images are, before anything is learned from them.

use crate::card::{Candidate, DataCard};
use crate::data::{Data, Item};
use crate::error::{ProductError, Result};
use crate::threshold::least_promise;
use crate::units::{unit_counts, units};
use rayon::prelude::*;
use segad_core::{FitContext, Key, KeyHasher, Label};
use std::collections::{BTreeMap, HashSet};

/// Fewer good images than this teach nothing worth keeping.
const LEAST_GOOD: usize = 10;
/// Fewer bad images than this cannot be held out.
const LEAST_BAD: usize = 2;

pub(crate) struct Survey {
    /// Unit of each image.
    pub units: Vec<usize>,
    pub card: DataCard,
}

impl Survey {
    /// Reads every image once.
    pub(crate) fn new(data: &Data<'_>, ctx: &FitContext) -> Result<Self> {
        let count = |label: Label| {
            data.items
                .iter()
                .filter(|i| i.sample.label == label)
                .count()
        };
        let (good, bad) = (count(Label::Good), count(Label::Bad));
        enough(Label::Good, good, good, LEAST_GOOD)?;
        enough(Label::Bad, bad, bad, LEAST_BAD)?;
        let task = ctx.progress.start("images", Some(data.items.len() as u64));
        let read = |item: &Item| -> Result<(Key, usize, usize)> {
            if ctx.cancel.is_cancelled() {
                return Err(ProductError::Cancelled);
            }
            let image = data.load(item)?;
            let mut hasher = KeyHasher::new("pixels", 1);
            hasher
                .field("height", &image.height())
                .field("width", &image.width());
            Ok((
                hasher.field("rgb", &Key::of_bytes(image.rgb())).finish(),
                image.height(),
                image.width(),
            ))
        };
        let seen = data
            .items
            .par_iter()
            .map(read)
            .collect::<Result<Vec<_>>>()?;
        task.advance(data.items.len() as u64);
        let pixels: Vec<Key> = seen.iter().map(|s| s.0).collect();
        let units = units(&data.items, &pixels)?;
        let (good_units, bad_units) = unit_counts(&data.items, &units);
        enough(Label::Good, good, good_units, LEAST_GOOD)?;
        enough(Label::Bad, bad, bad_units, LEAST_BAD)?;
        let mut sizes: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        seen.iter()
            .for_each(|&(_, h, w)| *sizes.entry((h, w)).or_default() += 1);
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        data.items
            .iter()
            .filter_map(Item::kind)
            .for_each(|k| *kinds.entry(k.to_owned()).or_default() += 1);
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
            repeated: pixels.len() - pixels.iter().collect::<HashSet<_>>().len(),
            sizes: sizes.into_iter().map(|((h, w), n)| (h, w, n)).collect(),
            folds: 0,
            digest: digest.finish(),
        };
        Ok(Self { units, card })
    }
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
    let d = &survey.card;
    let percent = |v: f64| format!("{:.1}", 100.0 * v);
    let mut out = Vec::new();
    if let Some(chosen) = candidates.iter().find(|c| c.chosen && c.low <= 0.5) {
        out.push(format!(
            "Nothing tells good from bad with confidence: {} may be no better than a coin (AUROC {} to {}).",
            chosen.name,
            percent(chosen.low),
            percent(chosen.high)
        ));
    }
    for (what, n, label, target) in [
        ("misses", d.bad, "bad", 0.05),
        ("false alarms", d.good, "good", 0.01),
    ] {
        let least = least_promise(n as u64, level);
        if least > target {
            let needed = ((1.0 - level).ln() / (1.0f64 - target).ln()).ceil() as usize;
            out.push(format!(
                "{n} {label} images can guarantee {} % {what} at best; {} % would take {} more.",
                percent(least),
                100.0 * target,
                needed.saturating_sub(n)
            ));
        }
    }
    if data.items.iter().all(|i| i.unit.is_none()) {
        out.push(
            "No groups are named. If several images show the same piece, name it (column group of a list): otherwise \
             the figures above are too good."
                .to_owned(),
        );
    }
    if d.kinds.is_empty() {
        out.push(
            "No kinds of defect are named (sub-folders of bad/, or column type of a list): how unseen kinds fare is not \
             known."
                .to_owned(),
        );
    } else if d.kinds.len() == 1 {
        out.push(
            "Only one kind of defect is named: how unseen kinds fare is not known.".to_owned(),
        );
    }
    for (kind, &n) in d.kinds.iter().filter(|(_, n)| **n < 5) {
        out.push(format!("Only {n} images of kind {kind:?}."));
    }
    if d.repeated > 0 {
        out.push(format!(
            "{} pictures repeat another one, pixel for pixel; they were kept together.",
            d.repeated
        ));
    }
    if d.sizes.len() > 1 {
        let (first, last) = (d.sizes[0], d.sizes[d.sizes.len() - 1]);
        out.push(format!(
            "The images have {} sizes, from {}×{} to {}×{}; all are brought to one, whatever their aspect.",
            d.sizes.len(),
            first.1,
            first.0,
            last.1,
            last.0
        ));
    }
    out
}
