use super::{Draw, ProtocolSplit, draw_bad, joined};
use crate::numpy::RandomState;
use crate::{DatasetError, Entry, Index, ProtocolParams};
use segad_core::{ImageId, Label, TestSplit, TrainSplit};
use std::collections::HashMap;
use std::ops::RangeInclusive;

/// What the images of a block or unit are used for.
#[derive(Clone, Copy, PartialEq)]
enum Share {
    /// Good images train the detector, bad ones the forest.
    Detector,
    /// All images train the forest.
    Forest,
    /// Test.
    Test,
}

/// ELPV: neighbouring cells come from the same solar module, and modules differ more than defects
/// do, so cells are split into contiguous blocks of the numbered order, never one by one.
pub(super) fn elpv(
    draw: &Draw<'_>,
    bad_default: Option<usize>,
) -> Result<ProtocolSplit, DatasetError> {
    let p = draw.params;
    let (first, last) = elpv_cells(p).into_inner();
    let blocks = elpv_count(p);
    let detector = p.detector_blocks.unwrap_or(4);
    let forest = p.forest_blocks.unwrap_or(3);
    if first > last || blocks > last - first + 1 {
        return Err(draw.error(
            "blocks",
            format!("blocks = {blocks}: expected at most one per cell from {first} to {last}"),
        ));
    }
    if detector == 0 || forest == 0 || detector + forest >= blocks {
        let reason = format!(
            "detector_blocks = {detector}, forest_blocks = {forest}: expected at least 1 each and \
             less than {blocks} together, so that some are left for test"
        );
        return Err(draw.error("detector_blocks", reason));
    }
    // Other cells do not belong to this run of modules.
    let run: Vec<&Entry> = draw
        .index
        .entries()
        .iter()
        .filter(|e| (first..=last).contains(&e.order))
        .collect();
    if run.is_empty() {
        return Err(draw.error(
            "first",
            format!(
                "first = {first}, last = {last}: {} has no cell in this range",
                draw.index.class()
            ),
        ));
    }
    let shares = permuted_shares(draw, blocks, detector, forest)?;
    let cells = last - first + 1;
    assemble(draw, &run, p.train_bad.or(bad_default), |i| {
        shares[block_of(run[i].order - first, cells, blocks)]
    })
}

/// The blocks of [`elpv`] without its bad training cells: one is generated for each good cell of
/// the forest.
pub(super) fn elpv_one_class(draw: &Draw<'_>) -> Result<ProtocolSplit, DatasetError> {
    let mut split = elpv(draw, None)?;
    let good = split
        .forest
        .samples()
        .iter()
        .filter(|s| !s.label.is_bad())
        .cloned()
        .collect();
    split.forest = TrainSplit::new(good)?;
    split.forest_generated = split.forest.samples().len();
    // A classifier would need real bad images.
    split.classifier = None;
    draw.guard(split, 0)
}

/// One run of monocrystalline modules; `datasets/elpv.toml` says why this one.
pub(crate) const ELPV_RUN: RangeInclusive<usize> = 901..=1614;

/// The cells, by number, that the ELPV protocols use.
pub(super) fn elpv_cells(params: &ProtocolParams) -> RangeInclusive<usize> {
    let first = params.first.unwrap_or(*ELPV_RUN.start());
    first..=params.last.unwrap_or(*ELPV_RUN.end())
}

fn elpv_count(params: &ProtocolParams) -> usize {
    params.blocks.unwrap_or(12)
}

fn contiguous_count(params: &ProtocolParams, units: usize) -> usize {
    params.blocks.unwrap_or(20).min(units)
}

/// The block of each image that the ELPV protocols use.
pub(super) fn elpv_blocks(index: &Index, params: &ProtocolParams) -> HashMap<ImageId, usize> {
    let cells = elpv_cells(params);
    let first = *cells.start();
    let count = *cells.end() - first + 1;
    let run = index.entries().iter().filter(|e| cells.contains(&e.order));
    run.map(|e| {
        let block = block_of(e.order - first, count, elpv_count(params));
        (e.id.clone(), block)
    })
    .collect()
}

/// The block of each image under [`contiguous`].
pub(super) fn contiguous_blocks(index: &Index, params: &ProtocolParams) -> HashMap<ImageId, usize> {
    let all = ordered(index);
    let (unit_of, units) = units(&all);
    let blocks = contiguous_count(params, units);
    all.iter()
        .zip(unit_of)
        .map(|(e, unit)| (e.id.clone(), block_of(unit, units, blocks)))
        .collect()
}

/// Any data set: contiguous blocks of units in their order.
pub(super) fn contiguous(draw: &Draw<'_>) -> Result<ProtocolSplit, DatasetError> {
    let all = ordered(draw.index);
    let (unit_of, units) = units(&all);
    let blocks = contiguous_count(draw.params, units);
    let (detector, forest) = counts(draw, blocks)?;
    let shares = permuted_shares(draw, blocks, detector, forest)?;
    assemble(draw, &all, draw.params.train_bad, |i| {
        shares[block_of(unit_of[i], units, blocks)]
    })
}

