use super::{DetectorGood, Draw, ProtocolSplit, draw_bad, joined, samples};
use crate::numpy::RandomState;
use crate::{DatasetError, Part};
use segad_core::{Label, Sample, TestSplit, TrainSplit};
use std::collections::HashMap;

/// Table 2: bad images are generated, one for each good image of half B.
pub(super) fn one_class(draw: &Draw<'_>) -> Result<ProtocolSplit, DatasetError> {
    let mut split = assemble(draw, &[])?;
    split.forest_generated = split.forest.samples().len();
    split.classifier = None;
    draw.guard(split, 0)
}

/// Tables 3 and 6: all of train/bad, or `train_bad` of them.
pub(super) fn high_shot(draw: &Draw<'_>) -> Result<ProtocolSplit, DatasetError> {
    let bad = draw_bad(
        draw,
        samples(&draw.index.select(Part::Train, Label::Bad)),
        draw.params.train_bad,
    )?;
    draw.guard(assemble(draw, &bad)?, 1)
}

/// Table 4: one published list. The paper's seeds are not published; list i belongs to the i-th
/// seed of the manifest.
pub(super) fn low_shot(draw: &Draw<'_>) -> Result<ProtocolSplit, DatasetError> {
    let error = |reason: String| DatasetError::LowShot {
        protocol: draw.protocol.name(),
        class: draw.index.class().to_owned(),
        reason,
    };
    let seeds = draw.index.low_shot_seeds();
    let lists = draw
        .index
        .low_shot()
        .map_err(|reason| error(reason.to_owned()))?;
    if lists.is_empty() {
        return Err(error(
            "low_shot_train.json is not there; fetch the data set again".to_owned(),
        ));
    }
    let position = match draw.params.low_shot_list {
        Some(position) => position,
        None => seeds.iter().position(|&s| s == draw.seed.0).ok_or_else(|| {
            error(format!(
                "no list belongs to seed {}; seeds with a list: {seeds:?}; or set low_shot_list",
                draw.seed
            ))
        })?,
    };
    let list = lists.get(position).ok_or_else(|| {
        error(format!(
            "list {position} is not there; low_shot_train.json holds {} lists",
            lists.len()
        ))
    })?;
    let bad: HashMap<_, Sample> = draw
        .index
        .select(Part::Train, Label::Bad)
        .into_iter()
        .map(|e| (&e.id, e.sample()))
        .collect();
    let drawn = list.images.iter().map(|id| {
        bad.get(id).cloned().ok_or_else(|| {
            error(format!(
                "list {:?} names {id}, which is no bad training image",
                list.name
            ))
        })
    });
    draw.guard(assemble(draw, &drawn.collect::<Result<Vec<_>, _>>()?)?, 1)
}

/// Halves of the good images by a permutation: the first is A, for the detector, the rest is B, for
/// the forest.
fn assemble(draw: &Draw<'_>, bad: &[Sample]) -> Result<ProtocolSplit, DatasetError> {
    let good = draw.index.select(Part::Train, Label::Good);
    draw.need("train", Label::Good, 2, good.len())?;
    let order = RandomState::from_seed(draw.seed)?.permutation(good.len());
    let (a, b) = order.split_at(good.len() / 2);
    let detector = match draw.params.detector_good.unwrap_or(DetectorGood::Half) {
        DetectorGood::Half => super::pick(&good, a),
        DetectorGood::All => samples(&good),
    };
    let test = samples(&draw.index.part(Part::Test));
    Ok(ProtocolSplit {
        detector: TrainSplit::new(detector)?,
        holdout: None,
        forest: joined(&super::pick(&good, b), bad)?,
        forest_generated: 0,
        classifier: Some(joined(&samples(&good), bad)?),
        headline_groups: draw.headline(&test),
        test: TestSplit::new(test)?,
        detector_seed: draw.seed,
    })
}
