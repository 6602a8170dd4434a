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
    let seeds = draw.index.low_shot_seeds();
    let lists = draw
        .index
        .low_shot()
        .map_err(|reason| low_shot_error(draw, reason.to_owned()))?;
    if lists.is_empty() {
        let reason = "low_shot_train.json is missing; complete the data set";
        return Err(low_shot_error(draw, reason.to_owned()));
    }
    let own = seeds.iter().position(|&s| s == draw.seed.0);
    let Some(position) = draw.params.low_shot_list.or(own) else {
        let reason = format!(
            "no list belongs to seed {}; seeds with a list: {seeds:?}; or set low_shot_list",
            draw.seed
        );
        return Err(low_shot_error(draw, reason));
    };
    let Some(list) = lists.get(position) else {
        let reason = format!(
            "low_shot_list = {position}: expected less than {}, the number of lists in \
             low_shot_train.json",
            lists.len()
        );
        return Err(low_shot_error(draw, reason));
    };
    // The list gives the order, so the images are looked up one by one.
    let bad: HashMap<_, Sample> = draw
        .index
        .select(Part::Train, Label::Bad)
        .into_iter()
        .map(|e| (&e.id, e.sample()))
        .collect();
    let mut drawn = Vec::with_capacity(list.images.len());
    for id in &list.images {
        drawn.push(bad.get(id).cloned().ok_or_else(|| {
            let reason = format!("list {:?}: {id} is not a bad training image", list.name);
            low_shot_error(draw, reason)
        })?);
    }
    draw.guard(assemble(draw, &drawn)?, 1)
}

fn low_shot_error(draw: &Draw<'_>, reason: String) -> DatasetError {
    DatasetError::LowShot {
        protocol: draw.protocol.name(),
        class: draw.index.class().to_owned(),
        reason,
    }
}

/// Halves of the good images by a permutation: the first is A, for the detector, the rest is B, for
/// the forest.
fn assemble(draw: &Draw<'_>, bad: &[Sample]) -> Result<ProtocolSplit, DatasetError> {
    let good = draw.index.select(Part::Train, Label::Good);
    draw.need("train", Label::Good, 2, good.len())?;
    let order = RandomState::from_seed(draw.seed)?.permutation(good.len());
    // A is for the detector, B for the forest: maps of images that the detector saw look too good.
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
