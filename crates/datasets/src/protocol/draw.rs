use super::{Protocol, ProtocolParams, ProtocolSplit};
use crate::numpy::{RandomState, TestSize, train_test_split};
use crate::{DatasetError, Entry, Index};
use segad_core::{CoreError, Label, Sample, Seed, TrainSplit};

/// One call of [`Protocol::split`].
pub(super) struct Draw<'a> {
    pub(super) protocol: Protocol,
    pub(super) index: &'a Index,
    pub(super) seed: Seed,
    pub(super) params: &'a ProtocolParams,
}

impl Draw<'_> {
    /// Fails unless there are at least `needed` of `found` images.
    pub(super) fn need(
        &self,
        part: &'static str,
        label: Label,
        needed: usize,
        found: usize,
    ) -> Result<(), DatasetError> {
        if found >= needed {
            return Ok(());
        }
        Err(DatasetError::TooFew {
            protocol: self.protocol.name(),
            class: self.index.class().to_owned(),
            seed: self.seed.0,
            part,
            label,
            needed,
            found,
        })
    }

    /// Fails unless detector, forest and test can do their work.
    pub(super) fn guard(
        &self,
        split: ProtocolSplit,
        forest_bad: usize,
    ) -> Result<ProtocolSplit, DatasetError> {
        // Images that are set aside cannot make up for missing ones.
        let headline = split
            .test
            .samples()
            .iter()
            .filter(|s| split.is_headline(s) && s.label.is_bad())
            .count();
        self.need("forest", Label::Good, 1, split.forest.count(Label::Good))?;
        self.need(
            "forest",
            Label::Bad,
            forest_bad,
            split.forest.count(Label::Bad),
        )?;
        self.need("test", Label::Good, 1, split.test.count(Label::Good))?;
        self.need("test", Label::Bad, 1, headline)?;
        Ok(split)
    }

    pub(super) fn error(&self, name: &'static str, reason: impl Into<String>) -> DatasetError {
        DatasetError::Param {
            protocol: self.protocol.name(),
            name,
            reason: reason.into(),
        }
    }

    /// The groups of these entries that headline metrics count, sorted.
    pub(super) fn headline(&self, test: &[Sample]) -> Vec<String> {
        let mut groups: Vec<String> = test
            .iter()
            .map(|s| s.group.clone())
            .filter(|g| !self.index.set_aside().contains(g))
            .collect();
        groups.sort();
        groups.dedup();
        groups
    }
}

pub(super) fn samples(entries: &[&Entry]) -> Vec<Sample> {
    entries.iter().map(|e| e.sample()).collect()
}

pub(super) fn pick(entries: &[&Entry], positions: &[usize]) -> Vec<Sample> {
    positions.iter().map(|&i| entries[i].sample()).collect()
}

pub(super) fn joined(a: &[Sample], b: &[Sample]) -> Result<TrainSplit, CoreError> {
    TrainSplit::new([a, b].concat())
}

/// The first `count` of the samples in the order of a fresh permutation, so that a smaller draw is
/// contained in a larger one by the same seed; all of them, in their own order, without a count.
pub(super) fn draw_bad(
    draw: &Draw<'_>,
    bad: Vec<Sample>,
    count: Option<usize>,
) -> Result<Vec<Sample>, DatasetError> {
    let Some(count) = count else { return Ok(bad) };
    draw.need("forest", Label::Bad, count, bad.len())?;
    // A prefix of one permutation, so that a draw of 10 is part of the draw of 20.
    let order = RandomState::from_seed(draw.seed)?.permutation(bad.len());
    Ok(order
        .into_iter()
        .take(count)
        .map(|i| bad[i].clone())
        .collect())
}

/// The positions of the good images that the detector trains on and of those held out, in
/// scikit-learn's order.
pub(super) fn hold_out(
    n: usize,
    share: f64,
    seed: Seed,
) -> Result<(Vec<usize>, Vec<usize>), DatasetError> {
    train_test_split(n, TestSize::Fraction(share), seed)
}
