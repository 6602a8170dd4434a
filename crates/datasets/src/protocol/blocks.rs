use super::{Draw, ProtocolSplit, draw_bad, joined, samples};
use crate::numpy::RandomState;
use crate::{DatasetError, Entry, Index, ProtocolParams};
use segad_core::{ImageId, Label, Sample, TestSplit, TrainSplit};
use std::collections::HashMap;
use std::ops::RangeInclusive;

/// What becomes of a block or unit.
#[derive(Clone, Copy, PartialEq)]
enum Share {
    /// Its good images train the detector, its bad ones the forest.
    Detector,
    /// All its images train the forest.
    Forest,
    /// Test.
    Test,
}

/// ELPV: neighbouring cells come from the same solar module, and modules differ more than defects
/// do, so cells are split in contiguous blocks of the numbered order, never one by one.
pub(super) fn elpv(
    draw: &Draw<'_>,
    bad_default: Option<usize>,
) -> Result<ProtocolSplit, DatasetError> {
    let p = draw.params;
    let (first, last) = elpv_cells(p).into_inner();
    let blocks = elpv_count(p);
    let (detector, forest) = (p.detector_blocks.unwrap_or(4), p.forest_blocks.unwrap_or(3));
    if first > last || blocks > last - first + 1 {
        return Err(draw.error(
            "blocks",
            format!("{blocks} blocks do not fit into the cells {first}–{last}"),
        ));
    }
    if detector == 0 || forest == 0 || detector + forest >= blocks {
        let reason = format!(
            "{detector} for the detector and {forest} for the forest must leave some of {blocks} for test"
        );
        return Err(draw.error("detector_blocks", reason));
    }
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
                "{} has no cell between {first} and {last}",
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
    split.classifier = None;
    draw.guard(split, 0)
}

/// The cells, by number, that the ELPV protocols use: one run of monocrystalline modules by
/// default.
pub(super) fn elpv_cells(params: &ProtocolParams) -> RangeInclusive<usize> {
    params.first.unwrap_or(901)..=params.last.unwrap_or(1614)
}

fn elpv_count(params: &ProtocolParams) -> usize {
    params.blocks.unwrap_or(12)
}

fn contiguous_count(params: &ProtocolParams, units: usize) -> usize {
    params.blocks.unwrap_or(20).min(units)
}

/// The block of each image that the ELPV protocols use.
pub(super) fn elpv_blocks(index: &Index, params: &ProtocolParams) -> HashMap<ImageId, usize> {
    let (cells, blocks) = (elpv_cells(params), elpv_count(params));
    let (first, last) = (*cells.start(), *cells.end());
    let run = index.entries().iter().filter(|e| cells.contains(&e.order));
    run.map(|e| {
        (
            e.id.clone(),
            block_of(e.order - first, last - first + 1, blocks),
        )
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

/// Any data set: unit by unit, those with a bad image and those without drawn apart so that every
/// part gets its share of both. This reads all labels, those of later test images too, but only to
/// count; nothing is fitted.
pub(super) fn random(draw: &Draw<'_>) -> Result<ProtocolSplit, DatasetError> {
    let all = ordered(draw.index);
    let (unit_of, units) = units(&all);
    let mut has_bad = vec![false; units];
    all.iter()
        .zip(&unit_of)
        .filter(|(e, _)| e.label.is_bad())
        .for_each(|(_, &u)| has_bad[u] = true);
    let mut shares = vec![Share::Test; units];
    for stratum in [false, true] {
        let members: Vec<usize> = (0..units).filter(|&u| has_bad[u] == stratum).collect();
        if members.is_empty() {
            continue;
        }
        let (detector, forest) = counts(draw, members.len())?;
        for (unit, share) in
            members
                .iter()
                .zip(permuted_shares(draw, members.len(), detector, forest)?)
        {
            shares[*unit] = share;
        }
    }
    assemble(draw, &all, draw.params.train_bad, |i| shares[unit_of[i]])
}

/// Block b of `blocks` holds the positions from ⌊b·n/blocks⌋ up to ⌊(b+1)·n/blocks⌋ exclusive.
fn block_of(position: usize, n: usize, blocks: usize) -> usize {
    ((position + 1) * blocks - 1) / n
}

fn ordered(index: &Index) -> Vec<&Entry> {
    let mut all: Vec<&Entry> = index.entries().iter().collect();
    all.sort_by_key(|e| e.order);
    all
}

/// The unit of each entry, numbered by first appearance, and the number of units.
fn units(entries: &[&Entry]) -> (Vec<usize>, usize) {
    let mut named = HashMap::new();
    let mut next = 0;
    let mut fresh = || {
        next += 1;
        next - 1
    };
    let unit_of = entries
        .iter()
        .map(|e| match &e.unit {
            Some(unit) => *named.entry(unit.as_str()).or_insert_with(&mut fresh),
            None => fresh(),
        })
        .collect();
    (unit_of, next)
}

/// How many of `n` blocks or units go to the detector and to the forest, rounded to the nearest.
fn counts(draw: &Draw<'_>, n: usize) -> Result<(usize, usize), DatasetError> {
    let detector = draw.params.detector_fraction.unwrap_or(0.4);
    let forest = draw.params.forest_fraction.unwrap_or(0.3);
    for (name, share) in [("detector_fraction", detector), ("forest_fraction", forest)] {
        if !(share > 0.0 && share < 1.0) {
            return Err(draw.error(name, format!("{share} must lie between 0 and 1")));
        }
    }
    if detector + forest >= 1.0 {
        let reason = format!(
            "with detector_fraction {detector} and forest_fraction {forest} nothing is left for test"
        );
        return Err(draw.error("forest_fraction", reason));
    }
    let count = |share: f64| (share * n as f64).round() as usize;
    Ok((
        count(detector),
        count(detector + forest)
            .min(n)
            .saturating_sub(count(detector)),
    ))
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
    let trains = |wanted: &[Share], label: Label| -> Vec<Sample> {
        let chosen = entries.iter().enumerate().filter(|(i, e)| {
            e.label == label && wanted.contains(&share(*i)) && !draw.index.is_set_aside(e)
        });
        chosen.map(|(_, e)| e.sample()).collect()
    };
    let detector = trains(&[Share::Detector], Label::Good);
    let good = trains(&[Share::Forest], Label::Good);
    let bad = draw_bad(
        draw,
        trains(&[Share::Detector, Share::Forest], Label::Bad),
        train_bad,
    )?;
    let test: Vec<&Entry> = entries
        .iter()
        .enumerate()
        .filter(|(i, _)| share(*i) == Share::Test)
        .map(|(_, e)| *e)
        .collect();
    let test = samples(&test);
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