/// Any data set: unit by unit, drawn separately among units with and without a bad image, so that
/// every part gets its share of both. This reads all labels, including those of later test images,
/// but only to count them; nothing is fitted.
pub(super) fn random(draw: &Draw<'_>) -> Result<ProtocolSplit, DatasetError> {
    let all = ordered(draw.index);
    let (unit_of, units) = units(&all);
    let mut has_bad = vec![false; units];
    for (entry, &unit) in all.iter().zip(&unit_of) {
        has_bad[unit] |= entry.label.is_bad();
    }
    let mut shares = vec![Share::Test; units];
    // Drawn separately, so that no part is left without bad images by chance.
    for stratum in [false, true] {
        let members: Vec<usize> = (0..units).filter(|&u| has_bad[u] == stratum).collect();
        if members.is_empty() {
            continue;
        }
        let (detector, forest) = counts(draw, members.len())?;
        let drawn = permuted_shares(draw, members.len(), detector, forest)?;
        for (unit, share) in members.into_iter().zip(drawn) {
            shares[unit] = share;
        }
    }
    assemble(draw, &all, draw.params.train_bad, |i| shares[unit_of[i]])
}

/// Block b of `blocks` holds the positions from ⌊b·n/blocks⌋ up to ⌊(b+1)·n/blocks⌋ exclusive.
fn block_of(position: usize, n: usize, blocks: usize) -> usize {
    // The largest b with ⌊b·n/blocks⌋ ≤ position, without rounding errors.
    ((position + 1) * blocks - 1) / n
}

fn ordered(index: &Index) -> Vec<&Entry> {
    let mut all: Vec<&Entry> = index.entries().iter().collect();
    all.sort_by_key(|e| e.order);
    all
}

/// The unit of each entry, numbered by first appearance, and the number of units.
fn units(entries: &[&Entry]) -> (Vec<usize>, usize) {
    let mut numbers = HashMap::new();
    let mut count = 0;
    let mut unit_of = Vec::with_capacity(entries.len());
    for entry in entries {
        // An image without a unit is one of its own.
        let number = match &entry.unit {
            Some(unit) => *numbers.entry(unit.as_str()).or_insert(count),
            None => count,
        };
        count = count.max(number + 1);
        unit_of.push(number);
    }
    (unit_of, count)
}

/// How many of `n` blocks or units go to the detector and to the forest, rounded to the nearest.
fn counts(draw: &Draw<'_>, n: usize) -> Result<(usize, usize), DatasetError> {
    let detector = draw.params.detector_fraction.unwrap_or(0.4);
    let forest = draw.params.forest_fraction.unwrap_or(0.3);
    for (name, share) in [("detector_fraction", detector), ("forest_fraction", forest)] {
        if !(share > 0.0 && share < 1.0) {
            let reason = format!("{name} = {share}: expected a number between 0 and 1");
            return Err(draw.error(name, reason));
        }
    }
    if detector + forest >= 1.0 {
        let reason = format!(
            "detector_fraction = {detector}, forest_fraction = {forest}: expected less than 1 \
             together, so that something is left for test"
        );
        return Err(draw.error("forest_fraction", reason));
    }
    let for_detector = (detector * n as f64).round() as usize;
    // Rounding the sum keeps the rest for the test split closest to its share.
    let for_both = ((detector + forest) * n as f64).round() as usize;
    Ok((for_detector, for_both.min(n).saturating_sub(for_detector)))
}

/// A share for each of `n` blocks: the first of a permutation go to the detector, the next to the
/// forest.
fn permuted_shares(
    draw: &Draw<'_>,
    n: usize,
    detector: usize,
    forest: usize,
) -> Result<Vec<Share>, DatasetError> {
    let mut shares = vec![Share::Test; n];
    for (rank, block) in RandomState::from_seed(draw.seed)?
        .permutation(n)
        .into_iter()
        .enumerate()
    {
        // Ranks, not blocks: the permutation decides which block gets which share.
        if rank < detector {
            shares[block] = Share::Detector;
        } else if rank < detector + forest {
            shares[block] = Share::Forest;
        }
    }
    Ok(shares)
}

/// Gathers the parts; images that are set aside appear in the test split only.
fn assemble(
    draw: &Draw<'_>,
    entries: &[&Entry],
    train_bad: Option<usize>,
    share: impl Fn(usize) -> Share,
) -> Result<ProtocolSplit, DatasetError> {
    let mut detector = Vec::new();
    let mut good = Vec::new();
    let mut bad = Vec::new();
    let mut test = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        match (share(i), entry.label) {
            (Share::Test, _) => test.push(entry.sample()),
            _ if draw.index.is_set_aside(entry) => {}
            (Share::Detector, Label::Good) => detector.push(entry.sample()),
            (Share::Forest, Label::Good) => good.push(entry.sample()),
            // The detector learns from good images only, so the bad ones of its blocks are free.
            (Share::Detector | Share::Forest, Label::Bad) => bad.push(entry.sample()),
        }
    }
    let bad = draw_bad(draw, bad, train_bad)?;
    draw.need("detector", Label::Good, 1, detector.len())?;
    let split = ProtocolSplit {
        classifier: Some(TrainSplit::new(
            [detector.as_slice(), &good, &bad].concat(),
        )?),
        detector: TrainSplit::new(detector)?,
        holdout: None,
        forest: joined(&good, &bad)?,
        forest_generated: 0,
        headline_groups: draw.headline(&test),
        test: TestSplit::new(test)?,
        detector_seed: draw.seed,
    };
    draw.guard(split, 1)
}
