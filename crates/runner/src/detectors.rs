//! The detectors by the kind that an experiment names: one place to add a new one.

use crate::efficientad as inputs;
use crate::workbench::Workbench;
use segad_core::{
    AnomalyDetector, AnomalyMap, BoxError, FitContext, FitDetector, Image, KeyHasher, Seed,
    TrainGood,
};
use segad_detector_efficientad as efficientad;
use segad_detector_fastflow as fastflow;
use segad_detector_patchcore as patchcore;
use segad_detector_rd4ad as rd4ad;
use segad_grid::{Checked, DetectorDef};
use segad_nn::SavedModel;
use segad_nn::train::CurvePoint;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// A fitted detector of any kind.
pub trait Detector: Send {
    /// As [`AnomalyDetector::maps`].
    ///
    /// # Errors
    /// The detector's own.
    fn maps(&self, images: &[Image]) -> Result<Vec<AnomalyMap>, BoxError>;
}

impl<D: AnomalyDetector> Detector for D {
    fn maps(&self, images: &[Image]) -> Result<Vec<AnomalyMap>, BoxError> {
        AnomalyDetector::maps(self, images).map_err(Into::into)
    }
}

/// The kinds there are.
pub const KINDS: [&str; 4] = ["patchcore", "fastflow", "rd4ad", "efficientad"];

fn unknown(kind: &str) -> BoxError {
    format!("kind {kind:?}: expected one of {}", KINDS.join(", ")).into()
}

fn parse<T: DeserializeOwned>(params: &Table) -> Result<T, BoxError> {
    Ok(Value::Table(params.clone()).try_into()?)
}

/// Checks parameters; the key holds them, the crates' revisions, the weights and the precision.
///
/// # Errors
/// What is wrong and what was expected.
pub fn check(bench: &Workbench, kind: &str, params: &Table) -> Result<Checked, BoxError> {
    let mut hasher = KeyHasher::new("detector", segad_nn::REVISION);
    hasher
        .field("kind", kind)
        .field("imaging", &segad_imaging::REVISION);
    hasher.field("precision", &bench.settings.precision);
    let weights = match kind {
        "patchcore" => {
            let params = parse::<patchcore::PatchCoreSettings>(params)?.checked()?;
            hasher
                .field("fit", &patchcore::FIT_REVISION)
                .field("maps", &patchcore::MAPS_REVISION);
            hasher.field("params", &params);
            bench.weights_digest(params.backbone())
        }
        "fastflow" => {
            let params = parse::<fastflow::FastFlowSettings>(params)?.checked()?;
            hasher
                .field("fit", &fastflow::FIT_REVISION)
                .field("maps", &fastflow::MAPS_REVISION);
            hasher
                .field("train", &segad_nn::train::REVISION)
                .field("params", &params);
            bench.weights_digest(params.backbone())
        }
        "rd4ad" => {
            let params = parse::<rd4ad::Rd4adSettings>(params)?.checked()?;
            hasher
                .field("fit", &rd4ad::FIT_REVISION)
                .field("maps", &rd4ad::MAPS_REVISION);
            hasher
                .field("train", &segad_nn::train::REVISION)
                .field("params", &params);
            bench.weights_digest(params.backbone())
        }
        "efficientad" => {
            let params = parse::<efficientad::EfficientAdSettings>(params)?.checked()?;
            hasher
                .field("fit", &efficientad::FIT_REVISION)
                .field("maps", &efficientad::MAPS_REVISION);
            hasher
                .field("train", &segad_nn::train::REVISION)
                .field("params", &params);
            inputs::inputs(bench, &params)
        }
        _ => return Err(unknown(kind)),
    };
    let missing = weights.as_ref().err().map(ToString::to_string);
    hasher.field("weights", &weights.ok());
    Ok(Checked {
        key: hasher.finish(),
        missing,
    })
}

/// Fits a detector; beside the model, the losses of its training, if it has any.
///
/// # Errors
/// The detector's own.
pub fn fit(
    bench: &Workbench,
    def: &DetectorDef,
    good: &TrainGood<'_>,
    holdout: Option<&TrainGood<'_>>,
    seed: Seed,
    ctx: &FitContext,
) -> Result<(SavedModel, Vec<CurvePoint>), BoxError> {
    match def.kind.as_str() {
        "patchcore" => {
            let params = parse::<patchcore::PatchCoreSettings>(&def.params)?.checked()?;
            let weights = bench.weights(params.backbone())?;
            Ok((
                patchcore::PatchCore::new(params, weights)?
                    .fit(good, seed, ctx)?
                    .save()?,
                Vec::new(),
            ))
        }
        "fastflow" => {
            let params = parse::<fastflow::FastFlowSettings>(&def.params)?.checked()?;
            let weights = bench.weights(params.backbone())?;
            let fitted = fastflow::FastFlow::new(params, weights)?.fit(good, seed, ctx)?;
            Ok((fitted.save()?, fitted.origin().curve.clone()))
        }
        "rd4ad" => {
            let params = parse::<rd4ad::Rd4adSettings>(&def.params)?.checked()?;
            let weights = bench.weights(params.backbone())?;
            let fitted = rd4ad::Rd4ad::new(params, weights)?.fit(good, seed, ctx)?;
            Ok((fitted.save()?, fitted.curve().to_vec()))
        }
        "efficientad" => {
            let params = parse::<efficientad::EfficientAdSettings>(&def.params)?.checked()?;
            let (weights, penalty) = (
                inputs::weights(bench, &params)?,
                inputs::penalty(bench, &params)?,
            );
            let mut detector = efficientad::EfficientAd::new(params, weights)?;
            if let Some(penalty) = &penalty {
                detector = detector.with_penalty(penalty.images());
            }
            let fitted = match holdout {
                Some(holdout) => detector.fit_with_holdout(good, holdout, seed, ctx),
                None => detector.fit(good, seed, ctx),
            }?;
            Ok((fitted.save()?, fitted.curve().to_vec()))
        }
        kind => Err(unknown(kind)),
    }
}

/// Loads a fitted detector.
///
/// # Errors
/// The detector's own.
pub fn load(
    bench: &Workbench,
    def: &DetectorDef,
    model: &SavedModel,
    ctx: &FitContext,
) -> Result<Box<dyn Detector>, BoxError> {
    match def.kind.as_str() {
        "patchcore" => {
            let params = parse::<patchcore::PatchCoreSettings>(&def.params)?.checked()?;
            let weights = bench.weights(params.backbone())?;
            Ok(Box::new(patchcore::FittedPatchCore::load(
                model, &weights, ctx.device, ctx.batch,
            )?))
        }
        "fastflow" => {
            let params = parse::<fastflow::FastFlowSettings>(&def.params)?.checked()?;
            let weights = bench.weights(params.backbone())?;
            Ok(Box::new(fastflow::FittedFastFlow::load(
                model, &weights, ctx.device, ctx.batch,
            )?))
        }
        "rd4ad" => {
            let params = parse::<rd4ad::Rd4adSettings>(&def.params)?.checked()?;
            let weights = bench.weights(params.backbone())?;
            Ok(Box::new(rd4ad::FittedRd4ad::load(
                model, &weights, ctx.device, ctx.batch,
            )?))
        }
        "efficientad" => Ok(Box::new(efficientad::FittedEfficientAd::load(
            model, ctx.device, ctx.batch,
        )?)),
        kind => Err(unknown(kind)),
    }
}
