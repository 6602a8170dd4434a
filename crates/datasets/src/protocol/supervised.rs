use super::carve::training_anomalies;
use super::{ClassifierGood, Draw, ProtocolSplit, hold_out, joined, pick, samples};
use crate::{DatasetError, Part};
use segad_core::{Label, Seed, TestSplit, TrainSplit};

/// The authors' seed for the hold-out and the detectors.
const HOLDOUT_SEED: u64 = 333;

/// Tables 5, 8 and 9: 90 % of train/good for the detectors, fitted once; the other 10 % and some
/// carved bad images for the forest; test/good (sorted) and then the remaining bad (as drawn) for
/// testing, the authors' row order.
pub(super) fn carved(draw: &Draw<'_>, bad_default: usize) -> Result<ProtocolSplit, DatasetError> {
    let share = draw.params.holdout_fraction.unwrap_or(0.1);
    if !(share > 0.0 && share < 1.0) {
        return Err(draw.error(
            "holdout_fraction",
            format!("holdout_fraction = {share}: expected a number between 0 and 1"),
        ));
    }
    let seed = Seed(draw.params.holdout_seed.unwrap_or(HOLDOUT_SEED));
    let good = draw.index.select(Part::Train, Label::Good);
    draw.need("train", Label::Good, 2, good.len())?;
    let (base, held) = hold_out(good.len(), share, seed)?;
    let bad = draw.index.select(Part::Test, Label::Bad);
    let bad = training_anomalies(draw, &bad, draw.params.train_bad.unwrap_or(bad_default))?;
    let detector = pick(&good, &base);
    let held = pick(&good, &held);
    let classifier_good = match draw.params.classifier_good.unwrap_or(ClassifierGood::All) {
        ClassifierGood::All => samples(&good),
        ClassifierGood::Detector => detector.clone(),
    };
    // The authors' row order, so that files of scores can be compared line by line.
    let test = [
        samples(&draw.index.select(Part::Test, Label::Good)),
        bad.test,
    ]
    .concat();
    let split = ProtocolSplit {
        forest: joined(&held, &bad.train)?,
        forest_generated: 0,
        classifier: Some(joined(&classifier_good, &bad.train)?),
        detector: TrainSplit::new(detector)?,
        holdout: Some(TrainSplit::new(held)?),
        headline_groups: draw.headline(&test),
        test: TestSplit::new(test)?,
        detector_seed: seed,
    };
    draw.guard(split, 1)
}

/// The authors' lists of maps: training rows are the good hold-out already.
pub(super) fn maps(draw: &Draw<'_>, bad_default: usize) -> Result<ProtocolSplit, DatasetError> {
    let good = samples(&draw.index.select(Part::Train, Label::Good));
    let bad = draw.index.select(Part::Test, Label::Bad);
    let bad = training_anomalies(draw, &bad, draw.params.train_bad.unwrap_or(bad_default))?;
    let test = [
        samples(&draw.index.select(Part::Test, Label::Good)),
        bad.test,
    ]
    .concat();
    let split = ProtocolSplit {
        // The maps come from outside; nothing is fitted on images here.
        detector: TrainSplit::default(),
        holdout: None,
        forest: joined(&good, &bad.train)?,
        forest_generated: 0,
        classifier: None,
        headline_groups: draw.headline(&test),
        test: TestSplit::new(test)?,
        detector_seed: Seed(HOLDOUT_SEED),
    };
    draw.guard(split, 1)
}
